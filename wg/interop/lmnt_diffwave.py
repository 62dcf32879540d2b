"""lmnt-com/diffwave: `{step, model, optimizer, params, scaler}`, with or without a mel.

Its gate comes first and its filter second, the reverse of ours. Its table of step embeddings is in
float32, where the highest of its frequencies have few digits left: the same here. It samples
through all steps of training unless asked for its 6.
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
from wg.interop.sizes import diffwave_sizes, every_step, linear_betas, trained_on
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.diffwave import DiffWaveConfig

SECONDS = 5  # of a clip that an unconditional model makes, unless its params say audio_len


def table(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Each of our layers by name, with the one of this project that has its weights."""
    rows = {
        "input": layer("input_projection"),
        "embedding.fc1": layer("diffusion_embedding.projection1"),
        "embedding.fc2": layer("diffusion_embedding.projection2"),
        "skip": layer("skip_projection"),
        "output": layer("output_projection"),
    }
    for i in range(count(state, "spectrogram_upsampler.conv{}.weight", first=1)):
        rows[f"upsamplers.0.layers.{i}"] = layer(f"spectrogram_upsampler.conv{i + 1}")
    for i in range(count(state, "residual_layers.{}.dilated_conv.weight")):
        block = f"residual_layers.{i}"
        rows[f"layers.{i}.dilated"] = layer(f"{block}.dilated_conv", swap=True)
        rows[f"layers.{i}.step"] = layer(f"{block}.diffusion_projection")
        rows[f"layers.{i}.output"] = layer(f"{block}.output_projection")
        if f"{block}.conditioner_projection.weight" in state:
            rows[f"layers.{i}.condition"] = layer(f"{block}.conditioner_projection", swap=True)
    return rows


def network_of(
    state: Mapping[str, Tensor], cycle: int
) -> tuple[DiffWaveConfig, dict[str, Tensor], list[str]]:
    """(config, weights, unmapped); the cycle of dilations leaves no trace in weights."""
    weights, unmapped = translate(state, table(state))
    sizes = diffwave_sizes(weights)
    model = DiffWaveConfig(**sizes, dilation_cycle=cycle, step_frequencies="rising_single")
    return model, weights, unmapped


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `params` of the checkpoint, or `config`, say rate, hop, cycle and schedule."""
    params = Settings({**section(content, "params"), **config})
    state = state_of(path, content, ("model",))
    model, weights, unmapped = network_of(state, params.take("dilation_cycle_length", 10))
    mel = mel_of(weights, params)
    schedule = trained_on(params.take("noise_schedule", *linear_betas(1e-4, 0.05, 50)))
    samples = params.find("audio_len", SECONDS * mel.sample_rate)
    return Imported(
        model=model,
        mel=mel,
        diffusion=replace(schedule, conditioning="discrete"),
        synthesis=SamplingConfig(
            every_step(schedule),
            clip=1.0,
            samples=None if model.conditions == "mel" else samples,
        ),
        weights=weights,
        unmapped=unmapped,
        guessed=params.guessed,
    )


def mel_of(weights: Mapping[str, Tensor], params: Settings) -> MelSpec:
    """Its preprocessing: a window of four hops."""
    spec = named("lmnt-diffwave")
    if "layers.0.condition.weight" in weights:
        spec = replace(spec, n_mels=weights["layers.0.condition.weight"].shape[1])
    rate = params.take("sample_rate", spec.sample_rate)
    if "layers.0.condition.weight" not in weights:
        return replace(spec, sample_rate=rate)
    hop = params.take("hop_samples", spec.hop_length)
    n_fft = params.take("n_fft", spec.n_fft)
    return replace(spec, sample_rate=rate, hop_length=hop, win_length=4 * hop, n_fft=n_fft)
