"""The network of the learned aligner, and the configuration of both.

Shapes: B utterances, N symbols, F frames, C channels, D features of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from wg.fields import check_fields, setting


@dataclass(frozen=True)
class AlignerConfig:
    """The learned aligner, of models that read text."""

    steps: int = setting(500, "optimiser steps", least=1, most=10**9)
    batch_size: int = setting(8, "utterances", least=1, most=4096)
    learning_rate: float = setting(
        3e-3, "at the first step; it falls to a twentieth", above=0, most=10
    )
    channels: int = setting(64, "of the symbols' encoder", least=1, most=8192)
    temperature: float = setting(0.15, "of the squared distance", above=0)
    prior: float = setting(1.0, "scale of the beta-binomial prior; smaller is wider", above=0)
    binarise: float = setting(
        0.5,
        "share of the steps after which the alignment is made hard; 1: never",
        least=0,
        most=1,
    )

    def __post_init__(self) -> None:
        check_fields("aligner", self)


class AlignerNetwork(nn.Module):
    """How well each symbol fits each frame, by the distance from what is expected of it.

    One TTS Alignment (2108.10447), eq. 2, compares encoded symbols with encoded frames and
    normalises over the symbols of an utterance. Here the frames are compared as they are, which
    makes the score a Gaussian log-likelihood, and the forward-sum that of a hidden Markov model:
    it learns in hundreds of steps, on minutes of speech, what the other does in many thousands.
    """

    def __init__(self, config: AlignerConfig, symbols: int, features: int) -> None:
        super().__init__()
        width = config.channels
        self.temperature = config.temperature
        self.embedding = nn.Embedding(symbols, width)
        self.encoder = nn.Sequential(
            *(nn.Conv1d(width, 2 * width, 3, padding=1), nn.ReLU()),
            nn.Conv1d(2 * width, features, 1),
        )
        # All symbols begin alike, so that at first the prior alone says where they are.
        for parameter in self.encoder[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, symbols: Tensor, features: Tensor) -> Tensor:
        """Scores [B, F, N] of ids [B, N] and features [B, D, F]: -temperature x distance^2."""
        keys = self.encoder(self.embedding(symbols).transpose(1, 2))  # [B, D, N]
        products = features.transpose(1, 2) @ keys
        squares = (features**2).sum(1)[:, :, None] + (keys**2).sum(1)[:, None]
        return -self.temperature * (squares - 2 * products)
