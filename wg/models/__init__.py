"""Networks: one file a model, plain torch. The registry names each one's parts.

A network is a `wg.models.network.Network`, its config a `ModelConfig`; nothing else is asked of
either, and `wg.models.denoiser` alone calls a network.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from wg.diffusion.power import POWER, MelPower
from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError, nearest
from wg.mel.spec import MelSpec
from wg.models.network import ModelConfig, Network


@dataclass(frozen=True)
class ModelEntry:
    """Where a model's parts live, as module:attribute."""

    config: str
    network: str
    module: str = "wg.training.modules:DiffusionModule"  # that trains it
    conditions: str | None = "mel"  # what it is conditioned on; None: its config says
    # Values of diffusion.conditioning that it can work with.
    conditioning: tuple[str, ...] = ("continuous", "discrete")


REGISTRY: dict[str, ModelEntry] = {
    "wavegrad": ModelEntry(
        config="wg.models.wavegrad:WaveGradConfig",
        network="wg.models.wavegrad:WaveGradNetwork",
    ),
    "diffwave": ModelEntry(
        config="wg.models.diffwave:DiffWaveConfig",
        network="wg.models.diffwave:DiffWaveNetwork",
        module="wg.training.modules:DiffWaveModule",
        conditions=None,
        conditioning=("discrete",),
    ),
    "spectral": ModelEntry(
        config="wg.models.spectral:SpectralConfig",
        network="wg.models.spectral:SpectralNetwork",
        conditioning=("continuous",),
    ),
    "wavegrad2": ModelEntry(
        config="wg.models.wavegrad2:WaveGrad2Config",
        network="wg.models.wavegrad2:WaveGrad2Network",
        module="wg.training.modules:WaveGrad2Module",
        conditions="text",
    ),
}


def load(reference: str) -> Any:
    """The object that a `module:attribute` reference names."""
    module, attribute = reference.split(":")
    return vars(importlib.import_module(module))[attribute]


def entry(name: str) -> ModelEntry:
    """Registry entry of a model; InputError with the nearest valid name."""
    if not isinstance(name, str) or name not in REGISTRY:
        raise InputError(f"model.name {name!r} is unknown; {nearest(str(name), REGISTRY)}")
    return REGISTRY[name]


def conditions_of(config: ModelConfig) -> str:
    """What a model is conditioned on: "mel", "text", or to generate "class" or "none"."""
    fixed = entry(config.name).conditions
    return vars(config)["conditions"] if fixed is None else fixed


def check_conditioning(config: ModelConfig, diffusion: DiffusionConfig) -> None:
    """InputError if the model cannot work with `diffusion.conditioning` or `diffusion.prior`."""
    if diffusion.of_mel and conditions_of(config) != "mel" and not config.gives_mel:
        plain = diffusion.prior == "standard"
        key, without = ("precondition", "none") if plain else ("prior", "standard")
        raise InputError(
            f"diffusion.{key} is {vars(diffusion)[key]!r}, which is computed from the mel, but "
            f"this {config.name} has none; set diffusion.{key}={without}"
        )
    if config.domain == "bins" and diffusion.preconditioning != "mel":
        raise InputError(
            f"{config.name} works on bins whitened by the mel; set diffusion.precondition=mel"
        )
    conditioning = entry(config.name).conditioning
    if diffusion.conditioning not in conditioning:
        raise InputError(
            f"diffusion.conditioning is {diffusion.conditioning!r}, but {config.name} takes "
            f"{' or '.join(conditioning)}; set diffusion.conditioning={conditioning[0]}"
        )


def build_network(
    config: ModelConfig, mel: MelSpec, diffusion: DiffusionConfig | None = None
) -> Network:
    """The network that a model config describes, with random weights.

    With a `MelPower`, not fitted yet, where the diffusion needs one.
    """
    network: Network = load(entry(config.name).network)(config, mel)
    if diffusion is not None and diffusion.preconditioning == "mel":
        network.add_module(POWER, MelPower(mel))
    return network


def config_class(name: str) -> type:
    """Config dataclass of a model."""
    return load(entry(name).config)
