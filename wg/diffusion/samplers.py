"""Samplers: from noise to waveform, along levels, with any denoiser.

A denoiser is a callable `(x [B, T], level: float) -> eps [B, T]`; a noise source a callable
`(step) -> [B, T]`. The levels decide where to start and where to end, so a sampler also
continues from a half-noisy signal. What a sampler does with one estimate is its rule, a function
of each sample alone: `wg.inference.streaming` applies it piece by piece. A method of several
estimates a level has a step for each; the later ones see the estimate before.

Shapes: B batch, T samples, N + 1 levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor

from wg.diffusion.schedules import log_snr
from wg.errors import InputError, nearest

LANGEVIN = 0.16  # r, the ratio of signal to noise of a corrector's step
MOST = 100  # of a corrector's steps a level
Denoise = Callable[[Tensor, float], Tensor]
Noise = Callable[[int], Tensor]
Correct = Callable[[Tensor, float], Tensor]  # (x_0 [B, T], level) -> a better x_0
# Bound on |x_0|, or "state": of 1 on the noisy state after each step, as lmnt and coqui have it.
Clip = float | Literal["state"] | None


def check_clip(clip: Clip) -> None:
    """InputError for what is no bound."""
    if clip is None or (isinstance(clip, str) and clip == "state"):
        return
    number = isinstance(clip, int | float) and not isinstance(clip, bool)
    if not number or not 0 < clip < math.inf:
        shown = str(clip)[:60]
        raise InputError(f"clip {shown!r}: give a bound on the estimate of x_0, or 'state'")


class Step(NamedTuple):
    """From level l_i to the cleaner l_p, in log-SNR by h; the step before it went by h_before.

    A corrector stays at l_p, which the step before it reached from `origin`, l_i.
    """

    index: int  # i
    level: float  # where the estimate is made
    target: float
    h: float  # infinite to l_p = 1
    h_before: float | None
    origin: float | None = None  # of a corrector

    @property
    def spreads(self) -> tuple[float, float]:
        """(s_i, s_p): deviations of the noise at both levels, s = sqrt(1 - l^2)."""
        return (1 - self.level**2) ** 0.5, (1 - self.target**2) ** 0.5


class Estimate(NamedTuple):
    """What a network's output says of x: the noise in it, and the signal; both [B, T]."""

    eps: Tensor
    x_0: Tensor


class State(NamedTuple):
    """What is known at a level: x [B, T], the estimate made of it, and that of the step before."""

    x: Tensor
    eps: Tensor
    x_0: Tensor
    before: Estimate | None


Rule = Callable[[State, Step, Callable[[], Tensor]], Tensor]


def predictor_steps(levels: Tensor) -> list[Step]:
    """The steps from the last to the first of levels [N + 1], one for each after the first."""
    path = levels.tolist()
    h = [*(-log_snr(levels).diff()).tolist(), None]
    return [Step(i, path[i], path[i - 1], h[i - 1], h[i]) for i in range(len(path) - 1, 0, -1)]


def predictor_corrector_steps(levels: Tensor, count: int = 1) -> list[Step]:
    """Steps along levels [N + 1], each but the last followed by `count` correctors.

    Correctors draw noise of their own: their indices go on after those of the levels.
    """
    found: list[Step] = []
    for step in predictor_steps(levels):
        found.append(step)
        if step.target != 1:
            later = Step(step.index, step.target, step.target, 0.0, step.h, step.level)
            found += [
                later._replace(index=step.index + k * len(levels)) for k in range(1, count + 1)
            ]
    return found


def predict_clean(
    x: Tensor, level: float, eps: Tensor, clip: Clip, correct: Correct | None = None
) -> tuple[Tensor, Tensor]:
    """x_0 [B, T] = (x - s eps) / l, corrected and clipped, and the eps that then belongs to it."""
    spread = (1 - level**2) ** 0.5
    x_0 = (x - spread * eps) / level
    bound = None if isinstance(clip, str) else clip
    if correct is not None:
        x_0 = correct(x_0, level)
    if bound is not None:
        x_0 = x_0.clamp(-bound, bound)
    return x_0, eps if bound is None and correct is None else (x - level * x_0) / spread


def settled(x: Tensor, clip: Clip) -> Tensor:
    """A state [B, T] after a step, within the bound of states if there is one."""
    return x.clamp(-1, 1) if clip == "state" else x


def ancestral(state: State, step: Step, noise: Callable[[], Tensor]) -> Tensor:
    """Ancestral sampling, WaveGrad Algorithm 2 (DDPM Algorithm 2 with the posterior variance).

    With alpha = (l_i / l_p)^2 and beta = 1 - alpha:
    x_p [B, T] = (x - beta / s_i eps) / sqrt(alpha) + s_p / s_i sqrt(beta) z.
    """
    spread, target_spread = step.spreads
    alpha = (step.level / step.target) ** 2
    beta = 1 - alpha
    x = (state.x - beta / spread * state.eps) / alpha**0.5
    if step.target == 1:
        return x
    return x + target_spread / spread * beta**0.5 * noise()


def ancestral_full(state: State, step: Step, noise: Callable[[], Tensor]) -> Tensor:
    """Ancestral sampling with noise in the last step too, as DiffWave's text has it.

    x_p [B, T], with sigma_1^2 = beta_1 = 1 - l_1^2 where the posterior's variance is 0; no code
    of it adds that.
    """
    x = ancestral(state, step, noise)
    return x + (1 - step.level**2) ** 0.5 * noise() if step.target == 1 else x


