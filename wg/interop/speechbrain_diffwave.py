"""SpeechBrain's DiffWave: the state dict of its network alone (diffwave.ckpt).

lmnt's layers below a `conv` or a `w`, but for the upsampler's; its convolutions mirror what they
see at the ends, where all others see zeros. `--config` reads the plain settings of its train.yaml.
Its mel is Tacotron 2's. It samples through all steps of training unless asked for its 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop.imported import Imported
from wg.interop.lmnt_diffwave import network_of
from wg.interop.reading import Settings, state_of
from wg.interop.sizes import every_step
from wg.mel.hub import named
from wg.mel.spec import MelSpec

WRAPPED = re.compile(r"\.(?:conv|w)\.(weight|bias)$")
MEL = {
    "sample_rate": "sample_rate",
    "spec_n_fft": "n_fft",
    "spec_f_min": "fmin",
    "spec_f_max": "fmax",
    "spec_hop_length": "hop_length",
    "spec_win_length": "win_length",
}
ONLY = {  # settings of the mel that have to be these
    "spec_power": (1,),
    "spec_norm": ("slaney",),
    "spec_mel_scale": ("slaney",),
    "mel_normalized": (False, None),
    "dynamic_range_compression": (True,),
}


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by lmnt's names; InputError for lmnt's own, whose convolutions do not mirror."""
    if "input_projection.weight" in state:
        raise InputError(
            "its layers are named as lmnt's (input_projection.weight, SpeechBrain: "
            "input_projection.conv.weight); import it as lmnt-diffwave"
        )
    return {WRAPPED.sub(r".\1", name): value for name, value in state.items()}


def mel_of(settings: Settings, bands: int | None) -> MelSpec:
    """Its mel; InputError for a setting that this mel cannot have."""
    for key, allowed in ONLY.items():
        if (value := settings.find(key, allowed[0])) not in allowed:
            raise InputError(f"{key} is {value!r}; only {allowed[0]!r} can be imported")
    if bands is not None and (stated := settings.find("spec_n_mels", bands)) != bands:
        raise InputError(f"spec_n_mels is {stated}, but the weights are for {bands} bands")
    spec = named("tacotron2")
    keys = MEL if bands is not None else {"sample_rate": "sample_rate"}
    changes = {ours: settings.take(theirs, vars(spec)[ours]) for theirs, ours in keys.items()}
    return replace(spec, **changes, n_mels=spec.n_mels if bands is None else bands)


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model of a checkpoint's `content` and of SpeechBrain's hyperparameters, `config`."""
    settings = Settings(config)
    state = unwrapped(state_of(path, content, ("model",)))
    model, weights, unmapped = network_of(state, settings.take("dilation_cycle_length", 10))
    for key, have in (("residual_layers", model.layers), ("residual_channels", model.channels)):
        if (stated := settings.find(key, have)) != have:
            raise InputError(f"{key} is {stated}, but the weights are of {have}")
    mel = model.conditions == "mel"
    schedule = DiffusionConfig(
        settings.take("beta_start", 1e-4),
        settings.take("beta_end", 0.05),
        settings.take("train_timesteps", 50),
        "discrete",
    )
    return Imported(
        model=replace(model, padding="reflect"),
        mel=mel_of(settings, weights["layers.0.condition.weight"].shape[1] if mel else None),
        diffusion=schedule,
        synthesis=SamplingConfig(
            every_step(schedule),
            clip=1.0,
            samples=None if mel else settings.take("audio_len", 110_250),
        ),
        weights=weights,
        unmapped=unmapped,
        guessed=settings.guessed,
    )
