"""LightningModules, one for each model: a network under the `Diffusion` mixin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning import LightningModule
from torch import Tensor

from wg.config import Experiment
from wg.models import build_network, entry, load
from wg.training.diffusion import Diffusion


class WaveGrad(Diffusion, LightningModule):
    """WaveGrad (2009.00713): mel to waveform."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.experiment = experiment
        self.network = build_network(experiment.model, experiment.mel)

    def condition(self, batch: Mapping[str, Any]) -> Any:
        """The upsampled mel up to the first FiLM."""
        return self.network.condition(batch)  # pyright: ignore[reportCallIssue]

    def denoise(self, x: Tensor, level: Tensor, cond: Any) -> Tensor:
        """The network's estimate of the noise, [B, T]."""
        network: Any = self.network
        return self.experiment.diffusion.estimate(
            lambda scaled, told: network.denoise(scaled, told, cond), x, level
        )


def build_system(experiment: Experiment) -> LightningModule:
    """The LightningModule of an experiment, with random weights."""
    return load(entry(experiment.model.name).system)(experiment)
