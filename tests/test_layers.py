"""The import rows of docs/architecture.md, enforced."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Of a module that of the longest name here which it begins with.
ROWS = {
    "moved": 0,
    "errors": 0,
    "files": 0,
    "fields": 0,
    "reading": 0,
    "rates": 0,
    "plugin": 0,
    "pictures": 0,
    "processes": 0,
    "mel": 1,
    "text": 1,
    "diffusion": 2,
    "metrics": 2,
    "alignment": 2,
    "config": 3,
    "models": 3,
    "data": 3,
    "training": 4,
    "alignment.batches": 4,
    "alignment.aligner": 4,
    "inference": 4,
    "inference.checkpoint": 5,
    "interop": 5,
    "report": 6,
    "tuning": 6,
    "tasks": 7,
    "stages": 8,
    "bench": 9,
    "commands": 10,
    "__main__": 10,
}
# Rooms of one row that see others of it; all see `errors`.
BESIDE = {("config", "models"), ("data", "config"), ("data", "models")}
# Rooms that know nothing of each other, whatever their rows.
APART = {
    ("diffusion", "text"),
    ("metrics", "mel"),
    *(("inference", other) for other in ("data", "metrics", "training")),
    *(("interop", other) for other in ("data", "config", "metrics", "training")),
    *(("report", other) for other in ("inference", "training", "interop")),
    *(("tuning", other) for other in ("training", "interop")),
    *(("tasks", other) for other in ("interop", "tuning", "alignment")),
    *(("stages", other) for other in ("interop", "tuning")),
    *(("bench", other) for other in ("stages", "tasks", "tuning", "training", "alignment")),
    *(("commands", other) for other in ("training", "alignment")),
}
LIGHT = [
    "wg.diffusion.samplers",
    "wg.mel.spec",
    "wg.alignment.network",
    "wg.models.wavegrad",
    "wg.models.diffwave",
    "wg.models.wavegrad2",
    "wg.inference.vocoder",
    "wg.inference.generator",
    "wg.inference.text_to_speech",
    "wg.inference.streaming",
]
HEAVY = [
    "lightning",
    "omegaconf",
    "lhotse",
    "librosa",
    "torchaudio",
    "wandb",
    "matplotlib",
    "scipy",
    "huggingface_hub",
]
FILES = sorted((ROOT / "wg").rglob("*.py"))


def name_of(path: Path) -> str:
    """mel.spec for wg/mel/spec.py."""
    parts = path.relative_to(ROOT / "wg").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "wg"


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module below wg that a file imports, anywhere in it, type-only ones too."""
    known = {name_of(file) for file in FILES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("wg.") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.removeprefix("wg.")
            inner = {f"{module}.{alias.name}".removeprefix("wg.") for alias in node.names}
            found |= (inner & known) or {module}
    return frozenset(found & known - {"wg"})


def row_of(module: str) -> int:
    """Its own row, or that of its room."""
    while module not in ROWS:
        module, dot, _ = module.rpartition(".")
        assert dot, "a room without a row"
    return ROWS[module]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_the_rows(path: Path) -> None:
    module = name_of(path)
    if module in ("wg", "moved"):
        assert all(used == "moved" or used.startswith("inference.") for used in imports(path))
        return
    for used in imports(path):
        here, there = row_of(module), row_of(used)
        assert there <= here, f"{module} (row {here}) imports {used} (row {there})"
        rooms = module.split(".")[0], used.split(".")[0]
        near = len(set(rooms)) == 1 or rooms in BESIDE or used == "errors"
        assert there < here or near, f"{module} imports {used}, of another room of row {here}"
        assert rooms not in APART, f"{module} imports {used}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name_of(path): imports(path) for path in FILES if name_of(path) != "wg"}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for used in sorted(graph[module]):
                visit(used, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_import_wg_loads_nothing_but_has_the_vocoder() -> None:
    code = "import sys, wg; assert 'torch' not in sys.modules; from wg import *"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_only_config_sees_omegaconf() -> None:
    seen = [path.name for path in FILES if "omegaconf" in path.read_text("utf-8").lower()]
    assert seen == ["config.py"]


def test_no_drawer() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "common", "misc", "helpers")]


@pytest.mark.parametrize("module", ["wg", *LIGHT])
def test_inference_needs_torch_numpy_and_safetensors_only(module: str) -> None:
    code = f"import sys\nfor name in {HEAVY}: sys.modules[name] = None\nimport {module}\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_rates_of_corpora_are_written_in_recipes_and_the_hub_only() -> None:
    """`wg.rates` lists those that are usual, of no corpus."""
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in FILES
        if name_of(path) not in ("mel.hub", "rates")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(constant in line.replace("_", "") for constant in ("22050", "24000"))
        and not line.lstrip().startswith(("#", '"""'))
    ]
    assert not offenders
