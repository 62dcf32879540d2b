"""What `wg bench speed` found: tables, speed.json, the roofline picture."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wg.bench.race import Peak, Shape, SpeedResult
from wg.bench.results import COLOURS, LINE_POINTS, MARKERS, amount
from wg.files import write_bytes, write_json
from wg.report.table import markdown, number, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Profiles = Mapping[str, Mapping[str, float]]  # network -> operation -> share
FILES = ("speed.json", "speed.md", "roofline.png")
WIDTH = 79  # of lines of reasons
GIGA = 1e9
COPY = "copy"


def spoken(shape: Shape) -> str:
    """A shape in words: "4 s, batch 8, 2 threads"."""
    threads = f"{shape.threads} thread{'' if shape.threads == 1 else 's'}"
    return f"{shape.seconds:g} s, batch {shape.batch}, {threads}"


def highest(peaks: Sequence[Peak], shape: Shape, precision: str) -> float:
    """FLOP a second of the faster of product and convolution, timed with this shape."""
    mine = [p for p in peaks if p.shape == shape and p.probe.name != COPY]
    return max(p.rate for p in mine if p.probe.precision == precision)


def bandwidth(peaks: Sequence[Peak], shape: Shape) -> float:
    """Bytes a second of the copy."""
    return next(p.rate for p in peaks if p.shape == shape and p.probe.name == COPY)


def print_race(rows: Sequence[SpeedResult], peaks: Sequence[Peak]) -> None:
    """A table for each network and shape, then what could not run and why."""
    for (shape, network), group in groupby(rows, key=lambda row: (row.shape, row.network)):
        mine = list(group)
        ran = [row for row in mine if not row.reason]
        counts = [row.work.macs / shape.audio / GIGA for row in ran if row.work and row.work.macs]
        asked = f"; {amount(counts[0])} GMAC a second of audio" if counts else ""
        print(f"\n{network}: {spoken(shape)}{asked}")
        if ran:
            header = ["", "RTF ↓", "±%", "faster", "GFLOP/s", "peak", "MB", "differs"]
            print_table(header, [terse(row, peaks) for row in ran])
        for why in dict.fromkeys(row.reason for row in mine if row.reason):
            names = ", ".join(row.backend for row in mine if row.reason == why)
            print(textwrap.fill(f"{names}: {why}", WIDTH, subsequent_indent="  "))
    for shape in dict.fromkeys(row.shape for row in rows):
        print()
        print(textwrap.fill(f"peaks, {spoken(shape)}: {', '.join(limits(peaks, shape))}", WIDTH))


def limits(peaks: Sequence[Peak], shape: Shape) -> list[str]:
    """Each probe with its rate."""
    return [
        f"{p.probe.name} {number(p.rate / GIGA)} GB/s"
        if p.probe.name == COPY
        else f"{p.probe.name} {precision_name(p.probe.precision)} {p.rate / GIGA:.0f} GFLOP/s"
        for p in peaks
        if p.shape == shape
    ]


def precision_name(precision: str) -> str:
    """As the tables call it."""
    return {"32": "fp32", "16": "fp16"}.get(precision, precision)


def terse(row: SpeedResult, peaks: Sequence[Peak]) -> list[str]:
    """The cells of a row that ran."""
    low, high = row.spread
    around = f"{50 * (high - low) / row.rtf:.0f}"
    return [row.backend, number(row.rtf), around, *shares(row, peaks), *costs(row)]


def shares(row: SpeedResult, peaks: Sequence[Peak]) -> list[str]:
    """Against eager, GFLOP a second, and how much of the peak that is; "" where unknown."""
    faster = "" if row.faster is None else f"{row.faster:.2f}"
    if not row.work or not row.work.macs:
        return [faster, "", ""]
    share = row.rate / highest(peaks, row.shape, row.precision)
    return [faster, f"{row.rate / GIGA:.0f}", f"{share:.0%}"]


def costs(row: SpeedResult) -> list[str]:
    """Memory and difference from eager."""
    memory = "" if row.memory is None else amount(row.memory)
    return [memory, "" if row.difference is None else f"{row.difference:.1e}"]


def summary(rows: Sequence[SpeedResult], peaks: Sequence[Peak], about: Mapping[str, str]) -> str:
    """All results in Markdown: the machine, each row beside its peak, and what could not run."""
    header = ["network", "of", "backend", "RTF ↓ (least to greatest)", "times as fast as eager"]
    header += ["GFLOP/s", "of the peak", "memory (MB)", "differs by", "ready after (s)"]
    ran = [
        [
            row.network,
            spoken(row.shape),
            row.backend,
            f"{number(row.rtf)} ({number(row.spread[0])} to {number(row.spread[1])})",
            *shares(row, peaks),
            *costs(row),
            "" if row.ready is None else number(row.ready),
        ]
        for row in rows
        if not row.reason
    ]
    asked = {
        row.network: row.work.macs / row.shape.audio / GIGA for row in rows if row.work is not None
    }
    counts = [[name, amount(macs)] for name, macs in asked.items() if macs]
    shapes = dict.fromkeys(row.shape for row in rows)
    reached = [[spoken(shape), "; ".join(limits(peaks, shape))] for shape in shapes]
    reasons = dict.fromkeys((r.network, r.backend, r.reason) for r in rows if r.reason)
    parts = ["# Speed", markdown(header, ran), "![roofline](roofline.png)"]
    if counts:
        parts.append(markdown(["network", "GMAC a second of audio"], counts))
    parts.append(markdown(["measured in turn with", "the machine reaches"], reached))
    if reasons:
        parts += ["## Not here", markdown(["network", "backend", "why"], [[*r] for r in reasons])]
    machine = ", ".join(f"{key} {value}" for key, value in about.items() if value)
    return "\n\n".join([*parts, "## Measured on", machine]) + "\n"


def plain(row: SpeedResult) -> dict[str, Any]:
    """A row for programs: with its figures, or its reason."""
    kept = {**asdict(row), "work": None if row.work is None else asdict(row.work)}
    if row.reason:
        return {key: kept[key] for key in ("network", "backend", "precision", "shape", "reason")}
    low, high = row.spread
    figures = {"rtf": row.rtf, "rtf_least": low, "rtf_greatest": high, "flop_per_s": row.rate}
    if row.difference is not None and not math.isfinite(row.difference):
        kept["difference"] = None  # a waveform of another length, which JSON has no number for
    return {**kept, **figures}


def shares_table(profiles: Profiles) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: an operation each, the share of it in each network."""
    names = dict.fromkeys(name for shares in profiles.values() for name in shares)
    rows = [
        [name, *(f"{p[name]:.0%}" if name in p else "" for p in profiles.values())]
        for name in names
    ]
    return ["operation", *profiles], rows


