"""Pins of the set-up against what pyproject.toml asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def requirements() -> set[str]:
    """Names that pyproject.toml asks for, as pip compares them."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in wanted} - {"wg"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_to_one_exact_public_version() -> None:
    lines = (ROOT / "tools" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.match(r"[\w.-]+==[\w.]+( ; .+)?$", line)] == []
    names = {normal(line.split("==")[0]) for line in pins}
    assert requirements() - names == set()
    assert "wg" not in names
    assert "torch==2.13.0" in pins


def test_what_is_compiled_first_is_what_pyproject_asks_for() -> None:
    text = (ROOT / "tools" / "setup.sh").read_text(encoding="utf-8")
    found = re.search(r'pip_install "compiling [^"]*" (.+)', text)
    assert found and set(found[1].split()) <= requirements()
