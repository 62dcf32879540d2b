"""Schedule search for a packed vocoder: its log, its processes, and where what it finds goes.

Each score is written down as soon as it is there. The search proposes the same again when it is
run again, so an interrupted one goes on from what is written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.config import load_experiment_file
from wg.data.dump import features_folder
from wg.diffusion.search import RESAMPLED, Span, search, starts
from wg.errors import InputError
from wg.files import write_bytes
from wg.inference.history import FoundSchedule, History
from wg.metrics import METRICS, Summary, paired_difference, summarise
from wg.models import config_class
from wg.processes.pool import workers
from wg.processes.progress import Bar, progress
from wg.tuning.trials import (
    Levels,
    SearchJob,
    check,
    clips,
    loss_of,
    mean_loss,
    opened,
    score_clips,
    settings_of,
)

# The results of a function of each of some levels, in order, over processes.
Over = Callable[[Callable[[Levels], float], Sequence[Levels]], Iterable[float]]


class Log:
    """Scores of candidates on disk, a line each below one of the settings."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.known = path, dict[Levels, float]()
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        head = json.dumps(settings)
        if lines[:1] == [head]:
            for line in lines[1:]:
                try:
                    content = json.loads(line)
                except ValueError:  # cut off when the search was killed
                    continue
                loss = math.inf if content["loss"] is None else content["loss"]
                self.known[tuple(content["levels"])] = loss
        rows = [head, *(self._row(*item) for item in self.known.items())]
        write_bytes(path, ("\n".join(rows) + "\n").encode())

    @staticmethod
    def _row(levels: Levels, loss: float) -> str:
        return json.dumps({"levels": levels, "loss": loss if math.isfinite(loss) else None})

    def add(self, levels: Levels, loss: float) -> None:
        """One more, on disk at once."""
        self.known[levels] = loss
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._row(levels, loss) + "\n")


class Scorer:
    """Scores schedules over processes, each once, and counts what it was asked."""

    def __init__(
        self, function: Callable[[Levels], float], over: Over, log: Log, shown: Bar
    ) -> None:
        self.function, self.over, self.log, self.shown = function, over, log, shown
        self.asked: dict[Levels, float] = {}

    def __call__(self, schedules: Sequence[Tensor]) -> list[float]:
        """The loss of each; said whenever it is the least so far."""
        keys = [tuple(levels.tolist()) for levels in schedules]
        new = [key for key in dict.fromkeys(keys) if key not in self.log.known]
        for key, loss in zip(new, self.over(self.function, new), strict=True):
            self.log.add(key, loss)
        for key in keys:
            loss = self.log.known[key]
            if loss < min(self.asked.values(), default=math.inf):
                self.shown.line(f"evaluation {len(self.asked) + 1:4d}  {loss:.4g}")
            self.asked[key] = loss
        self.shown.advance(len(self.asked) - self.shown.done)
        return [self.log.known[key] for key in keys]

    @property
    def best(self) -> Levels:
        """The schedule of the least loss."""
        return min(self.asked, key=lambda levels: self.asked[levels])


def run(job: SearchJob, processes: int) -> FoundSchedule | None:
    """Searches, compares on held-out clips, and stores what is better than all known before."""
    opened.cache_clear()
    check(job)
    vocoder, dump = opened(job.vocoder, job.features)
    mine, others = clips(job)
    names = [dump.utterances[index].id for index in mine]
    path = job.vocoder / f"search-{job.steps}-{job.sampler}.jsonl"
    log = Log(path, settings_of(job, names))
    if log.known:
        print(f"going on from {len(log.known)} evaluations in {path}")
    known = starts(job.steps, vocoder.diffusion, job.sampler)
    begin = dict(list(known.items())[: job.evaluations])
    with workers(processes) as over, progress("search", job.evaluations) as shown:
        scorer = Scorer(partial(loss_of, job, mine), over, log, shown)
        losses = dict(zip(begin, scorer(list(begin.values())), strict=True))
        for label, loss in sorted(losses.items(), key=lambda item: item[1]):
            shown.line(f"  {label:34} {loss:.4g}")
        first = min(losses, key=lambda label: losses[label])
        if not math.isfinite(losses[first]):
            raise InputError(f"every known schedule of {job.steps} steps diverges; give --clip 1")
        span = Span.of(vocoder.diffusion, job.sampler)
        search(scorer, begin[first], span, job.evaluations - len(begin), job.seed)
        rivals = rivals_of(known, vocoder.history.levels(str(job.steps), job.sampler), scorer.best)
        after, *rows = over(partial(score_clips, job, others), [scorer.best, *rivals.values()])
    return store(job, scorer.best, after, dict(zip(rivals, rows, strict=True)))


