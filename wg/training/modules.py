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
from wg.models.denoiser import Known
from wg.training.diffusion import Diffusion


class WaveGrad(Diffusion, LightningModule):
    """A network that is conditioned on what the batch has: WaveGrad (2009.00713), spectral."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        check_told(experiment.model, experiment.diffusion)
        self.experiment = experiment
        self.network = build_network(experiment.model, experiment.mel, experiment.diffusion)


class WaveGrad2(WaveGrad):
    """WaveGrad 2 (2106.09660): phonemes to waveform, with a loss of the durations."""

    def losses(self, batch: Mapping[str, Any], level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The noise's and, weighted, that of the durations and of the mel, if asked for."""
        network: Any = self.network
        model = self.experiment.model
        known = self.condition(batch)
        spoken = known.cond
        losses = {
            "noise": self.noise_loss(batch, known, level, noise),
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
        model = replace(experiment.model, cache="none")
        self.network = build_network(model, experiment.mel, experiment.diffusion)

    def condition(self, batch: Mapping[str, Any]) -> Known:
        """The mel, or the class that is the utterance's text, or neither."""
        model = self.experiment.model
        known: dict[str, Any] = {"frames": batch["frames"]} if "frames" in batch else {}
        if model.conditions == "mel":
            known["mel"] = batch["mel"]
        if model.conditions == "class":
            labels = [model.class_index(text) for text in batch["texts"]]
            known["class"] = torch.tensor(labels, device=self.device)
        return super().condition(known)


def build_system(experiment: Experiment) -> LightningModule:
    """The LightningModule of an experiment, with random weights."""
    return load(entry(experiment.model.name).system)(experiment)
