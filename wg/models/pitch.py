"""What a pitch does to a mel: the ripple of its harmonics.

A predicted mel is an average over what could be said. Its envelope survives that; harmonics, which
stand elsewhere for each pitch, are washed out, and speech made of it whispers. With the pitch known
they stand where they must: FastSpeech 2 (2006.04558) predicts it and lets layers learn the rest.
Here the ripple is computed and only its depth is learnt, which takes far less speech.

Shapes: B batch, F frames, M mels, K bins of the mel's transform.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from wg.mel.extract import filterbank
from wg.mel.spec import MelSpec

MIDDLE_HZ = 200.0  # of which pitches are counted in octaves
ORDERS = 2  # cosines a band: harmonics have sharper peaks than one has


class Ripple(nn.Module):
    """cos(2 pi n f / F0), n = 1 .. ORDERS, as the mel's bands see it: none in wide ones."""

    bank: Tensor  # [M, K], each band's weights sum to 1

    def __init__(self, mel: MelSpec) -> None:
        super().__init__()
        bank = filterbank(mel).T
        self.spacing = mel.sample_rate / 2 / (bank.shape[1] - 1)  # of the bins, in Hz
        self.register_buffer("bank", bank / bank.sum(1, keepdim=True), persistent=False)

    def forward(self, pitch: Tensor) -> Tensor:
        """Ripples [B, ORDERS, M, F] of F0 [B, F] in Hz; 0 where it is 0, unvoiced."""
        bank = self.bank.to(pitch)  # but frequencies never in a network's 16 bits
        hertz = self.spacing * torch.arange(bank.shape[1], device=pitch.device, dtype=pitch.dtype)
        phase = 2 * math.pi * hertz[:, None] / pitch.clamp_min(1.0)[:, None]  # [B, K, F]
        bands = [bank @ (order * phase).cos() for order in range(1, ORDERS + 1)]
        return torch.stack(bands, 1) * (pitch > 0)[:, None, None]


def in_octaves(pitch: Tensor) -> Tensor:
    """Octaves above 200 Hz of F0 in Hz, 0 where it is 0."""
    return torch.where(pitch > 0, (pitch.clamp_min(1.0) / MIDDLE_HZ).log2(), 0.0)


def in_hertz(octaves: Tensor) -> Tensor:
    """F0 in Hz, between 40 and 1000, of octaves above 200 Hz."""
    return (octaves.exp2() * MIDDLE_HZ).clamp(40.0, 1000.0)
