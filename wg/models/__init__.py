"""Networks: one file a model, plain torch. The registry names each one's parts.

A network supplies two methods and nothing else is asked of it:

- `condition(batch) -> cond`: everything that does not depend on the noise level, computed once,
  from `batch["mel"]` [B, M, F] (or `batch["class"]` [B], symbols, or nothing) and, where some of
  it is padding, `batch["frames"]` [B];
- `denoise(x, noise_input, cond) -> eps`: x [B, T], noise_input [B] (a level or a fractional
  step, see `TrainingSchedule.network_input`), eps [B, T].
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from wg.diffusion.process import TrainingSchedule
from wg.errors import InputError, nearest
from wg.mel.spec import MelSpec


class Network(Protocol):
    """What the trainer and the vocoder use of a network."""

    def condition(self, batch: Mapping[str, Any]) -> Any:
        """Everything that does not depend on the noise level."""
        ...

    def denoise(self, x: Tensor, noise_input: Tensor, cond: Any) -> Tensor:
        """Estimate of the noise in x, [B, T]."""
        ...


@dataclass(frozen=True)
class Entry:
    """Where a model's parts live, as module:attribute."""

    config: str
    network: str
    system: str
    conditions: str | None = "mel"  # what it is conditioned on; None: its config says
    told: tuple[str, ...] = ("continuous", "discrete")  # diffusion.conditioning it can work with


REGISTRY: dict[str, Entry] = {
    "wavegrad": Entry(
        config="wg.models.wavegrad:WaveGradConfig",
        network="wg.models.wavegrad:WaveGradNetwork",
        system="wg.systems:WaveGrad",
    ),
    "diffwave": Entry(
        config="wg.models.diffwave:DiffWaveConfig",
        network="wg.models.diffwave:DiffWaveNetwork",
        system="wg.systems:DiffWave",
        conditions=None,
        told=("discrete",),
    ),
    "wavegrad2": Entry(
        config="wg.models.wavegrad2:WaveGrad2Config",
        network="wg.models.wavegrad2:WaveGrad2Network",
        system="wg.systems:WaveGrad2",
        conditions="text",
    ),
}


def load(reference: str) -> Any:
    """The object that a `module:attribute` reference names."""
    module, attribute = reference.split(":")
    return vars(importlib.import_module(module))[attribute]


def entry(name: str) -> Entry:
    """Registry entry of a model; InputError with the nearest valid name."""
    if name not in REGISTRY:
        raise InputError(f"model.name {name!r} is unknown; {nearest(name, REGISTRY)}")
    return REGISTRY[name]


def conditions_of(config: Any) -> str:
    """What a model is conditioned on: "mel", "text", or to generate "class" or "none"."""
    fixed = entry(config.name).conditions
    return config.conditions if fixed is None else fixed


def check_told(config: Any, diffusion: TrainingSchedule) -> None:
    """InputError if the model cannot work with `diffusion.conditioning` or `diffusion.prior`."""
    if diffusion.prior != "standard" and conditions_of(config) != "mel":
        raise InputError(
            f"diffusion.prior is {diffusion.prior!r}, which is computed from the mel, but this "
            f"{config.name} takes none; set diffusion.prior=standard"
        )
    told = entry(config.name).told
    if diffusion.conditioning not in told:
        raise InputError(
            f"diffusion.conditioning is {diffusion.conditioning!r}, but {config.name} takes "
            f"{' or '.join(told)}; set diffusion.conditioning={told[0]}"
        )


def build_network(config: Any, mel: MelSpec) -> nn.Module:
    """The network that a model config describes, with random weights."""
    return load(entry(config.name).network)(config, mel)


def config_class(name: str) -> type:
    """Config dataclass of a model."""
    return load(entry(name).config)
