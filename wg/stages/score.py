"""Stage 6, score: synthesised against recorded test clips, beside floors to beat."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from wg.data.dump import Dump, write_bytes
from wg.diffusion.noise import seed_of
from wg.errors import InputError, nearest
from wg.mel.griffinlim import griffin_lim
from wg.metrics import METRICS, score
from wg.metrics.statistics import summarise
from wg.report.table import print_scores
from wg.stages.phonemes import reads_text
from wg.stages.pool import in_processes
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
    """A floor: Griffin-Lim of the true mel (griffin-lim-ITERATIONS), or noise as loud."""
    seed = seed_of(dump.utterances[index].id, 0)
    if name == "noise":
        recording = dump.recording(index).numpy()
        noise = np.random.default_rng(seed).standard_normal(len(recording))
        return (noise * np.sqrt(np.mean(recording**2))).astype(np.float32)
    iterations = name.removeprefix("griffin-lim-")
    return griffin_lim(dump.mel(index), dump.spec, int(iterations), seed % 2**32).numpy()


def check(context: Context) -> None:
    """InputError for an unknown metric or baseline."""
    wanted = context.experiment.score
    for name in wanted.metrics:
        if name not in METRICS:
            raise InputError(f"score.metrics: {name!r} is unknown; {nearest(name, METRICS)}")
        if own_timing(context) and not METRICS[name].warped:
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


def defined(content: Any) -> Any:
    """The same nested dictionaries with None for nan, which JSON does not have."""
    if isinstance(content, dict):
        return {key: defined(value) for key, value in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


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
    rows = in_processes(partial(score_utterance, task), names, context.jobs)
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
    means = {}
    for system, utterances in by_system.items():
        metrics = next(iter(utterances.values()))
        means[system] = {
            metric: asdict(summarise(scores[metric] for scores in utterances.values()))
            for metric in metrics
        }
    content = defined({"means": means, "utterances": by_system, **(further or {})})
    write_bytes(context.decoded / "scores.json", (json.dumps(content, indent=1) + "\n").encode())
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
