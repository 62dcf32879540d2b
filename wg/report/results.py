"""The results blocks of README.md and docs/results.md, generated from the catalogue."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wg.errors import InputError
from wg.metrics import COLUMNS
from wg.report.catalogue import CatalogueEntry, Measured
from wg.report.page import RECORDING
from wg.report.table import cell, heading, markdown, number

Rows = list[tuple[CatalogueEntry, Measured]]
# Task -> its metrics in README.md; a measurement is of the first task whose first metric it has.
TASKS = {
    "Waveforms from nothing, or from a class": ("fid", "is", "ndb"),
    "Speech from text": ("wer", "cer", "mcd_dtw"),
    "Vocoders: recordings from their mels": ("pesq_wb", "stoi", "ls_mse"),
}
FLOORS = ("griffin-lim", "world", "noise")  # that begin so are systems to beat
DIAGNOSTIC = ("delay_ms",)  # says how a pair was aligned, nothing of how it sounds


def replace_block(text: str, name: str, content: str) -> str:
    """`text` with what stands between its two marker comments replaced.

    The markers are `<!-- NAME: begin ... -->` and `<!-- NAME: end -->`, each on its own line.
    InputError where they are missing or stand more than once.
    """
    lines = text.splitlines()
    begin = [i for i, line in enumerate(lines) if line.startswith(f"<!-- {name}: begin")]
    end = [i for i, line in enumerate(lines) if line == f"<!-- {name}: end -->"]
    if len(begin) != 1 or len(end) != 1 or end[0] < begin[0]:
        raise InputError(
            f"markers of {name!r}: {len(begin)} begin, {len(end)} end; write one line "
            f"'<!-- {name}: begin -->' and, after it, one '<!-- {name}: end -->'"
        )
    kept = lines[: begin[0] + 1], lines[end[0] :]
    return "\n".join([*kept[0], "", content, "", *kept[1]]) + "\n"


def summary_block(entries: Sequence[CatalogueEntry]) -> str:
    """What README.md says of results: a table a task, ours and the best floor, in Markdown.

    Of each experiment what was measured last, at one commit of one day: older rows may be of
    another configuration.
    """
    rows: Rows = []
    for entry in entries:
        if entry.measured:
            last = entry.measured[-1]
            when = last.date, last.commit
            same = (item for item in entry.latest if (item.date, item.commit) == when)
            rows += [(entry, item) for item in same]
    parts = []
    for title, metrics in TASKS.items():
        mine = [(entry, item) for entry, item in rows if metrics[0] in item.scores["wg"]]
        rows = [row for row in rows if row not in mine]
        if mine:
            parts.append(f"**{title}**\n\n{summary_table(mine, metrics)}")
    return "\n\n".join(reversed(parts))


def summary_table(rows: Rows, metrics: Sequence[str]) -> str:
    """Two rows a measurement, of seven columns: ours, and the best floor by the first metric.

    Of what no floor has, as error rates of words, the recordings' own is the second.
    """
    header = ["experiment", "schedule", "system", *map(heading, metrics), "RTF ↓"]
    lines = []
    for entry, item in rows:
        having = [name for name in item.scores if metrics[0] in item.scores[name]]
        floors = [name for name in having if name.startswith(FLOORS)]
        best = sorted(floors, key=lambda name: badness(item, name, metrics[0]))[:1]
        for system in ("wg", *(best or (name for name in having if name == RECORDING))):
            scores, ours = item.scores[system], system == "wg"
            values = [cell(vars(scores[name])) if name in scores else "" for name in metrics]
            place = [entry.name, item.schedule] if ours else ["", ""]
            lines.append([*place, system, *values, number(item.rtf) if ours else ""])
    return markdown(header, lines)


def badness(item: Measured, system: str, metric: str) -> float:
    """A mean turned so that lower is better; infinite where there is none."""
    scores = item.scores[system]
    mean = scores[metric].mean if metric in scores else None
    if mean is None:
        return math.inf
    return mean if COLUMNS[metric].better == "lower" else -mean


def results_block(entries: Sequence[CatalogueEntry]) -> str:
    """Every measurement, what made it, and what others published, in Markdown."""
    rows: Rows = [(entry, item) for entry in entries for item in entry.latest]
    parts = [scores_table(rows), commands(rows)] if rows else []
    waiting = [f"`{entry.name}`" for entry in entries if not entry.measured]
    if waiting:
        parts.append(f"Not measured yet: {', '.join(waiting)}.")
    return "\n\n".join([*parts, published_table(entries)])


def scores_table(rows: Rows) -> str:
    """A row for each measured system; means with half the width of their 95% interval.

    Metrics that are defined nowhere, and diagnostics, have no column; the catalogue keeps them.
    """
    found = {
        name
        for _, item in rows
        for scores in item.scores.values()
        for name, values in scores.items()
        if values.mean is not None
    }
    metrics = [name for name in COLUMNS if name in found and name not in DIAGNOSTIC]
    header = ["", "experiment", "schedule", "system", *map(heading, metrics), "RTF ↓"]
    lines = [
        [
            *((str(place), entry.name, item.schedule) if system == "wg" else ("", "", "")),
            system,
            *(cell(vars(scores[name])) if name in scores else "" for name in metrics),
            number(item.rtf) if system == "wg" else "",
        ]
        for place, (entry, item) in enumerate(rows, 1)
        for system, scores in item.scores.items()
    ]
    return markdown(header, lines)


def commands(rows: Rows) -> str:
    """What made each numbered row of the table."""
    return "\n".join(
        f"{place}. {item.utterances} utterances, {item.hardware}, {item.date}"
        + (f", commit {item.commit}" if item.commit else "")
        + (f", `{item.checkpoint}`" if item.checkpoint else "")
        + f": `{item.command}`"
        + (f" ({item.note})" if item.note else "")
        for place, (_, item) in enumerate(rows, 1)
    )


def published_table(entries: Sequence[CatalogueEntry]) -> str:
    """What others printed, with its source."""
    lines = [
        [entry.name, item.what, str(item.value), item.source]
        for entry in entries
        for item in entry.published
    ]
    text = (
        "Published by others, for orientation: their data, features and metric code are not "
        "ours, so the figures do not compare digit by digit."
    )
    return "\n\n".join([text, markdown(["experiment", "what", "value", "source"], lines)])
