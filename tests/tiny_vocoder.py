"""Vocoders with tiny networks of random weights, for tests that need no training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from wg.diffusion.consistency import Consistency
from wg.diffusion.process import DiffusionConfig
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.spec import MelSpec
from wg.models import build_network, fused, int8, winograd
from wg.models.diffwave import DiffWaveConfig
from wg.models.spectral import SpectralConfig
from wg.models.wavegrad import WaveGradConfig

MEL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=10, framing="hop")
WAVEGRAD = WaveGradConfig(
    mel_channels=16,
    up_channels=(16, 16, 8, 8, 8),
    wave_channels=8,
    down_channels=(8, 8, 8, 16),
)
DIFFWAVE = DiffWaveConfig(channels=8, layers=4, dilation_cycle=3)
SPECTRAL = SpectralConfig(channels=8, blocks=2, maps=2, level_width=8)
BY_MEL = DiffusionConfig(3e-4, 5.3e-3, spacing="log_snr", precondition="mel", prior="mel")


def tiny_vocoder(
    name: str = "wavegrad", mel: MelSpec = MEL, synthesis: SamplingConfig | None = None
) -> Vocoder:
    """A vocoder whose output hears its mel; the same weights every time."""
    config = {"wavegrad": WAVEGRAD, "diffwave": DIFFWAVE, "spectral": SPECTRAL}[name]
    conditioning = "discrete" if name == "diffwave" else "continuous"
    schedule = DiffusionConfig(conditioning=conditioning)
    if name == "diffwave":
        schedule = replace(schedule, start=1e-4, end=0.05, steps=50)
    options = synthesis or SamplingConfig("diffwave-fast-base", clip=1.0)
    if name == "spectral":
        schedule = BY_MEL
        options = synthesis or SamplingConfig("6", clip=1.0, consistency=Consistency(2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(config, mel, schedule)
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
        give_power(network)
    return Vocoder(network, config, mel, schedule, options)


def int8_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks compute in 8 bits, as large ones do."""
    for limit in ("CHANNELS", "PRODUCTS"):
        monkeypatch.setattr(int8, limit, 2)


def kernels_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks take kernels once they are optimised, as large ones do."""
    monkeypatch.setattr(fused, "NARROWEST", 1)
    for limit in ("LEAST", "SHORTEST", "FEWEST"):
        monkeypatch.setattr(winograd, limit, 1)


def give_power(network: torch.nn.Module) -> None:
    """Numbers for a `MelPower` that was not fitted, if there is one: some 40 dB below full scale.

    They rise with the mel and fall with frequency, as speech's do.
    """
    power = getattr(network, "mel_power", None)
    if power is not None:
        bins, bands = power.weight.shape
        power.weight.fill_(0.5 / bands)
        power.bias.copy_(-6 - 4 * torch.arange(bins) / bins)
        generator = torch.Generator().manual_seed(0)
        power.inner.copy_(0.3 * torch.randn(power.inner.shape, generator=generator))
        power.outer.copy_(0.05 * torch.randn(power.outer.shape, generator=generator))


def random_mel(frames: int, seed: int = 0, spec: MelSpec = MEL) -> Tensor:
    """Something in a log mel's range, [M, F]."""
    return torch.randn(spec.n_mels, frames, generator=torch.Generator().manual_seed(seed)) - 4
