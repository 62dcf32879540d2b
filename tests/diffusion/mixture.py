"""A Gaussian mixture under diffusion: its exact denoiser, and the exact solution of its ODE.

The probability flow ODE moves samples along quantiles, so its solution between two levels is
F_target^-1(F_start(x)), with F the distribution function of x at a level: no solver is involved.
"""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTS = torch.tensor([0.4, 0.6], dtype=torch.float64)
MEANS = torch.tensor([-0.5, 0.6], dtype=torch.float64)
STDS = torch.tensor([0.15, 0.25], dtype=torch.float64)


def at_level(level: float) -> tuple[Tensor, Tensor]:
    """Means and variances of the components of x."""
    return level * MEANS, level**2 * STDS**2 + 1 - level**2


def denoise(x: Tensor, level: float) -> Tensor:
    """E[eps | x], [B, T]."""
    means, variances = at_level(level)
    distance = x[..., None] - means
    density = WEIGHTS.log() - 0.5 * variances.log() - 0.5 * distance**2 / variances
    posterior = density.softmax(-1)
    return (posterior * (1 - level**2) ** 0.5 * distance / variances).sum(-1)


def distribution(x: Tensor, level: float) -> Tensor:
    """F(x), [B, T]."""
    means, variances = at_level(level)
    z = (x[..., None] - means) / variances.sqrt()
    return (WEIGHTS * torch.special.ndtr(z)).sum(-1)


def solution(x: Tensor, start: float, target: float) -> Tensor:
    """The ODE's solution at `target` from x at `start`, by bisection, [B, T]."""
    wanted = distribution(x, start)
    low, high = torch.full_like(x, -10), torch.full_like(x, 10)
    for _ in range(80):
        middle = (low + high) / 2
        below = distribution(middle, target) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
