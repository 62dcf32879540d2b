"""One cell after another: synthesised, scored, timed, and kept as it ends."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wg.bench.environment import environment
from wg.bench.error_rates import RATES, check_texts, error_rates_by_id
from wg.bench.folders import Pair, Scoring, audio_files, listed, read_at, score_pairs, size
from wg.bench.plan import CEILING, Bench, Cell, columns, fingerprint
from wg.bench.speed import cost
from wg.bench.systems import System, system_of
from wg.data.audio import protect_peak, rate_of, write_audio
from wg.diffusion.noise import seed_of
from wg.errors import InputError
from wg.files import write_bytes
from wg.metrics.pairs import LOWEST_RATE
from wg.processes.progress import track
from wg.report.record import CELL
from wg.report.scores import defined, means


@dataclass(frozen=True)
class Workspace:
    """A benchmark, where its file lies, where its results go, and what it may use."""

    bench: Bench
    root: Path  # of the paths in the file
    out: Path
    device: torch.device
    jobs: int

    def folder(self, cell: Cell) -> Path:
        """Where a cell's audio, scores and costs are kept: OUT/cells/NAME."""
        return self.out / "cells" / cell.name

    def inputs(self) -> list[Path]:
        """The corpora's folders of recordings, which no output may replace."""
        return [self.root / entry.audio for entry in self.bench.corpora.values()]

    def system(self, cell: Cell) -> System:
        """The vocoder of a cell; InputError for one that cannot be made."""
        return system_of(self.bench.vocoders[cell.vocoder], cell, self.root, self.device)

    def recordings(self, corpus: str) -> dict[str, Path]:
        """The audio files of a corpus by id."""
        entry = self.bench.corpora[corpus]
        found = audio_files(self.root / entry.audio, entry.match)
        return dict(list(found.items())[: entry.limit])

    def read(self, corpus: str) -> dict[str, np.ndarray]:
        """The recordings of a corpus at its rate, float32 [T], by id."""
        rate = self.bench.corpora[corpus].rate
        return {
            name: read_at(path, rate)[0].astype(np.float32)
            for name, path in self.recordings(corpus).items()
        }

    def rate(self, corpus: str) -> int:
        """Hz at which a corpus is used. InputError for files of several rates."""
        entry, paths = self.bench.corpora[corpus], self.recordings(corpus).values()
        rates = {entry.rate or rate_of(path) for path in paths}
        if len(rates) > 1:
            raise InputError(
                f"corpora.{corpus}: files of {' and '.join(map(str, sorted(rates)))} Hz; "
                f"write rate: {min(rates)} to resample them"
            )
        return rates.pop()


def check_recordings(work: Workspace, corpus: str) -> int:
    """Decodes a corpus; its rate in Hz. InputError, naming it, for what cannot be used."""
    lines = []
    try:
        for path in work.recordings(corpus).values():
            try:
                size(path)
            except InputError as error:
                lines.append(str(error))
    except InputError as error:
        raise InputError(f"corpora.{corpus}: {error}") from None
    if lines:
        raise InputError(
            f"corpora.{corpus}: {len(lines)} files cannot be used (a match can leave them out): "
            f"{listed(lines)}"
        )
    rate = work.rate(corpus)
    if rate < LOWEST_RATE:
        raise InputError(
            f"corpora.{corpus}: {rate} Hz; metrics need at least {LOWEST_RATE}, so take other "
            "recordings"
        )
    return rate


def check(work: Workspace, cells: Sequence[Cell]) -> None:
    """InputError, naming the cell, for what cannot work; made before any cell runs."""
    names = dict.fromkeys(cell.corpus for cell in cells)
    corpora = {name: check_recordings(work, name) for name in names}
    for name in names:
        if texts := work.bench.corpora[name].texts:
            ids = list(work.recordings(name))
            check_texts(work.root / texts, ids, work.bench.recogniser, f"corpora.{name}.texts")
    rates: dict[Cell, int | None] = {}  # of vocoders set up one way, whatever the corpus
    for cell in cells:
        rate, anywhere = corpora[cell.corpus], replace(cell, corpus="")
        try:
            if anywhere not in rates:
                rates[anywhere] = work.system(cell).rate
        except InputError as error:
            raise InputError(f"cell {cell.name}: {error}") from None
        own = rates[anywhere]
        if own not in (None, rate):
            raise InputError(
                f"cell {cell.name}: {cell.vocoder} works at {own} Hz and {cell.corpus} has "
                f"{rate} Hz; write corpora.{cell.corpus}.rate: {own} to resample, or list "
                f"other corpora in vocoders.{cell.vocoder}.corpora"
            )


