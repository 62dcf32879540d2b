"""Convolutions in the order that a CPU is fast at are the same functions as torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.models.convolution import Conv1d, repeated_conv
from wg.models.diffwave import gated, turned

SHAPES = [  # c_in, c_out, kernel, stride, padding, dilation, groups
    (1, 6, 5, 1, 2, 1, 1),
    (6, 1, 3, 1, 1, 1, 1),
    (1, 1, 1, 1, 0, 1, 1),
    (6, 4, 1, 1, 0, 1, 1),
    (6, 4, 3, 1, 8, 8, 1),
    (6, 4, 5, 4, 2, 1, 1),
    (6, 6, 7, 1, 3, 1, 6),
]
PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-12)]


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Of a loss that weighs every output differently."""
    weight = torch.arange(out.numel(), dtype=out.dtype).view(out.shape).sin()
    return torch.autograd.grad((out * weight).sum(), inputs)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("batch", "length"), [(1, 37), (3, 8), (2, 1)])
def test_a_convolution_and_its_gradients_are_torchs(
    shape: tuple[int, ...], dtype: torch.dtype, tolerance: float, batch: int, length: int
) -> None:
    torch.manual_seed(0)
    c_in, c_out, kernel, stride, padding, dilation, groups = shape
    sizes = c_in, c_out, kernel, stride, padding, dilation, groups
    ours, plain = Conv1d(*sizes).to(dtype), nn.Conv1d(*sizes).to(dtype)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(batch, shape[0], length, dtype=dtype, requires_grad=True)
    out, wanted = ours(x), plain(x)
    torch.testing.assert_close(out, wanted, rtol=0, atol=tolerance)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), wanted, rtol=0, atol=tolerance)
    got = gradients(out, x, *ours.parameters())
    expected = gradients(wanted, x, *plain.parameters())
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 2), (3, 7)])
def test_a_convolution_after_repetition_is_one_transposed_convolution(
    factor: int, dtype: torch.dtype, tolerance: float, batch: int, length: int
) -> None:
    torch.manual_seed(0)
    layer = Conv1d(6, 4, 3, padding=1).to(dtype)
    x = torch.randn(batch, 6, length, dtype=dtype, requires_grad=True)
    out = repeated_conv(layer, x, factor)
    wanted = F.conv1d(x.repeat_interleave(factor, -1), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(out, wanted, rtol=0, atol=tolerance)
    with torch.no_grad():
        torch.testing.assert_close(repeated_conv(layer, x, factor), wanted, rtol=0, atol=tolerance)
    inputs = (x, *layer.parameters())
    for got, expected in zip(gradients(out, *inputs), gradients(wanted, *inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_halves_are_those_of_all_channels(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    layer, x = Conv1d(6, 8, 3, padding=1).to(dtype), torch.randn(2, 6, 11, dtype=dtype)
    layer.in_halves = True
    halves = torch.cat(layer.halves(x), 1)
    torch.testing.assert_close(halves, layer(x), rtol=0, atol=tolerance)
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(layer.halves(x), 1), halves, rtol=0, atol=tolerance)
    got, expected = (gradients(out, *layer.parameters()) for out in (halves, layer(x)))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=10 * tolerance)


@torch.no_grad()
def test_channels_of_a_place_stay_together_through_a_network() -> None:
    layers = nn.Sequential(Conv1d(1, 6, 5, padding=2), nn.LeakyReLU(), Conv1d(6, 4, 3, padding=1))
    assert layers(torch.randn(2, 1, 9)).stride()[1] == 1


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("conditioned", [False, True])
def test_a_gate_without_tanh_is_the_gate(
    dtype: torch.dtype, tolerance: float, conditioned: bool
) -> None:
    torch.manual_seed(0)
    y = (3 * torch.randn(2, 8, 50, dtype=dtype)).requires_grad_()
    condition = torch.randn(2, 8, 50, dtype=dtype) if conditioned else torch.zeros(1, dtype=dtype)
    out = gated(y, condition * turned(y) if conditioned else None)
    main, gate = (y + condition).chunk(2, 1)
    wanted = main.tanh() * gate.sigmoid()
    torch.testing.assert_close(out, wanted, rtol=0, atol=tolerance / 10)
    torch.testing.assert_close(*gradients(out, y), *gradients(wanted, y), rtol=0, atol=tolerance)


def test_a_gate_in_16_bits_is_as_exact_as_that_of_a_tanh() -> None:
    torch.manual_seed(0)
    y = torch.randn(1, 8, 4000).bfloat16()
    main, gate = y.chunk(2, 1)
    exact = main.double().tanh() * gate.double().sigmoid()
    plain = main.tanh() * gate.sigmoid()
    error, usual = ((out.double() - exact).square().mean() for out in (gated(y, None), plain))
    assert error <= usual
