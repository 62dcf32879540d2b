"""What a benchmark found: tables, the plot of quality against speed, results.json."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wg.bench.error_rates import RATES
from wg.bench.plan import CEILING, Bench, columns
from wg.files import write_bytes
from wg.metrics import METRICS
from wg.report.scores import defined, differences
from wg.report.table import cell as shown
from wg.report.table import difference_rows, heading, markdown, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Results = Sequence[Mapping[str, Any]]  # of cells, as they are kept
COSTS = ("RTF ↓", "RTF, batch ↓", "first audio (ms) ↓", "after features of (s) ↓")
COSTS += ("memory (MB)", "parameters", "GMAC/s")
COLOURS = [f"C{number}" for number in range(10)]  # of matplotlib's cycle
MARKERS = "os^Dv*XP<>"
NAMED = 8  # systems whose names stand in the plot; of more there is a legend
LINE_POINTS = 11  # between names


def write_results(out: Path, bench: Bench, results: Results) -> None:
    """results.json, results.md and a plot a corpus."""
    kept = [{k: v for k, v in r.items() if k not in ("utterances", "trace")} for r in results]
    write_bytes(out / "results.json", (json.dumps({"cells": kept}, indent=1) + "\n").encode())
    write_bytes(out / "results.md", summary(bench, results).encode())
    for corpus in bench.corpora:
        mine = finished(results, corpus)
        if mine:
            pareto_plot(mine, bench.metrics[0], corpus, out / f"pareto-{corpus}.png")


def finished(results: Results, corpus: str) -> list[Mapping[str, Any]]:
    """The cells of a corpus that did not fail."""
    return [r for r in results if r["cell"]["corpus"] == corpus and r["state"] == "done"]


def summary(bench: Bench, results: Results) -> str:
    """Everything in Markdown: a table a corpus, what differs from its best, failures, machines."""
    parts = ["# Benchmark"]
    for corpus in bench.corpora:
        mine = finished(results, corpus)
        if mine:
            count = len(mine[0]["utterances"])
            parts += [
                f"## {corpus}: {count} utterance{'' if count == 1 else 's'}",
                quality_table(mine, [*columns(bench.metrics), *heard_in(mine)]),
            ]
            parts += [f"![quality against speed](pareto-{corpus}.png)", cost_table(mine)]
            parts += compared(mine, bench.metrics)
    failed = [r for r in results if r["state"] == "failed"]
    if failed:
        rows = [[r["cell"]["corpus"], r["system"], r["error"]] for r in failed]
        parts += ["## Failed", markdown(["corpus", "system", "error"], rows)]
    return "\n\n".join([*parts, "## Measured on", machines(results)]) + "\n"


def overview(results: Results, metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows for a terminal: the first two metrics and what they cost."""
    shown_metrics = metrics[:2]
    header = ["system", *map(heading, shown_metrics), "RTF ↓", "MB", "parameters"]
    rows = []
    for r in results:
        cost = r["cost"]
        values = (cost["rtf"]["p50"], cost["peak_memory_mb"], cost["parameters"])
        cells = ["" if value is None else amount(value) for value in values]
        if r["kind"] == CEILING:
            cells = ["", "", ""]
        rows.append([r["system"], *(shown(r["means"][m]) for m in shown_metrics), *cells])
    return header, rows


def heard_in(results: Results) -> list[str]:
    """Error rates that every system has."""
    return [name for name in RATES if all(name in r["means"] for r in results)]


def quality_table(results: Results, metrics: Sequence[str]) -> str:
    """Means with half the width of their 95% interval."""
    rows = [[r["system"], *(shown(r["means"][name]) for name in metrics)] for r in results]
    return markdown(["system", *map(heading, metrics)], rows)


def cost_table(results: Results) -> str:
    """Medians, with the 90th percentile in brackets."""
    return markdown(["system", *COSTS], [[r["system"], *costs(r["cost"])] for r in results])


def costs(cost: Mapping[str, Any]) -> list[str]:
    """The cells of a row of the cost table."""
    times = [
        f"{number(cost[key]['p50'])} ({number(cost[key]['p90'])})"
        for key in ("rtf", "rtf_batch", "first_chunk_ms")
    ]
    further = ("first_chunk_after_s", "peak_memory_mb", "parameters", "gmacs")
    rest = [cost[key] for key in further]
    return [*times, *("" if value is None else amount(value) for value in rest)]


def amount(value: float) -> str:
    """Thousands are set apart; small numbers have three digits."""
    return f"{value:,.0f}" if value >= 1000 else number(value)


