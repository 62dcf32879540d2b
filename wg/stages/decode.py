"""Stage 5, decode: the test set through the trained vocoder, with real-time factors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from wg.data.audio import protect_peak, write_audio
from wg.data.dump import Dump
from wg.diffusion.consistency import check_invertible
from wg.diffusion.noise import seed_of
from wg.diffusion.plan import sampling_levels
from wg.errors import InputError
from wg.files import write_bytes
from wg.inference.checkpoint import find_checkpoint, vocoder_from_checkpoint
from wg.inference.model import Trained
from wg.inference.vocoder import Vocoder
from wg.models import conditions_of
from wg.processes.devices import synchronise
from wg.processes.launch import place, wait_for_all
from wg.stages.stage import Context, Stage, features_of, relaunch

Item = TypeVar("Item")

WARM_UP = 50  # frames


def check(context: Context) -> None:
    """InputError for a way to sample that the model does not have, and for missing devices."""
    experiment = context.experiment
    decode, conditions = experiment.decode, conditions_of(experiment.model)
    try:
        sampling_levels(decode.schedule, decode.sampler, experiment.diffusion)
        if decode.consistency is not None and decode.consistency.iterations:
            if conditions != "mel":
                raise InputError(
                    f"consistency.iterations is {decode.consistency.iterations}, but "
                    f"{experiment.model.name} is given no mel that estimates could agree with; "
                    "set decode.consistency.iterations=0"
                )
            check_invertible(experiment.mel)
    except InputError as error:
        raise InputError(f"decode: {error}") from None
    context.devices.check()


def padded_batch(dump: Dump, indices: list[int]) -> tuple[Tensor, Tensor]:
    """Mels [B, M, F] padded with silence, and their frames [B]."""
    mels = [dump.mel(index) for index in indices]
    frames = torch.tensor([mel.shape[1] for mel in mels])
    batch = dump.spec.silence[None, :, None].repeat(len(mels), 1, int(frames.max()))
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.shape[1]] = mel
    return batch, frames


def timed(vocoder: Vocoder, mel: Tensor, seeds: list[int], frames: Tensor) -> tuple[Tensor, float]:
    """Waveforms [B, T] on the CPU, and the seconds that synthesis took on the device."""
    synchronise(vocoder.device)
    started = time.perf_counter()
    wave = vocoder(mel, seed=seeds, lengths=frames)
    synchronise(vocoder.device)
    return wave.float().cpu(), time.perf_counter() - started


def run(context: Context) -> Mapping[str, Any]:
    """Writes wavs with, beside each, what made it; prints the real-time factor."""
    decode = context.experiment.decode
    checkpoint = find_checkpoint(context.exp, decode.checkpoint)
    vocoder = vocoder_from_checkpoint(checkpoint, context.experiment)
    dump = features_of(context, decode.split)
    indices = list(range(len(dump)))[: decode.limit]
    share_out(
        context,
        vocoder,
        indices,
        lambda batches: decode_batches(context, vocoder, dump, batches, checkpoint.name),
    )
    return summarise(context, [dump.utterances[index].id for index in indices])


def share_out(
    context: Context,
    model: Trained,
    items: list[Item],
    work: Callable[[list[list[Item]]], None],
) -> None:
    """Does `work` on this process's share of the batches of items, the model on its device.

    Where there are several devices, starts a process for each and waits for them.
    """
    devices, size = context.devices, context.experiment.decode.batch_size
    if devices.gpus * devices.nodes > 1 and place().world == 1:
        relaunch(context, STAGE.name, devices.gpus)
        return
    model.to(f"cuda:{place().local}" if devices.gpus else "cpu")
    batches = [items[i : i + size] for i in range(0, len(items), size)]
    work(batches[place().rank :: place().world])
    wait_for_all()


def decode_batches(
    context: Context, vocoder: Vocoder, dump: Dump, batches: list[list[int]], checkpoint: str
) -> None:
    """Synthesises and writes batches of utterances."""
    decode = context.experiment.decode
    levels = vocoder.levels(vocoder.synthesis).tolist()
    print(f"{checkpoint}: {sum(map(len, batches))} utterances, {len(levels) - 1} steps", flush=True)
    for number, batch in enumerate(batches):
        seeds = [seed_of(dump.utterances[index].id, decode.seed) for index in batch]
        mel, frames = padded_batch(dump, batch)
        if number == 0:  # warm-up, not timed
            timed(vocoder, mel[..., :WARM_UP], seeds, frames.clamp(max=WARM_UP))
        waves, seconds = timed(vocoder, mel, seeds, frames)
        share = seconds / int(frames.sum())
        for wave, index, seed in zip(waves, batch, seeds, strict=True):
            entry = dump.utterances[index]
            made = {
                "id": entry.id,
                "checkpoint": checkpoint,
                "sampler": decode.sampler,
                "levels": levels,
                "clip": decode.clip,
                "consistency": None if decode.consistency is None else asdict(decode.consistency),
                "seed": seed,
                "seconds": share * entry.frames,
            }
            length = min(entry.samples, entry.frames * dump.spec.hop_length)
            write_utterance(context.decoded, wave[:length], dump.spec.sample_rate, made)


def write_utterance(folder: Path, wave: Tensor, rate: int, made: dict[str, Any]) -> None:
    """One 16-bit wav and its JSON."""
    try:
        safe, gain = protect_peak(wave)
    except InputError as error:
        raise InputError(f"{made['id']}: {error}") from None
    made |= {"gain": gain, "duration": len(wave) / rate, "rtf": made["seconds"] * rate / len(wave)}
    write_audio(folder / f"{made['id']}.wav", safe.numpy(), rate)
    write_bytes(folder / f"{made['id']}.json", (json.dumps(made, indent=1) + "\n").encode())


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
    run=run,
    check=check,
    free_keys=("model.cache",),
)
