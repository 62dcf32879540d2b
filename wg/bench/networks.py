"""Networks whose speed is measured, by name: ours with their sampling loop, and other people's.

Shapes: B batch, M mels, F frames, T samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from wg.bench.systems import made_by
from wg.config import load_experiment
from wg.errors import InputError, nearest
from wg.inference.model import SamplingConfig
from wg.inference.pretrained import SHIPPED
from wg.inference.vocoder import Vocoder
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models import build_network, config_class

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
MEL = "hifigan"  # of a factory that is given none


@dataclass(frozen=True)
class OurNetwork:
    """A vocoder of wg and how it samples."""

    name: str
    vocoder: Vocoder
    synthesis: SamplingConfig
    random: bool = False  # its weights

    @property
    def spec(self) -> MelSpec:
        """The mel that it is given."""
        return self.vocoder.mel_spec

    def __call__(self, mels: Tensor) -> Tensor:
        """Waveforms [B, T] of mels [B, M, F], each with a seed of its own."""
        return self.vocoder(mels, self.synthesis, seed=range(len(mels)))


@dataclass(frozen=True)
class ExternalNetwork:
    """What a factory makes, perhaps an `nn.Module`, of mels of this spec."""

    name: str
    spec: MelSpec
    call: Callable[[Tensor], Tensor]

    @torch.inference_mode()
    def __call__(self, mels: Tensor) -> Tensor:
        """Waveforms [B, T] of mels [B, M, F]; those that draw noise draw the same every time."""
        torch.manual_seed(0)
        return self.call(mels)


Candidate = OurNetwork | ExternalNetwork


def candidate_of(name: str, steps: str, consistency: int | None, device: torch.device) -> Candidate:
    """The network that a user names; InputError, naming what there is, for none.

    A vocoder that ships or a folder; RECIPE/EXPERIMENT of `recipes/RECIPE/conf`, with random
    weights, which change no speed; MODULE:FACTORY[@MEL][,KEY=VALUE ...], a factory as `wg bench`
    takes it. `steps` and `consistency` (None: its own) are for ours.
    """
    if ":" in name:
        return theirs(name, device)
    vocoder, random = vocoder_of(name)
    synthesis = vocoder.synthesis.override(None, steps, None, consistency)
    vocoder.levels(synthesis)
    return OurNetwork(name, vocoder.to(device), synthesis, random)


def vocoder_of(name: str) -> tuple[Vocoder, bool]:
    """A vocoder, and whether its weights are random."""
    if name in SHIPPED or Path(name).is_dir():
        return Vocoder.from_pretrained(name), False
    recipe, _, experiment = name.partition("/")
    if not (RECIPES / recipe / "conf" / f"{experiment}.yaml").is_file():
        known = [f"{p.parents[1].name}/{p.stem}" for p in RECIPES.glob("*/conf/*.yaml")]
        raise InputError(
            f"{name}: no vocoder that ships, no folder and no experiment of a recipe (a factory "
            f"is MODULE:FACTORY); {nearest(name, [*SHIPPED, *known])}"
        )
    return untrained(RECIPES / recipe, experiment), True


def untrained(recipe: Path, name: str) -> Vocoder:
    """The vocoder of an experiment with random weights; what begins at zero is random, too."""
    experiment = load_experiment(recipe, name, [], config_class)
    model, spec, decode = experiment.model, experiment.mel, experiment.decode
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(model, spec, experiment.diffusion)
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.01)
    clip = decode.clip or 1.0  # without a bound, estimates of no use grow step by step
    synthesis = SamplingConfig(decode.schedule, decode.sampler, clip, decode.consistency)
    vocoder = Vocoder(network, model, spec, experiment.diffusion, synthesis)
    power = vocoder.denoiser.power
    if power is not None and not power.fitted:
        power.bias.fill_(-6)  # a quiet recording's
    return vocoder


def theirs(name: str, device: torch.device) -> ExternalNetwork:
    """The network of MODULE:FACTORY[@MEL][,KEY=VALUE ...]; numbers are given as such."""
    named_mel, *further = name.split(",")
    factory, _, mel = named_mel.partition("@")
    options: dict[str, str | int] = {}
    for word in further:
        key, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{name}: {word!r} is no KEY=VALUE of the factory")
        options[key] = int(value) if value.isdecimal() else value
    spec = named(mel or MEL)
    call = made_by(factory, spec, options)
    if isinstance(call, nn.Module):
        call = call.to(device).eval().requires_grad_(False)
    return ExternalNetwork(factory.partition(":")[2], spec, call)
