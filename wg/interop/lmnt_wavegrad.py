"""lmnt-com/wavegrad: `{step, model, optimizer, params, scaler}`.

Its level encoding has no factor of 5000 and its dilations are the paper's reversed. Its factors
are fixed. It samples through the schedule of its params, of training unless changed, and clamps the
noisy waveform at every step; here the estimate of x_0 is bounded instead, unless clip is "state".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.inference.model import SamplingConfig
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, layer, translate
from wg.interop.reading import Settings, section, state_of
from wg.interop.sizes import (
    every_step,
    linear_betas,
    trained_on,
    wavegrad_bands,
    wavegrad_sizes,
)
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.wavegrad import WaveGradConfig

FACTORS = (5, 5, 3, 2, 2)


def table(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Each of our layers by name, with the one of this project that has its weights."""
    rows = {
        "mel_conv": layer("first_conv"),
        "wave_conv": layer("downsample.0"),
        "out_conv": layer("last_conv"),
    }
    for f in range(count(state, "film.{}.input_conv.weight")):
        rows[f"films.{f}.input"] = layer(f"film.{f}.input_conv")
        rows[f"films.{f}.output"] = layer(f"film.{f}.output_conv")  # shift, then scale
    for d in range(count(state, "film.{}.input_conv.weight") - 1):
        rows[f"dblocks.{d}.0.shortcut"] = layer(f"downsample.{d + 1}.residual_dense")
        for j in range(3):
            rows[f"dblocks.{d}.0.convs.{j}"] = layer(f"downsample.{d + 1}.conv.{j}")
    for u in range(count(state, "upsample.{}.block1.weight")):
        rows[f"ublocks.{u}.0.shortcut"] = layer(f"upsample.{u}.block1")
        for j in range(4):
            rows[f"ublocks.{u}.0.convs.{j}"] = layer(f"upsample.{u}.block{2 + j // 2}.{j % 2}")
    return rows


def mel_of(bands: int, params: Settings) -> MelSpec:
    """Its preprocessing: a window of four hops, and the FFT that holds it."""
    spec = replace(named("lmnt-wavegrad"), n_mels=bands)
    rate = params.take("sample_rate", spec.sample_rate)
    hop = params.take("hop_samples", spec.hop_length)
    n_fft = 1 << (4 * hop - 1).bit_length()
    return replace(spec, sample_rate=rate, hop_length=hop, win_length=4 * hop, n_fft=n_fft)


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `params` of the checkpoint, or `config`, say rate, hop and schedule."""
    params = Settings({**section(content, "params"), **config})
    state = state_of(path, content, ("model",))
    weights, unmapped = translate(state, table(state))
    schedule = trained_on(params.take("noise_schedule", *linear_betas(1e-6, 0.01, 1000)))
    return Imported(
        model=WaveGradConfig(
            **wavegrad_sizes(weights), factors=FACTORS, dilations="lmnt", level_scale=1.0
        ),
        mel=mel_of(wavegrad_bands(weights), params),
        diffusion=schedule,
        synthesis=SamplingConfig(every_step(schedule), clip=1.0),
        weights=weights,
        unmapped=unmapped,
        guessed=params.guessed,
    )
