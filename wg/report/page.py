"""The listening page: a folder that works from disk, without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from wg.data.audio import write_audio
from wg.pictures import spectrogram
from wg.report.table import Means, score_rows


def render(name: str, content: Mapping[str, object]) -> str:
    """A template of this package, filled in; HTML is escaped."""
    environment = Environment(
        loader=PackageLoader("wg.report", "."),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.j2").render(**content)


Audio = Callable[[str], tuple[np.ndarray, int]]  # utterance id -> float32 [T], rate


@dataclass(frozen=True)
class Row:
    """An utterance on the page."""

    id: str
    text: str
    scores: Mapping[str, Mapping[str, float | None]]  # system -> metric -> value


def write_page(
    folder: Path, title: str, rows: Sequence[Row], systems: Mapping[str, Audio], means: Means
) -> Path:
    """Writes index.html with its audio and spectrograms into a folder; the page's path."""
    for name, audio_of in systems.items():
        for row in rows:
            audio, rate = audio_of(row.id)
            write_audio(folder / name / f"{row.id}.wav", audio, rate)
            spectrogram(torch.from_numpy(audio), rate, folder / name / f"{row.id}.png")
    header, table = score_rows(means)
    content = {
        "title": title,
        "rows": rows,
        "systems": list(systems),
        "header": header,
        "table": table,
    }
    page = folder / "index.html"
    page.write_text(render("page.html", content), "utf-8")
    return page
