"""A network with all that stands around it in training, sampling, streaming and export.

With `diffusion.precondition=mel` the network only adds to what the mel says already. For bins X
of the noisy x at level l, s^2 = 1 - l^2, P the power that the mel expects of the bins
(`wg.diffusion.power`), N that of the noise and V = l^2 P + s^2 N:

    x_0 = iSTFT[ l P / V X  -  s sqrt(P N / V) F(X / sqrt V, level, mel) ]
    eps = (x - l x_0) / s

Input and target of F have unit variance in every bin at every level; F = 0 is the best linear
estimate, Wiener's filter. A network of waveforms is given iSTFT(X / sqrt V), and its output's bins
are F. Bins louder than 8 are shown to it as 8.

Shapes: B batch, M mels, K bins, F frames, T = F * hop samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wg.diffusion.power import MelPower
from wg.diffusion.prior import Prior, SpectralPrior, blurred, deviation
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.samplers import Clip, Correct, Noise
from wg.diffusion.sampling import Progress, reverse
from wg.mel.spec import MelSpec
from wg.models.network import Network

LOUDEST = 8.0  # magnitude of a whitened bin; e^-64 of Gaussian bins are louder


class DenoiserCondition(NamedTuple):
    """What an estimate is conditioned on besides its noise level: the same at every level."""

    cond: Any  # what the network's `condition` made
    prior: Prior
    power: Tensor | None = None  # P [B, K, F]
    noise: Tensor | None = None  # N [B, K, F]
    real: Tensor | None = None  # frames [B] that are no padding; None: all
    mel: Tensor | None = None  # given or, by the network, predicted; [B, M, F]


class Denoiser:
    """Estimates of the noise in x, by a network in its preconditioning.

    `run` stands in for `network.denoise`: a compiled one, say.
    """

    def __init__(
        self,
        network: Network,
        diffusion: DiffusionConfig,
        mel: MelSpec,
        run: Callable[..., Tensor] | None = None,
    ) -> None:
        self.network = network
        self.diffusion, self.mel = diffusion, mel
        self.run: Callable[..., Tensor] = run or self.network.denoise
        # Of those without one, such as imported models, only the network is asked.
        self.power = next((p for p in network.children() if isinstance(p, MelPower)), None)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; all around the network is in the precision of x."""
        return next(self.network.parameters()).dtype

    def condition(self, batch: Mapping[str, Any]) -> DenoiserCondition:
        """From `batch["mel"]` [B, M, F], `batch["frames"]` [B], or what else the network takes."""
        cond = self.network.condition(batch)
        mel, real = batch.get("mel"), batch.get("frames")
        if mel is None:
            mel, real = self.network.predicted_mel(cond) or (None, real)
        plain = DenoiserCondition(cond, Prior(), real=real, mel=mel)
        if not self.diffusion.of_mel:
            return plain
        assert mel is not None  # or `check_conditioning` would have refused the model
        if self.power is None:
            return plain._replace(prior=Prior(deviation(mel, self.mel, self.diffusion)))
        power = self.power(mel)
        if self.diffusion.prior != "mel":
            return plain._replace(power=power, noise=torch.ones_like(power))
        frames = self.power.frames
        prior = SpectralPrior(1.0, frames, power, real)
        return plain._replace(prior=prior, power=power, noise=blurred(power, frames, real))

    def estimate(
        self,
        x: Tensor,
        level: Tensor,
        condition: DenoiserCondition,
        noise_input: Tensor | None = None,
    ) -> Tensor:
        """Estimate of the noise in x [B, T] at float64 levels [B].

        `noise_input`: `diffusion.network_input(level)`, where the caller has it already.
        """
        if condition.power is None:
            return self.diffusion.estimate(
                lambda scaled, noise: self.run(scaled.to(self.dtype), noise, condition.cond).to(x),
                x,
                level,
                condition.prior.sigma,
                noise_input,
            )
        level = level.to(x.device)
        x_0 = self._clean(x, level, condition, noise_input)
        return (x - level[:, None].to(x) * x_0) / (1 - level**2).sqrt()[:, None].to(x)

    def sample(
        self,
        condition: DenoiserCondition,
        levels: Tensor,
        noise: Noise,
        name: str = "ancestral",
        clip: Clip = None,
        correct: Correct | None = None,
        start: Tensor | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Waveforms [B, T] at levels[0], see `wg.diffusion.sampling.reverse`."""

        def estimate(x: Tensor, level: float) -> Tensor:
            return self.estimate(x, torch.full((len(x),), level, dtype=torch.float64), condition)

        return reverse(
            estimate, levels, noise, condition.prior, name, clip, correct, start, progress
        )

    def _clean(
        self, x: Tensor, level: Tensor, condition: DenoiserCondition, noise_input: Tensor | None
    ) -> Tensor:
        """The estimate of x_0, [B, T]."""
        assert (
            self.power is not None and condition.power is not None and condition.noise is not None
        )
        frames, (power, noise) = self.power.frames, (condition.power, condition.noise)
        squared = level**2
        signal = squared[:, None, None].to(x) * power
        rest = (1 - squared)[:, None, None].to(x) * noise
        variance = signal + rest
        bins = frames.analyse(frames.kept(x, condition.real))
        y = bins * variance.rsqrt()[:, None]
        # Where a segment is cut, the step leaks into bins that should be quiet.
        y = y * (LOUDEST * y.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt()).clamp(max=1)
        out = self._network(y, (signal / rest).log(), level, condition, noise_input)
        gain = power / variance
        # s sqrt(P N / V) = sqrt(s^2 N) sqrt(P / V)
        x_0 = (level[:, None, None].to(x) * gain)[:, None] * bins
        x_0 = x_0 - (rest * gain).sqrt()[:, None] * out
        return frames.synthesise(x_0, condition.real)

    def _network(
        self,
        y: Tensor,
        log_snr: Tensor,
        level: Tensor,
        condition: DenoiserCondition,
        noise_input: Tensor | None,
    ) -> Tensor:
        """F [B, 2, K, F], of a network of bins or of waveforms."""
        if self.network.domain == "bins":
            log_ratio = (level / (1 - level**2).sqrt()).log()
            return self.run(y, log_snr, log_ratio, condition.cond).to(y)
        assert self.power is not None
        frames = self.power.frames
        noise_input = self.diffusion.network_input(level) if noise_input is None else noise_input
        noise_input = noise_input.to(y.device)
        # Clipped where a cut makes a click: products in WaveGrad's blocks would amplify it.
        wave = frames.synthesise(y, condition.real).clamp(-5, 5).to(self.dtype)
        wave = self.run(wave, noise_input, condition.cond)
        return frames.analyse(frames.kept(wave.to(y), condition.real))
