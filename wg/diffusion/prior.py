"""PriorGrad's data-dependent prior (2106.06406): noise that is loud where the mel is.

The noise of sample t is N(0, sigma_t^2) instead of N(0, 1), in training and in sampling. All
samplers are linear in x, so they see y = x / sigma, whose noise has unit variance, and need not
know. Shapes: B batch, M mels, F frames, T = F * hop samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wg.diffusion.process import TrainingSchedule
from wg.diffusion.samplers import Denoise
from wg.errors import InputError
from wg.mel.spec import MelSpec

LEAST = 0.1  # of sigma, PriorGrad's


def deviation(mel: Tensor, spec: MelSpec, training: TrainingSchedule) -> Tensor | float:
    """sigma [B, T] of a mel [B, M, F]; 1 for the standard prior.

    e = sqrt(sum over bands of the linear mel), sigma = (e - e_min) / (e_max - e_min) between 0.1
    and 1, repeated over the hop. e_max is PriorGrad's 4, or `diffusion.energy_max`; e_min is the
    energy of digital silence (ours; PriorGrad takes the least of its training set).
    """
    if training.prior == "standard":
        return 1.0
    low = spec.decompress(spec.silence[:, None]).sum().sqrt().item()
    if training.energy_max <= low:
        raise InputError(
            f"diffusion.energy_max is {training.energy_max:g}, but digital silence has {low:.3g}; "
            "give the energy of loud frames of this mel"
        )
    energy = spec.decompress(mel.float()).sum(1).sqrt()  # [B, F]
    share = (energy - low) / (training.energy_max - low)
    return share.clamp(LEAST, 1).repeat_interleave(spec.hop_length, -1)


def whitened(estimate: Callable[[Tensor, Tensor], Tensor], sigma: Tensor | float) -> Denoise:
    """The denoiser of y = x / sigma, from an estimate of the noise in x at levels [B]."""

    def denoise(y: Tensor, level: float) -> Tensor:
        column = torch.full((len(y),), level, dtype=torch.float64)
        return estimate(sigma * y, column) / sigma

    return denoise
