"""Samplers: from noise to waveform, along levels, with any denoiser.

A denoiser is a callable `(x [B, T], level: float) -> eps [B, T]`; a noise source a callable
`(step) -> [B, T]`. The levels decide where to start and where to end, so a sampler also
continues from a half-noisy signal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from wg.errors import InputError, nearest

Denoise = Callable[[Tensor, float], Tensor]
Noise = Callable[[int], Tensor]


class Sampler(Protocol):
    """Head that every sampler shares."""

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Tensor, noise: Noise, clip: float | None = None
    ) -> Tensor:
        """Waveform [B, T] at levels[0], from `x` at levels[-1]."""
        ...


def predict_clean(
    x: Tensor, level: float, eps: Tensor, clip: float | None
) -> tuple[Tensor, Tensor]:
    """x_0 = (x - s eps) / l, and the eps that belongs to it after clipping x_0 to +-clip."""
    spread = (1 - level**2) ** 0.5
    x_0 = (x - spread * eps) / level
    if clip is None:
        return x_0, eps
    x_0 = x_0.clamp(-clip, clip)
    return x_0, (x - level * x_0) / spread


def ancestral(
    denoise: Denoise, x: Tensor, levels: Tensor, noise: Noise, clip: float | None = None
) -> Tensor:
    """Ancestral sampling, WaveGrad Algorithm 2 (DDPM Algorithm 2 with the posterior variance).

    With alpha = (l_i / l_p)^2 and beta = 1 - alpha between neighbouring levels l_i < l_p:
    x_p = (x - beta / s_i eps) / sqrt(alpha) + s_p / s_i sqrt(beta) z.
    `clip` bounds the estimate of x_0, never the noisy state.
    """
    path = levels.tolist()
    for i in range(len(path) - 1, 0, -1):
        level, target = path[i], path[i - 1]
        alpha = (level / target) ** 2
        beta = 1 - alpha
        spread, target_spread = (1 - level**2) ** 0.5, (1 - target**2) ** 0.5
        eps = denoise(x, level)
        if clip is not None:
            eps = predict_clean(x, level, eps, clip)[1]
        x = (x - beta / spread * eps) / alpha**0.5
        if target < 1:
            x = x + target_spread / spread * beta**0.5 * noise(i)
    return x


SAMPLERS: dict[str, Sampler] = {"ancestral": ancestral}


def sampler(name: str) -> Sampler:
    """The sampler of that name; InputError with the nearest valid one."""
    if name not in SAMPLERS:
        raise InputError(f"sampler {name!r} is unknown; {nearest(name, SAMPLERS)}")
    return SAMPLERS[name]
