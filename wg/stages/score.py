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
from wg.stages.pool import in_processes
from wg.stages.stage import Context, Stage, features_of


@dataclass(frozen=True)
class Task:
    """What one process needs to score an utterance."""

    dump: Path
    decoded: Path
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]


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
    for name in wanted.baselines:
        iterations = name.removeprefix("griffin-lim-")
        if name != "noise" and (iterations == name or not iterations.isdigit()):
            choices = ("noise", "griffin-lim-1", "griffin-lim-32")
            raise InputError(f"score.baselines: {name!r} is unknown; {nearest(name, choices)}")


def score_utterance(task: Task, name: str) -> dict[str, dict[str, float]]:
    """Scores of every system on one utterance."""
    dump = Dump(task.dump)
    index = next(i for i, entry in enumerate(dump.utterances) if entry.id == name)
    path = task.decoded / f"{name}.wav"
    synthesis, rate = soundfile.read(path, dtype="float32")
    if rate != dump.spec.sample_rate:
        raise InputError(f"{path}: {rate} Hz, features have {dump.spec.sample_rate} Hz")
    reference = dump.recording(index).numpy()[: len(synthesis)]
    systems = {"wg": synthesis}
    systems |= {label: baseline(label, dump, index) for label in task.baselines}
    length = len(reference)
    return {
        system: score(reference, audio[:length], rate, task.metrics)
        for system, audio in systems.items()
    }


def defined(content: Any) -> Any:
    """The same nested dictionaries with None for nan, which JSON does not have."""
    if isinstance(content, dict):
        return {key: defined(value) for key, value in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


def run(context: Context) -> Mapping[str, Any]:
    """Scores over `--jobs` processes; writes scores.json and prints the table."""
    wanted = context.experiment.score
    decode = context.experiment.decode
    dump = features_of(context, decode.split)
    names = [entry.id for entry in dump.utterances][: decode.limit]
    task = Task(dump.folder, context.decoded, wanted.metrics, wanted.baselines)
    started = time.monotonic()
    rows = in_processes(partial(score_utterance, task), names, context.jobs)
    by_system = {
        system: {name: row[system] for name, row in zip(names, rows, strict=True)}
        for system in rows[0]
    }
    means = {
        system: {
            metric: asdict(summarise(scores[metric] for scores in utterances.values()))
            for metric in wanted.metrics
        }
        for system, utterances in by_system.items()
    }
    content = defined({"means": means, "utterances": by_system})
    write_bytes(context.decoded / "scores.json", (json.dumps(content, indent=1) + "\n").encode())
    print(f"{len(names)} utterances scored in {time.monotonic() - started:.1f} s")
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
