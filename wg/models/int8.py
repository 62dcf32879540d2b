"""Convolutions in 8 bits, by oneDNN: up to twice as fast as in bfloat16.

Weights are rounded once, at a scale for each output channel; inputs at each call, by the range of
each clip, so that no clip depends on those beside it. Sums are exact; what comes out is in the
type that went in.

Shapes: B batch, C_in and C_out channels, N rows of L places, one row where only time is convolved.
A place's channels lie together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from wg.models.fused import array, kernels, ready, threads
from wg.models.layout import in_pieces

PIECE = 1 << 18  # values rounded at once without a kernel
STEPS = 254  # between the least and the greatest value; one is left to round the zero
LEAST_SCALE = 1e-30  # of what is all zeros
ROWS, PLACES = 64, 4096  # that weights are ordered for
# With less, rounding takes what products in 8 bits gain. How long a clip is must not count: in a
# batch it is as long as the longest.
CHANNELS = 32  # that enter
PRODUCTS = 160  # of each value that is rounded


class Rounded(NamedTuple):
    """A clip [N, L, C] as scale * (whole - zero)."""

    whole: Tensor  # uint8
    scale: float
    zero: int


def rounded(clip: Tensor, padding: tuple[int, int], repeat: int = 1) -> Rounded:
    """A clip [N, L, C] in 8 bits, each place `repeat` times, framed by `padding` of exact zeros."""
    low, high = (bound.item() for bound in clip.flatten().aminmax())
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / STEPS, LEAST_SCALE)
    # What is not finite makes all NaN, by its scale.
    zero = round(-low / scale) if math.isfinite(scale) else 0
    (count, length, channels), (above, before) = clip.shape, padding
    size = count + 2 * above, length * repeat + 2 * before, channels
    whole = clip.new_empty(size, dtype=torch.uint8)
    over, rows, under = whole.tensor_split((above, above + count))
    left, inner, right = rows.tensor_split((before, before + length * repeat), 1)
    for edge in (over, under, left, right):
        edge.fill_(zero)
    if ready():
        told = np.float32(1 / scale), np.float32(zero + 0.5), repeat
        kernels().to_uint8(array(clip), *told, inner.numpy(), threads())
    else:
        by_pieces(clip, 1 / scale, zero + 0.5, inner.unflatten(1, (length, repeat)))
    return Rounded(whole, scale, zero)


def by_pieces(clip: Tensor, scale: float, offset: float, out: Tensor) -> None:
    """scale * clip + offset, cut to whole numbers, of [N, L, C] into `out` [N, L, repeat, C].

    Some places at a time, so that the float32 of each stays in the cache.
    """
    split = 0 if len(clip) > 1 else 1
    places = max(1, PIECE * clip.shape[split] // clip.numel())
    sources = clip.split(places, split)
    single = torch.empty_like(sources[0], dtype=torch.float32)
    integer, start = torch.empty_like(single, dtype=torch.int32), torch.tensor(offset)
    for source, target in zip(sources, out.split(places, split), strict=True):
        values, counts = (t.narrow(split, 0, source.shape[split]) for t in (single, integer))
        values.copy_(source)
        torch.add(start, values, alpha=scale, out=values)
        counts.copy_(values)  # to uint8 at once takes twice as long
        target.copy_(counts.unsqueeze(2))


class Int8Conv:
    """A convolution of framed clips by weight [C_out, C_in, H, K], rounded, and bias [C_out]."""

    def __init__(
        self, weight: Tensor, bias: Tensor, stride: Sequence[int], dilation: Sequence[int]
    ) -> None:
        weight, self.bias = weight.detach().float(), bias.detach().float()
        self.scales = weight.flatten(1).abs().amax(1).clamp(min=LEAST_SCALE) / 127
        whole = (weight / self.scales[:, None, None, None]).round()
        self.sums = whole.sum((1, 2, 3)) * self.scales
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.sizes = [*stride], [0, 0], [*dilation], 1
        # Its inputs' scale is told at each call. Without a size to order weights for, convolutions
        # of one tap take ten times as long.
        rows, places = (n * (taps - 1) for n, taps in zip(dilation, weight.shape[2:], strict=True))
        size = [1, weight.shape[1], rows + (ROWS if rows else 1), places + PLACES]
        told = self.scales, 1.0, 0, *self.sizes, size
        self.packed = torch.ops.onednn.qconv_prepack(whole.to(torch.int8), *told)

    def __deepcopy__(self, memo: object) -> Int8Conv:
        """Itself, which never changes: oneDNN's weights cannot be copied."""
        return self

    def __call__(self, clip: Rounded, dtype: torch.dtype) -> Tensor:
        """[1, C_out, N / stride, L / stride]."""
        whole, scale, zero = clip
        # oneDNN is slower where a zero is not 0: what it adds to each sum leaves with the bias.
        bias = self.bias - scale * zero * self.sums
        weights = self.packed, self.scales, self.zeros, bias
        return torch.ops.onednn.qconv2d_pointwise(
            *(whole.permute(2, 0, 1)[None], scale, 0, *weights, *self.sizes),
            *(1.0, 0, dtype, "none", [], ""),  # no scale, type and function of what comes out
        )


