"""Clips in and out of commands: one channel, the model's rate, 16 bits."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from wg.data.audio import load_audio, protect_peak, write_audio
from wg.errors import InputError

BLOCK = 1 << 20  # bytes


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


def open_array(path: Path) -> np.ndarray:
    """The floats of a .npy file, left on disk; InputError for a pickle and for other numbers."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a plain .npy array ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise InputError(f"{path}: holds {kind}; a mel holds floating-point numbers")
    return array


def read_array(path: Path) -> Tensor:
    """The floats of a .npy file as float32."""
    return torch.from_numpy(open_array(path).astype(np.float32))


def write_clip(path: Path, wave: Tensor, rate: int) -> None:
    """A 16-bit wav, whole or not at all; says if it had to be turned down."""
    safe, gain = protect_peak(wave.float().cpu())
    write_audio(path, safe.numpy(), rate)
    say(path, len(wave) / rate, gain)


def write_stream(path: Path, pieces: Iterable[Tensor], rate: int) -> None:
    """As `write_clip`, from pieces [T] and in constant memory: the peak is known at the end."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with tempfile.TemporaryFile(dir=path.parent) as raw:
            length, peak = 0, 0.0
            for piece in pieces:
                raw.write(piece.float().cpu().numpy().tobytes())
                length, peak = length + len(piece), max(peak, float(piece.abs().max()))
            _, gain = protect_peak(torch.tensor([peak]))
            raw.seek(0)
            with soundfile.SoundFile(temporary, "w", rate, 1, "PCM_16", format="WAV") as file:
                while block := raw.read(BLOCK):
                    file.write(np.frombuffer(block, np.float32) * np.float32(gain))
        os.replace(temporary, path)
    except (OSError, soundfile.SoundFileError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot write {path}: {reason}; choose another file") from None
    finally:
        temporary.unlink(missing_ok=True)
    say(path, length / rate, gain)


def say(path: Path, seconds: float, gain: float) -> None:
    """One line about a written file."""
    down = f"{-20 * math.log10(gain):.1f}"
    turned = "" if float(down) == 0 else f", turned down by {down} dB (full scale)"
    print(f"{path}: {seconds:.2f} s{turned}")
