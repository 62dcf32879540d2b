"""Stage 6, score: synthesised against recorded test clips, beside floors to beat."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from wg.data.audio import as_written, protect_peak
from wg.data.dump import Dump
from wg.diffusion.noise import seed_of
from wg.errors import InputError, nearest
from wg.mel.griffinlim import griffin_lim
from wg.metrics import METRICS, check_metrics, score
from wg.processes.pool import in_processes
from wg.report.scores import defined, scores_content, write_scores
from wg.report.table import print_scores
from wg.stages.phonemes import reads_text
from wg.stages.stage import Context, Stage, features_of


@dataclass(frozen=True)
class Task:
    """What one process needs to score an utterance."""

    dump: Path
    decoded: Path
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    copies: bool = True  # the synthesis has the recording's timing, but perhaps not its last frame


def baseline(name: str, dump: Dump, index: int) -> np.ndarray:
    """A floor: Griffin-Lim of the true mel (griffin-lim-ITERATIONS), or noise as loud.

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


def check(context: Context) -> None:
    """InputError for an unknown metric or baseline."""
    wanted = context.experiment.score
    check_metrics(wanted.metrics, "score.metrics")
    for name in wanted.metrics if own_timing(context) else ():
        if not METRICS[name].warped:
            warped = ", ".join(metric.name for metric in METRICS.values() if metric.warped)
            raise InputError(
                f"score.metrics: {name!r} compares speech of one timing; choose from {warped}, or "
                "set decode.durations=reference"
            )
    for name in wanted.baselines:
        iterations = name.removeprefix("griffin-lim-")
        if name != "noise" and (iterations == name or not iterations.isdigit()):
            choices = ("noise", "griffin-lim-1", "griffin-lim-32")
            raise InputError(f"score.baselines: {name!r} is unknown; {nearest(name, choices)}")


def own_timing(context: Context) -> bool:
    """Whether what is decoded has durations of its own, not the recordings'."""
    return reads_text(context) and context.experiment.decode.durations == "predicted"


def score_utterance(task: Task, name: str) -> dict[str, dict[str, float]]:
    """Scores of every system on one utterance."""
    dump = Dump(task.dump)
    index = next(i for i, entry in enumerate(dump.utterances) if entry.id == name)
    path = task.decoded / f"{name}.wav"
    synthesis, rate = soundfile.read(path, dtype="float32")
    if rate != dump.spec.sample_rate:
        raise InputError(f"{path}: {rate} Hz, features have {dump.spec.sample_rate} Hz")
    reference = dump.recording(index).numpy()
    if task.copies:
        reference = reference[: len(synthesis)]
    systems = {"wg": synthesis}
    systems |= {label: baseline(label, dump, index)[: len(reference)] for label in task.baselines}
    return {
        system: score(reference, audio, rate, task.metrics) for system, audio in systems.items()
    }


def run(context: Context) -> Mapping[str, Any]:
    """Scores over `--jobs` processes; writes scores.json and prints the table."""
    decode = context.experiment.decode
    names = [entry.id for entry in features_of(context, decode.split).utterances][: decode.limit]
    return publish(context, score_waves(context, names))


Rows = dict[str, dict[str, dict[str, float]]]  # utterance -> system -> metric


def score_waves(context: Context, names: list[str], copies: bool = True) -> Rows:
    """Scores of the waveforms of these utterances."""
    wanted = context.experiment.score
    dump = features_of(context, context.experiment.decode.split)
    task = Task(dump.folder, context.decoded, wanted.metrics, wanted.baselines, copies)
    started = time.monotonic()
    rows = in_processes(partial(score_utterance, task), names, context.jobs, "score")
    print(f"{len(names)} utterances scored in {time.monotonic() - started:.1f} s")
    return dict(zip(names, rows, strict=True))


def publish(
    context: Context, rows: Rows, further: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Writes scores.json, with what else is known, and prints the table of means."""
    by_system: Rows = {}
    for name, row in rows.items():
        for system, scores in row.items():
            by_system.setdefault(system, {})[name] = scores
    metrics = dict.fromkeys(
        metric for scores in by_system.values() for metric in next(iter(scores.values()))
    )
    content = {**scores_content(by_system, list(metrics)), **defined(further or {})}
    write_scores(context.decoded / "scores.json", content)
    print_scores(content["means"])
    return {"means": content["means"]["wg"]}


STAGE = Stage(
    name="score",
    summary="scores against the recordings, beside floors to beat",
    keys=("score",),
    needs=("decode",),
    output=lambda context: context.decoded,
    run=run,
    check=check,
)