def ddim(state: State, step: Step, noise: Callable[[], Tensor], eta: float = 0.0) -> Tensor:
    """DDIM (2010.02502) eq. (12): deterministic for eta = 0, ancestral sampling for eta = 1.

    x_p [B, T] = l_p x_0 + sqrt(s_p^2 - v) eps + sqrt(v) z,
    v = eta^2 (s_p / s_i)^2 (1 - (l_i / l_p)^2).
    """
    spread, target_spread = step.spreads
    variance = (eta * target_spread / spread) ** 2 * (1 - (step.level / step.target) ** 2)
    x = step.target * state.x_0 + (target_spread**2 - variance) ** 0.5 * state.eps
    return x + variance**0.5 * noise() if variance else x


def dpm_solver(state: State, step: Step, noise: Callable[[], Tensor]) -> Tensor:
    """DPM-Solver++(2M) (2211.01095) Algorithm 2, second order and deterministic.

    With h = lambda_p - lambda_i, h' the h before, r = h' / h and
    D = (1 + 1 / 2r) x_0 - 1 / 2r x_0': x_p [B, T] = s_p / s_i x - l_p (e^-h - 1) D.
    The first step is of first order; the last, to l = 1, gives x_0.
    """
    if step.target == 1:
        return state.x_0
    spread, target_spread = step.spreads
    direction = state.x_0
    if step.h_before is not None and state.before is not None:
        share = step.h / (2 * step.h_before)
        direction = (1 + share) * state.x_0 - share * state.before.x_0
    return target_spread / spread * state.x - step.target * math.expm1(-step.h) * direction


def heun(state: State, step: Step, noise: Callable[[], Tensor]) -> Tensor:
    """Heun's method on EDM's ODE (2206.00364) Algorithm 1, second order and deterministic.

    With kappa = s / l: x' = l_p (x / l_i + (kappa_p - kappa_i) eps), which is DDIM's step; then,
    with eps' at x', x_p [B, T] = x' + l_p (kappa_p - kappa_i) (eps' - eps) / 2. The last step, to
    l = 1, has no corrector. N steps ask for 2 N - 1 estimates.
    """
    if step.origin is None:
        return ddim(state, step, noise)
    assert state.before is not None
    level, origin = step.level, step.origin
    span = (1 - level**2) ** 0.5 / level - (1 - origin**2) ** 0.5 / origin
    return state.x + level * span / 2 * (state.eps - state.before.eps)


def langevin(state: State, step: Step, noise: Callable[[], Tensor]) -> Tensor:
    """Predictor-corrector sampling (2011.13456, appendix G): ancestral steps, each followed by
    steps of Langevin dynamics at the level that it reached.

    x [B, T] <- x + d score + sqrt(2 d) z with score = -eps / s and d = 2 (r s)^2, r = 0.16: the
    paper's d = 2 (r |z| / |score|)^2 with the length that the score has where x is mostly noise.
    """
    if step.origin is None:
        return ancestral(state, step, noise)
    spread = (1 - step.level**2) ** 0.5
    return state.x - 2 * LANGEVIN**2 * spread * state.eps + 2 * LANGEVIN * spread * noise()


@dataclass(frozen=True)
class Sampler:
    """A rule, whether it keeps the noise that it starts from, and its steps along levels."""

    rule: Rule
    deterministic: bool = False
    steps: Callable[[Tensor], list[Step]] = predictor_steps

    def __call__(
        self,
        denoise: Denoise,
        x: Tensor,
        levels: Tensor,
        noise: Noise,
        clip: Clip = None,
        correct: Correct | None = None,
    ) -> Tensor:
        """Waveform [B, T] at levels[0], from `x` at levels[-1].

        `clip` bounds the estimate of x_0, or the noisy state; `correct` improves x_0 before.
        """
        before = None
        for step in self.steps(levels):
            x_0, eps = predict_clean(x, step.level, denoise(x, step.level), clip, correct)
            x = self.rule(State(x, eps, x_0, before), step, partial(noise, step.index))
            x, before = settled(x, clip), Estimate(eps, x_0)
        return x


SAMPLERS: dict[str, Sampler] = {
    "ancestral": Sampler(ancestral),
    "ancestral-full": Sampler(ancestral_full),
    "ddim": Sampler(ddim, deterministic=True),
    "dpm++2m": Sampler(dpm_solver, deterministic=True),
    "heun": Sampler(heun, deterministic=True, steps=predictor_corrector_steps),
    "langevin": Sampler(langevin, steps=predictor_corrector_steps),
}
FURTHER = "ddim-ETA, langevin-STEPS"  # names that say how


def sampler(name: str) -> Sampler:
    """The sampler of that name; InputError for any other.

    Also DDIM with an eta, ddim-0.5, and Langevin dynamics of several steps a level, langevin-3.
    """
    if not isinstance(name, str):
        raise InputError(f"sampler {name!r}: give a name; {nearest('', SAMPLERS)}, {FURTHER}")
    kind, dash, how = name.partition("-")
    if kind == "ddim" and dash:
        try:
            eta = float(how)
        except ValueError:
            eta = math.nan
        if not 0 <= eta <= 1:
            raise InputError(f"sampler {name!r}: eta is {how!r}; give 0 to 1, such as ddim-0.5")
        return Sampler(partial(ddim, eta=eta), deterministic=eta == 0)
    if kind == "langevin" and dash:
        if not how.isdecimal() or not 1 <= int(how) <= MOST:
            raise InputError(f"sampler {name!r}: {how!r} steps of the corrector; give 1 to {MOST}")
        return Sampler(langevin, steps=partial(predictor_corrector_steps, count=int(how)))
    if name not in SAMPLERS:
        raise InputError(f"sampler {name!r} is unknown; {nearest(name, SAMPLERS)}, {FURTHER}")
    return SAMPLERS[name]
