"""ivanvovk/WaveGrad: `{iteration, model, ...}`, the network below `nn.`, or that network alone.

Linear interpolation up and down, the paper's 5000 in the level encoding, whose angles are in
float32, dilations reversed. Its sampling bounds the estimate of x_0, as is done here, and asks for
a schedule; the one its training is watched with is taken. A first version encoded time, by a table
that gives it away; a later one, before its issue 12, had a wrong exponent and cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop.imported import Imported
from wg.interop.layers import translate
from wg.interop.reading import Settings, state_of
from wg.interop.sizes import dilations_named, linear_schedule, wavegrad_bands, wavegrad_sizes
from wg.interop.wavegrad_layers import BUFFERS, table
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.wavegrad import WaveGradConfig


def mel_of(bands: int, settings: Settings) -> MelSpec:
    """`data_config` over its defaults; InputError for another number of bands."""
    spec = named("ivanvovk-wavegrad")
    names = {"f_min": "fmin", "f_max": "fmax"}
    names |= {name: name for name in ("sample_rate", "n_fft", "win_length", "hop_length")}
    changes = {
        ours: settings.take(f"data_config.{theirs}", vars(spec)[ours])
        for theirs, ours in names.items()
    }
    if (stated := settings.find("data_config.n_mels", bands)) != bands:
        raise InputError(f"data_config.n_mels is {stated}, but the weights are for {bands} bands")
    return replace(spec, n_mels=bands, **changes)


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `config` is its configs/*.json."""
    settings = Settings(config)
    state = state_of(path, content, ("model",))
    if any(name.endswith("positional_encoding.pe") for name in state):
        raise InputError(
            "weights of an early version, whose level encoding was a table of time "
            "(positional_encoding.pe); only weights of later ones can be imported"
        )
    prefix = "nn." if any(name.startswith("nn.") for name in state) else ""
    weights, unmapped = translate(state, table(state, prefix), BUFFERS)
    sizes = wavegrad_sizes(weights)
    listed = settings.take("model_config.upsampling_dilations", None, "1,2,1,2 first (lmnt)")
    return Imported(
        model=WaveGradConfig(
            **sizes,
            factors=tuple(settings.take("model_config.factors", (5, 5, 3, 2, 2))),
            dilations=dilations_named(listed, sizes) if listed else "lmnt",
            level_encoding="sinusoid_single",
            up="linear",
            down="linear",
        ),
        mel=mel_of(wavegrad_bands(weights), settings),
        diffusion=DiffusionConfig(*betas_of(settings, "training_noise_schedule", 1000)),
        synthesis=SamplingConfig(
            linear_schedule(*betas_of(settings, "test_noise_schedule", 50)), clip=1.0
        ),
        weights=weights,
        unmapped=unmapped,
        guessed=settings.guessed,
    )


def betas_of(settings: Settings, name: str, steps: int) -> tuple[float, float, int]:
    """First and last beta and number of a schedule of its `training_config`."""
    key, guess = f"training_config.{name}", {"betas_range": (1e-6, 0.01), "n_iter": steps}
    found = settings.take(key, guess, f"{steps} betas from 1e-06 to 0.01")
    start, end = found["betas_range"]
    return start, end, found["n_iter"]