def write_race(
    out: Path,
    rows: Sequence[SpeedResult],
    peaks: Sequence[Peak],
    about: Mapping[str, str],
    profiles: Profiles,
) -> None:
    """speed.json, speed.md and roofline.png; `profiles` may be empty."""
    reached = [
        {
            "name": peak.probe.name,
            "precision": peak.probe.precision,
            "shape": asdict(peak.shape),
            "times": peak.times,
            "rate": peak.rate,  # FLOP a second; of the copy bytes
        }
        for peak in peaks
    ]
    content = {
        "environment": dict(about),
        "rows": [plain(row) for row in rows],
        "peaks": reached,
        "profiles": {name: dict(shares) for name, shares in profiles.items()},
    }
    json.dumps(content, allow_nan=False)
    write_json(out / FILES[0], content)
    text = summary(rows, peaks, about)
    if profiles:
        text += f"\n## Where the time goes, eager\n\n{markdown(*shares_table(profiles))}\n"
    write_bytes(out / FILES[1], text.encode())
    roofline(rows, peaks, out / FILES[2])


def roofline(rows: Sequence[SpeedResult], peaks: Sequence[Peak], path: Path) -> None:
    """GFLOP a second over arithmetic intensity under the machine's roofs, a panel for each shape.

    At most four, the first ones. A colour a network, a marker a backend.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    drawn = [row for row in rows if row.times and row.work and row.work.macs]
    shapes = list(dict.fromkeys(row.shape for row in drawn))[:4]
    across = max(1, len(shapes))
    figure = Figure(figsize=(2 + 5.5 * across, 5), layout="constrained")
    grid = figure.subplots(1, across, sharey=True, squeeze=False)[0]
    networks = list(dict.fromkeys(row.network for row in drawn))
    backends = list(dict.fromkeys(row.backend for row in drawn))
    for axis, shape in zip(grid, shapes, strict=False):
        mine = [row for row in drawn if row.shape == shape]
        for row in mine:
            axis.plot(
                intensity(row),
                row.rate / GIGA,
                MARKERS[backends.index(row.backend) % len(MARKERS)],
                color=COLOURS[networks.index(row.network) % len(COLOURS)],
            )
        draw_roofs(axis, mine, peaks, shape)
        axis.set(xscale="log", yscale="log", title=spoken(shape))
        for line in (axis.xaxis, axis.yaxis):
            line.set_major_locator(LogLocator(subs=(1, 2, 5)))
            line.set_major_formatter(FormatStrFormatter("%g"))
            line.set_minor_formatter(NullFormatter())
        axis.set_xlabel("arithmetic intensity, eager (FLOP/byte)")
        axis.grid(alpha=0.3, which="both")
    grid[0].set_ylabel("GFLOP/s")
    for name, colour in zip(networks, COLOURS, strict=False):
        grid[0].plot([], [], "s", color=colour, label=name)
    for place, name in enumerate(backends):
        grid[0].plot([], [], MARKERS[place % len(MARKERS)], color="0.4", label=name)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=120)


def intensity(row: SpeedResult) -> float:
    """FLOP for each byte that the network's operations move."""
    assert row.work is not None
    return 2 * row.work.macs / row.work.traffic


def draw_roofs(
    axis: Axes, rows: Sequence[SpeedResult], peaks: Sequence[Peak], shape: Shape
) -> None:
    """What copying and arithmetic allow, a line for each precision, named at its right end."""
    copied = bandwidth(peaks, shape)
    right = 4 * max(intensity(row) for row in rows)
    for precision in dict.fromkeys(row.precision for row in rows):
        top = highest(peaks, shape, precision)
        right = max(right, 4 * top / copied)
    left = min(intensity(row) for row in rows) / 4
    for precision in dict.fromkeys(row.precision for row in rows):
        top = highest(peaks, shape, precision)
        knee = top / copied
        axis.plot(
            [left, knee, right], [left * copied / GIGA, top / GIGA, top / GIGA], "0.5", zorder=0
        )
        axis.annotate(
            f"{precision_name(precision)} {top / GIGA:.0f} GFLOP/s",
            (right, top / GIGA),
            (0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
        )
    axis.annotate(
        f"copy {copied / GIGA:.0f} GB/s",
        (left, left * copied / GIGA),
        (LINE_POINTS, 0),
        textcoords="offset points",
        fontsize=9,
    )