def recorded(work: Workspace, cell: Cell) -> dict[str, Any] | None:
    """What is known of a cell whose settings are still the same."""
    try:
        found = json.loads((work.folder(cell) / CELL).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if found["fingerprint"] == fingerprint(work.bench, cell, work.root) else None


def run_cell(work: Workspace, cell: Cell) -> dict[str, Any]:
    """Runs a cell, failing or not, and keeps what came of it in its folder."""
    about = {
        "cell": asdict(cell),
        "system": cell.system,
        "kind": work.bench.vocoders[cell.vocoder].kind,
        "fingerprint": fingerprint(work.bench, cell, work.root),
        "environment": environment(work.device),
    }
    keep(work, cell, {**about, "state": "running"})
    try:
        result: Mapping[str, Any] = {**about, "state": "done", **measure(work, cell)}
    except KeyboardInterrupt:
        (work.folder(cell) / CELL).unlink()
        raise
    except Exception as error:  # a defect of somebody else's vocoder is a result, too
        message = f"{type(error).__name__}: {error}"
        result = {**about, "state": "failed", "error": message, "trace": traceback.format_exc()}
    return keep(work, cell, result)


def state(work: Workspace, cell: Cell) -> str:
    """What is known of a cell: "to run", "running", "done" or "failed"."""
    known = recorded(work, cell)
    return "to run" if known is None else known["state"]


def resume(work: Workspace, cell: Cell) -> str:
    """As `state`, where no process is at work on the cell: one that runs was killed, and failed."""
    known = recorded(work, cell)
    if known is not None and known["state"] == "running":
        error = "its process was killed, perhaps for want of memory"
        known = keep(work, cell, {**known, "state": "failed", "error": error})
    return "to run" if known is None else known["state"]


def forget(work: Workspace, cell: Cell) -> None:
    """Makes a cell that failed, or was killed, one to run."""
    if state(work, cell) in ("failed", "running"):
        (work.folder(cell) / CELL).unlink()


def keep(work: Workspace, cell: Cell, content: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a cell's file; returns its contents."""
    plain = defined(dict(content))
    path = work.folder(cell) / CELL
    write_bytes(path, (json.dumps(plain, indent=1) + "\n").encode())
    return plain


def measure(work: Workspace, cell: Cell) -> dict[str, Any]:
    """Scores by utterance, their means, and the cost."""
    rate, waves = work.rate(cell.corpus), work.read(cell.corpus)
    made, paths = work.system(cell), work.recordings(cell.corpus)
    folder = work.folder(cell) / "wavs"
    if work.bench.vocoders[cell.vocoder].kind == CEILING:  # a copy in 16 bits would be another file
        wanted, gains = [Pair(name, path, path) for name, path in paths.items()], {}
    else:
        wanted = [Pair(name, path, folder / f"{name}.wav") for name, path in paths.items()]
        gains = {
            name: synthesise(made, name, wave, rate, work.bench.seed, folder)
            for name, wave in track(waves.items(), cell.system, len(waves))
        }
    metrics = work.bench.metrics
    scoring = Scoring(metrics, rate=work.bench.corpora[cell.corpus].rate)
    rows = score_pairs(wanted, scoring, work.jobs)
    if texts := work.bench.corpora[cell.corpus].texts:
        audio = {pair.id: pair.synthesis for pair in wanted}
        heard = error_rates_by_id(audio, work.root / texts, work.bench.recogniser, work.jobs)
        rows = {name: {**row, **heard[name]} for name, row in rows.items()}
    return {
        "means": means({"": rows}, (*columns(metrics), *RATES))[""],
        "utterances": rows,
        "turned_down": {name: gain for name, gain in gains.items() if gain < 1},
        "cost": cost(made, list(waves.values()), rate, work.bench.speed),
    }


def synthesise(
    made: System, name: str, wave: np.ndarray, rate: int, seed: int, folder: Path
) -> float:
    """Writes one utterance as long as its recording [T]; gives its gain, 1 if none was needed."""
    audio = made.synthesise([made.features(wave, rate)], [seed_of(name, seed)])[0][: len(wave)]
    safe, gain = protect_peak(torch.from_numpy(audio))
    write_audio(folder / f"{name}.wav", safe.numpy(), rate)
    return gain
