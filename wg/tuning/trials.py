"""Scoring a schedule for a packed vocoder: on which clips, by which metric.

Every schedule is scored on the same clips with the same noise (common random numbers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wg.data.dump import Dump
from wg.diffusion.noise import seed_of
from wg.diffusion.samplers import Clip
from wg.diffusion.search import starts
from wg.errors import InputError, nearest, stage_label
from wg.inference.folder import checksum
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.metrics import METRICS

Levels = tuple[float, ...]


@dataclass(frozen=True)
class SearchJob:
    """A search: everything that its scores depend on, and its budget."""

    vocoder: Path
    features: Path  # of the split that the clips are from
    steps: int
    sampler: str
    clip: Clip
    metric: str = "ls_mse"
    utterances: int = 4  # that candidates are scored on
    held_out: int = 8  # others, for the comparison at the end
    seconds: float = 2.0  # at most, from the middle of each
    evaluations: int = 300
    seed: int = 0


@lru_cache(maxsize=1)
def opened(vocoder: Path, features: Path) -> tuple[Vocoder, Dump]:
    """The vocoder and the features of a search; read once a process."""
    return Vocoder.from_pretrained(vocoder), Dump(features)


def check(job: SearchJob) -> None:
    """InputError for what the search would fail on, or would be worthless for."""
    vocoder, dump = opened(job.vocoder, job.features)
    if vocoder.history.steps < 1:
        raise InputError(
            f"{job.vocoder}: no record of training in config.json; a schedule fits trained "
            f"weights only: run {stage_label('train')} and on, or pack again if it was trained"
        )
    if dump.spec != vocoder.mel_spec:
        keys = ", ".join(dump.spec.differences(vocoder.mel_spec))
        raise InputError(f"{job.features}: features of another MelSpec than the vocoder's ({keys})")
    metrics = [name for name, metric in METRICS.items() if metric.better != "zero"]
    if job.metric not in metrics:
        raise InputError(
            f"metric {job.metric!r} cannot be sought by; {nearest(job.metric, metrics)}"
        )
    for key, least in (("steps", 1), ("utterances", 1), ("held_out", 2), ("evaluations", 1)):
        if vars(job)[key] < least:
            raise InputError(f"--{key.replace('_', '-')} {vars(job)[key]}: give at least {least}")
    if job.steps > 1000:
        raise InputError(f"--steps {job.steps}: give at most 1000 to search over")
    if not 0.1 <= job.seconds < math.inf:
        raise InputError(f"--seconds {job.seconds:g}: give at least 0.1")
    if len(dump) < job.utterances + job.held_out:
        raise InputError(
            f"{job.features}: {len(dump)} utterances, fewer than --utterances {job.utterances} and "
            f"--held-out {job.held_out} together; give fewer"
        )
    if not starts(job.steps, vocoder.diffusion, job.sampler):
        raise InputError(
            f"--sampler {job.sampler}: it has no schedule over this model's training range, since "
            "none starts near enough to noise; take --sampler ancestral"
        )


def clips(job: SearchJob) -> tuple[list[int], list[int]]:
    """Indices of the clips to search on and of those held out, both spread over the split."""
    _, dump = opened(job.vocoder, job.features)
    count = job.utterances + job.held_out
    chosen = [i * len(dump) // count for i in range(count)]
    marks = {i * count // job.utterances for i in range(job.utterances)}
    mine = [index for place, index in enumerate(chosen) if place in marks]
    return mine, [index for index in chosen if index not in mine]


def score_clips(job: SearchJob, indices: Sequence[int], levels: Levels) -> dict[str, float]:
    """The metric of each clip; infinite, or the worst, where sampling diverges."""
    vocoder, dump = opened(job.vocoder, job.features)
    spec = dump.spec
    options = SamplingConfig(levels, job.sampler, job.clip)
    most = max(1, round(job.seconds * spec.sample_rate / spec.hop_length))
    values = {}
    for index in indices:
        entry = dump.utterances[index]
        frames = min(entry.frames, most)
        first = (entry.frames - frames) // 2
        reference = dump.audio(index, first, frames).numpy()
        mel = dump.mel(index, first, frames)
        try:
            wave = vocoder(mel, options, seed=seed_of(entry.id, job.seed))
        except InputError:  # diverged
            return dict.fromkeys((dump.utterances[i].id for i in indices), math.inf)
        value = METRICS[job.metric].function(reference, wave.numpy(), spec.sample_rate)
        if math.isnan(value):
            raise InputError(
                f"{entry.id}: {job.metric} is undefined on this clip; give more --seconds, or "
                "another --metric"
            )
        values[entry.id] = value
    return values


def mean_loss(job: SearchJob, values: dict[str, float]) -> float:
    """Mean over clips, negated where higher is better."""
    mean = float(np.mean(list(values.values())))
    return -mean if METRICS[job.metric].better == "higher" and math.isfinite(mean) else mean


def loss_of(job: SearchJob, indices: Sequence[int], levels: Levels) -> float:
    """What the search minimises: the mean metric at these levels, negated if higher is better."""
    return mean_loss(job, score_clips(job, indices, levels))


def settings_of(job: SearchJob, names: list[str]) -> dict[str, Any]:
    """What scores depend on, beside the schedule; the budget may change."""
    weights = checksum(job.vocoder / "model.safetensors")
    content = {
        key: value for key, value in asdict(job).items() if key not in ("vocoder", "features")
    }
    del content["evaluations"], content["held_out"]
    return {**content, "clips": names, "weights": weights}
