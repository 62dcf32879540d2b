"""The forward process, and how training draws noise levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from wg.diffusion.schedules import (
    aligned_step,
    check_betas,
    cosine,
    fibonacci,
    levels_from_betas,
    linear,
    log_snr_spaced,
)
from wg.errors import InputError
from wg.fields import check_fields, setting
from wg.moved import renamed


def diffuse(x_0: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """x = l x_0 + sqrt(1 - l^2) eps, DDPM eq. (4); [B, T], level [B] in float64.

    The float64 level matters: near l = 1 float32 loses a tenth of sqrt(1 - l^2).
    """
    signal = level[:, None].to(x_0)
    spread = (1 - level.double() ** 2).sqrt()[:, None].to(x_0)
    return signal * x_0 + spread * noise


@dataclass(frozen=True)
class DiffusionConfig:
    """Levels that training covers; default: WaveGrad's continuous model."""

    start: float = setting(1e-6, "first beta of a linear or Fibonacci training schedule")
    end: float = setting(0.01, "last beta of a linear one")
    steps: int = setting(1000, "number of betas", least=1, most=10**6)
    conditioning: Literal["continuous", "discrete"] = setting(
        "continuous",
        "what the network is told: the noise level, or its step",
    )
    # linear: betas, as in the papers. log_snr: the same range of levels, evenly spaced in log-SNR.
    # Ours: speech has an RMS of about 0.07, so linear betas spend most draws on levels where it
    # drowns in noise; short training gains from spending them where it emerges. fibonacci:
    # WaveGrad's, from `start`. cosine: Improved DDPM's. In a configuration also a JSON file of
    # betas, which are then `betas`.
    spacing: Literal["linear", "log_snr", "fibonacci", "cosine"] = setting(
        "linear",
        "of the levels: by linear betas (papers), even in log-SNR (ours), by WaveGrad's Fibonacci "
        "betas, by the cosine of Improved DDPM; or a JSON file of betas",
    )
    # Of a batch's levels. stratified, ours: one from each of as many equal shares of the steps, so
    # that a small batch sees all of them; each level's distribution is the same.
    draws: Literal["independent", "stratified"] = setting(
        "independent",
        "of the levels of a batch: as in the papers, or one from each equal share",
    )
    data_rms: float = setting(
        0.0,
        "RMS of the data, for `estimate` to precondition the network with; 0: the papers' "
        "plain eps",
        least=0,
        most=1,
    )
    precondition: Literal["none", "rms", "mel"] | None = setting(
        None,
        "what the network need not learn. rms: the variance of x, of `data_rms` alone. mel: "
        "that of each of its bins, as the mel says (`wg.models.denoiser`). null: rms, if "
        "there is a data_rms.",
    )
    prior: Literal["standard", "energy", "mel"] = setting(
        "standard",
        "noise as loud everywhere; as the mel's energy (PriorGrad); or, in each bin, as the "
        "mel says",
    )
    energy_max: float = setting(
        4.0,
        "root of the sum of the linear mel where PriorGrad's is loudest",
        above=0,
    )
    betas: tuple[float, ...] = setting(
        (),
        "the `steps` betas themselves, of a schedule that has no name; []: as `spacing` says",
    )

    def __post_init__(self) -> None:
        check_fields("diffusion", self)
        if self.betas and len(check_betas(self.betas, "diffusion.betas")) != self.steps:
            raise InputError(f"diffusion.steps is {self.steps} for {len(self.betas)} betas")
        if self.betas and self.spacing in ("fibonacci", "cosine"):
            raise InputError(
                f"diffusion.spacing is {self.spacing!r} and diffusion.betas are given; give one"
            )
        if not self.betas and not 0 < self.start <= self.end < 1:
            raise InputError(
                f"diffusion.start is {self.start}, diffusion.end is {self.end}; "
                "betas need 0 < start <= end < 1"
            )
        if self.spacing == "fibonacci":
            self.levels()  # InputError for betas that leave (0, 1)
        if (self.preconditioning == "rms") != (self.data_rms > 0):
            raise InputError(
                f"diffusion.precondition is {self.precondition!r}, diffusion.data_rms is "
                f"{self.data_rms}; 'rms' needs an RMS, 'none' and 'mel' take none (0)"
            )
        if self.prior == "mel" and self.preconditioning != "mel":
            raise InputError(
                "diffusion.prior is 'mel', so diffusion.precondition has to be 'mel' too: only "
                "then is the network told how loud each bin is"
            )
        if self.prior == "energy" and self.preconditioning == "mel":
            raise InputError(
                "diffusion.prior is 'energy' and diffusion.precondition 'mel'; take prior 'mel', "
                "or precondition 'rms'"
            )

    @property
    def preconditioning(self) -> Literal["none", "rms", "mel"]:
        """`precondition`, or its default: "rms" where `data_rms` is known, else "none"."""
        return self.precondition or ("rms" if self.data_rms else "none")

    @property
    def of_mel(self) -> bool:
        """Whether the mel is needed for more than as the network's condition."""
        return self.preconditioning == "mel" or self.prior != "standard"

    def levels(self) -> Tensor:
        """l_0 = 1 .. l_S, float64 [S + 1]."""
        levels = levels_from_betas(self._betas())
        return log_snr_spaced(levels, self.steps) if self.spacing == "log_snr" else levels

    def _betas(self) -> Tensor:
        if self.betas:
            return check_betas(self.betas)
        try:
            if self.spacing == "fibonacci":
                return fibonacci(self.steps, self.start)
            if self.spacing == "cosine":
                return cosine(self.steps)
            return linear(self.start, self.end, self.steps)
        except InputError as error:
            raise InputError(f"diffusion.spacing, diffusion.steps: {error}") from None

    def drawn(self, place: Tensor, row: Tensor, rows: int) -> Tensor:
        """Training levels that numbers `place` [B] in [0, 1) draw for these rows [B] of a batch.

        Continuous: s ~ U{1..S}, then l ~ U(l_s, l_{s-1}), WaveGrad Algorithm 1. Discrete: l = l_s,
        DiffWave Algorithm 1. Stratified, row b has the b-th of equal shares of the steps.
        """
        levels = self.levels()
        if self.draws == "stratified":
            place = (row + place) / rows
        s = (place * self.steps).ceil().long().clamp(1, self.steps)
        if self.conditioning == "discrete":
            return levels[s]
        share = s - place * self.steps
        return levels[s] + share * (levels[s - 1] - levels[s])

    def network_input(self, level: Tensor) -> Tensor:
        """What the network is told of a level [B]: itself, or its fractional 1-based step."""
        if self.conditioning == "continuous":
            return level
        return aligned_step(level.cpu(), self.levels()).to(level.device)

    def estimate(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        level: Tensor,
        sigma: Tensor | float = 1.0,
        noise_input: Tensor | None = None,
    ) -> Tensor:
        """Estimate of the noise in x [B, T] at float64 levels [B].

        `network`: (x, noise_input) -> [B, T].

        With data_rms r, noise of deviation sigma ([B, T], or 1) and v = l^2 r^2 + s^2 sigma^2 the
        variance of x, the network F only adds to the best linear estimate:
        eps = s sigma^2 / v x + sigma l r / sqrt(v) F(x / sqrt(v)), so that its input and its
        target over sigma have unit variance at every level (EDM, 2206.00364, sec. 5, in eps).
        `noise_input`: `network_input(level)`, where the caller has it already.
        """
        noise_input = self.network_input(level) if noise_input is None else noise_input
        noise_input = noise_input.to(x.device)
        if not self.data_rms:
            return network(x, noise_input)
        level = level.to(x.device)
        signal = (level * self.data_rms)[:, None]
        spread = (1 - level**2).sqrt()[:, None] * sigma
        variance = signal**2 + spread**2
        scale_in, skip, scale_out = (
            value.to(x)
            for value in (
                variance.rsqrt(),
                sigma * spread / variance,
                sigma * signal * variance.rsqrt(),
            )
        )
        return skip * x + scale_out * network(scale_in * x, noise_input)

    def quantiles(self, count: int) -> Tensor:
        """Fixed levels [count] at the centres of equal shares of the steps, for validation."""
        steps = ((torch.arange(count, dtype=torch.float64) + 0.5) / count * self.steps).ceil()
        return self.levels()[steps.long().clamp(1, self.steps)]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed(__name__, name)
