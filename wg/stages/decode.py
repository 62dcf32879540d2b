"""Stage 5, decode: a trained model synthesises its test set, with real-time factors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wg.data.audio import protect_peak, write_audio
from wg.errors import InputError
from wg.files import write_json
from wg.inference.checkpoint import find_checkpoint
from wg.inference.model import TrainedModel
from wg.processes.devices import synchronise
from wg.processes.launch import part, place, wait_for_all
from wg.processes.progress import track
from wg.stages.stage import Stage, relaunch
from wg.tasks.context import Context
from wg.tasks.registry import task_of
from wg.tasks.task import Item, Task


def check(context: Context) -> None:
    """InputError for a way to sample that the model does not have, and for missing devices."""
    try:
        task_of(context).check_decode(context)
    except InputError as error:
        prefix = "" if str(error).startswith("decode.") else "decode: "
        raise InputError(f"{prefix}{error}") from None
    context.devices.check()


def run(context: Context) -> Mapping[str, Any]:
    """Writes wavs with, beside each, what made it; prints the real-time factor.

    Where there are several devices, starts a process for each, which takes its share of batches.
    """
    task = task_of(context)
    context = task.resolved(context)
    checkpoint = find_checkpoint(context.exp, context.experiment.decode.checkpoint)
    model = task.load(checkpoint, context.experiment)
    items = task.items(context)
    devices, size = context.devices, context.experiment.decode.batch_size
    if devices.gpus * devices.nodes > 1 and place().world == 1:
        relaunch(context, STAGE.name, devices.gpus)
    else:
        model.to(f"cuda:{place().local}" if devices.gpus else "cpu").optimize()
        mine = {item.id: item for item in items[place().rank :: place().world]}

        def make(new: Sequence[Item]) -> Iterator[None]:
            batches = [new[i : i + size] for i in range(0, len(new), size)]
            return decode(context, task, model, batches, checkpoint.name)

        context.kept.of(
            mine, make, lambda name: all(path.is_file() for path in files(context, name))
        )
        wait_for_all()
    return {} if part() else summarise(context, [item.id for item in items])


def files(context: Context, name: str) -> tuple[Path, Path]:
    """What is written of an utterance: the wav, and what made it."""
    return context.decoded / f"{name}.wav", context.decoded / f"{name}.json"


def decode(
    context: Context,
    task: Task[Any, Any],
    model: TrainedModel,
    batches: Sequence[Sequence[Item]],
    checkpoint: str,
) -> Iterator[None]:
    """Synthesises and writes batches; a waveform does not depend on what else is in its batch.

    Gives None for each utterance that is written.
    """
    chosen = model.synthesis
    levels = model.levels(chosen).tolist()
    print(f"{checkpoint}: {sum(map(len, batches))} utterances, {len(levels) - 1} steps", flush=True)
    made = {
        "checkpoint": checkpoint,
        "sampler": chosen.sampler,
        "levels": levels,
        "clip": chosen.clip,
        "consistency": None if chosen.consistency is None else asdict(chosen.consistency),
    }
    for number, batch in enumerate(track(batches, "decode, batches", len(batches))):
        if number == 0:
            task.warm_up(model, batch)
        synthesise = task.prepare(model, batch)
        synchronise(model.device)
        started = time.perf_counter()
        pieces = synthesise()
        synchronise(model.device)
        share = (time.perf_counter() - started) / sum(len(piece.wave) for piece in pieces)
        for item, piece in zip(batch, pieces, strict=True):
            seconds = share * len(piece.wave)
            about = {"id": item.id, **made, "seed": item.seed, "seconds": seconds, **piece.about}
            write(context.decoded, piece.wave.float().cpu(), model.mel_spec.sample_rate, about)
            yield


def write(folder: Path, wave: Tensor, rate: int, made: Mapping[str, Any]) -> None:
    """Writes a waveform [T] as a 16-bit wav, and `made`, gain, duration and RTF as its JSON."""
    try:
        safe, gain = protect_peak(wave)
    except InputError as error:
        raise InputError(f"{made['id']}: {error}") from None
    duration, rtf = len(wave) / rate, made["seconds"] * rate / len(wave)
    write_audio(folder / f"{made['id']}.wav", safe.numpy(), rate)
    about = {**made, "gain": gain, "duration": duration, "rtf": rtf}
    write_json(folder / f"{made['id']}.json", about)


def summarise(context: Context, ids: list[str]) -> dict[str, Any]:
    """Real-time factor over all utterances, and those whose peak was protected."""
    made = [json.loads((context.decoded / f"{name}.json").read_text("utf-8")) for name in ids]
    duration = sum(item["duration"] for item in made)
    rtf = sum(item["seconds"] for item in made) / duration
    threads = f"{torch.get_num_threads()} CPU threads"
    device = torch.cuda.get_device_name() if context.devices.gpus else threads
    print(f"{duration:.1f} s of audio, real-time factor {rtf:.3f} on {device}")
    loud = [item for item in made if item["gain"] < 1]
    if loud:
        worst = min(item["gain"] for item in loud)
        print(
            f"{len(loud)} of {len(made)} files exceeded full scale and were turned down, by up to "
            f"{-20 * torch.log10(torch.tensor(worst)).item():.1f} dB (gain in each file's JSON)"
        )
    return {"utterances": ids, "rtf": rtf, "device": device, "turned_down": len(loud)}


STAGE = Stage(
    name="decode",
    summary="test set to wavs, with the real-time factor",
    keys=("mel", "model", "diffusion", "decode"),  # the checkpoint must be of these
    needs=("train",),
    output=lambda context: context.decoded,
    over=lambda context: context.by_schedule,
    run=run,
    check=check,
    parts=True,
    free_keys=("model.cache",),
)
