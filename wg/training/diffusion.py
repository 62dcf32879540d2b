"""The `Diffusion` mixin: what every diffusion LightningModule shares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wg.config import Experiment, to_dict
from wg.diffusion.noise import PositionalNoise, seed_of, shares_of
from wg.diffusion.power import EDGE
from wg.diffusion.process import diffuse
from wg.models.denoiser import Denoiser, DenoiserCondition
from wg.models.network import Network

if TYPE_CHECKING:
    from lightning import LightningModule as Base
else:
    Base = object


class Diffusion(Base):
    """Level sampling, loss, fixed-noise validation and optimiser of a model.

    The class that mixes it in sets `experiment` and `network`; one whose network takes something
    else than the batch has extends `condition`, one with further losses `losses`.
    """

    experiment: Experiment
    network: Network
    start: Mapping[str, Any] | None = None  # a model whose weights it began with; None: none

    @property
    def denoiser(self) -> Denoiser:
        """The network in its preconditioning."""
        return Denoiser(self.network, self.experiment.diffusion, self.experiment.mel)

    def condition(self, batch: Mapping[str, Any]) -> DenoiserCondition:
        """Everything that does not depend on the noise level."""
        return self.denoiser.condition(batch)

    def sampling_condition(self, batch: Mapping[str, Any]) -> DenoiserCondition:
        """The same of whole utterances, from nothing that synthesis is not given."""
        return self.condition(batch)

    def losses(self, batch: Mapping[str, Any], level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Named losses, each [B], at levels [B] with unit noise [B, T]; their sum is trained on."""
        return {"noise": self.noise_loss(batch, self.condition(batch), level, noise)}

    def noise_loss(
        self, batch: Mapping[str, Any], condition: DenoiserCondition, level: Tensor, noise: Tensor
    ) -> Tensor:
        """Distance of the noise from its estimate, [B].

        `noise` has unit variance; the prior colours it, and the error is divided by the prior's
        deviation, as in PriorGrad.
        """
        coloured = condition.prior.colour(noise)
        x = diffuse(batch["audio"], level, coloured)
        error = self.denoiser.estimate(x, level, condition) - coloured
        if condition.noise is not None:
            return self.bin_loss(error, condition)
        error = self.distance(condition.prior.whiten(error))
        if "frames" not in batch:
            return error.mean(1)
        # Padding of short clips is not trained on.
        length = batch["frames"][:, None] * self.experiment.mel.hop_length
        kept = torch.arange(error.shape[1], device=error.device) < length
        return (error * kept).sum(1) / length[:, 0]

    def bin_loss(self, error: Tensor, condition: DenoiserCondition) -> Tensor:
        """Distance [B] of the bins of an error [B, T], in units of the noise in each.

        Bins count by P^`train.bin_weight`. The two frames at either end do not: their windows
        reach beyond the segment, where the recording goes on but x does not.
        """
        power = self.denoiser.power
        assert power is not None and condition.power is not None and condition.noise is not None
        bins = power.frames.analyse(error) / condition.noise.sqrt()[:, None]
        distance = self.distance(bins.square().sum(1).clamp(min=1e-12).sqrt())  # [B, K, F]
        weight = condition.power ** (self.experiment.train.bin_weight or 0.0)
        frames = torch.arange(weight.shape[2], device=weight.device)
        last = (
            weight.shape[2] if condition.real is None else condition.real[:, None].to(frames.device)
        )
        inner = (frames >= EDGE) & (frames < last - EDGE)
        weight = weight * inner.to(weight).expand(len(weight), -1)[:, None]
        return (weight * distance).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-12)

    def distance(self, error: Tensor) -> Tensor:
        """Of an error [...], absolute or squared as `train.loss` says."""
        return error.abs() if self.experiment.train.loss == "l1" else error**2

    def on_fit_start(self) -> None:
        """Compiles the network, if asked: here, since copies of it (EMA) are made before."""
        if self.experiment.train.compile:
            self.network.denoise = torch.compile(self.network.denoise)

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Mean loss [] of a batch at random levels."""
        audio = batch["audio"]
        losses = self.losses(batch, *self.drawn(batch))
        total = torch.stack(list(losses.values())).sum(0).mean()
        for name, value in losses.items():
            self.log(f"train/{name}", value.mean(), batch_size=len(audio))
        self.log("train/loss", total, batch_size=len(audio))
        return total

    def drawn(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Level [B] and unit noise [B, T] of each segment, functions of its own seed.

        So any number of processes draws what one would.
        """
        audio, seeds = batch["audio"], batch["seeds"]
        place, rows = shares_of(seeds), torch.tensor(batch["rows"])
        level = self.experiment.diffusion.drawn(place, rows, self.experiment.train.batch_size)
        noise = PositionalNoise(seeds)(0, audio.shape[1])
        return level.to(audio.device), noise.to(audio)

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Loss at fixed levels with fixed noise: the same numbers for the same weights."""
        audio = batch["audio"]
        seeds = [seed_of(name, 0) for name in batch["ids"]]
        noise = PositionalNoise(seeds, audio.device)
        levels = self.experiment.diffusion.quantiles(self.experiment.train.valid_levels)
        means: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=audio.device))
        for i, level in enumerate(levels.tolist()):
            column = torch.full((len(audio),), level, dtype=torch.float64, device=audio.device)
            losses = self.losses(batch, column, noise(i, audio.shape[1]).to(audio))
            value = torch.stack(list(losses.values())).sum(0).mean()
            self.log(f"valid/loss_level_{level:.3f}", value, batch_size=len(audio), sync_dist=True)
            for name, part in {"loss": value, **losses}.items():
                means[name] += part.mean() / len(levels)
        for name, mean in means.items():
            self.log(f"valid/{name}", mean, batch_size=len(audio), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stores the experiment and the start: a checkpoint says what it is of."""
        checkpoint["experiment"] = to_dict(self.experiment)
        if self.start is not None:
            checkpoint["start"] = dict(self.start)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Knows again what the run that goes on began with."""
        self.start = checkpoint["start"] if "start" in checkpoint else None

    def configure_optimizers(self) -> Any:
        """Optimiser, and learning rate by step: linear warm-up, then the chosen decay."""
        train = self.experiment.train
        optimizer_class = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[train.optimizer]
        optimizer = optimizer_class(
            self.parameters(),
            lr=train.learning_rate,
            betas=train.betas,
            weight_decay=train.weight_decay,
            fused=train.precision != "16",  # all weights in one pass; gradients are scaled apart
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate_at)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clips by the norm of all gradients: `train.clip_norm`.

        Where gradients are scaled (16 bits), Lightning does. Elsewhere it would refuse an optimiser
        that takes all weights in one pass, as if its gradients were scaled too.
        """
        if self.experiment.train.precision == "16":
            clip: Any = super()
            clip.configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def rate_at(self, step: int) -> float:
        """Share of the learning rate at a step."""
        train = self.experiment.train
        if step < train.warmup_steps:
            return (step + 1) / train.warmup_steps
        span = max(1, train.max_steps - train.warmup_steps)
        done = min(1.0, (step - train.warmup_steps) / span)
        if train.decay == "cosine":
            wave = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * done)).item())
            return train.final_rate + (1 - train.final_rate) * wave
        if train.decay == "exponential":
            return max(train.final_rate, 1e-8) ** done
        return 1.0
