"""Options of every command that samples: how, and where."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

import torch
from torch import Tensor

from wg.diffusion.samplers import SAMPLERS, Clip, sampler
from wg.errors import InputError
from wg.inference.model import SamplingConfig, TrainedModel

STEPS = "step count, quantiles-N, published name or file [the model's own]"


def add_sampling(options: argparse.ArgumentParser) -> None:
    """Adds --steps, --sampler and --clip, which override how the model samples."""
    options.add_argument("--steps", help=STEPS)
    options.add_argument("--sampler", help=f"{', '.join(SAMPLERS)} or ddim-ETA")
    options.add_argument("--clip", help="bound on the estimate of x_0; state: of 1 on the state")


def chosen(
    model: TrainedModel, options: argparse.Namespace, consistency: int | None = None
) -> tuple[SamplingConfig, Tensor]:
    """The model's way to sample with what is asked for, and its levels [N + 1].

    `options` has steps and sampler, and perhaps clip. InputError names the option.
    """
    try:
        synthesis = model.synthesis.override(None, options.steps, options.sampler, consistency)
    except InputError as error:
        raise InputError(f"--consistency {consistency}: {error}") from None
    try:
        sampler(synthesis.sampler)
    except InputError as error:
        raise InputError(f"--sampler: {error}") from None
    if "clip" in options and options.clip is not None:
        synthesis = replace(synthesis, clip=clip_of(options.clip))
    try:
        return synthesis, model.levels(synthesis)
    except InputError as error:
        raise InputError(f"--steps: {error}") from None


def clip_of(text: str) -> Clip:
    """A bound as the command line has it; InputError for none."""
    if text == "state":
        return "state"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise InputError(f"--clip {text}: give a positive number, or state")
    return value


def device_of(name: str) -> torch.device:
    """The device; InputError for one that this machine has not."""
    kind, _, number = name.partition(":")
    found = torch.cuda.device_count()
    if name != "cpu" and (kind != "cuda" or (number and not number.isdigit())):
        raise InputError(f"--device {name}: give cpu, cuda or cuda:NUMBER")
    if kind == "cuda" and int(number or 0) >= found:
        raise InputError(f"--device {name}: this machine has {found} CUDA devices")
    return torch.device(name)
