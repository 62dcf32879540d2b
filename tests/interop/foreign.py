"""Forward passes of other projects, restated from their descriptions on plain state dicts.

Nothing here uses wg's networks. Names and order of operations are the projects'; sizes are tiny.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
LMNT_DILATIONS = ((1, 2, 1, 2), (1, 2, 1, 2), (1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8))


def draw(shapes: dict[str, tuple[int, ...]], seed: int = 0, gain: float = 1.0) -> State:
    """Random weights that keep signals at about their size times `gain` a layer, and biases."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        fan = math.prod(shape[1:]) if len(shape) > 1 else 25
        state[name] = torch.randn(shape, generator=generator) * gain / math.sqrt(fan)
    return state


def with_biases(weights: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    shapes = {f"{name}.weight": shape for name, shape in weights.items()}
    return shapes | {f"{name}.bias": (shape[0],) for name, shape in weights.items()}


def conv(state: State, name: str, x: Tensor, dilation: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv1d(x, weight, state[f"{name}.bias"], padding=padding, dilation=dilation)


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


@dataclass(frozen=True)
class Port:
    """Where a WaveGrad port keeps its layers, and how it resamples and encodes the level."""

    mel_conv: str
    wave_conv: str
    out_conv: str
    film_in: str
    shift: str
    scale: str  # the same as shift: one convolution, shift first
    down_dense: str
    down_conv: str
    up_dense: str
    up_convs: tuple[str, str, str, str]
    mode: str
    encoding: str
    down_first: int = 0  # number of the first DBlock
    down_conv_first: int = 0
    down_more: tuple[str, str] | None = None  # of a second DBlock: as down_dense, down_conv from 0
    up_more: tuple[str, str, str, str, str] | None = None  # of a second UBlock: as up_dense, ...
    factors: tuple[int, ...] = (5, 5, 3, 2, 2)
    dilations: tuple[tuple[int, ...], ...] = LMNT_DILATIONS


LMNT = Port(
    mel_conv="first_conv",
    wave_conv="downsample.0",
    out_conv="last_conv",
    film_in="film.{}.input_conv",
    shift="film.{}.output_conv",
    scale="film.{}.output_conv",
    down_dense="downsample.{}.residual_dense",
    down_conv="downsample.{}.conv.{}",
    up_dense="upsample.{}.block1",
    up_convs=(
        "upsample.{}.block2.0",
        "upsample.{}.block2.1",
        "upsample.{}.block3.0",
        "upsample.{}.block3.1",
    ),
    mode="nearest",
    encoding="level",
    down_first=1,
)
IVANVOVK = Port(
    mel_conv="nn.ublock_preconv.conv1d",
    wave_conv="nn.dblock_preconv.conv1d",
    out_conv="nn.ublock_postconv.conv1d",
    film_in="nn.films.{}.signal_conv.0.conv1d",
    shift="nn.films.{}.shift_conv.conv1d",
    scale="nn.films.{}.scale_conv.conv1d",
    down_dense="nn.dblocks.{}.residual_branch.0.conv1d",
    down_conv="nn.dblocks.{}.main_branch.{}.convolution.conv1d",
    up_dense="nn.ublocks.{}.first_block_residual_branch.0.conv1d",
    up_convs=(
        "nn.ublocks.{}.first_block_main_branch.upsampling.2.conv1d",
        "nn.ublocks.{}.first_block_main_branch.modulation.convolution.conv1d",
        "nn.ublocks.{}.second_block_main_branch.modulation_0.convolution.conv1d",
        "nn.ublocks.{}.second_block_main_branch.modulation_1.convolution.conv1d",
    ),
    mode="linear",
    encoding="5000 level",
    down_conv_first=1,
)
COQUI = Port(
    mel_conv="x_conv",
    wave_conv="y_conv",
    out_conv="out_conv",
    film_in="film.{}.input_conv",
    shift="film.{}.output_conv",
    scale="film.{}.output_conv",
    down_dense="dblocks.{}.res_block",
    down_conv="dblocks.{}.main_block.{}",
    up_dense="ublocks.{}.res_block",
    up_convs=(
        "ublocks.{}.main_block.0",
        "ublocks.{}.main_block.1",
        "ublocks.{}.out_block.0",
        "ublocks.{}.out_block.1",
    ),
    mode="nearest",
    encoding="time",
    factors=(4, 4, 4, 2, 2),
)
MEL, UP, WAVE, DOWN = 12, (10, 10, 8, 6, 6), 4, (6, 6, 8, 10)  # channels


def wavegrad_state(port: Port, bands: int, seed: int = 0) -> State:
    layers: dict[str, tuple[int, ...]] = {
        port.mel_conv: (MEL, bands, 3),
        port.wave_conv: (WAVE, 1, 5),
        port.out_conv: (1, UP[-1], 3),
    }
    for f, (c_in, c_out) in enumerate(zip((WAVE, *DOWN), UP[::-1], strict=True)):
        layers[port.film_in.format(f)] = (c_in, c_in, 3)
        double = 2 if port.shift == port.scale else 1
        layers[port.shift.format(f)] = layers[port.scale.format(f)] = (double * c_out, c_in, 3)
    for d, (c_in, c_out) in enumerate(zip((WAVE, *DOWN[:-1]), DOWN, strict=True)):
        number = d + port.down_first
        layers[port.down_dense.format(number)] = (c_out, c_in, 1)
        for j in range(3):
            name = port.down_conv.format(number, j + port.down_conv_first)
            layers[name] = (c_out, c_out if j else c_in, 3)
        if port.down_more:
            layers[port.down_more[0].format(d)] = (c_out, c_out, 1)
            layers |= {port.down_more[1].format(d, j): (c_out, c_out, 3) for j in range(3)}
    for u, (c_in, c_out) in enumerate(zip((MEL, *UP[:-1]), UP, strict=True)):
        layers[port.up_dense.format(u)] = (c_out, c_in, 1)
        for j, name in enumerate(port.up_convs):
            layers[name.format(u)] = (c_out, c_out if j else c_in, 3)
        if port.up_more:
            layers[port.up_more[0].format(u)] = (c_out, c_out, 1)
            layers |= {name.format(u): (c_out, c_out, 3) for name in port.up_more[1:]}
    return draw(with_biases(layers), seed, gain=0.6)


def encode(x: Tensor, level: Tensor, kind: str) -> Tensor:
    """What each port adds before the FiLM's output convolution."""
    half = x.shape[1] // 2
    if kind == "time":
        position = torch.arange(x.shape[2]).float()
        pe = torch.zeros(x.shape[1], x.shape[2])
        for i in range(half):
            angle = position / 10000 ** (2 * i / x.shape[1])
            pe[2 * i], pe[2 * i + 1] = angle.sin(), angle.cos()
        return x + level[:, None, None] + pe / 5000
    share = torch.arange(half, dtype=level.dtype) / half
    if kind == "5000 level":  # in float32: angles of 5000 rad with 3e-4 of rounding
        angle = 5000 * level[:, None] * (1e-4**share)[None]
    else:
        angle = level[:, None] * torch.exp(-math.log(1e4) * share[None])
    return x + torch.cat([angle.sin(), angle.cos()], -1)[..., None]


def wavegrad(state: State, port: Port, y: Tensor, mel: Tensor, level: Tensor) -> Tensor:
    """eps [B, T] of noisy y [B, T], mel [B, M, F], level [B]."""

    def film(f: int, x: Tensor) -> tuple[Tensor, Tensor]:
        h = encode(lrelu(conv(state, port.film_in.format(f), x)), level, port.encoding)
        shift, scale = conv(state, port.shift.format(f), h), conv(state, port.scale.format(f), h)
        if port.shift == port.scale:
            shift, scale = shift.chunk(2, 1)
        return shift, scale

    def down(x: Tensor, factor: int) -> Tensor:
        return F.interpolate(x, size=x.shape[-1] // factor, mode=port.mode)

    def up(x: Tensor, factor: int) -> Tensor:
        return F.interpolate(x, size=x.shape[-1] * factor, mode=port.mode)

    x = conv(state, port.wave_conv, y[:, None])
    films = [film(0, x)]
    for d, factor in enumerate(port.factors[:0:-1]):
        number = d + port.down_first
        shortcut = down(conv(state, port.down_dense.format(number), x), factor)
        x = down(x, factor)
        for j in range(3):
            name = port.down_conv.format(number, j + port.down_conv_first)
            x = conv(state, name, lrelu(x), 2**j)
        x = x + shortcut
        if port.down_more:
            shortcut = conv(state, port.down_more[0].format(d), x)
            for j in range(3):
                x = conv(state, port.down_more[1].format(d, j), lrelu(x), 2**j)
            x = x + shortcut
        films.append(film(d + 1, x))
    x = conv(state, port.mel_conv, mel)
    for u, (factor, dilations) in enumerate(zip(port.factors, port.dilations, strict=True)):
        shift, scale = films[-1 - u]
        names = [name.format(u) for name in port.up_convs]
        shortcut = conv(state, port.up_dense.format(u), up(x, factor))
        h = conv(state, names[0], up(lrelu(x), factor), dilations[0])
        h = conv(state, names[1], lrelu(scale * h + shift), dilations[1])
        x = shortcut + h
        h = conv(state, names[2], lrelu(scale * x + shift), dilations[2])
        x = x + conv(state, names[3], lrelu(scale * h + shift), dilations[3])
        if port.up_more:
            names = [name.format(u) for name in port.up_more]
            h = conv(state, names[1], lrelu(x), dilations[0])
            h = conv(state, names[2], lrelu(scale * h + shift), dilations[1])
            x = conv(state, names[0], x) + h
            h = conv(state, names[3], lrelu(scale * x + shift), dilations[2])
            x = x + conv(state, names[4], lrelu(scale * h + shift), dilations[3])
    return conv(state, port.out_conv, x)[:, 0]


def lmnt_diffwave_state(bands: int | None, channels: int, layers: int, seed: int = 0) -> State:
    """`bands` None: unconditional."""
    c = channels
    shapes: dict[str, tuple[int, ...]] = {
        "input_projection": (c, 1, 1),
        "diffusion_embedding.projection1": (512, 128),
        "diffusion_embedding.projection2": (512, 512),
        "skip_projection": (c, c, 1),
        "output_projection": (1, c, 1),
    }
    for i in range(layers):
        shapes[f"residual_layers.{i}.dilated_conv"] = (2 * c, c, 3)
        shapes[f"residual_layers.{i}.diffusion_projection"] = (c, 512)
        shapes[f"residual_layers.{i}.output_projection"] = (2 * c, c, 1)
        if bands:
            shapes[f"residual_layers.{i}.conditioner_projection"] = (2 * c, bands, 1)
    if bands:
        shapes |= {f"spectrogram_upsampler.conv{j}": (1, 1, 3, 32) for j in (1, 2)}
    return draw(with_biases(shapes), seed)


def dense(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def upsample_twice(state: State, names: tuple[str, str], mel: Tensor) -> Tensor:
    x = mel[:, None]
    for name in names:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        x = F.conv_transpose2d(x, weight, bias, stride=(1, 16), padding=(1, 8))
        x = F.leaky_relu(x, 0.4)
    return x[:, 0]


def lmnt_diffwave(
    state: State, x: Tensor, step: Tensor, mel: Tensor | None, layers: int, cycle: int
) -> Tensor:
    """eps [B, T]; step [B] counts from 0. The table of embeddings is in float32, as there."""
    frequencies = 10.0 ** (torch.arange(64)[None] * 4.0 / 63.0)
    angle = step[:, None] * frequencies
    h = torch.cat([angle.sin(), angle.cos()], 1).to(x)
    h = F.silu(dense(state, "diffusion_embedding.projection1", h))
    h = F.silu(dense(state, "diffusion_embedding.projection2", h))
    if mel is not None:
        names = ("spectrogram_upsampler.conv1", "spectrogram_upsampler.conv2")
        mel = upsample_twice(state, names, mel)
    y, skips = conv(state, "input_projection", x[:, None]).relu(), []
    for i in range(layers):
        block = f"residual_layers.{i}"
        z = y + dense(state, f"{block}.diffusion_projection", h)[..., None]
        z = conv(state, f"{block}.dilated_conv", z, 2 ** (i % cycle))
        if mel is not None:
            z = z + conv(state, f"{block}.conditioner_projection", mel)
        gate, main = z.chunk(2, 1)
        z = conv(state, f"{block}.output_projection", gate.sigmoid() * main.tanh())
        residual, skip = z.chunk(2, 1)
        y, skips = (y + residual) / math.sqrt(2), [*skips, skip]
    z = conv(state, "skip_projection", torch.stack(skips).sum(0) / math.sqrt(layers)).relu()
    return conv(state, "output_projection", z)[:, 0]


def speechbrain_state(bands: int, channels: int, layers: int, seed: int = 0) -> State:
    """Its convolutions lie below `conv` and its linear layers below `w`, the upsampler's do not."""
    c = channels
    shapes: dict[str, tuple[int, ...]] = {
        "input_projection.conv": (c, 1, 1),
        "diffusion_embedding.projection1.w": (512, 128),
        "diffusion_embedding.projection2.w": (512, 512),
        "spectrogram_upsampler.conv1": (1, 1, 3, 32),
        "spectrogram_upsampler.conv2": (1, 1, 3, 32),
        "skip_projection.conv": (c, c, 1),
        "output_projection.conv": (1, c, 1),
    }
    for i in range(layers):
        block = f"residual_layers.{i}"
        shapes[f"{block}.dilated_conv.conv"] = (2 * c, c, 3)
        shapes[f"{block}.diffusion_projection.w"] = (c, 512)
        shapes[f"{block}.conditioner_projection.conv"] = (2 * c, bands, 1)
        shapes[f"{block}.output_projection.conv"] = (2 * c, c, 1)
    return draw(with_biases(shapes), seed)


def mirroring(state: State, name: str, x: Tensor, dilation: int) -> Tensor:
    """A convolution of three that sees its ends mirrored."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    left, right = x[..., 1 : dilation + 1].flip(-1), x[..., -dilation - 1 : -1].flip(-1)
    return F.conv1d(torch.cat([left, x, right], -1), weight, bias, dilation=dilation)


def speechbrain_diffwave(
    state: State, x: Tensor, step: Tensor, mel: Tensor, layers: int, cycle: int
) -> Tensor:
    """eps [B, T]; step [B] counts from 0."""
    angle = step[:, None] * 10.0 ** (torch.arange(64)[None] * 4.0 / 63.0)
    h = torch.cat([angle.sin(), angle.cos()], 1)
    for name in ("projection1", "projection2"):
        h = F.silu(dense(state, f"diffusion_embedding.{name}.w", h))
    names = ("spectrogram_upsampler.conv1", "spectrogram_upsampler.conv2")
    mel = upsample_twice(state, names, mel)
    y, total = conv(state, "input_projection.conv", x[:, None]).relu(), torch.zeros(())
    for i in range(layers):
        block = f"residual_layers.{i}"
        z = y + dense(state, f"{block}.diffusion_projection.w", h)[..., None]
        z = mirroring(state, f"{block}.dilated_conv.conv", z, 2 ** (i % cycle))
        z = z + conv(state, f"{block}.conditioner_projection.conv", mel)
        gate, main = z.chunk(2, 1)
        z = conv(state, f"{block}.output_projection.conv", gate.sigmoid() * main.tanh())
        residual, skip = z.chunk(2, 1)
        y, total = (y + residual) / math.sqrt(2), total + skip
    z = conv(state, "skip_projection.conv", total / math.sqrt(layers)).relu()
    return conv(state, "output_projection.conv", z)[:, 0]


def philsyn_state(bands: int | None, channels: int, layers: int, seed: int = 0) -> State:
    """With weight_g and weight_v, but for the last convolution and the linear layers."""
    c = channels
    normed: dict[str, tuple[int, ...]] = {
        "init_conv.0.conv": (c, 1, 1),
        "final_conv.0.conv": (c, c, 1),
    }
    plain: dict[str, tuple[int, ...]] = {
        "residual_layer.fc_t1": (512, 128),
        "residual_layer.fc_t2": (512, 512),
        "final_conv.2.conv": (1, c, 1),
    }
    for i in range(layers):
        block = f"residual_layer.residual_blocks.{i}"
        plain[f"{block}.fc_t"] = (c, 512)
        normed[f"{block}.dilated_conv_layer.conv"] = (2 * c, c, 3)
        normed[f"{block}.res_conv"] = normed[f"{block}.skip_conv"] = (c, c, 1)
        if bands:
            normed[f"{block}.mel_conv.conv"] = (2 * c, bands, 1)
            for j in range(2):
                normed[f"{block}.upsample_conv2d.{j}"] = (1, 1, 3, 32)
    state = draw(with_biases(plain | normed), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for name, shape in normed.items():
        state[f"{name}.weight_v"] = state.pop(f"{name}.weight")
        lengths = (shape[0], *[1] * (len(shape) - 1))
        state[f"{name}.weight_g"] = 0.5 + torch.rand(lengths, generator=generator)
    return state


def philsyn_diffwave(
    state: State, x: Tensor, step: Tensor, mel: Tensor | None, layers: int, cycle: int
) -> Tensor:
    """eps [B, T]; step [B] counts from 0. The step's embedding changes the residual in place."""
    plain = dict(state)
    for name in [name for name in state if name.endswith(".weight_v")]:
        v, g = state[name], state[name[:-1] + "g"]
        length = v.pow(2).sum(tuple(range(1, v.ndim)), keepdim=True).sqrt()
        plain[name.removesuffix("_v")] = v / length * g
    frequencies = torch.exp(torch.arange(64).float() * -(math.log(10000) / 63))
    angle = step[:, None] * frequencies
    e = torch.cat([angle.sin(), angle.cos()], 1)
    e = F.silu(dense(plain, "residual_layer.fc_t1", e))
    e = F.silu(dense(plain, "residual_layer.fc_t2", e))
    y, total = conv(plain, "init_conv.0.conv", x[:, None]).relu(), torch.zeros(())
    for i in range(layers):
        block = f"residual_layer.residual_blocks.{i}"
        y = y + dense(plain, f"{block}.fc_t", e)[..., None]  # in place there: x is h
        h = conv(plain, f"{block}.dilated_conv_layer.conv", y, 2 ** (i % cycle))
        if mel is not None:
            names = (f"{block}.upsample_conv2d.0", f"{block}.upsample_conv2d.1")
            h = h + conv(plain, f"{block}.mel_conv.conv", upsample_twice(plain, names, mel))
        first, second = h.chunk(2, 1)
        h = first.tanh() * second.sigmoid()
        total = total + conv(plain, f"{block}.skip_conv", h)
        y = (y + conv(plain, f"{block}.res_conv", h)) * math.sqrt(0.5)
    y = conv(plain, "final_conv.0.conv", total * math.sqrt(1 / layers)).relu()
    return conv(plain, "final_conv.2.conv", y)[:, 0]
