"""Convolutions in 8 bits: exact sums of rounded values, and close to what they round."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wg.models.convolution import Conv1d, Conv2d, repeated_conv
from wg.models.int8 import PIECE, STEPS, Int8Conv, Int8Layer, Rounded, int8_layers, rounded
from wg.processes.devices import computes_in_int8

pytestmark = pytest.mark.skipif(not computes_in_int8(), reason="a CPU without products in 8 bits")


def plain(clip: Rounded) -> Tensor:
    """What it stands for, float64."""
    return (clip.whole.double() - clip.zero) * clip.scale


Layer = TypeVar("Layer", bound=Int8Layer)


def large(kind: Callable[..., Layer], *sizes: Any) -> Layer:
    """A layer that multiplies in 8 bits."""
    torch.manual_seed(0)
    layer = kind(*sizes)
    assert int8_layers(layer) == [layer]
    layer.use_int8()
    return layer


DATA = {
    "noise": lambda x: x,
    "positive": lambda x: x.abs() + 3,
    "negative": lambda x: -x.abs() - 3,
    "large": lambda x: x * 1e30,
    "small": lambda x: x * 1e-20,
    "one loud": lambda x: torch.cat([x[:-1], x[-1:] * 1e4]),
    "zeros": torch.zeros_like,
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "repeat"), [(1, 1), (1, 3), (3, 1)])
def test_rounding_is_to_the_nearest_step_and_exact_at_zero(
    data: str, dtype: torch.dtype, rows: int, repeat: int
) -> None:
    torch.manual_seed(0)
    x = DATA[data](torch.randn(rows, 50, 7)).to(dtype)
    made = rounded(x, (rows - 1, 4), repeat)
    assert made.whole.shape == (3 * rows - 2, 50 * repeat + 8, 7)
    inner = plain(made)[rows - 1 : 2 * rows - 1, 4:-4]
    assert torch.equal(F.pad(inner, (0, 0, 4, 4, rows - 1, rows - 1)), plain(made))
    span = max(0.0, float(x.max())) - min(0.0, float(x.min()))
    error = inner - x.double().repeat_interleave(repeat, 1)
    assert float(error.abs().max()) <= (0.5 + 1e-4) * span / STEPS


def test_long_clips_are_rounded_by_pieces_as_short_ones_are() -> None:
    for shape in ((1, PIECE // 16 + 5, 16), (7, PIECE // 64, 16)):
        x = torch.randn(shape)
        made = rounded(x, (0, 0))
        again = (x / made.scale + made.zero).round()
        # Halves may go either way.
        assert float((made.whole - again).abs().max()) <= 1
        assert float((made.whole != again).float().mean()) < 1e-4


SHAPES = [  # c_in, c_out, taps of a row, taps, stride, dilation
    (33, 70, 1, 3, 1, 1),
    (64, 65, 1, 1, 1, 1),
    (32, 128, 1, 3, 1, 8),
    (32, 64, 1, 3, 1, 5000),
    (40, 64, 1, 5, 2, 1),
    (32, 32, 3, 3, 1, 4),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [1, 9, 100])
def test_sums_are_exact(shape: tuple[int, ...], length: int) -> None:
    c_in, c_out, over, kernel, stride, dilation = shape
    torch.manual_seed(0)
    weight, bias = torch.randn(c_out, c_in, over, kernel), torch.randn(c_out)
    made = Int8Conv(weight, bias, (1, stride), (1, dilation))
    image = torch.randn(over, length, c_in) + 0.3
    clip = rounded(image, (over // 2, dilation * (kernel // 2)))
    scales = weight.double().flatten(1).abs().amax(1)[:, None, None, None] / 127
    places, taps = plain(clip).permute(2, 0, 1)[None], (weight / scales).round() * scales
    wanted = F.conv2d(places, taps, bias.double(), (1, stride), 0, (1, dilation))
    torch.testing.assert_close(made(clip, torch.float32).double(), wanted, rtol=0, atol=3e-5)
    short = made(clip, torch.bfloat16)
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.double(), wanted, rtol=2**-8, atol=3e-5)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [(32, 64, 3, 1, 4, 4), (64, 162, 1), (48, 64, 5, 4, 2, 1)])
def test_a_layer_and_its_halves_are_near_to_what_they_were(
    sizes: tuple[int, ...], dtype: torch.dtype
) -> None:
    layer, x = large(Conv1d, *sizes).to(dtype), torch.randn(2, sizes[0], 83, dtype=dtype)
    out = layer(x)
    wanted = F.conv1d(
        x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation
    ).float()
    error = (out.float() - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    assert out.dtype == dtype and 1e-4 < float(error) < 0.02
    halved = deepcopy(layer)
    halved.in_halves = True
    halved.use_int8()
    assert torch.equal(torch.cat(halved.halves(x), 1), halved(x))
    torch.testing.assert_close(halved(x).float(), out.float(), rtol=0.01, atol=0.02)


@torch.no_grad()
def test_an_image_is_near_to_what_it_was_and_its_rows_are_padded_too() -> None:
    layer = large(Conv2d, 32, 32, 3, 1, (1, 2), (1, 2))
    x = torch.randn(2, 32, 7, 40)
    wanted = F.conv2d(x, layer.weight, layer.bias, 1, (1, 2), (1, 2))
    error = (layer(x) - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    assert 1e-4 < float(error) < 0.02


@torch.no_grad()
def test_after_repetition_by_two_it_is_what_it_is_of_the_repeated() -> None:
    layer, x = large(Conv1d, 64, 64, 3, 1, 1), torch.randn(2, 64, 31)
    assert torch.equal(repeated_conv(layer, x, 2), layer(x.repeat_interleave(2, -1)))
    never = Conv1d(64, 64, 3, 1, 1)
    never.load_state_dict(layer.state_dict())
    assert torch.equal(repeated_conv(layer, x, 3), repeated_conv(never, x, 3))


@torch.no_grad()
def test_a_clip_does_not_depend_on_those_beside_it() -> None:
    layer, x = large(Conv1d, 32, 64, 3, 1, 1), torch.randn(3, 32, 40)
    x[1] *= 1000
    together = layer(x)
    for row, clip in zip(together, x, strict=True):
        assert torch.equal(layer(clip[None])[0], row)


@torch.no_grad()
def test_what_is_not_finite_stays_so() -> None:
    layer = large(Conv1d, 32, 64, 3, 1, 1)
    for value in (float("nan"), float("inf"), -float("inf")):
        x = torch.randn(1, 32, 40)
        x[0, 3, 20] = value
        assert not layer(x).isfinite().any()


def test_gradients_and_other_types_are_computed_as_ever() -> None:
    layer = large(Conv1d, 32, 64, 3, 1, 1)
    never = Conv1d(32, 64, 3, 1, 1)
    never.load_state_dict(layer.state_dict())
    x = torch.randn(1, 32, 40)
    assert torch.equal(layer(x), never(x))
    with torch.no_grad():
        assert not torch.equal(layer(x), never(x))
        doubled, exact = deepcopy(layer).double(), deepcopy(never).double()
        assert torch.equal(doubled(x.double()), exact(x.double()))


def test_small_and_grouped_layers_are_left_alone() -> None:
    few = [Conv1d(16, 512, 3), Conv1d(512, 32, 3), Conv1d(64, 64, 1), Conv1d(64, 64, 3, groups=2)]
    assert not any(int8_layers(layer) for layer in few)
