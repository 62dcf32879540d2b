"""Convolutions over time at the rate that a CPU can reach.

Shapes: B batch, C channels, L places. oneDNN is fastest where a place's channels lie together; not
so in its backward passes, so in training nothing is put in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.models import winograd
from wg.models.int8 import Int8Conv, rounded

# With less, rounding to 8 bits takes what its products gain.
INT8_CHANNELS = 32  # that enter
INT8_PRODUCTS = 160  # of each value that is rounded
INT8_WORK = 1 << 25  # products of a clip


class Conv1d(nn.Conv1d):
    """`nn.Conv1d`, on a CPU with the channels of a place together: [B, C, L] of strides (., 1, C).

    What follows keeps such strides, so only what enters a network is put in order.
    """

    int8: tuple[Int8Conv, ...] = ()  # all, and both halves, once `use_int8` was called

    @property
    def suits_int8(self) -> bool:
        """Whether products in 8 bits gain more than rounding takes."""
        plain = self.groups == 1 and self.padding_mode == "zeros" and self.bias is not None
        products = self.out_channels * self.kernel_size[0]
        return plain and self.in_channels >= INT8_CHANNELS and products >= INT8_PRODUCTS

    def use_int8(self) -> None:
        """Multiplies in 8 bits from now on, by the weights of now; on a CPU, without gradients."""
        (stride,), (dilation,) = self.stride, self.dilation
        assert self.bias is not None
        parts = (self.weight, *self.weight.chunk(2)), (self.bias, *self.bias.chunk(2))
        self.int8 = tuple(
            Int8Conv(weight, bias, stride, dilation) for weight, bias in zip(*parts, strict=True)
        )

    def forward(self, input: Tensor) -> Tensor:
        """[B, C_in, L] -> [B, C_out, L / stride]."""
        if self.takes_int8(input):
            (out,) = self.by_int8(input, self.int8[:1])
            return out
        return self.convolved(input, self.weight, self.bias)

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves of the output's channels, [B, C_out / 2, L / stride].

        On a CPU each in one piece: strides between them would slow all that follows.
        """
        if not channels_together(x) or self.groups > 1:
            first, second = self(x).chunk(2, 1)
            return first, second
        if self.takes_int8(x):
            first, second = self.by_int8(x, self.int8[1:])
            return first, second
        assert self.bias is not None
        parts = zip(self.weight.chunk(2), self.bias.chunk(2), strict=True)
        first, second = (self.convolved(x, weight, bias) for weight, bias in parts)
        return first, second

    def takes_int8(self, x: Tensor) -> bool:
        """Whether x [B, C_in, L] is convolved in 8 bits."""
        if not self.int8 or not in_pieces(x):
            return False
        products = self.in_channels * self.out_channels * self.kernel_size[0]
        return products * x.shape[2] >= INT8_WORK

    def by_int8(self, x: Tensor, parts: Sequence[Int8Conv], repeat: int = 1) -> list[Tensor]:
        """[B, C_in, L] -> of each part [B, its channels, L / stride], clips one after another.

        Each place enters `repeat` times.
        """
        (padding,) = self.padding
        assert isinstance(padding, int)
        clips = [rounded(rows, padding, repeat) for rows in x.transpose(1, 2).contiguous()]
        made = ([part(clip, x.dtype) for clip in clips] for part in parts)
        return [clips[0] if len(clips) == 1 else torch.cat(clips) for clips in made]

    def convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """[B, C_in, L] -> [B, C_out, L / stride], with some of the layer's weights."""
        if self._one_product(x):
            rows = weight[..., 0].expand(len(x), -1, -1)
            return rows @ x if bias is None else torch.baddbmm(bias[:, None], rows, x)
        if not channels_together(x) or self.padding_mode != "zeros":
            return self._conv_forward(x, weight, bias)
        (stride,), (padding,), (dilation,) = self.stride, self.padding, self.dilation
        assert isinstance(padding, int)
        if self.in_channels == 1:
            span = dilation * (weight.shape[2] - 1) + 1
            seen = F.pad(x[:, 0], (padding, padding)).unfold(1, span, stride)[..., ::dilation]
            return F.linear(seen, weight[:, 0], bias).transpose(1, 2)
        keeps = self.kernel_size == (3,) and stride == self.groups == 1 and padding == dilation
        if keeps and winograd.pays(x, weight):
            return winograd.winograd(x, weight, bias, dilation)
        if self.kernel_size == (1,):
            dilation = 2  # as in `one_tap`
        sizes = (1, stride), (0, padding), (1, dilation)
        return F.conv2d(together(x), together(weight), bias, *sizes, self.groups).squeeze(2)

    def _one_product(self, x: Tensor) -> bool:
        """Whether it is a product of a matrix: in training on a CPU of one tap, where it pays."""
        plain = self.kernel_size == self.stride == (1,) and self.groups == 1
        training = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        return x.device.type == "cpu" and training and plain and self.padding == (0,)


