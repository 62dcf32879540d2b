"""The page of a benchmark: what everything costs and how good it is, and all of it to listen to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wg.bench.cells import Workspace
from wg.bench.error_rates import read_texts
from wg.bench.folders import read_at
from wg.bench.plan import CEILING, Cell
from wg.bench.results import Results, amount, finished, pareto_plot
from wg.data.audio import read_mono
from wg.files import PAGE, fresh_folder
from wg.report.page import RECORDING, Audio, PageRow, PageSection, write_parts
from wg.report.table import number

COSTS = {  # heading -> key of a cell's cost
    "real-time factor ↓": "rtf",
    "in a batch ↓": "rtf_batch",
    "first audio (ms) ↓": "first_chunk_ms",
    "memory (MB) ↓": "peak_memory_mb",
    "parameters": "parameters",
    "GMAC/s": "gmacs",
}


def write_page(work: Workspace, results: Results) -> Path | None:
    """One page of every corpus that has a finished system; None where there is none."""
    corpora = [name for name in work.bench.corpora if rivals(results, name)]
    if not corpora:
        return None
    alone = len(corpora) == 1
    rows = [row for corpus in corpora for row in rows_of(work, results, corpus, alone)]
    names = dict.fromkeys(r["system"] for name in corpora for r in rivals(results, name))
    systems = {RECORDING: recorded(work, corpora, alone)}
    systems |= {name: synthesised(work, results, corpora, alone, name) for name in names}
    with fresh_folder(work.out / "page", PAGE, work.inputs()) as folder:
        parts = [part_of(work, results, corpus, folder) for corpus in corpora]
        title = f"{len(names)} systems, {', '.join(corpora)}"
        write_parts(folder, title, rows, systems, parts)
    return work.out / "page" / "index.html"


def rivals(results: Results, corpus: str) -> Results:
    """The finished cells of a corpus but the recordings'."""
    return [r for r in finished(results, corpus) if r["kind"] != CEILING]


def part_of(work: Workspace, results: Results, corpus: str, folder: Path) -> PageSection:
    """A corpus's tables and its picture, which is drawn into the folder."""
    mine, metrics = finished(results, corpus), work.bench.metrics
    picture = f"pareto-{corpus}.png"
    pareto_plot(mine, metrics[0], corpus, folder / picture)
    limits = {r["system"] for r in mine if r["kind"] == CEILING}
    means = {r["system"]: {name: r["means"][name] for name in metrics} for r in mine}
    costs = {r["system"]: cost_of(r["cost"]) for r in rivals(results, corpus)}
    shown = picture if (folder / picture).is_file() else ""
    return PageSection(means, corpus, costs, shown, limits)


def cost_of(cost: Mapping[str, Any]) -> dict[str, tuple[str, float | None]]:
    """What a table shows of a cost, and what it is ordered by."""
    shown: dict[str, tuple[str, float | None]] = {}
    for head, key in COSTS.items():
        value = cost[key]
        if isinstance(value, Mapping):
            shown[head] = f"{number(value['p50'])} ({number(value['p90'])})", value["p50"]
        else:
            shown[head] = "" if value is None else amount(value), value
    return shown


def rows_of(work: Workspace, results: Results, corpus: str, alone: bool) -> list[PageRow]:
    """The first recordings of a corpus, with their texts where those are known."""
    names = list(work.recordings(corpus))[: work.bench.rows]
    texts = work.bench.corpora[corpus].texts
    said = read_texts(work.root / texts, names) if texts else dict.fromkeys(names, "")
    scores = {r["system"]: scores_of(r, work.bench.metrics) for r in rivals(results, corpus)}

    def row(name: str) -> PageRow:
        mine = {system: table[name] for system, table in scores.items()}
        return PageRow(row_id(corpus, name, alone), said[name], mine)

    return [row(name) for name in names]


def row_id(corpus: str, name: str, alone: bool) -> str:
    """What the page calls an utterance."""
    return name if alone else f"{corpus}/{name}"


def recorded(work: Workspace, corpora: list[str], alone: bool) -> Audio:
    """The recordings by the page's names."""
    found = {
        row_id(corpus, name, alone): (path, work.bench.corpora[corpus].rate)
        for corpus in corpora
        for name, path in work.recordings(corpus).items()
    }

    def read(name: str) -> tuple[np.ndarray, int]:
        audio, own = read_at(*found[name])
        return np.clip(audio, -1, 1).astype(np.float32), own

    return read


def synthesised(
    work: Workspace, results: Results, corpora: list[str], alone: bool, system: str
) -> Audio:
    """A system's audio by the page's names."""
    found = {
        row_id(corpus, name, alone): work.folder(Cell(**r["cell"])) / "wavs" / f"{name}.wav"
        for corpus in corpora
        for r in rivals(results, corpus)
        if r["system"] == system
        for name in r["utterances"]
    }
    return lambda name: read_mono(found[name]) if name in found else None


def scores_of(
    result: Mapping[str, Any], metrics: tuple[str, ...]
) -> dict[str, dict[str, float | None]]:
    """Utterance -> metric -> value, of the metrics of the file."""
    return {
        name: {metric: values[metric] for metric in metrics}
        for name, values in result["utterances"].items()
    }
