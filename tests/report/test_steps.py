"""Quality against steps: what is drawn of several schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wg.report.steps import drawn, steps_plot


def mean(value: float | None) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    return {"mean": value, "low": low, "high": high, "undefined": int(value is None)}


MEANS = {
    "wg": {"pesq_wb": mean(3.0), "stoi": mean(0.9), "f0_rmse_hz": mean(None)},
    "wavegrad-linear-50": {"pesq_wb": mean(3.4), "stoi": mean(None), "f0_rmse_hz": mean(None)},
    "noise": {"pesq_wb": mean(1.0), "stoi": mean(0.3), "f0_rmse_hz": mean(5.0)},
}
STEPS = {"wg": 6, "wavegrad-linear-50": 50}


def test_metrics_that_no_schedule_has_are_not_drawn(tmp_path: Path) -> None:
    assert drawn(MEANS, STEPS) == ["pesq_wb", "stoi"]
    steps_plot(MEANS, STEPS, "model", tmp_path / "steps.png")
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
    nothing = {system: {"pesq_wb": mean(None)} for system in STEPS}
    steps_plot(nothing, STEPS, "model", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_at_most_six_metrics_are_drawn() -> None:
    names = [f"metric-{number}" for number in range(9)]
    many = {system: dict.fromkeys(names, mean(1.0)) for system in STEPS}
    assert drawn(many, STEPS) == names[:6]
