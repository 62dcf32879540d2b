"""mindslab-ai/wavegrad2 (now maum-ai): a Lightning checkpoint, or the weights of its average.

Every model has a table of speakers. Durations are seconds, rounded to whole frames. Frame t is
at time t, and 1e-8 in the denominator of the upsampling fades frames far from every symbol. A
Large decoder doubles both kinds of block. Its English table has 151 symbols. It samples through all
steps of training unless asked for its 8. Its encoder convolves over the padding of a batch, so that
there the end of a shorter text depends on the longer ones beside it; here it does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop import wavegrad_layers
from wg.interop.imported import Imported
from wg.interop.layers import Layer, layer, translate
from wg.interop.reading import Settings, section, state_of
from wg.interop.sizes import dilations_named, every_step
from wg.interop.text_models import (
    ARPABET,
    LETTERS,
    SILENCES,
    check_encoder,
    frames_of,
    hop_of,
    table_of,
    text_rows,
    text_sizes,
)
from wg.models.wavegrad2 import WaveGrad2Config

SYMBOLS = (
    *("<pad>", *LETTERS, *"!'(),-.:~? "),
    *(f"@{name}" for name in (*ARPABET, *SILENCES)),
)
CONVS, NORMS = "encoder.cnn.{}.0", "encoder.cnn.{}.1"
NAMES = {
    "encoder.embedding": "encoder.embedding",
    "encoder.lstm": "encoder.lstm",
    "duration.lstm": "resampling.duration_predictor.lstm",
    "duration.projection": "resampling.duration_predictor.fc.0",
    "range.lstm": "resampling.range_parameter_predictor.lstm",
    "range.projection": "resampling.range_parameter_predictor.fc.0",
}
BUFFERS = (*wavegrad_layers.BUFFERS, "sqrt_alphas_cumprod_prev")
LINSPACE = re.compile(r"torch\.linspace\(\s*([\d.e+-]+)\s*,\s*([\d.e+-]+)\s*,[^()]*\)")
UP_BASIC, DOWN_BASIC = "upsampling_basic_block.", "downsampling_basic_block."
UP_FURTHER = ("first_block_main_branch.noupsampling.1", *wavegrad_layers.UBLOCK[1:])


def decoder_rows(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """Our layers of the decoder and theirs, Base or Large."""
    prefix = "decoder."
    # Without the names of Large's first blocks, those are the blocks of Base.
    plain = {
        name.replace(UP_BASIC, "").replace(DOWN_BASIC, ""): name
        for name in state
        if UP_BASIC in name or DOWN_BASIC in name
    }
    if not plain:
        return wavegrad_layers.table(state, prefix)
    kept = {name: value for name, value in state.items() if "blocks." not in name}
    first = wavegrad_layers.table(
        kept | {name: state[theirs] for name, theirs in plain.items()}, prefix
    )
    rows = {
        ours: layer(*(plain.get(f"{name}.weight", name).removesuffix(".weight") for name in row[0]))
        for ours, row in first.items()
    }
    return rows | wavegrad_layers.block_rows(state, prefix, 1, UP_FURTHER)


def speakers_of(number: int, settings: Settings) -> tuple[str, ...]:
    """Names: of `data.speakers`; else LJSpeech for one, and numbers for several."""
    numbers = tuple(str(i) for i in range(number))
    guess = ("LJSpeech",) if number == 1 else numbers
    names = tuple(str(name) for name in settings.take("data.speakers", guess))
    if len(names) != number:
        raise InputError(f"data.speakers names {len(names)} speakers, the model has {number}")
    return names


def schedule_of(settings: Settings) -> DiffusionConfig:
    """Its `ddpm` section: a call of torch.linspace, which is read, not run."""
    text = str(settings.take("ddpm.noise_schedule", "torch.linspace(1e-6, 0.01, 1000)"))
    found = LINSPACE.fullmatch(text.strip())
    if found is None:
        raise InputError(f"ddpm.noise_schedule {text!r} is no torch.linspace(START, END, ...)")
    steps = int(settings.find("ddpm.max_step", 1000))
    return DiffusionConfig(float(found[1]), float(found[2]), steps)


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; the checkpoint's own settings, or `config`, its hparameter.yaml."""
    settings = Settings(config or section(content, "hyper_parameters"))
    state = state_of(path, content, ("state_dict",))
    check_encoder(state, CONVS)
    rows = text_rows(CONVS, NORMS, NAMES)
    rows["speaker"] = layer("speaker_embedding", tensors=("weight",))
    rows |= {f"decoder.{ours}": row for ours, row in decoder_rows(state).items()}
    weights, unmapped = translate(state, rows, BUFFERS)
    sizes = text_sizes(weights)
    large = "decoder.ublocks.0.1.convs.0.weight" in weights
    order = "large" if large else "paper"
    listed = settings.take("wavegrad.upsample.dilations", None, f"those of {order}")
    blocks = {key: sizes[key] for key in ("up_channels", "down_channels")}
    factors = tuple(settings.take("wavegrad.scale_factors", (5, 5, 3, 2, 2)))
    schedule = schedule_of(settings)
    symbols, speakers = weights["encoder.embedding.weight"], weights["speaker.weight"]
    return Imported(
        model=WaveGrad2Config(
            **sizes,
            symbols=table_of(len(symbols), SYMBOLS, settings),
            boundaries="pauses",
            speaker_channels=speakers.shape[1],
            speakers=speakers_of(len(speakers), settings),
            upsampling="mindslab",
            duration_weight=float(settings.find("train.loss_rate.dur", 1.0)),
            factors=factors,
            dilations=dilations_named(listed, blocks) if listed else order,
            level_scale=float(settings.take("ddpm.pos_emb_scale", 5000)),
            up="linear",
            down="linear",
            up_repeats=2 if large else 1,
            down_repeats=2 if large else 1,
            repeat_shortcut="conv" if large else "none",
        ),
        mel=frames_of(
            settings, "audio.sampling_rate", hop_of(factors, settings.find("window.scale"))
        ),
        diffusion=schedule,
        synthesis=SamplingConfig(every_step(schedule), clip=1.0),
        weights=weights,
        unmapped=unmapped,
        guessed=settings.guessed,
    )
