"""Clips in and out of commands: one channel, the model's rate, 16 bits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from wg.data.audio import load_audio, write_audio
from wg.errors import InputError
from wg.stages.decode import protect_peak


def read_clip(path: Path, rate: int) -> Tensor:
    """Samples [T] of a mono file at `rate` Hz; InputError with the remedy for any other."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        found = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not readable audio ({error.error_string})") from None
    if found.channels != 1:
        raise InputError(f"{path}: {found.channels} channels; mix down to one first")
    if found.samplerate != rate:
        raise InputError(
            f"{path}: {found.samplerate} Hz, but the model works at {rate} Hz; "
            f"resample first: sox {path} -r {rate} OUT.wav"
        )
    if not found.frames:
        raise InputError(f"{path}: holds no samples")
    return torch.from_numpy(load_audio(path, 0, found.frames))


def read_array(path: Path) -> Tensor:
    """The floats of a .npy file as float32; InputError for a pickle and for other numbers."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a plain .npy array ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise InputError(f"{path}: holds {kind}; a mel holds floating-point numbers")
    return torch.from_numpy(array).float()


def write_clip(path: Path, wave: Tensor, rate: int) -> None:
    """A 16-bit wav, whole or not at all; says if it had to be turned down."""
    safe, gain = protect_peak(wave.float().cpu())
    write_audio(path, safe.numpy(), rate)
    turned = "" if gain == 1 else f", turned down by {-20 * math.log10(gain):.1f} dB (full scale)"
    print(f"{path}: {len(wave) / rate:.2f} s{turned}")
