"""Listening pages of a benchmark, one a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from wg.bench.cells import Work
from wg.bench.folders import read_at
from wg.bench.plan import CEILING, Cell
from wg.bench.results import Results, finished
from wg.files import PAGE, fresh_folder
from wg.report.page import RECORDING, Audio, Row, write_page


def write_pages(work: Work, results: Results) -> list[Path]:
    """A page of the recording and every finished system, for each corpus that has one."""
    pages = []
    for corpus in work.bench.corpora:
        mine = [r for r in finished(results, corpus) if r["kind"] != CEILING]
        if mine:
            with fresh_folder(work.out / f"page-{corpus}", PAGE, work.inputs()) as folder:
                write_corpus(work, corpus, mine, folder)
            pages.append(work.out / f"page-{corpus}" / "index.html")
    return pages


def write_corpus(work: Work, corpus: str, results: Results, folder: Path) -> None:
    """The page of a corpus."""
    recordings = work.recordings(corpus)
    rate = work.bench.corpora[corpus].rate

    def recording(name: str) -> tuple[np.ndarray, int]:
        audio, own = read_at(recordings[name], rate)
        return np.clip(audio, -1, 1).astype(np.float32), own

    systems: dict[str, Audio] = {RECORDING: recording}
    systems |= {r["system"]: synthesised(work, r) for r in results}
    names = list(recordings)[: work.bench.rows]
    scores = {r["system"]: scores_of(r, work.bench.metrics) for r in results}
    rows = [Row(name, "", {s: table[name] for s, table in scores.items()}) for name in names]
    means = {r["system"]: {m: r["means"][m] for m in work.bench.metrics} for r in results}
    write_page(folder, f"{corpus}: {len(results)} systems", rows, systems, means)


def scores_of(result: Mapping[str, Any], metrics: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Utterance -> metric -> value, of the metrics of the file."""
    return {
        name: {metric: values[metric] for metric in metrics}
        for name, values in result["utterances"].items()
    }


def synthesised(work: Work, result: Mapping[str, Any]) -> Audio:
    """A cell's audio by utterance."""
    folder = work.folder(Cell(**result["cell"])) / "wavs"
    return lambda name: soundfile.read(folder / f"{name}.wav", dtype="float32")
