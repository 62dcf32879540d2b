"""`wg vocode`: audio (analysed first) or a mel through a trained vocoder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from wg.data.audio import load_audio
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.stages.decode import protect_peak
from wg.vocoder import Vocoder


def parser() -> argparse.ArgumentParser:
    """Options."""
    options = argparse.ArgumentParser(prog="wg vocode", allow_abbrev=False)
    options.add_argument("input", type=Path, help="audio file, or mel as .npy [bands, frames]")
    options.add_argument("-o", "--output", type=Path, required=True, help="16-bit wav to write")
    options.add_argument("--vocoder", type=Path, required=True, help="folder from stage 7 (pack)")
    options.add_argument("--steps", help="step count, published schedule or JSON file of betas")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    return options


def read_mel(path: Path, vocoder: Vocoder) -> Tensor:
    """The mel [M, F] of an audio file, or the array in a .npy file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path}: not a plain .npy array ({error})") from None
        if array.dtype.kind != "f":
            raise InputError(f"{path}: holds {array.dtype}; a mel holds floating-point numbers")
        return torch.from_numpy(array).float()
    spec = vocoder.mel_spec
    try:
        found = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not readable audio ({error.error_string})") from None
    if found.channels != 1:
        raise InputError(f"{path}: {found.channels} channels; mix down to one first")
    if found.samplerate != spec.sample_rate:
        raise InputError(
            f"{path}: {found.samplerate} Hz, but the vocoder works at {spec.sample_rate} Hz; "
            f"resample first: sox {path} -r {spec.sample_rate} OUT.wav"
        )
    return log_mel(torch.from_numpy(load_audio(path, 0, found.frames)), spec)


def vocode(arguments: Sequence[str]) -> None:
    """Reads, synthesises, writes; says how fast."""
    options = parser().parse_args(arguments)
    if not options.output.parent.is_dir():
        raise InputError(f"-o {options.output}: no folder {options.output.parent}")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {options.device}: this machine has no CUDA device")
    vocoder = Vocoder.from_pretrained(options.vocoder).to(options.device)
    synthesis = vocoder.synthesis
    if options.steps is not None:
        synthesis = replace(synthesis, schedule=options.steps)
    mel = read_mel(options.input, vocoder)
    wave = vocoder(mel, synthesis, seeds=[options.seed]).float().cpu()
    safe, gain = protect_peak(wave)
    temporary = options.output.with_name(f"{options.output.name}.tmp")
    rate = vocoder.mel_spec.sample_rate
    soundfile.write(temporary, safe.numpy(), rate, subtype="PCM_16", format="WAV")
    os.replace(temporary, options.output)
    turned = "" if gain == 1 else f", turned down by {-20 * np.log10(gain):.1f} dB (full scale)"
    print(f"{options.output}: {len(wave) / rate:.2f} s{turned}")
