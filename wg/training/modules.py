"""LightningModules: a network under the `Diffusion` mixin, and what a model has of its own.

A model names its module in the registry; without one it is trained by `DiffusionModule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from lightning import LightningModule
from torch import Tensor

from wg.config import Experiment
from wg.models import build_network, check_conditioning, entry, load
from wg.models.denoiser import DenoiserCondition
from wg.models.diffwave import DiffWaveConfig, DiffWaveNetwork
from wg.models.network import ModelConfig
from wg.models.wavegrad2 import WaveGrad2Network
from wg.training.diffusion import Diffusion

OF_A_WINDOW = {"mel", "frames", "window_start"}  # in a batch of segments


class DiffusionModule(Diffusion, LightningModule):
    """A network that is conditioned on what its batch has, and has no loss but the noise's."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        check_conditioning(experiment.model, experiment.diffusion)
        self.experiment = experiment
        model = self.config(experiment)
        self.network = build_network(model, experiment.mel, experiment.diffusion)

    def config(self, experiment: Experiment) -> ModelConfig:
        """The model's, as it is trained."""
        return experiment.model


class WaveGrad2Module(DiffusionModule):
    """WaveGrad 2 (2106.09660): with losses of durations and, if asked for, of mel and pitch."""

    network: WaveGrad2Network

    def sampling_condition(self, batch: Mapping[str, Any]) -> DenoiserCondition:
        """It hears its own mel, not the recording's."""
        return self.condition({key: batch[key] for key in batch.keys() - OF_A_WINDOW})

    def losses(self, batch: Mapping[str, Any], level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The noise's and, weighted, those of the durations, the mel and the pitch; each [B]."""
        model = self.network.config
        condition = self.condition(batch)
        losses = {
            "noise": self.noise_loss(batch, condition, level, noise),
            "duration": model.duration_weight * self.network.duration_loss(batch, condition.cond),
        }
        if model.mel_weight:
            losses["mel"] = model.mel_weight * self.network.mel_loss(batch, condition.cond)
        if model.pitch_weight:
            losses["pitch"] = model.pitch_weight * self.network.pitch_loss(batch, condition.cond)
        return losses


class DiffWaveModule(DiffusionModule):
    """DiffWave (2009.09761): mel, class or nothing to waveform."""

    network: DiffWaveNetwork

    def config(self, experiment: Experiment) -> ModelConfig:
        """Without a cache: a condition serves one level, and a batch's work takes gigabytes."""
        return replace(cast("DiffWaveConfig", experiment.model), cache="none")

    def condition(self, batch: Mapping[str, Any]) -> DenoiserCondition:
        """The mel, or the class that is the utterance's text, or neither."""
        model = self.network.config
        keys = {"frames", "mel"} if model.conditions == "mel" else {"frames"}
        given: dict[str, Any] = {key: batch[key] for key in keys & batch.keys()}
        if model.conditions == "class":
            labels = [model.class_index(text) for text in batch["texts"]]
            given["class"] = torch.tensor(labels, device=self.device)
        return super().condition(given)


def build_module(experiment: Experiment) -> DiffusionModule:
    """The LightningModule of an experiment, with random weights."""
    return load(entry(experiment.model.name).module)(experiment)
