"""keonlee9420/WaveGrad2: `{model, optimizer}`, its schedule as buffers of the decoder.

Durations are ln(frames + 1), rounded to whole frames. Frame t, counted from 0, is at time t + 1,
and 1e-8 in the denominator of the upsampling fades frames far from every symbol. A speaker's
embedding is added to the features; here it stands beside them, and each layer that reads both has
its weights twice. The table is FastSpeech 2's (ming024), and one symbol more that is never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.diffusion.schedules import Schedule
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop import wavegrad_layers
from wg.interop.imported import Imported
from wg.interop.layers import layer, translate
from wg.interop.reading import Settings, state_of
from wg.interop.sizes import dilations_named, every_step, linear_betas, trained_on
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

INITIALS = "b c ch d f g h j k l m n p q r s sh t w x y z zh".split()
FINALS = (
    "a ai an ang ao e ei en eng er i ia ian iang iao ie ii iii in ing iong iou o ong ou u ua uai "
    "uan uang uei uen uo v van ve vn"
).split()
PINYIN = (*INITIALS, *(f"{final}{tone}" for final in FINALS for tone in "12345"), "rr")
SYMBOLS = (
    *("_", "-", *"!'(),.:;? ", *LETTERS),
    *(f"@{name}" for name in (*ARPABET, *PINYIN, *SILENCES)),
    "unused",
)
CONVS, NORMS = "encoder.conv_stack.{}.conv_layer.0.conv", "encoder.conv_stack.{}.conv_layer.1"
NAMES = {
    "encoder.embedding": "encoder.src_word_emb",
    "encoder.lstm": "encoder.lstm",
    "duration.lstm": "duration_predictor.duration_lstm",
    "duration.projection": "duration_predictor.duration_proj.0.linear",
    "range.lstm": "range_param_predictor.range_param_lstm",
    "range.projection": "range_param_predictor.range_param_proj.0.linear",
}
TRAINED_STEPS = 1000  # of its training schedule
EARLY = "encoder.lstm.lstm_cell_forward.cell.weight_ih"


def beside(weights: Mapping[str, Tensor], speaker: Tensor) -> dict[str, Tensor]:
    """Weights that read [x, s] as theirs read x + s: W (x + s) = [W, W] [x, s]."""
    width = speaker.shape[1]
    made = {**weights, "speaker.weight": speaker}
    for part in ("duration", "range"):
        for way in ("", "_reverse"):
            name = f"{part}.lstm.weight_ih_l0{way}"
            made[name] = torch.cat([weights[name][:, :width], weights[name]], 1)
    name = "decoder.mel_conv.weight"
    made[name] = torch.cat([weights[name], weights[name]], 1)
    return made


def schedules_of(
    state: Mapping[str, Tensor], settings: Settings
) -> tuple[DiffusionConfig, Schedule]:
    """(of training, for sampling) from its buffer of betas, which is the last schedule it was set.

    That is the training schedule where it has as many steps as the project trains with; a shorter
    one was set to sample, and is used for that alone.
    """
    last = state["decoder.betas"].double().tolist() if "decoder.betas" in state else []
    if len(last) >= TRAINED_STEPS:
        training = trained_on(last)
        return training, every_step(training)
    betas, shown = linear_betas(1e-6, 0.01, TRAINED_STEPS)
    training = trained_on(settings.take("training betas", betas, shown))
    if not last:
        return training, every_step(training)
    set_last = trained_on(last).levels()
    noisiest = training.levels()[-1]
    if not bool((set_last >= noisiest).all()):
        raise InputError(
            f"its last schedule, of {len(last)} steps, goes beyond the training's: {shown}"
        )
    return training, tuple(set_last.tolist())


def speakers_of(number: int, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names: of a speakers.json given as `config`, else numbers."""
    if config and all(isinstance(place, int) for place in config.values()):
        if sorted(config.values()) != list(range(number)):
            raise InputError(f"it names {len(config)} speakers, the model has {number}")
        return tuple(sorted(config, key=lambda name: config[name]))
    return tuple(str(i) for i in range(number))


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model; `config` is its model.yaml, preprocess.yaml or speakers.json."""
    state = state_of(path, content, ("model",))
    if EARLY in state:
        raise InputError(
            f"{EARLY}: weights of an early version, whose encoder starts from random states, so "
            "that nothing can give what it gave; only weights of the later one can be imported"
        )
    check_encoder(state, CONVS)
    rows = text_rows(CONVS, NORMS, NAMES)
    if several := "speaker_emb.weight" in state:
        rows["speaker"] = layer("speaker_emb", tensors=("weight",))
    rows |= {f"decoder.{o}": row for o, row in wavegrad_layers.table(state, "decoder.nn.").items()}
    buffers = [f"decoder.{name}" for name in wavegrad_layers.BUFFERS]
    weights, unmapped = translate(state, rows, buffers)
    sizes = text_sizes(weights)
    settings = Settings(config)
    listed = settings.take("wavegrad.upsampling_dilations", None, "those of paper")
    blocks = {key: sizes[key] for key in ("up_channels", "down_channels")}
    factors = tuple(settings.take("wavegrad.factors", (5, 5, 3, 2, 2)))
    training, sampling = schedules_of(state, settings)
    speakers = speakers_of(len(weights["speaker.weight"]), config) if several else ()
    return Imported(
        model=WaveGrad2Config(
            **sizes,
            symbols=table_of(len(weights["encoder.embedding.weight"]), SYMBOLS, settings),
            boundaries="pauses",
            speaker_channels=sizes["encoder_channels"] if several else 0,
            speakers=speakers,
            upsampling="keonlee",
            duration_domain="log",
            duration_weight=1.0,
            factors=factors,
            dilations=dilations_named(listed, blocks) if listed else "paper",
            up="linear",
            down="linear",
        ),
        mel=frames_of(
            settings,
            "preprocessing.audio.sampling_rate",
            hop_of(factors, settings.find("preprocessing.stft.hop_length")),
        ),
        diffusion=training,
        synthesis=SamplingConfig(sampling, clip=1.0),
        weights=beside(weights, weights["speaker.weight"]) if several else weights,
        unmapped=unmapped,
        guessed=settings.guessed,
    )
