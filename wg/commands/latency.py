"""`wg bench latency`: what streaming costs and how late its audio comes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wg.commands.options import Options
from wg.commands.sampling import (
    add_device,
    add_sampling,
    add_vocoding,
    check_chunks,
    chosen,
    placed,
)
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.pretrained import DEFAULT
from wg.inference.receptive_field import receptive_field_of
from wg.inference.streaming import begun
from wg.inference.vocoder import Vocoder
from wg.processes.devices import synchronise
from wg.report.table import markdown


def parser() -> Options:
    """Command-line options of `wg bench latency`."""
    options = Options(prog="wg bench latency", allow_abbrev=False)
    options.add_argument("--vocoder", default=DEFAULT, help="folder, hub id or name [%(default)s]")
    add_sampling(options)
    add_vocoding(options, chunk=20)
    options.add_argument("--seconds", type=float, default=5.0, help="of audio [%(default)s]")
    add_device(options)
    return options


def streamed(
    vocoder: Vocoder, synthesis: SamplingConfig, mel: Tensor, chunk: int, context: int | None
) -> tuple[Tensor, list[float], float]:
    """Of a mel [M, F]: waveform [T], seconds of computing each chunk, and until the first audio."""
    state = begun(vocoder, synthesis, 0, context)
    made, seconds, first = [], [], 0.0
    for part in [*mel.split(chunk, 1), None]:
        synchronise(vocoder.device)
        started = time.perf_counter()
        made.append(state.push(part))
        synchronise(vocoder.device)
        seconds.append(time.perf_counter() - started)
        if not first and len(made[-1]):
            first = sum(seconds)
    return torch.cat([wave.cpu() for wave in made]), seconds, first


def latency(arguments: Sequence[str]) -> None:
    """Streams a mel of noise (what it says changes no cost) and prints a table."""
    options = parser().parse_args(arguments)
    check_chunks(options)
    vocoder = placed(Vocoder.from_pretrained(options.vocoder), options)
    synthesis, levels = chosen(vocoder, options, options.consistency)
    spec = vocoder.mel_spec
    frame = spec.hop_length / spec.sample_rate
    if not options.chunk * frame <= options.seconds <= 3600:
        raise InputError(
            f"--seconds {options.seconds:g}: give at least a chunk, {options.chunk * frame:.2f} s, "
            "and at most 3600"
        )
    frames = round(options.seconds / frame)
    noise = torch.randn(spec.n_mels, frames, generator=torch.Generator().manual_seed(0))
    mel = (spec.silence[:, None] + noise.abs()).to(vocoder.device)
    pieces = options.chunk, options.context
    streamed(vocoder, synthesis, mel[:, : 2 * options.chunk], *pieces)  # warm-up
    wave, seconds, first = streamed(vocoder, synthesis, mel, *pieces)
    synchronise(vocoder.device)
    started = time.perf_counter()
    full = vocoder(mel, synthesis)
    synchronise(vocoder.device)
    whole = time.perf_counter() - started
    state = begun(vocoder, synthesis, 0, options.context)
    reach = receptive_field_of(vocoder.denoiser)
    # The chunks in the middle: the first ones wait for context, the last makes all that is left.
    middle = seconds[-(-state.latency // options.chunk) : -1] or seconds
    duration = frames * frame
    rows = [
        ["sampler, steps", f"{synthesis.sampler}, {len(levels) - 1}"],
        ["reach of the network", f"{reach.behind} frames behind, {reach.ahead} ahead"],
        ["look-ahead", f"{state.latency} frames, {1000 * state.latency * frame:.0f} ms"],
        ["chunk", f"{options.chunk} frames, {1000 * options.chunk * frame:.0f} ms"],
        ["computing a chunk, median", f"{1000 * np.median(middle):.1f} ms"],
        ["computing a chunk, 95 %", f"{1000 * np.quantile(middle, 0.95):.1f} ms"],
        ["computing until the first audio", f"{1000 * first:.1f} ms"],
        ["real-time factor, stream", f"{sum(seconds) / duration:.3f}"],
        ["real-time factor, one call", f"{whole / duration:.3f}"],
        ["overhead of streaming", f"{sum(seconds) / whole:.2f} x"],
    ]
    if options.context is None:  # else what this noise says of it is not what speech does
        difference = (wave - full.cpu()).abs().max()
        rows.append(["largest difference from one call", f"{difference:.1e}"])
    print(markdown(["latency", f"{duration:.1f} s of audio"], rows))
