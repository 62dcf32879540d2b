"""Networks: one file a model, plain torch. The registry names each one's parts.

A network supplies two methods and nothing else is asked of it; `wg.models.denoiser` calls them:

- `condition(batch) -> cond`: everything that does not depend on the noise level, computed once,
  from `batch["mel"]` [B, M, F] (or `batch["class"]` [B], symbols, or nothing) and, where some of
  it is padding, `batch["frames"]` [B];
- `denoise(x, noise_input, cond) -> eps`: x [B, T], noise_input [B] (a level or a fractional
  step, see `TrainingSchedule.network_input`), eps [B, T]. A network with `domain = "bins"` has
  `denoise(y, log_snr, log_ratio, cond) -> F` instead, see `wg.models.spectral`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from wg.diffusion.power import POWER, MelPower
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
    domain: str = "wave"  # what it denoises: waveforms, or bins that the mel has whitened


REGISTRY: dict[str, Entry] = {
    "wavegrad": Entry(
        config="wg.models.wavegrad:WaveGradConfig",
        network="wg.models.wavegrad:WaveGradNetwork",
        system="wg.training.modules:WaveGrad",
    ),
    "diffwave": Entry(
        config="wg.models.diffwave:DiffWaveConfig",
        network="wg.models.diffwave:DiffWaveNetwork",
        system="wg.training.modules:DiffWave",
        conditions=None,
        told=("discrete",),
    ),
    "spectral": Entry(
        config="wg.models.spectral:SpectralConfig",
        network="wg.models.spectral:SpectralNetwork",
        system="wg.training.modules:WaveGrad",
        told=("continuous",),
        domain="bins",
    ),
    "wavegrad2": Entry(
        config="wg.models.wavegrad2:WaveGrad2Config",
        network="wg.models.wavegrad2:WaveGrad2Network",
        system="wg.training.modules:WaveGrad2",
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
    if diffusion.of_mel and conditions_of(config) != "mel":
        plain = diffusion.prior == "standard"
        key, without = ("precondition", "none") if plain else ("prior", "standard")
        raise InputError(
            f"diffusion.{key} is {vars(diffusion)[key]!r}, which is computed from the mel, but "
            f"this {config.name} takes none; set diffusion.{key}={without}"
        )
    if entry(config.name).domain == "bins" and diffusion.preconditioning != "mel":
        raise InputError(
            f"{config.name} works on bins whitened by the mel; set diffusion.precondition=mel"
        )
    told = entry(config.name).told
    if diffusion.conditioning not in told:
        raise InputError(
            f"diffusion.conditioning is {diffusion.conditioning!r}, but {config.name} takes "
            f"{' or '.join(told)}; set diffusion.conditioning={told[0]}"
        )


def build_network(
    config: Any, mel: MelSpec, diffusion: TrainingSchedule | None = None
) -> nn.Module:
    """The network that a model config describes, with random weights.

    With a `MelPower`, not fitted yet, where the diffusion needs one.
    """
    network = load(entry(config.name).network)(config, mel)
    if diffusion is not None and diffusion.preconditioning == "mel":
        network.add_module(POWER, MelPower(mel))
    return network


def config_class(name: str) -> type:
    """Config dataclass of a model."""
    return load(entry(name).config)
