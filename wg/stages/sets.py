"""Stages 5 to 7 of models that take no mel: a set of samples, scored as a set, and its page.

Each stage is the vocoders' one with another `run` for these models.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from wg.diffusion.noise import seed_of
from wg.errors import InputError
from wg.files import MODEL, PAGE, fresh_folder
from wg.inference.checkpoint import find_checkpoint, generator_from_checkpoint
from wg.inference.generator import Generator
from wg.models import conditions_of
from wg.processes.devices import synchronise
from wg.report.page import Row, render, write_page
from wg.report.table import markdown, print_scores, score_rows
from wg.stages import decode, pack, score
from wg.stages.judging import evaluate
from wg.stages.stage import Context, Stage, read_stamp
from wg.training.classifier import supplied

Run = Callable[[Context], Mapping[str, Any]]
PAGE_ROWS = 30


def for_models(stage: Stage, takes: Sequence[str], run: Run) -> Stage:
    """The stage, with `run` for models of these conditions."""

    def either(context: Context) -> Mapping[str, Any]:
        meant = conditions_of(context.experiment.model) in takes
        return run(context) if meant else stage.run(context)

    return replace(stage, run=either)


def clips_of(context: Context) -> list[tuple[str, str | None]]:
    """(id, class or None) of each clip to generate, the classes taken evenly."""
    model, count = context.experiment.model, context.experiment.decode.generate
    if conditions_of(model) == "none":
        return [(f"sample-{number:05d}", None) for number in range(1, count + 1)]
    classes = model.classes
    if count % len(classes):
        near = max(2, round(count / len(classes))) * len(classes)
        raise InputError(
            f"decode.generate {count} does not divide by {len(classes)} classes; use {near}"
        )
    if count < 2 * len(classes):
        raise InputError(
            f"decode.generate {count} is one sample of each of {len(classes)} classes, too few for "
            f"fid_class; use {2 * len(classes)} or more"
        )
    each = range(1, count // len(classes) + 1)
    return [(f"{name}-{number:05d}", name) for name in classes for number in each]


def generate(context: Context) -> Mapping[str, Any]:
    """Stage 5: writes the samples and, beside each, what made it."""
    clips = clips_of(context)
    checkpoint = find_checkpoint(context.exp, context.experiment.decode.checkpoint)
    generator = generator_from_checkpoint(checkpoint, context.experiment)

    def work(batches: list[list[tuple[str, str | None]]]) -> None:
        for batch in batches:
            write_batch(context, generator, batch, checkpoint.name)

    decode.share_out(context, generator, clips, work)
    return decode.summarise(context, [name for name, _ in clips])


def write_batch(
    context: Context, generator: Generator, batch: list[tuple[str, str | None]], checkpoint: str
) -> None:
    """Samples of one batch; a sample does not depend on what else is in it."""
    decoding = context.experiment.decode
    levels = generator.levels(generator.synthesis).tolist()
    seeds = [seed_of(name, decoding.seed) for name, _ in batch]
    classes = [kind for _, kind in batch if kind is not None] or None
    synchronise(generator.device)
    started = time.perf_counter()
    waves = generator(seeds, classes)
    synchronise(generator.device)
    seconds = (time.perf_counter() - started) / len(batch)
    for wave, (name, kind), seed in zip(waves.float().cpu(), batch, seeds, strict=True):
        made = {
            "id": name,
            "class": kind,
            "checkpoint": checkpoint,
            "sampler": decoding.sampler,
            "levels": levels,
            "clip": decoding.clip,
            "seed": seed,
            "seconds": seconds,
        }
        rate = generator.mel_spec.sample_rate
        decode.write_utterance(context.decoded, wave, rate, made)


def publish(context: Context) -> Mapping[str, Any]:
    """Stage 7: writes exp/.../generator and exp/.../page, and says where they are."""
    experiment = context.experiment
    checkpoint = find_checkpoint(context.exp, experiment.decode.checkpoint)
    generator = generator_from_checkpoint(checkpoint, experiment)
    scores = json.loads((context.decoded / "scores.json").read_text("utf-8"))
    with fresh_folder(context.exp / "generator", MODEL) as folder:
        generator.save_pretrained(folder, card(context, generator, checkpoint, scores))
    names = list(scores["heard"])
    shown = names[:: max(1, len(names) // PAGE_ROWS)][:PAGE_ROWS]
    with fresh_folder(context.exp / "page", PAGE) as folder:
        rows = [row_of(name, scores["heard"][name]) for name in shown]
        audio = {
            "wg": lambda name: soundfile.read(context.decoded / f"{name}.wav", dtype="float32")
        }
        write_page(folder, context.exp.name, rows, audio, scores["means"])
    print_scores(scores["means"])
    print(f"generator folder  {context.exp / 'generator'}")
    print(f"listening page    {context.exp / 'page' / 'index.html'}")
    print(f"a wav to play     {context.decoded / names[0]}.wav")
    return {"generator": "generator", "page": "page/index.html"}


def row_of(name: str, heard: Mapping[str, Any]) -> Row:
    """A row of the listening page."""
    return Row(name, f"heard as {heard['class']} ({heard['probability']:.2f})", {"wg": {}})


def card(context: Context, generator: Generator, checkpoint: Path, scores: Any) -> str:
    """README.md of the generator folder."""
    decoded = read_stamp(context.decoded / "stage-decode.json")
    assert decoded is not None
    content = {
        "title": context.exp.name,
        "model": context.experiment.model,
        "corpus": context.experiment.corpus,
        "parameters": sum(weight.numel() for weight in generator.network.parameters()),
        "checkpoint": checkpoint.name,
        "start": generator.history.start,
        "samples": len(scores["heard"]),
        "classifier": scores["classifier"],
        "schedule": context.decoded.name,
        "scores": markdown(*score_rows(scores["means"])),
        "rtf": decoded["result"]["rtf"],
        "device": decoded["result"]["device"],
    }
    return render("generator.md", content)


def check_decode(context: Context) -> None:
    """What the decode stage checks, and InputError for a number of samples that will not do."""
    decode.check(context)
    if conditions_of(context.experiment.model) in Generator.takes:
        clips_of(context)


def check_classifier(context: Context) -> None:
    """What the score stage checks, and InputError for a `score.classifier` that there is not."""
    score.check(context)
    if context.experiment.score.classifier:
        supplied(context.experiment.score.classifier)


STAGES = (
    for_models(replace(decode.STAGE, check=check_decode), Generator.takes, generate),
    for_models(replace(score.STAGE, check=check_classifier), Generator.takes, evaluate),
    for_models(pack.STAGE, Generator.takes, publish),
)
