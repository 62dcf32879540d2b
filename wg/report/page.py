"""The listening page: a folder that works from disk, without a server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from wg.data.audio import write_audio
from wg.errors import InputError
from wg.metrics import COLUMNS
from wg.pictures import difference, spectrogram
from wg.report.table import Means, number, score_rows


def render(name: str, content: Mapping[str, object]) -> str:
    """A template of this package, filled in; HTML is escaped."""
    environment = Environment(
        loader=PackageLoader("wg.report", "."),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(f"{name}.j2").render(**content)


# Utterance id -> float32 [T] and rate; None: the system has none of it.
Audio = Callable[[str], tuple[np.ndarray, int] | None]
RECORDING = "recording"  # the system that the others are compared with


@dataclass(frozen=True)
class PageRow:
    """An utterance on the page."""

    id: str
    text: str
    scores: Mapping[str, Mapping[str, float | None]]  # system -> metric -> value


@dataclass(frozen=True)
class PageContent:
    """What a page shows, besides the model's own waveforms."""

    rows: Sequence[PageRow]
    audio: Mapping[str, Audio]  # of the systems before it


@dataclass(frozen=True)
class PageSection:
    """What is said of some systems: means, which of them are best, what they cost."""

    means: Means
    title: str = ""
    costs: Mapping[str, Mapping[str, tuple[str, float | None]]] = field(default_factory=dict)
    picture: str = ""  # file beside the page, such as quality against speed
    limits: Collection[str] = (RECORDING,)  # systems that nobody competes with


def write_page(
    folder: Path,
    title: str,
    rows: Sequence[PageRow],
    systems: Mapping[str, Audio],
    means: Means,
) -> Path:
    """`write_parts` of one part that has means alone."""
    return write_parts(folder, title, rows, systems, [PageSection(means)])


def write_parts(
    folder: Path,
    title: str,
    rows: Sequence[PageRow],
    systems: Mapping[str, Audio],
    parts: Sequence[PageSection],
) -> Path:
    """Writes index.html with its audio and spectrograms into a folder; the page's path."""
    heard: dict[str, list[str]] = {}
    for row in rows:
        found = {name: audio_of(row.id) for name, audio_of in systems.items()}
        there = {name: audio for name, audio in found.items() if audio is not None}
        write_row(folder, row.id, there)
        heard[row.id] = list(there)
    content = {
        "title": title,
        "rows": rows,
        "heard": heard,
        "systems": list(systems),
        "recording": RECORDING,
        "parts": [table_of(part) for part in parts if part.means],
        "orders": orders(rows, list(systems)),
    }
    page = folder / "index.html"
    page.write_text(render("page.html", content), "utf-8")
    return page


def table_of(part: PageSection) -> dict[str, object]:
    """A part as the template takes it."""
    header, table = score_rows(part.means)
    metrics = list(dict.fromkeys(name for scores in part.means.values() for name in scores))
    marked = {metric: marks(part, metric) for metric in metrics}
    rows = [
        [name, [(text, marked[m].get(name, "")) for m, text in zip(metrics, cells, strict=True)]]
        for name, *cells in table
    ]
    heads = list(dict.fromkeys(head for cost in part.costs.values() for head in cost))
    return {
        "title": part.title,
        "header": header,
        "rows": rows,
        "cost_header": heads,
        "costs": part.costs,
        "picture": part.picture,
    }


def marks(part: PageSection, metric: str) -> dict[str, str]:
    """By system: best, or worse where the 95% interval lies wholly beyond that of the best."""
    found = {name: scores.get(metric) for name, scores in part.means.items()}
    known = {n: s for n, s in found.items() if s and s["mean"] is not None}
    rivals = {name: s for name, s in known.items() if name not in part.limits}
    if len(rivals) < 2:
        return {}
    turn = {"lower": 1.0, "higher": -1.0, "zero": 0.0}[COLUMNS[metric].better]

    def bad(value: float) -> float:
        return turn * value if turn else abs(value)

    best = min(rivals, key=lambda name: bad(rivals[name]["mean"]))
    marked = {best: "best"}
    for name, row in rivals.items():
        ends = [(s["low"], s["high"]) for s in (rivals[best], row)]
        if name != best and not any(end is None for pair in ends for end in pair):
            (low, high), (lower, higher) = ends
            if bad(row["mean"]) > bad(rivals[best]["mean"]) and (lower > high or higher < low):
                marked[name] = "worse"
    return marked


def write_row(folder: Path, name: str, heard: Mapping[str, tuple[np.ndarray, int]]) -> None:
    """The wavs and pictures of one utterance: audio [T] and rate in Hz by system, of one rate."""
    for system, (audio, rate) in heard.items():
        path = folder / system / name
        if folder.resolve() not in path.resolve().parents:
            raise InputError(f"{system}/{name}: leads out of the page's folder; rename it")
        write_audio(path.with_name(f"{path.name}.wav"), audio, rate)
        wave = torch.from_numpy(audio)
        spectrogram(wave, rate, path.with_name(f"{path.name}.png"))
        if system != RECORDING and RECORDING in heard:
            original = torch.from_numpy(heard[RECORDING][0])
            difference(original, wave, path.with_name(f"{path.name}.difference.png"))


def orders(rows: Sequence[PageRow], systems: Sequence[str]) -> list[tuple[int, str, str, str]]:
    """Column, system, metric, and whether its worst are the largest ("down"), to order rows by."""
    metrics = {system: list(rows[0].scores.get(system, ())) for system in systems} if rows else {}
    return [
        (column, system, metric, "up" if COLUMNS[metric].better == "higher" else "down")
        for column, system in enumerate(systems, 1)
        for metric in metrics.get(system, ())
    ]
