"""Stage 7, pack: the trained model's folder and the listening page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from wg.errors import InputError
from wg.files import MODEL, PAGE, SEARCHED, fresh_folder
from wg.inference.checkpoint import find_checkpoint
from wg.inference.history import History
from wg.inference.model import TrainedModel
from wg.report.page import Audio, render, write_page
from wg.report.table import markdown, print_scores, score_rows
from wg.stages.stage import Stage
from wg.tasks.context import Context, decoded_result
from wg.tasks.registry import task_of


def run(context: Context) -> Mapping[str, Any]:
    """Writes exp/.../FOLDER and exp/.../page, and says where they are."""
    task = task_of(context)
    context = task.resolved(context)
    checkpoint = find_checkpoint(context.exp, context.experiment.decode.checkpoint)
    model = task.load(checkpoint, context.experiment)
    scores = json.loads((context.decoded / "scores.json").read_text("utf-8"))
    content = {
        **facts(context, model, scores["means"]),
        "checkpoint": checkpoint.name,
        **task.facts(context, scores),
    }
    target = context.exp / task.folder
    model.history = kept(type(model), target, model.history)
    with fresh_folder(target, MODEL) as folder:
        model.save_pretrained(folder, render(task.card, content))
        keep_searches(target, folder)
    shown = task.page(context, scores)

    def own(name: str) -> Any:
        return soundfile.read(context.decoded / f"{name}.wav", dtype="float32")

    audio: dict[str, Audio] = {**shown.audio, "wg": own}
    with fresh_folder(context.exp / "page", PAGE) as folder:
        write_page(folder, context.exp.name, shown.rows, audio, scores["means"])
    print_scores(scores["means"])
    print(f"{task.folder + ' folder':16} {target}")
    print(f"listening page   {context.exp / 'page' / 'index.html'}")
    print(f"a wav to play    {context.decoded / shown.rows[0].id}.wav")
    return {task.folder: task.folder, "page": "page/index.html"}


def facts(context: Context, model: TrainedModel, means: Mapping[str, Any]) -> dict[str, Any]:
    """What every card says."""
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
)
