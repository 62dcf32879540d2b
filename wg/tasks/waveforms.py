"""Scores of waveforms against the recordings that they should be, beside floors to beat."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wg.data.audio import as_written, protect_peak, read_mono
from wg.data.dump import Dump
from wg.diffusion.noise import seed_of
from wg.errors import InputError, nearest
from wg.mel.griffinlim import griffin_lim
from wg.metrics import score
from wg.processes.pool import as_they_come
from wg.report.page import RECORDING, PageContent, PageRow
from wg.report.scores import defined, scores_content
from wg.tasks.context import Context, features_of

PAGE_ROWS = 10
Scores = dict[str, dict[str, float]]  # system -> metric
Rows = dict[str, Scores]  # of utterances


@dataclass(frozen=True)
class ScoreJob:
    """What one process needs to score an utterance."""

    dump: Path
    decoded: Path
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    copies: bool = True  # the synthesis has the recording's timing, but perhaps not its last frame


def baseline(name: str, dump: Dump, index: int) -> np.ndarray:
    """A floor [T]: Griffin-Lim of the true mel (griffin-lim-ITERATIONS), or noise as loud.

    As a 16-bit file, like what it is compared with: log spectra hear the rounding where a floor
    is silent, such as the bands that a mel leaves out.
    """
    seed = seed_of(dump.utterances[index].id, 0)
    if name == "noise":
        recording = dump.recording(index).numpy()
        noise = np.random.default_rng(seed).standard_normal(len(recording))
        wave = torch.from_numpy((noise * np.sqrt(np.mean(recording**2))).astype(np.float32))
    else:
        iterations = name.removeprefix("griffin-lim-")
        wave = griffin_lim(dump.mel(index), dump.spec, int(iterations), seed % 2**32)
    return as_written(protect_peak(wave)[0].numpy(), dump.spec.sample_rate)


def check_baselines(names: Sequence[str]) -> None:
    """InputError for an unknown baseline."""
    for name in names:
        iterations = name.removeprefix("griffin-lim-")
        counted = iterations != name and iterations.isascii() and iterations.isdigit()
        if name != "noise" and not counted:
            choices = ("noise", "griffin-lim-1", "griffin-lim-32")
            raise InputError(f"score.baselines: {name!r} is unknown; {nearest(name, choices)}")


@lru_cache(1)
def opened(folder: Path) -> Dump:
    """The features, once a process."""
    return Dump(folder)


def score_utterance(job: ScoreJob, name: str) -> Scores:
    """Scores of every system on one utterance."""
    dump = opened(job.dump)
    index = dump.index_of(name)
    path = job.decoded / f"{name}.wav"
    synthesis, rate = read_mono(path)
    if rate != dump.spec.sample_rate:
        raise InputError(f"{path}: {rate} Hz, features have {dump.spec.sample_rate} Hz")
    reference = dump.recording(index).numpy()
    if job.copies:
        reference = reference[: len(synthesis)]
    systems = {"wg": synthesis}
    systems |= {label: baseline(label, dump, index)[: len(reference)] for label in job.baselines}
    return {system: score(reference, audio, rate, job.metrics) for system, audio in systems.items()}


def score_waves(context: Context, names: Sequence[str], copies: bool = True) -> Iterator[Scores]:
    """Scores of the waveforms of these utterances, each as soon as it is there."""
    wanted = context.experiment.score
    dump = features_of(context, context.experiment.decode.split)
    job = ScoreJob(dump.folder, context.decoded, wanted.metrics, wanted.baselines, copies)
    started = time.monotonic()
    yield from as_they_come(partial(score_utterance, job), names, context.jobs, "score")
    print(f"{len(names)} utterances scored in {time.monotonic() - started:.1f} s")


def content_of(
    rows: Mapping[str, Scores], further: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Content of scores.json: rows by system, means, differences, and what else is known."""
    by_system: Rows = {}
    for name, row in rows.items():
        for system, scores in row.items():
            by_system.setdefault(system, {})[name] = scores
    metrics = dict.fromkeys(
        metric for scores in by_system.values() for metric in next(iter(scores.values()))
    )
    return {**scores_content(by_system, list(metrics)), **defined(further or {})}


def shown(context: Context, scores: Mapping[str, Any]) -> PageContent:
    """The first utterances with their texts and scores, beside the recordings."""
    dump = features_of(context, context.experiment.decode.split)
    own = scores["utterances"]["wg"]
    by_id = {entry.id: index for index, entry in enumerate(dump.utterances)}
    rows = [
        PageRow(name, dump.utterances[by_id[name]].text, {"wg": own[name]})
        for name in list(own)[:PAGE_ROWS]
    ]
    rate = dump.spec.sample_rate
    return PageContent(rows, {RECORDING: lambda name: (dump.recording(by_id[name]).numpy(), rate)})
