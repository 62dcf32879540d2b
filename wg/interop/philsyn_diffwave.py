"""philsyn/DiffWave-Vocoder and -unconditional: `{model_state_dict, ...}`, weight-normed.

The author's code, with both its quirks: the embedding of the step is added in place and so enters
the residual, and its frequencies fall where the paper prints rising ones. It samples through all
steps of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.inference.model import SamplingConfig
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, fold_weight_norm, layer, translate
from wg.interop.reading import Settings, state_of
from wg.interop.sizes import diffwave_sizes, every_step
from wg.mel.hub import named
from wg.models.diffwave import DiffWaveConfig

BLOCK = "residual_layer.residual_blocks.{}"


def table(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Each of our layers by name, with the one of this project that has its weights."""
    rows = {
        "input": layer("init_conv.0.conv"),
        "embedding.fc1": layer("residual_layer.fc_t1"),
        "embedding.fc2": layer("residual_layer.fc_t2"),
        "skip": layer("final_conv.0.conv"),
        "output": layer("final_conv.2.conv"),
    }
    for i in range(count(state, f"{BLOCK}.dilated_conv_layer.conv.weight")):
        block = BLOCK.format(i)
        rows[f"layers.{i}.step"] = layer(f"{block}.fc_t")
        rows[f"layers.{i}.dilated"] = layer(f"{block}.dilated_conv_layer.conv")
        rows[f"layers.{i}.output"] = layer(f"{block}.res_conv", f"{block}.skip_conv")
        if f"{block}.mel_conv.conv.weight" in state:
            rows[f"layers.{i}.condition"] = layer(f"{block}.mel_conv.conv")
        for j in range(count(state, f"{block}.upsample_conv2d.{{}}.weight")):
            rows[f"upsamplers.{i}.layers.{j}"] = layer(f"{block}.upsample_conv2d.{j}")
    return rows


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `config` is its config.json, without which the paper's settings are taken."""
    state = fold_weight_norm(state_of(path, content, ("model_state_dict",)))
    weights, unmapped = translate(state, table(state))
    sizes = diffwave_sizes(weights)
    mel = sizes["conditions"] == "mel"
    settings = Settings(config)
    base = mel and sizes["channels"] == 64
    cycle = settings.take("wavenet_config.dilation_cycle", 10 if mel else 12)
    schedule = DiffusionConfig(
        settings.take("diffusion_config.beta_0", 1e-4),
        settings.take("diffusion_config.beta_T", 0.05 if base else 0.02),
        settings.take("diffusion_config.T", 50 if base else 200),
        "discrete",
    )
    spec = named("diffwave-paper")
    rate = settings.take("trainset_config.sampling_rate", spec.sample_rate if mel else 16_000)
    top = min(spec.top, rate / 2)
    spec = replace(spec, sample_rate=rate, fmax=top)
    if mel:
        spec = replace(spec, n_mels=weights["layers.0.condition.weight"].shape[1])
    samples = None if mel else settings.take("trainset_config.segment_length", rate)
    return Imported(
        model=DiffWaveConfig(
            **sizes, dilation_cycle=cycle, step_frequencies="falling", residual_quirk=True
        ),
        mel=spec,
        diffusion=schedule,
        synthesis=SamplingConfig(every_step(schedule), samples=samples),
        weights=weights,
        unmapped=unmapped,
        guessed=settings.guessed,
    )
