"""lmnt-com/diffwave: `{step, model, optimizer, params, scaler}`, with or without a mel.

Its gate comes first and its filter second, the reverse of ours. Its table of step embeddings is in
float32, where the highest of its frequencies have few digits left: the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import TrainingSchedule
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, layer, translate
from wg.interop.reading import state_of
from wg.interop.sizes import diffwave_sizes, linear_betas
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.diffwave import DiffWaveConfig
from wg.vocoder import Synthesis

SECONDS = 5  # of a clip that an unconditional model makes, unless its params say audio_len


def table(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Our layers and theirs."""
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


def network_of(state: Mapping[str, Tensor], cycle: int) -> tuple[DiffWaveConfig, Any, list[str]]:
    """(config, weights, unmapped); the cycle of dilations leaves no trace in weights."""
    weights, unmapped = translate(state, table(state))
    sizes = diffwave_sizes(weights)
    model = DiffWaveConfig(**sizes, dilation_cycle=cycle, step_frequencies="rising_single")
    return model, weights, unmapped


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `params` of the checkpoint, or `config`, say rate, hop, cycle and schedule."""
    params = {**(content["params"] if "params" in content else {}), **config}
    state = state_of(path, content, ("model",))
    cycle = params["dilation_cycle_length"] if "dilation_cycle_length" in params else 10
    model, weights, unmapped = network_of(state, cycle)
    mel = mel_of(weights, params)
    betas = params["noise_schedule"] if "noise_schedule" in params else None
    schedule = TrainingSchedule(1e-4, 0.05, 50) if betas is None else linear_betas(betas)
    samples = params["audio_len"] if "audio_len" in params else SECONDS * mel.sample_rate
    return Imported(
        model=model,
        mel=mel,
        diffusion=replace(schedule, conditioning="discrete"),
        synthesis=Synthesis(
            "diffwave-fast-base" if schedule.end > 0.04 else "50",
            clip=1.0,
            samples=None if model.conditions == "mel" else samples,
        ),
        weights=weights,
        unmapped=unmapped,
    )


def mel_of(weights: Mapping[str, Tensor], params: Mapping[str, Any]) -> MelSpec:
    """Its preprocessing: a window of four hops."""
    spec = named("lmnt-diffwave")
    if "layers.0.condition.weight" in weights:
        spec = replace(spec, n_mels=weights["layers.0.condition.weight"].shape[1])
    hop = params["hop_samples"] if "hop_samples" in params else spec.hop_length
    rate = params["sample_rate"] if "sample_rate" in params else spec.sample_rate
    n_fft = params["n_fft"] if "n_fft" in params else spec.n_fft
    return replace(spec, sample_rate=rate, hop_length=hop, win_length=4 * hop, n_fft=n_fft)
