"""Which convention a foreign mel was probably made with, told from its values alone.

Speech at a usual level has quantiles that are much the same from voice to voice. Read back as a
linear mel, a mel has them only if it is read with its own log and scaling. Conventions that share
these (HiFi-GAN's and Tacotron 2's) look alike; `wg.mel.regress` tells them apart, with audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from wg.mel.extract import linear_mel
from wg.mel.hub import SPECS
from wg.mel.spec import MelSpec

QUANTILES = (0.3, 0.5, 0.7, 0.9, 0.99)
LOUDNESS = 2.0  # nepers by which recordings differ without being called unlikely
LIKELY = 1.0  # nepers; above it not even the best guess is one
ALIKE = 0.35  # nepers; closer guesses are not told apart
LEAST = 1e-12  # linear mel; 0 has no log


@dataclass(frozen=True)
class Guess:
    """A convention, and how far the mel's quantiles lie from speech's if it is that."""

    name: str
    distance: float  # nepers


def recognise(mel: Tensor, specs: Mapping[str, MelSpec] = SPECS) -> list[Guess]:
    """Conventions with the mel's band count whose values it could be, likeliest first.

    `mel` [M, F], finite.
    """
    found = [
        Guess(name, _distance(mel.double(), spec))
        for name, spec in specs.items()
        if spec.n_mels == mel.shape[0] and _possible(mel, spec)
    ]
    return sorted(found, key=lambda guess: guess.distance)


def likely(guesses: list[Guess]) -> list[Guess]:
    """The best guess and those that its values do not tell from it; [] if none is good."""
    if not guesses or guesses[0].distance > LIKELY:
        return []
    return [guess for guess in guesses if guess.distance < guesses[0].distance + ALIKE]


def _possible(mel: Tensor, spec: MelSpec) -> bool:
    """Whether every value lies between the spec's silence and its upper clip."""
    slack = 1e-3 * spec.gain
    low = replace(spec, zero=None).compress(torch.zeros(spec.n_mels, 1))
    high = spec.compress(torch.full((spec.n_mels, 1), 1e6))
    return bool((mel >= low - slack).all() and (mel <= high + slack).all())


def _distance(mel: Tensor, spec: MelSpec) -> float:
    """Mean difference of the quantiles of ln m, not counting usual differences of loudness."""
    offsets = _quantiles(spec.decompress(mel)) - _typical(replace(spec, mean=None, std=None))
    offsets = offsets / spec.power
    common = offsets.median()
    excess = (common.abs() - LOUDNESS).clamp(min=0)
    return float((offsets - common).abs().mean() + excess)


def _quantiles(linear: Tensor) -> Tensor:
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    return linear.clamp(min=LEAST).log().flatten()[: 2**23].quantile(levels)


@lru_cache
def _typical(spec: MelSpec) -> Tensor:
    """Quantiles of ln m of something like speech, as this spec would analyse and clip it."""
    linear = linear_mel(speech_like(spec.sample_rate), spec)
    return _quantiles(spec.decompress(spec.compress(linear)))


def speech_like(rate: int, seconds: float = 3.0) -> Tensor:
    """Harmonics and noise under a speech spectrum's slope, in syllables; RMS 0.07, float64 [T]."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(int(rate * seconds), dtype=torch.float64) / rate
    phase = 2 * torch.pi * (120 * time + 15 * (2 * time).sin())
    voice = sum(
        ((k * phase).sin() / k**1.2 for k in range(1, int(min(60, rate / 2 / 150)))),
        torch.zeros_like(time),
    )
    syllables = ((2 * torch.pi * 3.1 * time).sin() + 0.3).clamp(min=0) ** 0.7
    hiss = torch.randn(len(time), generator=generator, dtype=torch.float64)
    wave = voice * syllables + hiss * (0.002 + 0.03 * (0.6 - syllables).clamp(min=0))
    return 0.07 * wave / wave.square().mean().sqrt()
