"""Stage 7, pack: the vocoder folder and the listening page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile

from wg.checkpoint import find_checkpoint, vocoder_from_checkpoint
from wg.data.dump import Dump
from wg.errors import InputError
from wg.history import History
from wg.report.page import Audio, Row, render, write_page
from wg.report.table import markdown, print_scores, score_rows
from wg.stages.stage import Context, Stage, features_of, fresh_folder, read_stamp
from wg.vocoder import Vocoder

PAGE_ROWS = 10


def model_card(context: Context, vocoder: Vocoder, checkpoint: Path) -> str:
    """README.md of the vocoder folder."""
    decoded = read_stamp(context.decoded / "stage-decode.json")
    assert decoded is not None
    result = decoded["result"]
    means = json.loads((context.decoded / "scores.json").read_text("utf-8"))["means"]
    spec = context.experiment.mel.to_dict()
    content = {
        "title": context.exp.name,
        "model": context.experiment.model,
        "corpus": context.experiment.corpus,
        "mel": context.experiment.mel,
        "parameters": sum(weight.numel() for weight in vocoder.network.parameters()),
        "checkpoint": checkpoint.name,
        "mel_table": markdown(["key", "value"], [[k, str(v)] for k, v in spec.items()]),
        "utterances": len(result["utterances"]),
        "schedule": context.decoded.name,
        "scores": markdown(*score_rows(means)),
        "rtf": result["rtf"],
        "device": result["device"],
    }
    return render("card.md", content)


def run(context: Context) -> Mapping[str, Any]:
    """Writes exp/.../vocoder and exp/.../page, and says where they are."""
    experiment = context.experiment
    checkpoint = find_checkpoint(context.exp, experiment.decode.checkpoint)
    vocoder = vocoder_from_checkpoint(checkpoint, experiment)
    scores = json.loads((context.decoded / "scores.json").read_text("utf-8"))
    dump = features_of(context, experiment.decode.split)
    indices = list(range(len(dump)))[: experiment.decode.limit][:PAGE_ROWS]
    vocoder.history = kept(context.exp / "vocoder", vocoder.history)
    with fresh_folder(context.exp / "vocoder") as folder:
        vocoder.save_pretrained(folder, model_card(context, vocoder, checkpoint))
    with fresh_folder(context.exp / "page") as folder:
        rows = [row_of(dump, index, scores["utterances"]["wg"]) for index in indices]
        by_id = {dump.utterances[index].id: index for index in indices}
        rate = dump.spec.sample_rate
        systems: dict[str, Audio] = {
            "recording": lambda name: (dump.recording(by_id[name]).numpy(), rate),
            "wg": lambda name: soundfile.read(context.decoded / f"{name}.wav", dtype="float32"),
        }
        write_page(folder, context.exp.name, rows, systems, scores["means"])
    print_scores(scores["means"])
    first = context.decoded / f"{dump.utterances[0].id}.wav"
    print(f"vocoder folder  {context.exp / 'vocoder'}")
    print(f"listening page  {context.exp / 'page' / 'index.html'}")
    print(f"a wav to play   {first}")
    return {"vocoder": "vocoder", "page": "page/index.html"}


def kept(folder: Path, history: History) -> History:
    """The history with the schedules that were found for the same weights, packed before."""
    try:
        before = Vocoder.from_pretrained(folder).history
    except InputError:  # none there, or not a whole one
        return history
    same = (before.steps, before.checkpoint) == (history.steps, history.checkpoint)
    return before if same else history


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
