"""Vocoders with tiny networks of random weights, for tests that need no training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from wg.diffusion.process import TrainingSchedule
from wg.mel.spec import MelSpec
from wg.models import build_network
from wg.models.diffwave import DiffWaveConfig
from wg.models.wavegrad import WaveGradConfig
from wg.vocoder import Synthesis, Vocoder

MEL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=10, framing="hop")
WAVEGRAD = WaveGradConfig(
    mel_channels=16,
    up_channels=(16, 16, 8, 8, 8),
    wave_channels=8,
    down_channels=(8, 8, 8, 16),
)
DIFFWAVE = DiffWaveConfig(channels=8, layers=4, dilation_cycle=3)


def tiny_vocoder(
    name: str = "wavegrad", mel: MelSpec = MEL, synthesis: Synthesis | None = None
) -> Vocoder:
    """A WaveGrad or DiffWave whose output hears its mel; the same weights every time."""
    config = {"wavegrad": WAVEGRAD, "diffwave": DIFFWAVE}[name]
    told = "continuous" if name == "wavegrad" else "discrete"
    schedule = TrainingSchedule(conditioning=told)
    if name == "diffwave":
        schedule = replace(schedule, start=1e-4, end=0.05, steps=50)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(config, mel)
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    options = synthesis or Synthesis("diffwave-fast-base", clip=1.0)
    return Vocoder(network, config, mel, schedule, options)


def random_mel(frames: int, seed: int = 0, spec: MelSpec = MEL) -> Tensor:
    """Something in a log mel's range, [M, F]."""
    return torch.randn(spec.n_mels, frames, generator=torch.Generator().manual_seed(seed)) - 4
