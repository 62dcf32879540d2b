"""The variational bound of a trained model on recordings (`wg.diffusion.bound`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wg.diffusion.bound import Bound, bound
from wg.diffusion.noise import PositionalNoise, seed_of
from wg.errors import InputError
from wg.inference.generator import Generator
from wg.inference.vocoder import LONGEST, Vocoder
from wg.mel.extract import log_mel
from wg.models.denoiser import DenoiserCondition

BANDS = 10  # rows that levels are gathered into


@dataclass(frozen=True)
class Example:
    """A recording [T], its id, and its class where the model knows classes: its folder's name."""

    id: str
    wave: Tensor

    @property
    def label(self) -> str:
        """The folder that it lies in."""
        return Path(self.id).parent.name


@torch.inference_mode()
def bound_of(model: Vocoder | Generator, clip: Example, levels: Tensor, seed: int) -> Bound:
    """Bound of one recording at levels [N + 1], cut to whole frames; its mel is its own."""
    wave, condition = _conditioned(model, clip)
    noise = PositionalNoise([seed_of(clip.id, seed)], model.device)
    denoiser = model.denoiser
    return bound(
        lambda x, level: denoiser.estimate(x, level, condition),
        wave.to(model.device)[None],
        levels,
        lambda n: noise(n, len(wave)),
        condition.prior,
    )


def _conditioned(model: Vocoder | Generator, clip: Example) -> tuple[Tensor, DenoiserCondition]:
    """The recording as far as it is looked at, and what the model is told of it."""
    spec, wave = model.mel_spec, clip.wave
    if len(wave) > LONGEST * spec.sample_rate:
        raise InputError(f"{clip.id}: longer than {LONGEST // 60} minutes; cut it")
    if isinstance(model, Generator):
        classes = model.model.classes
        given = {"class": torch.tensor([model.model.class_index(clip.label)])} if classes else {}
        return wave, model.denoiser.condition({k: v.to(model.device) for k, v in given.items()})
    mel = log_mel(wave, spec)
    frames = min(mel.shape[1], len(wave) // spec.hop_length)
    if not frames:
        raise InputError(f"{clip.id}: {len(wave)} samples, less than a frame; leave it out")
    batch = {"mel": mel[None, :, :frames].to(model.device, model.dtype)}
    return wave[: frames * spec.hop_length], model.denoiser.condition(batch)


def banded(bounds: Sequence[Bound], levels: Tensor) -> list[tuple[float, float, float, float]]:
    """Rows (noisiest level, cleanest level, nats a sample, mean squared error), clean ones first.

    Means over recordings; at most `BANDS` rows, each of as many of the levels [N + 1].
    """
    terms = torch.cat([item.terms for item in bounds]).mean(0)[1:]
    errors = torch.cat([item.errors for item in bounds]).mean(0)
    parts = torch.arange(len(terms)).tensor_split(min(BANDS, len(terms)))
    return [
        (
            levels[part[-1] + 1].item(),
            levels[part[0] + 1].item(),
            terms[part].sum().item(),
            errors[part].mean().item(),
        )
        for part in parts
    ]
