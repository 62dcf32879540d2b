"""Waveforms the mel tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

LJSPEECH = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "ljspeech"


def speech_like(rate: int, seconds: float = 0.7) -> Tensor:
    """Harmonics of a rising pitch under a syllabic envelope, noise, then digital silence."""
    generator = np.random.default_rng(7)
    time = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * (110 * time + 60 * time**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 30))
    wave = 0.15 * voice * (1 + np.sin(2 * np.pi * 4 * time)) + 0.02 * generator.normal(
        size=time.size
    )
    wave[-rate // 6 :] = 0.0
    return torch.from_numpy(wave)


def ljspeech_clip() -> Tensor:
    """First 3 s of LJ001-0021 at 22,050 Hz in float64."""
    path = LJSPEECH / "LJSpeech-1.1" / "wavs" / "LJ001-0021.wav"
    if not path.is_file():
        pytest.skip("real speech is not at ../shared/data/ljspeech")
    wave, rate = soundfile.read(path, dtype="float64")
    assert rate == 22050
    return torch.from_numpy(wave[: 3 * rate])
