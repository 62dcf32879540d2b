"""From what a user names, a schedule and a sampler, to levels that this pair can be used on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.diffusion.samplers import sampler
from wg.diffusion.schedules import Schedule, check_trained, inference_levels
from wg.errors import InputError

# Where s is 0.76: pure noise, taken for x there, is 2.4 dB too loud.
CLEANEST_START = 0.65


def check_start(levels: Tensor, schedule: Schedule, name: str) -> None:
    """InputError for a deterministic sampler that would start, at levels[N], far from noise.

    Every schedule starts from N(0, 1), but x there has about the variance s^2. Fresh noise makes
    up for that; a deterministic sampler keeps the factor 1 / s to the end.
    """
    start = levels[-1].item()
    if not sampler(name).deterministic or start <= CLEANEST_START:
        return
    spread = (1 - start**2) ** 0.5
    raise InputError(
        f"schedule {schedule!r} starts at level {start:.3f}, where noise is {spread:.0%} of full "
        f"strength; sampler {name!r} starts from noise at full strength and never replaces it, so "
        f"the result would be about {-20 * math.log10(spread):.0f} dB too loud; take a schedule "
        f"that starts at a level of {CLEANEST_START} or less, or the sampler 'ancestral'"
    )


def sampling_levels(schedule: Schedule, name: str, training: DiffusionConfig) -> Tensor:
    """Levels [N + 1] for starting from noise with the sampler `name`.

    InputError for an unknown schedule or sampler, levels outside the range that training covers,
    and a deterministic sampler that would not start near noise.
    """
    trained = training.levels()
    levels = inference_levels(schedule, trained)
    cleanest = 1.0 if training.conditioning == "continuous" else trained[1].item()
    try:
        check_trained(levels[1:], trained[-1].item(), cleanest)
    except InputError as error:
        raise InputError(f"schedule {schedule!r}: {error}") from None
    check_start(levels, schedule, name)
    return levels


def finite(wave: Tensor, schedule: Schedule) -> Tensor:
    """Waveforms [B, T] as they are; InputError unless all are finite."""
    if not torch.isfinite(wave).all():
        raise InputError(
            f"sampling diverged with schedule {schedule!r}; bound the estimate of x_0 "
            "(clip 1.0), or take a schedule that starts nearer to noise, such as a step count"
        )
    return wave
