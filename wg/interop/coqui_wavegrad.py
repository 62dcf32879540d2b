"""coqui-ai/TTS WaveGrad: `{model, ...}`, perhaps weight-normed, with a config.json.

Its "level encoding" adds the level itself and a sinusoid of time. Levels between 1 and the first
of its schedule were never trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import TrainingSchedule
from wg.errors import InputError
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, fold_weight_norm, layer, translate
from wg.interop.reading import state_of
from wg.interop.sizes import dilations_named, wavegrad_bands, wavegrad_sizes
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.wavegrad import WaveGradConfig
from wg.vocoder import Synthesis


def table(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Our layers and theirs."""
    rows = {name: layer(theirs) for name, theirs in _ENDS.items()}
    for f in range(count(state, "film.{}.input_conv.weight")):
        rows[f"films.{f}.input"] = layer(f"film.{f}.input_conv")
        rows[f"films.{f}.output"] = layer(f"film.{f}.output_conv")  # shift, then scale
    for d in range(count(state, "dblocks.{}.res_block.weight")):
        rows[f"dblocks.{d}.0.shortcut"] = layer(f"dblocks.{d}.res_block")
        for j in range(3):
            rows[f"dblocks.{d}.0.convs.{j}"] = layer(f"dblocks.{d}.main_block.{j}")
    for u in range(count(state, "ublocks.{}.res_block.weight")):
        rows[f"ublocks.{u}.0.shortcut"] = layer(f"ublocks.{u}.res_block")
        for j in range(4):
            part = "main_block" if j < 2 else "out_block"
            rows[f"ublocks.{u}.0.convs.{j}"] = layer(f"ublocks.{u}.{part}.{j % 2}")
    return rows


_ENDS = {"mel_conv": "x_conv", "wave_conv": "y_conv", "out_conv": "out_conv"}


def mel_of(bands: int, audio: Mapping[str, Any]) -> MelSpec:
    """The `audio` section of its config over AudioProcessor's defaults."""
    spec = replace(named("coqui-wavegrad"), n_mels=bands)
    names = {"fft_size": "n_fft", "mel_fmin": "fmin", "mel_fmax": "fmax"}
    names |= {name: name for name in ("sample_rate", "win_length", "hop_length")}
    changes = {ours: audio[theirs] for theirs, ours in names.items() if theirs in audio}
    if "stats_path" in audio and audio["stats_path"]:
        raise InputError(
            f"audio.stats_path {audio['stats_path']}: statistics files are not read; import "
            "without --config, then set mean and std in config.json yourself"
        )
    if not _said(audio, "signal_norm", True) or not _said(audio, "symmetric_norm", True):
        raise InputError("audio.signal_norm and symmetric_norm must be true for this importer")
    if not _said(audio, "clip_norm", True) or not _said(audio, "do_amp_to_db_mel", True):
        raise InputError("audio.clip_norm and do_amp_to_db_mel must be true for this importer")
    # S = gain' log10 m - ref, then from min..0 dB to -+max: all one line in dB of 20 log10 m.
    low, ref = float(_said(audio, "min_level_db", -100)), float(_said(audio, "ref_level_db", 20))
    high, gain = float(_said(audio, "max_norm", 4.0)), float(_said(audio, "spec_gain", 20))
    slope = 2 * high / -low
    gain *= math.log(10) if _said(audio, "log_func", "np.log10") == "np.log" else 1.0
    values = {
        "gain": round(slope * gain / 20, 9),
        "offset": round(slope * (-ref - low) - high, 9),
        "clip_min": -high,
        "clip_max": high,
    }
    return replace(spec, **changes, **values)


def _said(audio: Mapping[str, Any], key: str, default: Any) -> Any:
    return audio[key] if key in audio else default


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `config` is its config.json."""
    state = fold_weight_norm(state_of(path, content, ("model",)))
    weights, unmapped = translate(state, table(state))
    sizes = wavegrad_sizes(weights)
    params = config["model_params"] if "model_params" in config else {}
    factors = tuple(params["upsample_factors"]) if params else (4, 4, 4, 2, 2)
    order = dilations_named(params["upsample_dilations"], sizes) if params else "lmnt"
    noise = {"min_val": 1e-6, "max_val": 1e-2, "num_steps": 1000}
    noise |= config["train_noise_schedule"] if "train_noise_schedule" in config else {}
    audio = config["audio"] if "audio" in config else {}
    return Imported(
        model=WaveGradConfig(**sizes, factors=factors, dilations=order, level_encoding="coqui"),
        mel=mel_of(wavegrad_bands(weights), audio),
        diffusion=TrainingSchedule(noise["min_val"], noise["max_val"], noise["num_steps"]),
        synthesis=Synthesis("50", clip=1.0),
        weights=weights,
        unmapped=unmapped,
    )
