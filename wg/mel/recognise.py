"""Which convention a foreign mel was probably made with, told from its values alone.

Speech at a usual level has quantiles that are much the same from voice to voice. Read back as a
linear mel, a mel has them only if it is read with its own log and scaling. Conventions that share
these (HiFi-GAN's and Tacotron 2's) look alike; `wg.mel.regress` tells them apart, with audio.

Shapes: M bands, F frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from wg.mel.extract import linear_mel
from wg.mel.hub import OWN, SPECS, VARIANTS, changed, squared
from wg.mel.spec import MelSpec

QUANTILES = (0.3, 0.5, 0.7, 0.9, 0.99)
LOUDNESS = 2.0  # nepers by which recordings differ without being called unlikely
LIKELY = 1.0  # nepers; above it not even the best guess is one
ALIKE = 0.35  # nepers; closer guesses are not told apart
LEAST = 1e-12  # linear mel; 0 has no log
UNLIKE = 0.55  # nepers; so much nearer, another reading is taken for the right one unasked
FEWEST = 16  # frames of which something can be told
ENOUGH = 100  # frames, a second or more, of which something is told unasked
LOOKED_AT = 1 << 13  # values, evenly spread, that the quantiles are of
BEYOND = 1.0  # nepers by which predictions overshoot what a spec can give
ROUNDED = 1e-3  # share of a bound by which values saved in half precision pass it
STRAY = 0.01  # share of values further out than that, which no mel of a spec has
NORMALISED = "normalised"  # to mean 0 and deviation 1 over a corpus
BY_BAND = "normalised band by band"
POWER = "power"  # squares where the vocoder has magnitudes, as librosa's melspectrogram makes them


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


@lru_cache
def readings(own: MelSpec) -> Mapping[str, MelSpec]:
    """What values of `own`'s bands can be: its own, other logs, of squares, normalised."""
    found = {OWN: own}
    for name in VARIANTS:
        other = changed(own, name)
        if own.mean or _values(other) != _values(own):
            found[name] = other
    return found | {POWER: squared(changed(own, "log=none"))} | _normalised(own)


def oddity(mel: Tensor, own: MelSpec) -> str | None:
    """Why the values [M, F] are probably not those of `own`, with the remedy; None: they may be.

    Of too few frames only what lies outside of the spec's range is told.
    """
    values = mel.detach().cpu().double()
    if (share := _outside(values, own)) > STRAY:
        return (
            f"{share:.0%} of the mel's values lie outside of what this vocoder's mels can be; "
            "wg check-mel says what they are (docs/mels.md)"
        )
    guesses = recognise(values, readings(own)) if values.shape[1] >= ENOUGH else []
    distances = {guess.name: guess.distance for guess in guesses}
    if guesses and guesses[0].distance < min(ALIKE, distances.get(OWN, LIKELY) - UNLIKE):
        return (
            f"the mel's values look like {title(guesses[0].name)} mels, not like this vocoder's "
            "own; wg check-mel says what to do (docs/mels.md)"
        )
    return None


def title(name: str) -> str:
    """A reading or a named spec in words."""
    return (VARIANTS | {POWER: "linear power (no logarithm)"}).get(name, name)


def _values(spec: MelSpec) -> tuple[str, float, float]:
    return spec.log, spec.gain, spec.offset


def _outside(mel: Tensor, spec: MelSpec) -> float:
    """Share of the values that lie below silence or above full scale by more than `BEYOND`."""
    low, high = _range(spec)
    return float(((mel < low) | (mel > high)).double().mean())


@lru_cache
def _range(spec: MelSpec) -> tuple[Tensor, Tensor]:
    """Silence and full scale, `BEYOND` further out, each [M, 1]."""
    loudest = replace(spec, clip_max=None).compress(torch.full((spec.n_mels, 1), _ceiling(spec)))
    slack = BEYOND * spec.slope if spec.log != "none" else 1e-3 * float(loudest.max())
    silence = spec.silence.double()[:, None]
    scale = 1 if spec.std is None else 1 / torch.tensor(spec.std, dtype=torch.float64)[:, None]
    low = torch.minimum(silence, replace(spec, zero=None).silence.double()[:, None])
    return low - slack * scale, loudest + slack * scale


def _ceiling(spec: MelSpec) -> float:
    """More than any band of full-scale audio: all the window's energy at each of its bins."""
    loudest = float(spec.hann.sum()) / spec.magnitude_divisor
    return (loudest * spec.n_fft) ** spec.power


def _normalised(own: MelSpec) -> dict[str, MelSpec]:
    """Readings of values whose statistics are unknown, with those of something like speech."""
    plain = changed(own, "log=ln")
    value = plain.compress(linear_mel(speech_like(own.sample_rate), own))
    mean, std = float(value.mean()), float(value.std())
    whole = replace(plain, gain=1 / std, offset=-mean / std)
    means, stds = value.mean(1).tolist(), value.std(1).clamp(min=0.1).tolist()
    return {NORMALISED: whole, BY_BAND: replace(plain, mean=tuple(means), std=tuple(stds))}


def _possible(mel: Tensor, spec: MelSpec) -> bool:
    """Whether every value lies between the spec's silence and its upper clip."""
    low, high = _bounds(spec)
    return bool((mel >= low).all() and (mel <= high).all())


@lru_cache
def _bounds(spec: MelSpec) -> tuple[Tensor, Tensor]:
    """Silence and the upper clip, as far out as rounding moves them, each [M, 1]."""
    low = replace(spec, zero=None).compress(torch.zeros(spec.n_mels, 1))
    high = spec.compress(torch.full((spec.n_mels, 1), 1e6))

    def slack(bound: Tensor) -> Tensor:
        return ROUNDED * bound.abs().clamp(min=spec.gain)

    return low - slack(low), high + slack(high)


def _distance(mel: Tensor, spec: MelSpec) -> float:
    """Mean difference of the quantiles of ln m, not counting usual differences of loudness."""
    offsets = _quantiles(spec.decompress(mel)) - _typical(replace(spec, mean=None, std=None))
    offsets = offsets / spec.power
    common = offsets.median()
    excess = (common.abs() - LOUDNESS).clamp(min=0)
    return float((offsets - common).abs().mean() + excess)


def _quantiles(linear: Tensor) -> Tensor:
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    values = linear.clamp(min=LEAST).flatten()
    return values[:: -(-len(values) // LOOKED_AT)].log().quantile(levels)


@lru_cache
def _typical(spec: MelSpec) -> Tensor:
    """Quantiles of ln m of something like speech, as this spec would analyse and clip it."""
    linear = linear_mel(speech_like(spec.sample_rate), spec)
    return _quantiles(spec.decompress(spec.compress(linear)))


@lru_cache
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