def rivals_of(
    known: Mapping[str, Tensor], stored: Levels | None, found: Levels
) -> dict[str, Levels]:
    """What a user can name at this length, each once: even spacings, published, found before.

    One that was resampled to the length is nobody's schedule, but a place to search from.
    """
    named = {k: tuple(v.tolist()) for k, v in known.items() if not k.endswith(RESAMPLED)}
    if stored is not None and stored != found:
        named["found before"] = stored
    distinct = {levels: label for label, levels in reversed(named.items())}
    return {label: levels for label, levels in named.items() if distinct[levels] == label}


def store(
    job: SearchJob, levels: Levels, after: dict[str, float], rivals: dict[str, dict[str, float]]
) -> FoundSchedule | None:
    """Says how it compares with each rival on the held-out clips; stores what is better than all.

    The best rival is the best on those very clips, which favours it.
    """
    before = {label: row for label, row in rivals.items() if math.inf not in row.values()}
    if math.inf in after.values() or not before:
        print("sampling diverges on held-out clips: nothing is stored; give --clip 1")
        return None
    metric = METRICS[job.metric]
    unit = f" {metric.unit}" if metric.unit else ""
    print(f"on {len(after)} held-out clips, {job.metric}{unit} ({metric.better} is better):")
    mean = summarise(after.values())
    print(f"  {'found':34} {interval(mean)}")
    compared = {}
    for label in sorted(before, key=lambda label: mean_loss(job, before[label])):
        row, gain = summarise(before[label].values()), paired_difference(after, before[label])
        print(f"  {label:34} {interval(row)}, found - this: {interval(gain)}")
        compared[label] = {"score": row.mean, "difference": [gain.mean, gain.low, gain.high]}
    first = next(iter(compared))
    if mean_loss(job, after) >= mean_loss(job, before[first]):
        print(f"not better than {first}: nothing is stored")
        return None
    best = compared[first]["score"]
    found = FoundSchedule(job.steps, job.sampler, levels, job.metric, mean.mean, best, first)
    content = {**asdict(found), "clips": sorted(after), "compared": compared}
    target = job.vocoder / f"schedule-{job.steps}-{job.sampler}.json"
    write_bytes(target, (json.dumps(content, indent=1) + "\n").encode())
    config = json.loads((job.vocoder / "config.json").read_text("utf-8"))
    history = History.from_dict(config["history"]).with_found(found)
    config["history"] = history.to_dict()
    write_bytes(job.vocoder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    print(f"{target}: the default of this vocoder at {job.steps} steps with {job.sampler}")
    return found


def interval(summary: Summary) -> str:
    """Mean and 95% interval as messages have them: "0.42 [0.4, 0.45]"."""
    return f"{summary.mean:.4g} [{summary.low:.4g}, {summary.high:.4g}]"


def features_beside(vocoder: Path) -> Path:
    """dump/<features>/valid of the experiment that a packed vocoder lies in."""
    config = vocoder.resolve().parent / "config.yaml"
    if not config.is_file():
        raise InputError(f"{vocoder}: not in exp/NAME; give --features dump/FEATURES/valid")
    experiment = load_experiment_file(config, config_class)
    return features_folder(config.parents[2], experiment) / "valid"
