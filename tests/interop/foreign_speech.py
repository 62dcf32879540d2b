"""Forward passes of two ports of WaveGrad 2, restated on plain state dicts, one utterance a call.

Nothing here uses wg's networks, nor torch's LSTM, batch norm or distributions. Names and order of
operations are the projects'; sizes are tiny.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from foreign import IVANVOVK, Port, State, conv, draw, wavegrad, wavegrad_state, with_biases
from torch import Tensor

PAPER = tuple(reversed(IVANVOVK.dilations))
WIDTH, HIDDEN, SPEAKER = 8, 4, 6  # channels: encoder, predictor (a direction), mindslab's speaker


def below(prefix: str, port: Port) -> Port:
    """The same with other names: those of IVANVOVK begin with `nn.`."""
    changes = {
        key: value.replace("nn.", prefix, 1)
        for key, value in vars(port).items()
        if isinstance(value, str)
    }
    return replace(
        port, **changes, up_convs=tuple(n.replace("nn.", prefix, 1) for n in port.up_convs)
    )


@dataclass(frozen=True)
class TextPort:
    """Where a port keeps the layers before its decoder, and what it does with their outputs."""

    embedding: str
    conv: str
    norm: str
    duration: str
    duration_fc: str
    range: str
    range_fc: str
    speaker: str | None
    joined: bool  # whether the speaker stands beside the features or is added to them
    log: bool  # whether durations are ln(frames + 1) or seconds
    first: int  # time of the first frame
    decoder: Port


MINDSLAB = TextPort(
    embedding="encoder.embedding",
    conv="encoder.cnn.{}.0",
    norm="encoder.cnn.{}.1",
    duration="resampling.duration_predictor.lstm",
    duration_fc="resampling.duration_predictor.fc.0",
    range="resampling.range_parameter_predictor.lstm",
    range_fc="resampling.range_parameter_predictor.fc.0",
    speaker="speaker_embedding",
    joined=True,
    log=False,
    first=0,
    decoder=replace(below("decoder.", IVANVOVK), dilations=PAPER),
)
UP, DOWN = "decoder.ublocks.{}.", "decoder.dblocks.{}."
MINDSLAB_LARGE = replace(
    MINDSLAB,
    decoder=replace(
        MINDSLAB.decoder,
        dilations=((1, 2, 4, 8),) * 5,
        up_dense=f"{UP}upsampling_basic_block.first_block_residual_branch.0.conv1d",
        up_convs=tuple(
            name.replace(UP, f"{UP}upsampling_basic_block.") for name in MINDSLAB.decoder.up_convs
        ),
        down_dense=f"{DOWN}downsampling_basic_block.residual_branch.0.conv1d",
        down_conv=f"{DOWN}downsampling_basic_block.main_branch.{{}}.convolution.conv1d",
        up_more=(
            f"{UP}first_block_residual_branch.0.conv1d",
            f"{UP}first_block_main_branch.noupsampling.1.conv1d",
            f"{UP}first_block_main_branch.modulation.convolution.conv1d",
            f"{UP}second_block_main_branch.modulation_0.convolution.conv1d",
            f"{UP}second_block_main_branch.modulation_1.convolution.conv1d",
        ),
        down_more=(
            f"{DOWN}residual_branch.0.conv1d",
            f"{DOWN}main_branch.{{}}.convolution.conv1d",
        ),
    ),
)
KEONLEE = TextPort(
    embedding="encoder.src_word_emb",
    conv="encoder.conv_stack.{}.conv_layer.0.conv",
    norm="encoder.conv_stack.{}.conv_layer.1",
    duration="duration_predictor.duration_lstm",
    duration_fc="duration_predictor.duration_proj.0.linear",
    range="range_param_predictor.range_param_lstm",
    range_fc="range_param_predictor.range_param_proj.0.linear",
    speaker=None,
    joined=False,
    log=True,
    first=1,
    decoder=replace(below("decoder.nn.", IVANVOVK), dilations=PAPER),
)
KEONLEE_SEVERAL = replace(KEONLEE, speaker="speaker_emb")


def lstm_shapes(name: str, c_in: int, hidden: int, layers: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(layers):
        for way in ("", "_reverse"):
            end = f"_l{number}{way}"
            shapes[f"{name}.weight_ih{end}"] = (4 * hidden, 2 * hidden if number else c_in)
            shapes[f"{name}.weight_hh{end}"] = (4 * hidden, hidden)
            shapes |= {f"{name}.bias_{kind}{end}": (4 * hidden,) for kind in ("ih", "hh")}
    return shapes


def speech_state(port: TextPort, symbols: int, speakers: int = 1, seed: int = 0) -> State:
    """Random weights whose durations are some frames, and whose ranges leave gaps between them."""
    wide = WIDTH + (SPEAKER if port.joined else 0)
    shapes = with_biases({port.conv.format(i): (WIDTH, WIDTH, 5) for i in range(3)})
    shapes |= with_biases({port.norm.format(i): (WIDTH,) for i in range(3)})
    shapes |= {f"{port.embedding}.weight": (symbols, WIDTH)}
    shapes |= lstm_shapes("encoder.lstm", WIDTH, WIDTH // 2, 1)
    shapes |= lstm_shapes(port.duration, wide, HIDDEN, 2)
    shapes |= lstm_shapes(port.range, wide + 1, HIDDEN, 2)
    if port.speaker:
        size = SPEAKER if port.joined else WIDTH
        shapes[f"{port.speaker}.weight"] = (speakers, size)
    state = draw(shapes, seed, gain=2.0) | wavegrad_state(port.decoder, wide, seed + 1)
    generator = torch.Generator().manual_seed(seed + 2)
    for i in range(3):
        norm = port.norm.format(i)
        state[f"{norm}.running_mean"] = torch.randn(WIDTH, generator=generator)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(WIDTH, generator=generator)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    longest = 0.5 if port.log else 0.02
    spread = torch.rand(2, 1, 2 * HIDDEN, generator=generator)
    state[f"{port.duration_fc}.weight"] = longest * (0.5 + spread[0])
    state[f"{port.range_fc}.weight"] = -0.2 - 0.3 * spread[1]
    for name in (port.duration, port.range):
        for way in ("", "_reverse"):
            state[f"{name}.bias_hh_l1{way}"] = torch.ones(4 * HIDDEN)
    return state


def lstm(state: State, name: str, x: Tensor, layers: int) -> Tensor:
    """[N, C] -> [N, 2 H], both directions of each layer beside each other."""
    for number in range(layers):
        ways = []
        for way in ("", "_reverse"):
            end = f"_l{number}{way}"
            seen, told = state[f"{name}.weight_ih{end}"], state[f"{name}.weight_hh{end}"]
            bias = state[f"{name}.bias_ih{end}"] + state[f"{name}.bias_hh{end}"]
            h = c = torch.zeros(told.shape[1])
            made = []
            for row in x.flip(0) if way else x:
                i, f, g, o = (seen @ row + told @ h + bias).chunk(4)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                made.append(h)
            ways.append(torch.stack(made[::-1] if way else made))
        x = torch.cat(ways, 1)
    return x


class Spoken(NamedTuple):
    """What each part gives."""

    encoded: Tensor  # [N, C], with the speaker
    predicted: Tensor  # [N]
    durations: Tensor  # in frames, [N]
    ranges: Tensor  # [N]
    features: Tensor  # [C, F]
    eps: Tensor  # [F * 300]


def speech(state: State, port: TextPort, ids: Tensor, speaker: int, level: float) -> Spoken:
    """One utterance of ids [N], and the noise in N(0, 1) of seed 5, at 22,050 Hz and hop 300."""
    x = state[f"{port.embedding}.weight"][ids].T  # [C, N]
    for i in range(3):
        norm = port.norm.format(i)
        x = conv(state, port.conv.format(i), x[None])[0]
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        x = (x - mean[:, None]) / (variance[:, None] + 1e-5).sqrt()
        x = (x * state[f"{norm}.weight"][:, None] + state[f"{norm}.bias"][:, None]).relu()
    x = lstm(state, "encoder.lstm", x.T, 1)
    if port.speaker:
        voice = state[f"{port.speaker}.weight"][speaker]
        x = torch.cat([x, voice.expand(len(x), -1)], 1) if port.joined else x + voice
    predicted = lstm(state, port.duration, x, 2) @ state[f"{port.duration_fc}.weight"][0]
    frames = predicted.exp() - 1 if port.log else predicted * (22050 / 300)
    durations = frames.round().clamp(min=0)
    told = torch.cat([x, durations[:, None]], 1)
    ranges = F.softplus(lstm(state, port.range, told, 2) @ state[f"{port.range_fc}.weight"][0])
    centres = durations.cumsum(0) - 0.5 * durations
    time = torch.arange(port.first, port.first + int(durations.sum()))
    distance = (time[None] - centres[:, None]) / ranges[:, None]
    density = (-0.5 * distance**2).exp() / (ranges[:, None] * math.sqrt(2 * math.pi))  # [N, F]
    attention = density / (density.sum(0) + 1e-8)
    features = x.T @ attention
    noise = torch.randn(len(time) * 300, generator=torch.Generator().manual_seed(5))
    eps = wavegrad(state, port.decoder, noise[None], features[None], torch.tensor([level]))[0]
    return Spoken(x, predicted, durations, ranges, features, eps)
