"""The import rows of docs/architecture.md, enforced."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROWS = {
    "errors": 0,
    "files": 0,
    "diffusion": 0,
    "mel": 0,
    "metrics": 0,
    "text": 0,
    "alignment": 0,
    "pictures": 0,
    "plugin": 0,
    "config": 1,
    "training": 3,
    "data": 2,
    "models": 2,
    "systems": 3,
    "folder": 4,
    "hub": 4,
    "aligner": 3,
    "vocoder": 4,
    "streaming": 4,
    "reach": 4,
    "history": 4,
    "generator": 4,
    "speech": 4,
    "checkpoint": 4,
    "interop": 4,
    "report": 5,
    "stages": 5,
    "bench": 5,
    "commands": 6,
    "__main__": 6,
}
LIGHT = [
    "wg.diffusion.samplers",
    "wg.mel.spec",
    "wg.models.wavegrad",
    "wg.models.diffwave",
    "wg.models.wavegrad2",
    "wg.vocoder",
]
LIGHT += ["wg.generator", "wg.speech", "wg.streaming"]
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


def imports(path: Path) -> set[str]:
    """First part below `wg` of every wg module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("wg.")}
    return found


FILES = sorted((ROOT / "wg").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_the_rows(path: Path) -> None:
    part = path.relative_to(ROOT / "wg").parts[0].removesuffix(".py")
    if part == "__init__":
        assert imports(path) <= {"vocoder", "generator", "speech"}, "and those when asked for"
        return
    for used in imports(path):
        assert ROWS[used] <= ROWS[part], f"{part} (row {ROWS[part]}) imports {used}"
        siblings = {"diffusion", "mel", "metrics", "text", "alignment", "errors", "pictures"}
        if part in siblings and used != part:
            assert used in ("errors", "mel"), f"row 0: {part} imports {used}"


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


def test_rates_hops_and_bands_are_written_in_recipes_and_the_hub_only() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in FILES
        if path != ROOT / "wg" / "mel" / "hub.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(constant in line.replace("_", "") for constant in ("22050", "24000"))
        and not line.lstrip().startswith(("#", '"""'))
    ]
    assert not offenders
