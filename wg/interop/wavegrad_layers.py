"""Layers of the WaveGrad decoder as ivanvovk/WaveGrad names them, and those who took it over.

Both ports of WaveGrad 2 that are imported have it below a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from wg.interop.layers import Layer, count, layer

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
