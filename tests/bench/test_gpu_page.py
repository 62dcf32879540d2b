"""`benchmarks/gpu.py` fills the table of docs/gpu.md, whatever fails."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def run(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", *options])
    gpu.main()


def test_the_page_has_a_table_that_rows_are_added_to(gpu: ModuleType) -> None:
    page = (ROOT / "docs" / "gpu.md").read_text("utf-8")
    assert "| " + " | ".join(gpu.HEADER) + " |" in page
    row = ["2026-11-29", "abc", "a GPU", "`wg`", "1 | 2"]
    once = gpu.filled(page, [row])
    assert once.endswith("| 2026-11-29 | abc | a GPU | `wg` | 1 \\| 2 |\n")
    assert gpu.EMPTY not in once
    assert gpu.filled(once, [row, row]).count("| abc | a GPU |") == 3


def test_what_fails_and_what_is_late_is_a_row(gpu: ModuleType, monkeypatch, tmp_path) -> None:
    def broken() -> str:
        raise RuntimeError("no\nkernel")

    made = [gpu.Part("first", lambda: "fast"), gpu.Part("second", broken)]
    monkeypatch.setattr(gpu, "parts", lambda sizes, device: iter(made))
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "gpu.md").read_text("utf-8"))
    run(gpu, monkeypatch, "--quick", "--page", str(page))
    first, second = page.read_text().splitlines()[-2:]
    assert first.endswith("| `first` | fast |")
    assert second.endswith("| `second` | fails: RuntimeError: no kernel |")
    run(gpu, monkeypatch, "--quick", "--minutes", "-1", "--page", str(page))
    assert page.read_text().splitlines()[-1].endswith("| `second` | left out: time was up |")


def test_a_machine_without_a_gpu_says_so(gpu: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="sees no GPU; try --device cpu"):
        monkeypatch.setattr(sys, "argv", ["gpu.py"])
        gpu.main()


def test_training_is_timed_in_steps_a_second(gpu: ModuleType) -> None:
    found = gpu.train("mini/wavegrad", "bf16", False, gpu.QUICK, torch.device("cpu"))
    steps, segments = (float(part.split()[0]) for part in found.split(", "))
    assert segments == pytest.approx(2 * steps, rel=0.02)  # of two segments each