def compared(results: Results, metrics: Sequence[str]) -> list[str]:
    """What each system differs by from the best of the first metric, the recording left out."""
    rivals = [r for r in results if r["kind"] != CEILING]
    if len(rivals) < 2:
        return []
    best = min(rivals, key=lambda r: badness(r, metrics[0]))
    order = [best, *(r for r in rivals if r is not best)]
    scores = {
        r["system"]: {
            name: {metric: math.nan if row[metric] is None else row[metric] for metric in metrics}
            for name, row in r["utterances"].items()
        }
        for r in order
    }
    found = defined(differences(scores, metrics))
    text = (
        f"Paired differences from {best['system']}, the best in {metrics[0]}; "
        "* where the 95% interval leaves out 0."
    )
    return [text, markdown(*difference_rows(found))]


def badness(result: Mapping[str, Any], metric: str) -> float:
    """A mean, turned so that lower is better; undefined is worst."""
    mean = result["means"][metric]["mean"]
    if mean is None:
        return math.inf
    return {"lower": mean, "higher": -mean, "zero": abs(mean)}[METRICS[metric].better]


def front(results: Results, metric: str) -> list[Mapping[str, Any]]:
    """The systems that none other beats in both speed and the metric, fastest first."""
    found: list[Mapping[str, Any]] = []
    for result in sorted(results, key=lambda r: (r["cost"]["rtf"]["p50"], badness(r, metric))):
        if not found or badness(result, metric) < badness(found[-1], metric):
            found.append(result)
    return found


def pareto_plot(results: Results, metric: str, corpus: str, path: Path) -> None:
    """Quality against real-time factor, with intervals, the front, and the ceiling as a line.

    A colour a vocoder, a marker a way to set it up; names beside the points, or in a legend.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    usable = [r for r in results if r["means"][metric]["mean"] is not None]
    timed = [r for r in usable if r["kind"] != CEILING]
    if not timed:  # a logarithmic axis without a point
        return
    figure = Figure(figsize=(9, 5), layout="constrained")
    axis = figure.subplots()
    best = front(timed, metric)
    axis.plot(
        [r["cost"]["rtf"]["p50"] for r in best],
        [r["means"][metric]["mean"] for r in best],
        color="0.75",
        zorder=0,
        label="not beaten in both",
    )
    for result in (r for r in usable if r["kind"] == CEILING):
        mean = result["means"][metric]["mean"]
        axis.axhline(mean, color="0.4", linestyle=":", label=result["system"])
    for result, (colour, marker) in zip(timed, looks(timed), strict=True):
        mean, low, high = (result["means"][metric][key] for key in ("mean", "low", "high"))
        bar = None if low is None else [[mean - low], [high - mean]]
        speed = result["cost"]["rtf"]["p50"]
        label = result["system"] if len(timed) > NAMED else None
        axis.errorbar(speed, mean, bar, fmt=marker, color=colour, capsize=3, label=label)
    axis.set(
        xscale="log", xlabel="real-time factor (median, one utterance)", ylabel=heading(metric)
    )
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(x=0.1, y=0.1)
    axis.grid(alpha=0.3)
    axis.set_title(corpus)
    figure.legend(loc="outside right upper" if len(timed) > NAMED else "outside lower right")
    if len(timed) <= NAMED:
        axis.margins(x=0.3)
        write_names(figure, timed, metric)
    figure.savefig(path, dpi=120)


def write_names(figure: Figure, timed: Results, metric: str) -> None:
    """The systems' names beside their points, moved up where they would lie on each other."""
    (axis,) = figure.axes
    figure.draw_without_rendering()
    points = [(r["cost"]["rtf"]["p50"], r["means"][metric]["mean"]) for r in timed]
    heights = [float(axis.transData.transform(point)[1]) * 72 / figure.dpi for point in points]
    free = -math.inf
    for index in sorted(range(len(timed)), key=lambda index: heights[index]):
        height = max(heights[index], free)
        free = height + LINE_POINTS
        offset = (8, height - heights[index] - 3)
        name = timed[index]["system"]
        axis.annotate(name, points[index], offset, textcoords="offset points", fontsize=9)


def looks(results: Results) -> list[tuple[str, str]]:
    """Colour by vocoder, marker by its place among those of its vocoder."""
    order = list(dict.fromkeys(r["cell"]["vocoder"] for r in results))
    before: Counter[str] = Counter()
    found = []
    for result in results:
        name = result["cell"]["vocoder"]
        row, place = divmod(order.index(name), len(COLOURS))
        found.append((COLOURS[place], MARKERS[(before[name] + row) % len(MARKERS)]))
        before[name] += 1
    return found


def machines(results: Results) -> str:
    """The environments of the cells, each once."""
    rows: list[list[str]] = []
    for result in results:
        row = [f"{key} {value}" for key, value in result["environment"].items() if value]
        if row not in rows:
            rows.append(row)
    return "\n".join(f"- {', '.join(row)}" for row in rows)
