"""Clips in and out of commands: any rate and channels in, one channel and 16 bits out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.lib.format import MAGIC_PREFIX
from torch import Tensor

from wg.data.audio import protect_peak, read_channels, write_audio
from wg.errors import InputError
from wg.files import replacing
from wg.metrics.perceptual import resample

BLOCK = 1 << 20  # bytes


def read_clip(path: Path, rate: int, say: Callable[[str], object] = print) -> Tensor:
    """Samples [T] at `rate` Hz, float32; says where channels were mixed or the rate was changed.

    InputError for a file that cannot be read or holds nothing.
    """
    wave, found = read_audio(path, say)
    if found == rate:
        return wave
    say(f"{path}: resampled from {found} to {rate} Hz")
    return torch.from_numpy(resample(wave.numpy(), found, rate))


def read_audio(path: Path, say: Callable[[str], object] = print) -> tuple[Tensor, int]:
    """Samples [T] of a file as it is, float32, and its rate in Hz; several channels are mixed."""
    audio, rate = read_channels(path)
    if audio.shape[1] > 1:
        say(f"{path}: {audio.shape[1]} channels, mixed down to one")
    return torch.from_numpy(audio.mean(1)), rate


def open_array(path: Path) -> np.ndarray:
    """The floats [...] of a .npy file, left on disk; InputError for a pickle and other numbers."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise InputError(f"{path}: not a plain .npy array; save the mel by numpy.save")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a plain .npy array ({error})") from None
    if not array.ndim:
        raise InputError(f"{path}: holds one number; a mel has bands and frames")
    if array.dtype.kind != "f":
        raise InputError(f"{path}: holds {array.dtype}; a mel holds floating-point numbers")
    return array


def read_array(path: Path) -> Tensor:
    """The floats [...] of a .npy file as float32; errors as of `open_array`."""
    return torch.from_numpy(open_array(path).astype(np.float32))


def write_clip(path: Path, wave: Tensor, rate: int) -> None:
    """Writes audio [T] as a 16-bit wav, whole or not at all; says if it was turned down."""
    safe, gain = protect_peak(wave.float().cpu())
    write_audio(path, safe.numpy(), rate)
    print(written(path, len(wave) / rate, gain))


def write_stream(path: Path, pieces: Iterable[Tensor], rate: int) -> tuple[float, float]:
    """As `write_clip`, from pieces [T] and in constant memory: the peak is known at the end.

    Seconds of audio, and the gain that kept it within full scale.
    """
    try:
        with replacing(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as raw:
            length, peak = 0, 0.0
            for piece in pieces:
                raw.write(piece.float().cpu().numpy().tobytes())
                length, peak = length + len(piece), max(peak, float(piece.abs().max()))
            _, gain = protect_peak(torch.tensor([peak]))
            raw.seek(0)
            with soundfile.SoundFile(temporary, "w", rate, 1, "PCM_16", format="WAV") as file:
                while block := raw.read(BLOCK):
                    file.write(np.frombuffer(block, np.float32) * np.float32(gain))
    except soundfile.SoundFileError as error:
        raise InputError(f"cannot write {path}: {error}; choose another file") from None
    return length / rate, gain


def written(path: Path, seconds: float, gain: float) -> str:
    """One line about a written file."""
    down = f"{-20 * math.log10(gain):.1f}"
    turned = "" if float(down) == 0 else f", turned down by {down} dB (full scale)"
    return f"{path}: {seconds:.2f} s{turned}"
