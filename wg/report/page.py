"""The listening page: a folder that works from disk, without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from wg.data.audio import write_audio
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


Audio = Callable[[str], tuple[np.ndarray, int]]  # utterance id -> float32 [T], rate
RECORDING = "recording"  # the system that the others are compared with


@dataclass(frozen=True)
class Row:
    """An utterance on the page."""

    id: str
    text: str
    scores: Mapping[str, Mapping[str, float | None]]  # system -> metric -> value


@dataclass(frozen=True)
class Shown:
    """What a page shows, besides the model's own waveforms."""

    rows: Sequence[Row]
    audio: Mapping[str, Audio]  # of the systems before it


def write_page(
    folder: Path,
    title: str,
    rows: Sequence[Row],
    systems: Mapping[str, Audio],
    means: Means,
    picture: str | None = None,
) -> Path:
    """Writes index.html with its audio and spectrograms into a folder; the page's path.

    `picture`: a file there that is shown below the scores.
    """
    for row in rows:
        write_row(folder, row.id, {name: audio_of(row.id) for name, audio_of in systems.items()})
    header, table = score_rows(means) if means else (["system"], [])
    content = {
        "title": title,
        "rows": rows,
        "systems": list(systems),
        "recording": RECORDING,
        "header": header,
        "table": table,
        "picture": picture,
        "orders": orders(rows, list(systems)),
    }
    page = folder / "index.html"
    page.write_text(render("page.html", content), "utf-8")
    return page


def write_row(folder: Path, name: str, heard: Mapping[str, tuple[np.ndarray, int]]) -> None:
    """The wavs and pictures of one utterance, whose systems are of one rate."""
    for system, (audio, rate) in heard.items():
        path = folder / system / name
        write_audio(path.with_name(f"{path.name}.wav"), audio, rate)
        wave = torch.from_numpy(audio)
        spectrogram(wave, rate, path.with_name(f"{path.name}.png"))
        if system != RECORDING and RECORDING in heard:
            original = torch.from_numpy(heard[RECORDING][0])
            difference(original, wave, path.with_name(f"{path.name}.difference.png"))


def orders(rows: Sequence[Row], systems: Sequence[str]) -> list[tuple[int, str, str, str]]:
    """Column, system, metric, and whether its worst are the largest ("down"), to order rows by."""
    metrics = {system: list(rows[0].scores.get(system, ())) for system in systems} if rows else {}
    return [
        (column, system, metric, "up" if COLUMNS[metric].better == "higher" else "down")
        for column, system in enumerate(systems, 1)
        for metric in metrics.get(system, ())
    ]
