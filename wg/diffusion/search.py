"""Search for a schedule of N steps: CMA-ES over the logarithms of its betas.

Betas rise; their levels stay within what training covered and, for a deterministic sampler, start
near noise. What is proposed is a function of the seed and the scores alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wg.diffusion.plan import CLEANEST_START, sampling_levels
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.samplers import sampler
from wg.diffusion.schedules import (
    PUBLISHED,
    betas_from_levels,
    inference_levels,
    levels_from_betas,
    log_snr,
)
from wg.errors import InputError

Score = Callable[[Sequence[Tensor]], Sequence[float]]  # of schedules, lower is better

RESAMPLED = ", resampled"  # in the label of a published schedule brought to another length
SPREAD = 1.0  # of the first proposals, in ln beta
LEAST_BETA = 1e-7  # for a network that is told the level; another has a least trained beta
LARGEST_BETA = 0.999


@dataclass(frozen=True)
class Span:
    """What the betas of a schedule may be."""

    least: float  # beta
    noisiest: float  # bounds of the last level
    cleanest: float

    @classmethod
    def of(cls, training: DiffusionConfig, name: str) -> Span:
        """For a training range and a sampler."""
        continuous = training.conditioning == "continuous"
        trained = training.levels()
        least = LEAST_BETA if continuous else 1 - trained[1].item() ** 2
        start = CLEANEST_START if sampler(name).deterministic else 1.0
        return cls(least, trained[-1].item(), start)

    def levels(self, log_betas: np.ndarray) -> Tensor:
        """Levels [N + 1] of any log betas [N]: sorted, and scaled where the last level is out.

        With a = -ln(1 - beta) and a' that of the least beta, a - a' is scaled by one factor, which
        keeps the order and the least beta.
        """
        limits = math.log(self.least), math.log(LARGEST_BETA)
        betas = np.exp(np.clip(np.sort(log_betas), *limits))
        least = -math.log1p(-self.least)
        excess = np.maximum(-np.log1p(-betas) - least, 1e-3 * least)
        base, total = len(betas) * least, excess.sum()
        span = -2 * math.log(self.cleanest) - base, -2 * math.log(self.noisiest) - base
        excess *= min(max(total, span[0]), span[1]) / total
        return levels_from_betas(torch.from_numpy(-np.expm1(-(excess + least))))


def resampled(levels: Tensor, steps: int) -> Tensor:
    """[N + 1] -> [steps + 1]: a schedule through the same log-SNRs, linear between them."""
    old = log_snr(levels[1:]).numpy()
    share = np.linspace(0, 1, steps) if steps > 1 else np.ones(1)
    new = torch.from_numpy(np.interp(share, np.linspace(0, 1, len(old)), old))
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(2 * new).sqrt()])


def starts(steps: int, training: DiffusionConfig, name: str) -> dict[str, Tensor]:
    """Schedules to begin with: even spacings, and the published ones at this length.

    Those outside the training range, or not for this sampler, are left out.
    """
    found: dict[str, Tensor] = {}
    for label in (str(steps), f"quantiles-{steps}", *PUBLISHED):
        try:
            levels = inference_levels(label, training.levels())
            if len(levels) != steps + 1:
                levels, label = resampled(levels, steps), label + RESAMPLED
            found[label] = sampling_levels(tuple(levels.tolist()), name, training)
        except InputError:
            continue
    return found


def search(score: Score, begin: Tensor, span: Span, budget: int, seed: int) -> None:
    """Proposes schedules to `score` from `begin` [N + 1] on, at most `budget`.

    `score` sees every proposal, so that it is the one to remember the best.
    """
    import cma

    steps = len(begin) - 1
    start = np.log(np.clip(betas_from_levels(begin).numpy(), span.least, LARGEST_BETA))
    # CMA-ES needs two dimensions; the second of a single step has no effect.
    start = np.resize(np.sort(start), max(2, steps))
    draw = np.random.default_rng(seed).standard_normal
    strategy = cma.CMAEvolutionStrategy(
        start, SPREAD, {"randn": lambda *shape: draw(shape), "verbose": -9}
    )
    while budget >= strategy.popsize and not strategy.stop():
        proposals = strategy.ask()
        scores = score([span.levels(proposal[:steps]) for proposal in proposals])
        strategy.tell(proposals, [value if math.isfinite(value) else 1e12 for value in scores])
        budget -= len(proposals)
