"""Options of every command that samples: how, and where."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import TypeVar, get_args

import torch
from torch import Tensor

from wg.diffusion.samplers import SAMPLERS, Clip, sampler
from wg.errors import InputError
from wg.inference.model import Precision, SamplingConfig, TrainedModel
from wg.models.int8 import int8_layers
from wg.processes.devices import computes_in_bfloat16, computes_in_int8

Model = TypeVar("Model", bound=TrainedModel)
STEPS = "step count, quantiles-N, published name or file [the model's own]"


def add_sampling(options: argparse.ArgumentParser) -> None:
    """Adds --steps, --sampler and --clip, which override how the model samples."""
    options.add_argument("--steps", help=STEPS)
    options.add_argument("--sampler", help=f"{', '.join(SAMPLERS)} or ddim-ETA")
    options.add_argument("--clip", help="bound on the estimate of x_0; state: of 1 on the state")


def add_vocoding(options: argparse.ArgumentParser, chunk: int | None = None) -> None:
    """Adds --consistency, --chunk and --context, of a vocoder; for `check_chunks`."""
    options.add_argument(
        "--consistency",
        type=int,
        metavar="K",
        help="iterations that make estimates agree with the mel; 0: none [the vocoder's own]",
    )
    options.add_argument(
        "--chunk",
        type=int,
        default=chunk,
        help=f"stream, so many frames at a time [{chunk or 'all at once'}]",
    )
    options.add_argument(
        "--context",
        type=int,
        metavar="FRAMES",
        help="frames to either side that a streamed piece sees: nearly the whole, sooner [all]",
    )


def add_device(options: argparse.ArgumentParser) -> None:
    """Adds --device and --precision: where and in what the model computes."""
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    options.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="bf16: faster and nearly the same, where the device computes in it; int8: large "
        "convolutions in 8 bits besides, on a CPU [%(default)s]",
    )


def placed(model: Model, options: argparse.Namespace) -> Model:
    """The model on its device, set to be fast there; InputError for what it does not compute in."""
    device, wanted = device_of(options.device), options.precision
    if wanted == "int8":
        check_int8(model, device)
    if device.type == "cpu":
        if wanted == "bf16" and not computes_in_bfloat16():
            raise InputError(
                "--precision bf16: this CPU does not compute in it (neither avx512_bf16 nor amx), "
                "which would be slower; leave --precision out"
            )
        return model.to(device).optimize(wanted)
    return model.to(device).bfloat16() if wanted == "bf16" else model.to(device)


def check_chunks(options: argparse.Namespace) -> None:
    """InputError for a --chunk or --context that is none."""
    if options.chunk is not None and options.chunk < 1:
        raise InputError(f"--chunk {options.chunk}: give at least 1 frame")
    if options.context is None:
        return
    if options.chunk is None:
        raise InputError(f"--context {options.context}: for streaming alone; give --chunk too")
    if options.context < 1:
        raise InputError(f"--context {options.context}: give at least 1 frame")


def check_int8(model: TrainedModel, device: torch.device) -> None:
    """InputError where 8 bits cannot be, or would gain nothing."""
    if device.type != "cpu":
        raise InputError(f"--precision int8 is for CPUs, not {device}; take bf16")
    if not computes_in_int8():
        raise InputError(
            "--precision int8: this CPU does not compute in it (no avx512_vnni); leave it out"
        )
    if not int8_layers(model.network):
        raise InputError(
            f"--precision int8: no convolution of this {model.model.name} is large enough to be "
            "faster so; take bf16"
        )


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
