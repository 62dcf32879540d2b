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

from wg.data.dump import Dump
from wg.diffusion.noise import seed_of
from wg.errors import InputError, nearest
from wg.mel.griffinlim import griffin_lim
from wg.metrics import check_metrics, score
from wg.report.scores import scores_content, write_scores
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
    check_metrics(wanted.metrics, "score.metrics")
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
    content = scores_content(by_system, wanted.metrics)
    write_scores(context.decoded / "scores.json", content)
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
