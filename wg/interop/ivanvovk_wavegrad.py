"""ivanvovk/WaveGrad: `{iteration, model, ...}`, the network below `nn.`, or that network alone.

Linear interpolation up and down, the paper's 5000 in the level encoding, whose angles are in
float32, dilations reversed. Its sampling bounds the estimate of x_0, as is done here, and asks for
a schedule; the one its training is watched with is taken. A first version encoded time, by a table
that gives it away; a later one, before its issue 12, had a wrong exponent and cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import TrainingSchedule
from wg.errors import InputError
from wg.inference.model import Synthesis
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, layer, translate
from wg.interop.reading import Settings, state_of
from wg.interop.sizes import dilations_named, linear_schedule, wavegrad_bands, wavegrad_sizes
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.wavegrad import WaveGradConfig

BUFFERS = (
    *("betas", "alphas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod"),
    *("sqrt_recip_alphas_cumprod", "sqrt_alphas_cumprod_m1", "posterior_log_variance_clipped"),
    *("posterior_mean_coef1", "posterior_mean_coef2", "sqrt_recipm1_alphas_cumprod"),
)
UBLOCK = (
    "first_block_main_branch.upsampling.2",
    "first_block_main_branch.modulation.convolution",
    "second_block_main_branch.modulation_0.convolution",
    "second_block_main_branch.modulation_1.convolution",
)


def table(state: Mapping[str, Tensor], prefix: str = "nn.") -> dict[str, Layer]:
    """Our layers and theirs, whose names begin with `prefix`."""
    rows = {
        "mel_conv": layer(f"{prefix}ublock_preconv.conv1d"),
        "wave_conv": layer(f"{prefix}dblock_preconv.conv1d"),
        "out_conv": layer(f"{prefix}ublock_postconv.conv1d"),
    }
    for f in range(count(state, f"{prefix}films.{{}}.shift_conv.conv1d.weight")):
        film = f"{prefix}films.{f}"
        rows[f"films.{f}.input"] = layer(f"{film}.signal_conv.0.conv1d")
        rows[f"films.{f}.output"] = layer(f"{film}.shift_conv.conv1d", f"{film}.scale_conv.conv1d")
    return rows | block_rows(state, prefix, 0)


def block_rows(
    state: Mapping[str, Tensor], prefix: str, place: int, ublock: Sequence[str] = UBLOCK
) -> dict[str, Layer]:
    """Rows of the blocks that are at this place, 0 or 1, of each of our groups of blocks.

    `ublock` has the convolutions of a UBlock; a first DBlock's begin with a resampling.
    """
    rows = {}
    for d in range(count(state, f"{prefix}dblocks.{{}}.residual_branch.0.conv1d.weight")):
        block = f"{prefix}dblocks.{d}"
        rows[f"dblocks.{d}.{place}.shortcut"] = layer(f"{block}.residual_branch.0.conv1d")
        for j in range(3):
            theirs = f"{block}.main_branch.{j + 1 - place}.convolution.conv1d"
            rows[f"dblocks.{d}.{place}.convs.{j}"] = layer(theirs)
    shortcut = "first_block_residual_branch.0.conv1d"
    for u in range(count(state, f"{prefix}ublocks.{{}}.{shortcut}.weight")):
        block = f"{prefix}ublocks.{u}"
        rows[f"ublocks.{u}.{place}.shortcut"] = layer(f"{block}.{shortcut}")
        for j, name in enumerate(ublock):
            rows[f"ublocks.{u}.{place}.convs.{j}"] = layer(f"{block}.{name}.conv1d")
    return rows


def mel_of(bands: int, settings: Settings) -> MelSpec:
    """`data_config` over its defaults; InputError for another number of bands."""
    spec = named("ivanvovk-wavegrad")
    names = {"f_min": "fmin", "f_max": "fmax"}
    names |= {name: name for name in ("sample_rate", "n_fft", "win_length", "hop_length")}
    changes = {
        ours: settings.take(f"data_config.{theirs}", vars(spec)[ours])
        for theirs, ours in names.items()
    }
    if (told := settings.find("data_config.n_mels", bands)) != bands:
        raise InputError(f"data_config.n_mels is {told}, but the weights are for {bands} bands")
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
        diffusion=TrainingSchedule(*betas_of(settings, "training_noise_schedule", 1000)),
        synthesis=Synthesis(
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
