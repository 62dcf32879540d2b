"""coqui-ai/TTS WaveGrad: `{config, model, ...}`, perhaps weight-normed, with a config.json.

Its "level encoding" adds the level itself and a sinusoid of time. Levels between 1 and the first
of its schedule were never trained. It samples through its `test_noise_schedule`, and clamps the
noisy waveform at every step; here the estimate of x_0 is bounded, unless clip is "state".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop.imported import Imported
from wg.interop.layers import Layer, count, fold_weight_norm, layer, translate
from wg.interop.reading import Settings, read_array, section, state_of
from wg.interop.sizes import dilations_named, linear_schedule, wavegrad_bands, wavegrad_sizes
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.models.wavegrad import WaveGradConfig


def table(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Each of our layers by name, with the one of this project that has its weights."""
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


NAMES = {  # AudioProcessor's settings that are ours under another name
    "sample_rate": "sample_rate",
    "fft_size": "n_fft",
    "mel_fmin": "fmin",
}
ONLY = {  # settings that have to be these, as no mel of wg has others
    "preemphasis": (0, None),
    "stft_pad_mode": ("reflect",),
    "do_amp_to_db_mel": (True,),
}
TREATMENTS = ("do_sound_norm", "do_rms_norm")


def mel_of(bands: int, settings: Settings, near: Path) -> MelSpec:
    """The `audio` section of its config over AudioProcessor's defaults.

    InputError for what no mel of wg is: pre-emphasis, constant padding, a mel without logarithm.
    """
    spec = named("coqui-wavegrad")
    for key, allowed in ONLY.items():
        if (value := settings.find(f"audio.{key}", allowed[0])) not in allowed:
            raise InputError(f"audio.{key} is {value!r}; only {allowed[0]!r} can be imported")
    if (stated := settings.find("audio.num_mels", bands)) != bands:
        raise InputError(f"audio.num_mels is {stated}, but the weights are for {bands} bands")
    changes = {o: settings.take(f"audio.{theirs}", vars(spec)[o]) for theirs, o in NAMES.items()}
    win, hop = frame_of(settings, changes["sample_rate"], changes["n_fft"])
    changes |= {"fmax": settings.find("audio.mel_fmax"), "win_length": win, "hop_length": hop}
    return replace(spec, n_mels=bands, **changes, **values_of(settings, near))


def frame_of(settings: Settings, rate: int, n_fft: int) -> tuple[int, int]:
    """(window, hop) in samples; without a hop in samples, from milliseconds."""
    shift_ms, length_ms = (settings.find(f"audio.frame_{key}_ms") for key in ("shift", "length"))
    if settings.find("audio.hop_length") is not None or shift_ms is None:
        hop = settings.take("audio.hop_length", named("coqui-wavegrad").hop_length)
        return settings.find("audio.win_length") or n_fft, hop
    if length_ms is None or length_ms % shift_ms:
        raise InputError(
            f"audio.frame_shift_ms {shift_ms} does not divide audio.frame_length_ms {length_ms}"
        )
    win = int(length_ms / 1000 * rate)
    return win, int(win / (length_ms / shift_ms))


def values_of(settings: Settings, near: Path) -> dict[str, Any]:
    """What it makes of a linear mel m: S = gain log m, normalised by statistics or by a range.

    A range takes S - ref from min..0 dB to -max..max or 0..max: all of it one line in 20 log10 m.
    """
    function = settings.find("audio.log_func", "np.log10")
    if function not in ("np.log10", "np.log"):
        raise InputError(f"audio.log_func is {function!r}; only np.log10 and np.log are known")
    gain = float(settings.take("audio.spec_gain", 20)) / 20
    gain *= math.log(10) if function == "np.log" else 1.0
    plain = {"gain": gain, "offset": 0.0, "clip_min": None, "clip_max": None}
    if not settings.find("audio.signal_norm", True):
        return plain
    if stats := settings.find("audio.stats_path"):
        mean, std = read_statistics(str(stats), near)
        return {**plain, "mean": mean, "std": std}
    low, ref = settings.take("audio.min_level_db", -100), settings.take("audio.ref_level_db", 20)
    high = float(settings.take("audio.max_norm", 4.0))
    if low >= 0:
        raise InputError(f"audio.min_level_db is {low!r}; a range needs a number below 0")
    least = -high if settings.find("audio.symmetric_norm", True) else 0.0
    slope = (high - least) / -low
    clips = bool(settings.find("audio.clip_norm", True))
    return {
        "gain": round(slope * gain, 9),
        "offset": round(slope * (-ref - low) + least, 9),
        "clip_min": least if clips else None,
        "clip_max": high if clips else None,
    }


def read_statistics(stated: str, near: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of its statistics file: where it says, or beside the checkpoint."""
    options = (Path(stated), near.parent / Path(stated).name)
    path = next((path for path in options if path.is_file()), None)
    if path is None:
        raise InputError(f"audio.stats_path {stated}: no such file, nor {options[1]}; put it there")
    content = read_array(path)
    if not isinstance(content, dict) or not {"mel_mean", "mel_std"} <= set(content):
        raise InputError(f"{path}: no statistics of coqui's, which have mel_mean and mel_std")
    mean, std = (tuple(map(float, content[key])) for key in ("mel_mean", "mel_std"))
    return mean, std


def check_channels(sizes: Mapping[str, Any], settings: Settings) -> None:
    """InputError where its config names other channels than the weights have."""
    names = {
        "y_conv_channels": "wave_channels",
        "x_conv_channels": "mel_channels",
        "dblock_out_channels": "down_channels",
        "ublock_out_channels": "up_channels",
    }
    for theirs, ours in names.items():
        stated, have = settings.find(f"model_params.{theirs}", sizes[ours]), sizes[ours]
        if (tuple(stated) if isinstance(stated, list) else stated) != have:
            raise InputError(f"model_params.{theirs} is {stated}, but the weights are of {have}")


def betas_of(settings: Settings, name: str, steps: int) -> tuple[float, float, int]:
    """First and last beta and number of a schedule."""
    guess = {"min_val": 1e-6, "max_val": 1e-2, "num_steps": steps}
    found = settings.take(name, guess, f"{steps} betas from 1e-06 to 0.01")
    return found["min_val"], found["max_val"], found["num_steps"]


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `config` is its config.json, else what the checkpoint itself has of it."""
    settings = Settings(config or section(content, "config"))
    state = fold_weight_norm(state_of(path, content, ("model",)))
    weights, unmapped = translate(state, table(state))
    sizes = wavegrad_sizes(weights)
    check_channels(sizes, settings)
    factors = tuple(settings.take("model_params.upsample_factors", (4, 4, 4, 2, 2)))
    listed = settings.take("model_params.upsample_dilations", None, "1,2,1,2 first (lmnt)")
    order = dilations_named(listed, sizes) if listed else "lmnt"
    done = [key for key in TREATMENTS if settings.find(f"audio.{key}", False)]
    return Imported(
        model=WaveGradConfig(**sizes, factors=factors, dilations=order, level_encoding="coqui"),
        mel=mel_of(wavegrad_bands(weights), settings, path),
        diffusion=DiffusionConfig(*betas_of(settings, "train_noise_schedule", 1000)),
        synthesis=SamplingConfig(
            linear_schedule(*betas_of(settings, "test_noise_schedule", 50)), clip=1.0
        ),
        weights=weights,
        unmapped=unmapped,
        guessed=settings.guessed,
        notes=tuple(f"audio.{key}: its audio was brought to one level first" for key in done),
    )