def int8_layers(network: nn.Module) -> list[Conv1d]:
    """Those that `Conv1d.use_int8` makes faster."""
    return [layer for layer in network.modules() if isinstance(layer, Conv1d) and layer.suits_int8]


def channels_together(x: Tensor) -> bool:
    """Whether x [B, C, L] is faster so: on CPUs, of types that oneDNN has, without gradients."""
    known = x.dtype in (torch.float32, torch.bfloat16)
    free = not torch.is_grad_enabled() and not torch.compiler.is_exporting()
    return x.device.type == "cpu" and known and free


def in_pieces(x: Tensor) -> bool:
    """Whether work on x may go piece by piece, as fits a CPU's cache.

    Compiled it may not: each number of pieces would be compiled anew.
    """
    return channels_together(x) and not torch.compiler.is_compiling()


def together(x: Tensor) -> Tensor:
    """[B, C, L] -> [B, C, 1, L] in the order of `torch.channels_last`."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def repeated_conv(layer: Conv1d, x: Tensor, factor: int) -> Tensor:
    """A convolution of 3 taps after repetition by `factor`, in half of the work or less.

    [B, C_in, L] -> [B, C_out, L * factor]. With taps a, b, c every input is seen by factor + 2
    outputs, as c, b + c, a + b + c .. a + b + c, a + b, a: one transposed convolution.
    """
    if factor == 2 and layer.takes_int8(x):  # more products, but in 8 bits
        return layer.by_int8(x, layer.int8[:1], factor)[0]
    first, middle, last = layer.weight.unbind(-1)
    if factor > 2 and channels_together(x):
        return three_products(x, (first, first + middle + last, last), layer.bias, factor)
    early, late = middle + last, first + middle
    taps = [last, early, *[late + last] * (factor - 2), late, first]
    weight = torch.stack(taps, -1).transpose(0, 1)  # [C_in, C_out, factor + 2]
    if not channels_together(x):
        return F.conv_transpose1d(x, weight, layer.bias, factor, 1)
    out = F.conv_transpose2d(together(x), together(weight), layer.bias, (1, factor), (0, 1))
    return out.squeeze(2)


def three_products(
    x: Tensor, taps: tuple[Tensor, Tensor, Tensor], bias: Tensor | None, factor: int
) -> Tensor:
    """`repeated_conv` by `taps` a, a + b + c and c, [C_out, C_in], whatever the factor.

    All repetitions of an input x make (a + b + c) x, the first of them a (x_before - x) more, the
    last c (x_after - x) more.
    """
    padded = F.pad(x.transpose(1, 2), (0, 0, 1, 1)).transpose(1, 2)
    differences = padded[..., :-2] - x, padded[..., 2:] - x
    first, every, last = (tap[..., None] for tap in taps)
    middle = one_tap(x, every, bias).transpose(1, 2)  # [B, L, C_out]
    out = middle[:, :, None].repeat(1, 1, factor, 1)
    out[:, :, 0] += one_tap(differences[0], first).transpose(1, 2)
    out[:, :, -1] += one_tap(differences[1], last).transpose(1, 2)
    return out.flatten(1, 2).transpose(1, 2)


def one_tap(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[B, C_in, L] -> [B, C_out, L] by weight [C_out, C_in, 1], where `channels_together`."""
    # Dilated, which says nothing of one tap: else torch on one thread takes a product.
    return F.conv2d(together(x), together(weight), bias, dilation=(1, 2)).squeeze(2)
