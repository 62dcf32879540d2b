"""ivanvovk/WaveGrad: `{iteration, model, ...}`, the network below `nn.`, its schedule as buffers.

Linear interpolation up and down, the paper's 5000 in the level encoding, dilations reversed. Its
sampling bounds the estimate of x_0, as is done here. Checkpoints from before its issue 12 had
another level encoding and cannot be told from later ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import TrainingSchedule
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, layer, translate
from wg.interop.reading import state_of
from wg.interop.sizes import dilations_named, wavegrad_bands, wavegrad_sizes
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.wavegrad import WaveGradConfig
from wg.vocoder import Synthesis

BUFFERS = (
    *("betas", "alphas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod"),
    *("sqrt_recip_alphas_cumprod", "sqrt_alphas_cumprod_m1", "posterior_log_variance_clipped"),
    *("posterior_mean_coef1", "posterior_mean_coef2"),
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


def mel_of(bands: int, data: Mapping[str, Any]) -> MelSpec:
    """`data_config` over its defaults."""
    names = {"f_min": "fmin", "f_max": "fmax"}
    names |= {name: name for name in ("sample_rate", "n_fft", "win_length", "hop_length")}
    changes = {ours: data[theirs] for theirs, ours in names.items() if theirs in data}
    return replace(named("ivanvovk-wavegrad"), n_mels=bands, **changes)


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `config` is its configs/*.json."""
    state = state_of(path, content, ("model",))
    weights, unmapped = translate(state, table(state), BUFFERS)
    sizes = wavegrad_sizes(weights)
    model = config["model_config"] if config else {}
    factors = tuple(model["factors"]) if model else (5, 5, 3, 2, 2)
    order = dilations_named(model["upsampling_dilations"], sizes) if model else "lmnt"
    schedule = config["training_config"]["training_noise_schedule"] if config else None
    start, end = schedule["betas_range"] if schedule else (1e-6, 0.01)
    steps = schedule["n_iter"] if schedule else 1000
    return Imported(
        model=WaveGradConfig(**sizes, factors=factors, dilations=order, up="linear", down="linear"),
        mel=mel_of(wavegrad_bands(weights), config["data_config"] if config else {}),
        diffusion=TrainingSchedule(start, end, steps),
        synthesis=Synthesis("50", clip=1.0),
        weights=weights,
        unmapped=unmapped,
    )
