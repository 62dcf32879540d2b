"""Model configs read from the shapes of weights that already have our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.diffusion.schedules import PUBLISHED, Schedule, check_betas, levels_from_betas, linear
from wg.errors import InputError
from wg.interop.layers import count
from wg.models.wavegrad import WaveGradConfig

LEAST_BETA = 1e-9


def wavegrad_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Channels of a WaveGrad whose blocks are not repeated."""
    ups = count(weights, "ublocks.{}.0.shortcut.weight")
    downs = count(weights, "dblocks.{}.0.shortcut.weight")
    return {
        "mel_channels": weights["mel_conv.weight"].shape[0],
        "up_channels": tuple(weights[f"ublocks.{u}.0.convs.1.weight"].shape[0] for u in range(ups)),
        "wave_channels": weights["wave_conv.weight"].shape[0],
        "down_channels": tuple(
            weights[f"dblocks.{d}.0.shortcut.weight"].shape[0] for d in range(downs)
        ),
    }


Dilations = Literal["lmnt", "paper", "large"]


def dilations_named(listed: Sequence[Sequence[int]], sizes: Mapping[str, Any]) -> Dilations:
    """Our name of a list of dilations; InputError for one that has none."""
    wanted = tuple(tuple(block) for block in listed)
    names: tuple[Dilations, ...] = ("lmnt", "paper", "large")
    for name in names:
        if WaveGradConfig(**sizes, dilations=name).resolved_dilations() == wanted:
            return name
    raise InputError(f"dilations {list(listed)} are none that wg has: paper, lmnt or large")


def wavegrad_bands(weights: Mapping[str, Tensor]) -> int:
    """Number of mel bands M that the weights are for."""
    return weights["mel_conv.weight"].shape[1]


def diffwave_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Channels, layers, conditions and upsampling factors of a DiffWave without weight norm."""
    mel = "layers.0.condition.weight" in weights
    upsamplers = count(weights, "upsamplers.{}.layers.0.weight")
    kernels = [
        weights[f"upsamplers.0.layers.{i}.weight"].shape[-1]
        for i in range(count(weights, "upsamplers.0.layers.{}.weight"))
    ]
    return {
        "channels": weights["input.weight"].shape[0],
        "layers": count(weights, "layers.{}.dilated.weight"),
        "conditions": "mel" if mel else "none",
        "factors": tuple(kernel // 2 for kernel in kernels) if mel else None,
        "upsampler": "shared" if upsamplers == 1 else "per_layer",
        "weight_norm": False,
    }


def trained_on(betas: Sequence[float]) -> DiffusionConfig:
    """The training schedule of a list of betas, linear or not; InputError for betas that are none.

    A searched list may have some below 0, by rounding: these count as the least, 1e-9.
    """
    listed = [float(beta) for beta in betas]
    if min(listed, default=0.0) > -1e-6:
        listed = [max(beta, LEAST_BETA) for beta in listed]
    check_betas(listed, "its training schedule")
    first, last = listed[0], listed[-1]
    step = (last - first) / max(1, len(listed) - 1)
    even = all(abs(beta - first - i * step) <= 1e-9 for i, beta in enumerate(listed))
    return DiffusionConfig(first, last, len(listed), betas=() if even else tuple(listed))


def linear_betas(start: float, end: float, steps: int) -> tuple[list[float], str]:
    """Betas evenly spaced, and what to call them."""
    return linear(start, end, steps).tolist(), f"{steps} betas from {start:g} to {end:g}"


def every_step(schedule: DiffusionConfig) -> str:
    """The name of the schedule that goes through all steps of training."""
    return f"quantiles-{schedule.steps}"


def linear_schedule(start: float, end: float, steps: int) -> Schedule:
    """A schedule of linear betas: the published one that it is, else its levels."""
    betas = linear(start, end, steps)
    same = (name for name, made in PUBLISHED.items() if torch.equal(made(), betas))
    return next(same, tuple(levels_from_betas(betas).tolist()))
