"""The toy model and the toy corpus of docs/adding.md, added to a copy of the tree as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import RATE, tone

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding.md").read_text("utf-8")
BLOCK = re.compile(r"`([^`\n]+)`[^`\n]*:\n\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and the tools with what the page adds."""
    root = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("pretrained", "__pycache__")
    shutil.copytree(ROOT / "wg", root / "wg", ignore=ignored)
    shutil.copytree(ROOT / "tools", root / "tools", ignore=ignored)
    blocks = dict(BLOCK.findall(PAGE))
    line = blocks.pop("wg/models/__init__.py")
    registry = root / "wg" / "models" / "__init__.py"
    before, found, after = registry.read_text("utf-8").partition(
        "REGISTRY: dict[str, ModelEntry] = {\n"
    )
    assert found
    registry.write_text(f"{before}{found}{line}{after}", "utf-8")
    for name, text in blocks.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert len(blocks) == 5, blocks.keys()
    (root / "recipes" / "toy" / "run.sh").chmod(0o755)
    return root


def wg(tree: Path, *arguments: str) -> str:
    """A command of the copy, in a process of its own; what it printed."""
    command = [sys.executable, "-m", "wg", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_the_page_adds_goes_through_all_stages_and_is_a_vocoder(tree: Path) -> None:
    corpus = tree / "corpus"
    corpus.mkdir()
    for number in range(1, 11):
        soundfile.write(corpus / f"{'ab'[number > 5]}-{number:02d}.flac", tone(number), RATE)
    recipe = str(tree / "recipes" / "toy")
    printed = wg(tree, "recipe", recipe, "--model", "toy", "--corpus-dir", str(corpus))
    assert re.findall(r"^stage (\d) \w+: [\d.]+ s$", printed, re.MULTILINE) == list("1234567")
    exp = tree / "recipes" / "toy" / "exp" / "toys-toy"
    card = (exp / "vocoder" / "README.md").read_text("utf-8")
    assert "toy trained with wg on toys" in card and "| noise |" in card
    out = tree / "out.wav"
    clip = str(corpus / "b-09.flac")
    wg(tree, "vocode", clip, "--vocoder", str(exp / "vocoder"), "--chunk", "8", "-o", str(out))
    made, rate = soundfile.read(out)
    assert rate == RATE and np.abs(made).max() > 0.01
