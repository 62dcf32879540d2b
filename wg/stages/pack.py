"""Stage 7, pack: the vocoder folder and the listening page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from wg.data.dump import Dump
from wg.errors import InputError
from wg.files import MODEL, PAGE, SEARCHED, fresh_folder
from wg.inference.checkpoint import find_checkpoint, vocoder_from_checkpoint
from wg.inference.history import History
from wg.inference.model import Trained
from wg.report.page import Audio, Row, render, write_page
from wg.report.table import markdown, print_scores, score_rows
from wg.stages.stage import Context, Stage, features_of, read_stamp

PAGE_ROWS = 10


def model_card(context: Context, model: Trained, checkpoint: Path, template: str) -> str:
    """README.md of the model's folder."""
    decoded = read_stamp(context.decoded / "stage-decode.json")
    assert decoded is not None
    result = decoded["result"]
    means = json.loads((context.decoded / "scores.json").read_text("utf-8"))["means"]
    spec = context.experiment.mel.to_dict()
    content = {
        "title": context.exp.name,
        "model": model.model,
        "corpus": context.experiment.corpus,
        "mel": context.experiment.mel,
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "checkpoint": checkpoint.name,
        "start": model.history.start,
        "mel_table": markdown(["key", "value"], [[k, str(v)] for k, v in spec.items()]),
        "utterances": len(result["utterances"]),
        "schedule": context.decoded.name,
        "scores": markdown(*score_rows(means)),
        "rtf": result["rtf"],
        "device": result["device"],
    }
    return render(template, content)


def run(context: Context) -> Mapping[str, Any]:
    """Writes exp/.../vocoder and exp/.../page, and says where they are."""
    checkpoint = find_checkpoint(context.exp, context.experiment.decode.checkpoint)
    vocoder = vocoder_from_checkpoint(checkpoint, context.experiment)
    card = model_card(context, vocoder, checkpoint, "card.md")
    return publish(context, vocoder, "vocoder", card)


def publish(context: Context, model: Trained, kind: str, card: str) -> Mapping[str, Any]:
    """Writes the model's folder, exp/.../KIND, and exp/.../page with its speech and recordings."""
    experiment = context.experiment
    scores = json.loads((context.decoded / "scores.json").read_text("utf-8"))
    dump = features_of(context, experiment.decode.split)
    own = scores["utterances"]["wg"]
    by_id = {entry.id: index for index, entry in enumerate(dump.utterances)}
    model.history = kept(type(model), context.exp / kind, model.history)
    with fresh_folder(context.exp / kind, MODEL) as folder:
        model.save_pretrained(folder, card)
        keep_searches(context.exp / kind, folder)
    with fresh_folder(context.exp / "page", PAGE) as folder:
        rows = [row_of(dump, by_id[name], own) for name in list(own)[:PAGE_ROWS]]
        rate = dump.spec.sample_rate
        systems: dict[str, Audio] = {
            "recording": lambda name: (dump.recording(by_id[name]).numpy(), rate),
            "wg": lambda name: soundfile.read(context.decoded / f"{name}.wav", dtype="float32"),
        }
        write_page(folder, context.exp.name, rows, systems, scores["means"])
    print_scores(scores["means"])
    first = context.decoded / f"{next(iter(own))}.wav"
    print(f"{kind + ' folder':15} {context.exp / kind}")
    print(f"listening page  {context.exp / 'page' / 'index.html'}")
    print(f"a wav to play   {first}")
    return {kind: kind, "page": "page/index.html"}


def kept(kind: type[Trained], folder: Path, history: History) -> History:
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


def row_of(dump: Dump, index: int, scores: Mapping[str, Mapping[str, float | None]]) -> Row:
    """A row of the listening page."""
    entry = dump.utterances[index]
    return Row(entry.id, entry.text, {"wg": scores[entry.id]})


STAGE = Stage(
    name="pack",
    summary="vocoder folder and listening page",
    keys=(),
    needs=("score",),
    output=lambda context: context.exp,
    run=run,
)
