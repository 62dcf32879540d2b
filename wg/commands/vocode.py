"""`wg vocode`: audio (analysed first) or a mel through a trained vocoder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wg.commands.clips import read_clip, write_stream
from wg.commands.options import Options
from wg.data.dump import write_bytes
from wg.diffusion.samplers import sampler
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.vocoder import Synthesis, Vocoder


def parser() -> Options:
    """Options."""
    options = Options(prog="wg vocode", allow_abbrev=False)
    options.add_argument("input", type=Path, help="audio file, or mel as .npy [bands, frames]")
    options.add_argument("-o", "--output", type=Path, required=True, help="16-bit wav to write")
    options.add_argument("--vocoder", type=Path, required=True, help="folder from stage 7 (pack)")
    options.add_argument("--steps", help="step count, quantiles-N, published name or file")
    options.add_argument("--sampler", help="ancestral, ddim, ddim-ETA or dpm++2m")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--chunk", type=int, help="stream, so many frames at a time [all at once]")
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    return options


def read_mel(path: Path, vocoder: Vocoder) -> np.ndarray:
    """The mel [M, F] of an audio file, or the array in a .npy file, which stays on disk."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path}: not a plain .npy array ({error})") from None
        if array.dtype.kind != "f":
            raise InputError(f"{path}: holds {array.dtype}; a mel holds floating-point numbers")
        return array
    spec = vocoder.mel_spec
    clip = read_clip(path, spec.sample_rate)
    try:
        return log_mel(clip, spec).numpy()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def as_tensor(mel: np.ndarray) -> Tensor:
    """A copy in memory, float32."""
    return torch.from_numpy(mel.astype(np.float32))


def split(mel: np.ndarray, frames: int) -> Iterator[np.ndarray]:
    """Chunks of a mel [M, F], so many frames each; something that is no mel whole."""
    last = mel.shape[-1] if mel.ndim else 1
    for first in range(0, max(1, last), frames):
        yield mel[..., first : first + frames]


def device_of(name: str) -> torch.device:
    """The device; InputError for one that this machine has not."""
    kind, _, number = name.partition(":")
    found = torch.cuda.device_count()
    if name != "cpu" and (kind != "cuda" or (number and not number.isdigit())):
        raise InputError(f"--device {name}: give cpu, cuda or cuda:NUMBER")
    if kind == "cuda" and int(number or 0) >= found:
        raise InputError(f"--device {name}: this machine has {found} CUDA devices")
    return torch.device(name)


def chosen(vocoder: Vocoder, steps: str | None, name: str | None) -> tuple[Synthesis, Tensor]:
    """The vocoder's way to sample with the schedule and sampler asked for, and its levels."""
    default = vocoder.synthesis
    synthesis = replace(
        default, schedule=steps or default.schedule, sampler=name or default.sampler
    )
    try:
        sampler(synthesis.sampler)
    except InputError as error:
        raise InputError(f"--sampler: {error}") from None
    try:
        return synthesis, vocoder.levels(synthesis)
    except InputError as error:
        raise InputError(f"--steps: {error}") from None


def vocode(arguments: Sequence[str]) -> None:
    """Reads, synthesises, writes; says how fast."""
    options = parser().parse_args(arguments)
    if not options.output.parent.is_dir():
        raise InputError(f"-o {options.output}: no folder {options.output.parent}")
    if options.chunk is not None and options.chunk < 1:
        raise InputError(f"--chunk {options.chunk}: give at least 1 frame")
    vocoder = Vocoder.from_pretrained(options.vocoder).to(device_of(options.device))
    synthesis, levels = chosen(vocoder, options.steps, options.sampler)
    mel, rate = read_mel(options.input, vocoder), vocoder.mel_spec.sample_rate

    def pieces() -> Iterator[Tensor]:
        try:
            if options.chunk is None:
                yield vocoder(as_tensor(mel), synthesis, seeds=[options.seed])
            else:
                chunks = (as_tensor(part) for part in split(mel, options.chunk))
                yield from vocoder.stream(chunks, synthesis, options.seed)
        except InputError as error:
            raise InputError(f"{options.input}: {error}") from None

    write_stream(options.output, pieces(), rate)
    made = {
        "vocoder": str(options.vocoder),
        "sampler": synthesis.sampler,
        "levels": levels.tolist(),
        "clip": synthesis.clip,
        "seed": options.seed,
    }
    write_bytes(options.output.with_suffix(".json"), (json.dumps(made, indent=1) + "\n").encode())
