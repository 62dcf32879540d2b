"""Stage 7, pack: the trained model's folder and the listening page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wg.data.audio import read_mono
from wg.errors import InputError, stage_label
from wg.files import MODEL, PAGE, SEARCHED, fresh_folder
from wg.inference.checkpoint import find_checkpoint
from wg.inference.history import History
from wg.inference.model import TrainedModel
from wg.report.page import Audio, PageContent, PageRow, PageSection, render, write_parts
from wg.report.scores import read_scores
from wg.report.steps import steps_plot
from wg.report.table import Means, markdown, number, print_scores, score_rows
from wg.stages.score import STAGE as SCORE
from wg.stages.stage import Stage
from wg.tasks.context import Context, decoded_result, read_stamp
from wg.tasks.registry import task_of
from wg.training.published import publish

OWN = "wg"  # what the model is called among systems
PICTURE = "steps.png"


def run(context: Context) -> Mapping[str, Any]:
    """Writes exp/.../FOLDER and exp/.../page, and says where they are."""
    task = task_of(context)
    context = task.resolved(context)
    checkpoint = find_checkpoint(context.exp, context.experiment.decode.checkpoint)
    model = task.load(checkpoint, context.experiment)
    runs = named(context)
    scores = {name: scores_of(run) for name, run in runs.items()}
    means = beside({name: found["means"] for name, found in scores.items()})
    content = {
        **facts(context, model, means),
        "checkpoint": checkpoint.name,
        **task.facts(context, scores[OWN]),
    }
    target = context.exp / task.folder
    model.history = kept(type(model), target, model.history)
    with fresh_folder(target, MODEL) as folder:
        model.save_pretrained(folder, render(task.card, content))
        keep_searches(target, folder)
    pages = {name: task.page(run, scores[name]) for name, run in runs.items()}
    rows, title = rows_of(pages), context.exp.name
    audio = {**pages[OWN].audio, **{name: audio_of(run) for name, run in runs.items()}}
    with fresh_folder(context.exp / "page", PAGE) as folder:
        several = len(runs) > 1
        if several:
            steps = {name: steps_of(run) for name, run in runs.items()}
            steps_plot(means, steps, title, folder / PICTURE)
        part = PageSection(means, costs={OWN: costs(content)}, picture=PICTURE if several else "")
        write_parts(folder, title, rows, audio, [part])
    if several:  # of one schedule stage score printed the table
        print_scores(means)
    publish(context.experiment, context.exp, means, task.folder)
    print(f"{task.folder + ' folder':15} {target}")
    print(f"listening page  {context.exp / 'page' / 'index.html'}")
    print(f"a wav to play   {context.decoded / rows[0].id}.wav")
    return {task.folder: task.folder, "page": "page/index.html"}


def named(context: Context) -> dict[str, Context]:
    """The run by each of its schedules: its own, as systems are called, then others by folder."""
    own, *further = context.by_schedule
    return {OWN: own, **{run.decoded.name: run for run in further}}


def scores_of(context: Context) -> dict[str, Any]:
    """What stage score wrote; InputError where it has not finished."""
    return read_scores(context.decoded / "scores.json", f"run {stage_label('score')} again")


def beside(means: Mapping[str, Means]) -> dict[str, Any]:
    """Means of the model by each schedule, then of the others, which are the same by any."""
    own = {name: found[OWN] for name, found in means.items()}
    return {**own, **{name: found for name, found in means[OWN].items() if name != OWN}}


def rows_of(pages: Mapping[str, PageContent]) -> list[PageRow]:
    """The rows of the run's own page, with the scores of every schedule."""
    return [
        replace(row, scores={name: page.rows[place].scores[OWN] for name, page in pages.items()})
        for place, row in enumerate(pages[OWN].rows)
    ]


def audio_of(context: Context) -> Audio:
    """What was synthesised, by utterance."""
    return lambda name: read_mono(context.decoded / f"{name}.wav")


def steps_of(context: Context) -> int:
    """Steps of what was synthesised."""
    first = decoded_result(context)["utterances"][0]
    return len(json.loads((context.decoded / f"{first}.json").read_text("utf-8"))["levels"]) - 1


def state(context: Context) -> dict[str, Any]:
    """What was made of the scores by further schedules, where there are any."""
    further = context.by_schedule[1:]
    stamps = {run.decoded.name: read_stamp(SCORE.stamp_path(run)) for run in further}
    return {f"scores by {name}": stamp and stamp["digest"] for name, stamp in stamps.items()}


def costs(content: Mapping[str, Any]) -> dict[str, tuple[str, float | None]]:
    """What the page says of the model's cost, and what it is ordered by."""
    rtf, count = content["rtf"], content["parameters"]
    speed = f"{number(rtf)} on {content['device']}"
    return {"real-time factor ↓": (speed, rtf), "parameters": (f"{count:,}", count)}


def facts(context: Context, model: TrainedModel, means: Mapping[str, Any]) -> dict[str, Any]:
    """What the template of any kind of model is given: model, data, settings, scores, cost."""
    result, spec = decoded_result(context), context.experiment.mel.to_dict()
    return {
        "title": context.exp.name,
        "model": model.model,
        "corpus": context.experiment.corpus,
        "mel": context.experiment.mel,
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "start": model.history.start,
        "mel_table": markdown(["key", "value"], [[k, str(v)] for k, v in spec.items()]),
        "utterances": len(result["utterances"]),
        "schedule": context.decoded.name,
        "scores": markdown(*score_rows(means)),
        "rtf": result["rtf"],
        "device": result["device"],
    }


def kept(kind: type[TrainedModel], folder: Path, history: History) -> History:
    """The history with the schedules that were found for the same weights, packed before."""
    try:
        before = kind.from_pretrained(folder).history
    except InputError:  # none there, or not a whole one
        return history
    return before if replace(before, found=()) == replace(history, found=()) else history


def keep_searches(before: Path, folder: Path) -> None:
    """What `wg schedule search` left in the folder packed before, which took hours."""
    for pattern in SEARCHED:
        for path in before.glob(pattern):
            shutil.copy2(path, folder)


STAGE = Stage(
    name="pack",
    summary="folder of the trained model, and listening page",
    keys=(),
    needs=("score",),
    output=lambda context: context.exp,
    run=run,
    state=state,
)
