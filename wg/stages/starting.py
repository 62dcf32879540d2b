"""What training begins with: weights of `train.init_from`, and the power of the mel's bins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from wg.config import Experiment, flatten, to_dict
from wg.data.dump import Dump
from wg.data.tars import Tars
from wg.diffusion.power import POWER
from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.checkpoint import FREE, IDENTITY
from wg.inference.folder import checksum
from wg.inference.kinds import load_trained
from wg.inference.model import TrainedModel
from wg.inference.pretrained import local_folder
from wg.mel.spec import MelSpec
from wg.models.network import ModelConfig
from wg.training.power import fit_power

if TYPE_CHECKING:
    from wg.training.diffusion import Diffusion

FIT = 500  # utterances that tell the power of the bins
# Keys that say how to train, not what is trained.
TRAINING = (
    *(f"model.{key}" for key in FREE),
    *("model.dropout", "model.zoneout", "model.duration_weight"),
    *("model.mask_frames", "model.mask_channels", "model.initialisation"),
    "diffusion.draws",
)
DRAWN = "diffusion.spacing"  # a network told of levels, not steps, takes them however spaced


def open_start(experiment: Experiment) -> TrainedModel:
    """The model of `train.init_from`; InputError unless it is what the experiment trains."""
    source = experiment.train.init_from
    assert source is not None
    try:
        start = load_trained(source)
        here, there, decoder = experiment.model, start.model.name, experiment.model.decoder_config
        if there == here.name:
            check_same(start, experiment, here)
        elif decoder is not None and there == decoder.name:
            check_same(start, experiment, decoder, f"model.{there}.")
        else:
            raise InputError(
                f"{source} is of model {there}, this experiment trains {here.name}; "
                f"take a folder of {here.name}, or an experiment (--model) of {there}"
            )
    except InputError as error:
        raise InputError(f"train.init_from: {error}") from None
    return start


def check_same(
    start: TrainedModel, experiment: Experiment, model: ModelConfig, prefix: str = "model."
) -> None:
    """InputError naming every key in which a model is not the experiment's, and how to set it.

    `model`: the experiment's, or the part of it that begins with `start`, whose keys are called
    `prefix` and so on.
    """
    there = values_of(start.model, start.mel_spec, start.diffusion)
    here = values_of(model, experiment.mel, experiment.diffusion)
    free = {*TRAINING, *model.unread}
    if start.diffusion.conditioning == "continuous":
        free.add(DRAWN)
    different = [key for key in there if key not in free and there[key] != here[key]]
    if different:
        keys = {key: key.replace("model.", prefix, 1) for key in different}
        named = ", ".join(
            f"{keys[key]} is {written(there[key])} there, {written(here[key])} here"
            for key in different
        )
        remedy = " ".join(f"{keys[key]}={written(there[key])}" for key in different)
        raise InputError(
            f"{experiment.train.init_from}: {named}; set {remedy}, or start from another folder"
        )


def values_of(model: ModelConfig, mel: MelSpec, diffusion: DiffusionConfig) -> dict[str, Any]:
    """Flat keys of what makes a model; one left to be derived has its derived value."""
    parts = (model.resolved(mel), mel, diffusion)
    flat = flatten({name: to_dict(part) for name, part in zip(IDENTITY, parts, strict=True)})
    return flat | {"mel.fmax": mel.top, "diffusion.precondition": diffusion.preconditioning}


def written(value: Any) -> str:
    """A value as an override has it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def begin(module: Diffusion, dump: Dump | Tars, exp: Path) -> None:
    """What a new network has before its first step: weights of another one, the bins' power."""
    from wg.training.resume import checkpoints_in

    if checkpoints_in(exp / "checkpoints"):
        return  # training goes on from one, which has its own
    source = module.experiment.train.init_from
    if source is not None:
        module.start = load_start(module.network, module.experiment)
        print(f"starting from {source}, {module.start['steps']:,} steps", flush=True)
    learn_power(module, dump)


def learn_power(module: Diffusion, dump: Dump | Tars) -> None:
    """Learns from a corpus what its mels say of the bins' power, where the model wants to know.

    Not from what training started with: other recordings have another band above the mel's fmax.
    """
    power = module.denoiser.power
    if power is None:
        return
    fit_power(power, dump.clips(FIT), min(FIT, len(dump)), module.experiment.mel)


def load_start(network: nn.Module, experiment: Experiment) -> dict[str, Any]:
    """Gives a network the weights of `train.init_from`; what is noted of it."""
    start = open_start(experiment)
    weights = start.network.state_dict()
    if start.model.name == experiment.model.name:
        network.load_state_dict(weights)
    else:  # the decoder's, with the power of its bins beside it
        own = {key: value for key, value in weights.items() if not key.startswith(f"{POWER}.")}
        network.get_submodule("decoder").load_state_dict(own)
        network.load_state_dict(
            {**network.state_dict(), **{key: weights[key] for key in weights.keys() - own.keys()}}
        )
    source = experiment.train.init_from
    assert source is not None
    sha256 = checksum(local_folder(source) / "model.safetensors")
    return {"source": source, "steps": start.history.steps, "sha256": sha256}
