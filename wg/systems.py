"""LightningModules, one for each model: a network under the `Diffusion` mixin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from wg.config import Experiment
from wg.models import build_network, check_told, entry, load
from wg.training.diffusion import Diffusion


class WaveGrad(Diffusion, LightningModule):
    """WaveGrad (2009.00713): mel to waveform."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.experiment = experiment
        self.network = build_network(experiment.model, experiment.mel)

    def condition(self, batch: Mapping[str, Any]) -> Any:
        """What does not depend on the noise level."""
        return self.network.condition(batch)  # pyright: ignore[reportCallIssue]

    def denoise(self, x: Tensor, level: Tensor, cond: Any, sigma: Tensor | float = 1.0) -> Tensor:
        """The network's estimate of the noise, [B, T]."""
        network: Any = self.network
        return self.experiment.diffusion.estimate(
            lambda scaled, told: network.denoise(scaled, told, cond), x, level, sigma
        )


class WaveGrad2(WaveGrad):
    """WaveGrad 2 (2106.09660): phonemes to waveform, with a loss of the durations."""

    def losses(self, batch: Mapping[str, Any], level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The noise's and, weighted, that of the durations and of the mel, if asked for."""
        network: Any = self.network
        model = self.experiment.model
        spoken = self.condition(batch)
        losses = {
            "noise": self.noise_loss(batch, spoken, level, noise),
            "duration": model.duration_weight * network.duration_loss(batch, spoken),
        }
        if model.mel_weight:
            losses["mel"] = model.mel_weight * network.mel_loss(batch, spoken)
        return losses


class DiffWave(Diffusion, LightningModule):
    """DiffWave (2009.09761): mel, class or nothing to waveform."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        check_told(experiment.model, experiment.diffusion)
        self.experiment = experiment
        # A condition serves one level here; keeping the work of whole batches costs gigabytes.
        self.network = build_network(replace(experiment.model, cache="none"), experiment.mel)

    def condition(self, batch: Mapping[str, Any]) -> Any:
        """The mel, or the class that is the utterance's text, or neither."""
        model = self.experiment.model
        known: dict[str, Any] = {"frames": batch["frames"]} if "frames" in batch else {}
        if model.conditions == "mel":
            known["mel"] = batch["mel"]
        if model.conditions == "class":
            labels = [model.class_index(text) for text in batch["texts"]]
            known["class"] = torch.tensor(labels, device=self.device)
        return self.network.condition(known)  # pyright: ignore[reportCallIssue]

    def denoise(self, x: Tensor, level: Tensor, cond: Any, sigma: Tensor | float = 1.0) -> Tensor:
        """The network's estimate of the noise, [B, T]."""
        network: Any = self.network
        return self.experiment.diffusion.estimate(
            lambda scaled, told: network.denoise(scaled, told, cond), x, level, sigma
        )


def build_system(experiment: Experiment) -> LightningModule:
    """The LightningModule of an experiment, with random weights."""
    return load(entry(experiment.model.name).system)(experiment)
