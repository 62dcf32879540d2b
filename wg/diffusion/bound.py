"""The variational bound of -ln p(x_0), level by level: what a model says of the data's density.

p is the model that samples by Algorithm 2 along levels 1 = l_0 > l_1 > .. > l_N, with DiffWave's
variances: the posterior's, and beta_1 in the last step (`ancestral-full`). With s^2 = 1 - l^2 and
SNR = l^2 / s^2, in nats a sample:

    L_0 = KL(q(x_N | x_0) || N(0, 1)) = (l_N^2 x_0^2 - l_N^2 - ln s_N^2) / 2
    L_n = KL(q(x_{n-1} | x_n, x_0) || p(x_{n-1} | x_n))
        = (SNR_{n-1} / SNR_n - 1) / 2 (eps - eps_theta)^2,  n > 1
    L_1 = -ln p(x_0 | x_1) = ln(2 pi s_1^2) / 2 + (eps - eps_theta)^2 / (2 l_1^2)

DDPM (2006.11239) eq. (5), (8), (12); the weights are DiffWave's kappa_t (2009.09761, Prop. 1).
x_0 is a number, not a 16-bit code, so that the bound is of a density and may be negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wg.diffusion.prior import Prior, SpectralPrior
from wg.diffusion.process import diffuse
from wg.diffusion.samplers import Noise
from wg.diffusion.schedules import log_snr
from wg.errors import InputError

Estimate = Callable[[Tensor, Tensor], Tensor]  # (x [B, T], levels [B] in float64) -> eps [B, T]
CODES = 15  # bits between a density on -1 .. 1 and the probability of a 16-bit code: step 2^-15


class Bound(NamedTuple):
    """Terms of the bound in nats a sample, [B, N + 1]: of x_N first, then of levels 1 .. N."""

    terms: Tensor  # float64
    errors: Tensor  # mean (eps - eps_theta)^2 at levels 1 .. N, float64 [B, N]

    @property
    def nats(self) -> Tensor:
        """The bound of -ln p(x_0) in nats a sample, [B]."""
        return self.terms.sum(1)


def bits(nats: float) -> float:
    """Bits a sample of 16-bit audio, of nats of the density.

    A bound on the code's length where the density changes little within a code.
    """
    return nats / math.log(2) + CODES


def weights(levels: Tensor) -> Tensor:
    """Factors [N] of the mean squared error at levels 1 .. N; levels [N + 1] begin with 1."""
    ratio = torch.expm1(-2 * log_snr(levels[1:]).diff()) / 2  # SNR_{n-1} / SNR_n - 1
    return torch.cat([0.5 / levels[1:2] ** 2, ratio])


def bound(
    estimate: Estimate, x_0: Tensor, levels: Tensor, noise: Noise, prior: Prior | None = None
) -> Bound:
    """Bound of waveforms x_0 [B, T], an estimate a level; levels [N + 1] in float64.

    `noise(n)`: white noise [B, T] of level n. InputError for a prior whose noise has no density
    that can be written down.
    """
    prior = prior or Prior()
    if isinstance(prior, SpectralPrior):
        raise InputError(
            "diffusion.prior is 'mel': that noise is filtered by overlapping windows and has no "
            "density to bound; models of the prior 'standard' or 'energy' have one"
        )
    errors = []
    for n, level in enumerate(levels.tolist()[1:], 1):
        column = torch.full((len(x_0),), level, dtype=torch.float64)
        eps = prior.colour(noise(n))
        error = prior.whiten(estimate(diffuse(x_0, column.to(x_0.device), eps), column) - eps)
        errors.append(error.double().square().mean(1).cpu())
    white = prior.whiten(x_0).double().square().mean(1).cpu()
    stretch = torch.as_tensor(prior.sigma, dtype=torch.float64).log().cpu()  # ln det of the prior
    stretch = stretch.mean(1) if stretch.ndim else stretch
    last, first = levels[-1] ** 2, levels[1] ** 2
    start = (last * (white - 1) - torch.log1p(-last)) / 2
    found = torch.stack(errors, 1)
    terms = weights(levels) * found
    terms[:, 0] += torch.log(2 * math.pi * (1 - first)) / 2 + stretch
    return Bound(torch.cat([start[:, None], terms], 1), found)
