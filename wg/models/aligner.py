"""The network of the learned aligner (One TTS Alignment, 2108.10447).

Shapes: B utterances, N symbols, F frames, M mels, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.config import AlignerConfig


class AlignerNetwork(nn.Module):
    """How well each symbol fits each frame: both through small convolutions, then compared.

    What is compared has zero mean and unit variance over its channels, unlike in the paper, so
    that learning needs hundreds of steps rather than thousands.
    """

    mean: Tensor  # [M, 1], of the training set's mels
    std: Tensor

    def __init__(self, config: AlignerConfig, symbols: int, bands: int) -> None:
        super().__init__()
        width = config.channels
        self.temperature = config.temperature
        self.register_buffer("mean", torch.zeros(bands, 1))
        self.register_buffer("std", torch.ones(bands, 1))
        self.embedding = nn.Embedding(symbols, width)
        self.symbol_encoder = nn.Sequential(
            *(nn.Conv1d(width, 2 * width, 3, padding=1), nn.ReLU()),
            nn.Conv1d(2 * width, width, 1),
        )
        self.frame_encoder = nn.Sequential(
            *(nn.Conv1d(bands, 2 * width, 3, padding=1), nn.ReLU()),
            *(nn.Conv1d(2 * width, width, 1), nn.ReLU()),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, symbols: Tensor, mel: Tensor) -> Tensor:
        """Scores [B, F, N] of ids [B, N] and log-mels [B, M, F]: -temperature x distance^2."""
        keys = self.symbol_encoder(self.embedding(symbols).transpose(1, 2)).transpose(1, 2)
        queries = self.frame_encoder((mel - self.mean) / self.std).transpose(1, 2)
        keys, queries = (F.layer_norm(x, x.shape[-1:]) for x in (keys, queries))
        # Normal vectors are all of length sqrt(C): |q - k|^2 = 2 (C - q k).
        return -2 * self.temperature * (keys.shape[-1] - queries @ keys.transpose(1, 2))