class Int8Layer(_ConvNd):
    """What a convolution over time, or over time and rows, has to compute in 8 bits."""

    in_halves = False  # whether the halves of its output are asked for, each in one piece
    int8: tuple[Int8Conv, ...] = ()  # of all or of both halves, once `use_int8` was called

    @property
    def suits_int8(self) -> bool:
        """Whether products in 8 bits gain more than rounding takes."""
        plain = self.groups == 1 and self.padding_mode == "zeros" and self.bias is not None
        products = self.out_channels * math.prod(self.kernel_size)
        return plain and self.in_channels >= CHANNELS and products >= PRODUCTS

    def use_int8(self) -> None:
        """Multiplies in 8 bits from now on, by the weights of now; on a CPU, without gradients."""
        sizes = (1, *self.stride)[-2:], (1, *self.dilation)[-2:]
        self.int8 = tuple(
            Int8Conv(weight.flatten(2).unflatten(2, (-1, self.kernel_size[-1])), bias, *sizes)
            for weight, bias in self.parts()
        )

    def _load_from_state_dict(self, *told: Any) -> None:
        """New weights are multiplied as they are."""
        super()._load_from_state_dict(*told)
        self.int8 = ()

    def parts(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases of all, or of both halves."""
        assert self.bias is not None
        count = 2 if self.in_halves else 1
        return list(zip(self.weight.chunk(count), self.bias.chunk(count), strict=True))

    def takes_int8(self, x: Tensor) -> bool:
        """Whether x [B, C_in, L] or [B, C_in, N, L] is convolved in 8 bits."""
        return bool(self.int8) and in_pieces(x)

    def by_int8(self, x: Tensor, repeat: int = 1) -> list[Tensor]:
        """[B, C_in, L] -> [B, C_out, L / stride], or so with rows: all, or each half.

        Clips go one after another. Each place enters `repeat` times.
        """
        assert not isinstance(self.padding, str)
        above, before = (0, *self.padding)[-2:]
        image = x if x.ndim == 4 else x.unsqueeze(2)
        clips = image.permute(0, 2, 3, 1).contiguous()
        whole = [rounded(clip, (above, before), repeat) for clip in clips]
        made = ([part(clip, x.dtype) for clip in whole] for part in self.int8)
        joined = [each[0] if len(each) == 1 else torch.cat(each) for each in made]
        return joined if x.ndim == 4 else [out.squeeze(2) for out in joined]


def int8_layers(network: nn.Module) -> list[Int8Layer]:
    """Those that `Int8Layer.use_int8` makes faster."""
    return [
        layer for layer in network.modules() if isinstance(layer, Int8Layer) and layer.suits_int8
    ]


def use_int8(network: nn.Module) -> None:
    """Large convolutions in 8 bits from now on, by the weights of now."""
    for layer in int8_layers(network):
        layer.use_int8()


@contextmanager
def plainly(network: nn.Module) -> Iterator[None]:
    """Computes by torch's own operations, which it counts: neither kernels nor 8 bits."""
    plain: dict[str, object] = {"by_kernels": False, "int8": ()}
    kept = [
        (layer, name, getattr(layer, name))
        for layer in network.modules()
        for name in plain
        if getattr(layer, name, None)
    ]
    for layer, name, _ in kept:
        setattr(layer, name, plain[name])
    try:
        yield
    finally:
        for layer, name, value in kept:
            setattr(layer, name, value)
