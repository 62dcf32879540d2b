"""Validation loss against steps, as a picture: `python benchmarks/loss_curve.py RUN OUT.png`.

RUN is a folder of stage train, recipes/<corpus>/exp/<run>; resumed parts are joined.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from matplotlib.figure import Figure


def curve(run: Path) -> dict[int, float]:
    """Validation loss by step."""
    points = {}
    for path in sorted((run / "log" / "csv").glob("*/metrics.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["valid/loss"]:
                    points[int(row["step"]) + 1] = float(row["valid/loss"])
    return points


def main() -> None:
    """Draws and prints the curve."""
    run, target = map(Path, sys.argv[1:])
    points = curve(run)
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(list(points), list(points.values()), marker="o")
    axis.set(xlabel="step", ylabel="validation loss", title=run.name)
    axis.grid(alpha=0.3)
    figure.savefig(target, dpi=100)
    print(", ".join(f"{step}: {loss:.4f}" for step, loss in points.items()))


if __name__ == "__main__":
    main()
