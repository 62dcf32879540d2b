"""Convolutions over time in 8 bits, by oneDNN: about twice as fast as in bfloat16.

Weights are rounded once, at a scale for each output channel; inputs at each call, by the range of
each clip, so that no clip depends on those beside it. Sums are exact; what comes out is in the
type that went in.

Shapes: B batch, C_in and C_out channels, L places, a place's channels together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

PIECE = 1 << 18  # values rounded at once, so that their float32 stays in the cache
TYPICAL = 4096  # places, for which weights are ordered
LEAST_SCALE = 1e-30  # of what is all zeros
STEPS = 254  # between the least and the greatest value; one is left to round the zero


class Rounded(NamedTuple):
    """Rows [L, C] as scale * (whole - zero)."""

    whole: Tensor  # uint8
    scale: float
    zero: int


def rounded(rows: Tensor, padding: int, repeat: int = 1) -> Rounded:
    """`rows` [L, C] in 8 bits, each `repeat` times, between `padding` rows of exact zeros."""
    low, high = (bound.item() for bound in rows.flatten().aminmax())
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / STEPS, LEAST_SCALE)
    # What is not finite makes all NaN, by its scale.
    zero = round(-low / scale) if math.isfinite(scale) else 0
    length, channels = rows.shape
    whole = rows.new_empty(length * repeat + 2 * padding, channels, dtype=torch.uint8)
    before, inner, after = whole.tensor_split((padding, len(whole) - padding))
    before.fill_(zero)
    after.fill_(zero)
    size = max(1, PIECE // channels)
    single = torch.empty(min(size, length), channels)
    integer, offset = torch.empty_like(single, dtype=torch.int32), torch.tensor(zero + 0.5)
    targets = inner.unflatten(0, (length, repeat)).split(size)
    for source, target in zip(rows.split(size), targets, strict=True):
        values, counts = single[: len(source)], integer[: len(source)]
        values.copy_(source)
        torch.add(offset, values, alpha=1 / scale, out=values)
        counts.copy_(values)  # to uint8 at once takes twice as long
        target.copy_(counts[:, None])
    return Rounded(whole, scale, zero)


class Int8Conv:
    """A convolution of padded rows by weight [C_out, C_in, K], rounded, and bias [C_out]."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, dilation: int) -> None:
        weight, self.bias = weight.detach().float(), bias.detach().float()
        self.scales = weight.flatten(1).abs().amax(1).clamp(min=LEAST_SCALE) / 127
        whole = (weight / self.scales[:, None, None]).round()
        self.sums = whole.sum((1, 2)) * self.scales
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.sizes = [1, stride], [0, 0], [1, dilation], 1
        image = whole.to(torch.int8)[:, :, None]
        # For inputs of some size; their scale is told at each call. Without a size convolutions of
        # one tap take ten times as long.
        told = self.scales, 1.0, 0, *self.sizes, [1, image.shape[1], 1, TYPICAL]
        self.packed = torch.ops.onednn.qconv_prepack(image, *told)

    def __deepcopy__(self, memo: object) -> Int8Conv:
        """Itself, which never changes: oneDNN's weights cannot be copied."""
        return self

    def __call__(self, rows: Rounded, dtype: torch.dtype) -> Tensor:
        """[1, C_out, L / stride]."""
        whole, scale, zero = rows
        # oneDNN is slower where a zero is not 0: what it adds to each sum leaves with the bias.
        bias = self.bias - scale * zero * self.sums
        weights = self.packed, self.scales, self.zeros, bias
        out = torch.ops.onednn.qconv2d_pointwise(
            *(whole.T[None, :, None], scale, 0, *weights, *self.sizes),
            *(1.0, 0, dtype, "none", [], ""),  # no scale, type and function of what comes out
        )
        return out.squeeze(2)
