"""Quality against the number of steps: the schedules of one model side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wg.report.table import Means, heading

PANELS = 6  # metrics drawn at most
COLUMNS_WIDE = 3


def drawn(means: Means, steps: Mapping[str, int]) -> list[str]:
    """The first metrics that have a mean for some schedule."""
    metrics = dict.fromkeys(metric for system in steps for metric in means[system])
    there = [
        metric
        for metric in metrics
        if any(
            metric in means[system] and means[system][metric]["mean"] is not None
            for system in steps
        )
    ]
    return there[:PANELS]


def steps_plot(means: Means, steps: Mapping[str, int], title: str, path: Path) -> None:
    """A panel a metric: each system of `steps` with its interval, the others as lines.

    Nothing is drawn where no schedule has a metric.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, NullFormatter

    metrics = drawn(means, steps)
    if not metrics:
        return
    wide = min(COLUMNS_WIDE, len(metrics))
    high = -(-len(metrics) // wide)
    figure = Figure(figsize=(4 * wide + 2, 3 * high + 1), layout="constrained")
    axes = figure.subplots(high, wide, squeeze=False).flatten()
    for axis, metric in zip(axes, metrics, strict=False):
        for place, (system, count) in enumerate(steps.items()):
            found = means[system][metric] if metric in means[system] else {"mean": None}
            if (mean := found["mean"]) is None:
                continue
            low, top = found["low"], found["high"]
            bar = None if low is None else [[mean - low], [top - mean]]
            axis.errorbar(count, mean, bar, fmt="o", color=f"C{place}", capsize=3, label=system)
        others = [system for system in means if system not in steps and metric in means[system]]
        for place, system in enumerate(others):
            if (mean := means[system][metric]["mean"]) is not None:
                style = (":", "--", "-.")[place % 3]
                axis.axhline(mean, color="0.5", linestyle=style, label=system)
        axis.set(xscale="log", xlabel="steps", ylabel=heading(metric))
        axis.set_xticks(sorted(set(steps.values())))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.margins(x=0.1, y=0.1)
        axis.grid(alpha=0.3)
    for axis in axes[len(metrics) :]:
        axis.remove()
    named = {
        label: handle
        for axis in axes[: len(metrics)]
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named.keys(), loc="outside right upper")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
