"""Convolutions over time at the rate that a CPU can reach.

Shapes: B batch, C channels, L places. oneDNN is fastest where a place's channels lie together; not
so in its backward passes, so in training nothing is put in another order.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.models import winograd
from wg.models.fused import Fusible
from wg.models.int8 import Int8Layer
from wg.models.layout import channels_together, one_tap, together
from wg.models.winograd import Winograd


class Conv1d(nn.Conv1d, Int8Layer, Fusible):
    """`nn.Conv1d`, on a CPU with the channels of a place together: [B, C, L] of strides (., 1, C).

    What follows keeps such strides, so only what enters a network is put in order.
    """

    winograd: tuple[Winograd, ...] = ()  # of all or of both halves, once `fuse` was called

    @property
    def suits_kernels(self) -> bool:
        """Whether Winograd's convolution pays."""
        keeps = self.stride == (1,) and self.padding == self.dilation and self.groups == 1
        plain = keeps and self.padding_mode == "zeros" and self.bias is not None
        return plain and self.kernel_size == (3,) and winograd.pays(self.weight) and not self.int8

    def fuse(self) -> None:
        """Takes Winograd's convolution from now on, by the weights of now."""
        super().fuse()
        (dilation,) = self.dilation
        self.winograd = tuple(Winograd(*part, dilation) for part in self.parts())

    def _load_from_state_dict(self, *told: Any) -> None:
        """New weights are convolved as they are."""
        super()._load_from_state_dict(*told)
        self.by_kernels, self.winograd = False, ()

    def forward(self, input: Tensor) -> Tensor:
        """[B, C_in, L] -> [B, C_out, L / stride]."""
        made = self.prepared(input)
        if made is None:
            return self.convolved(input, self.weight, self.bias)
        return made[0] if len(made) == 1 else torch.cat(made, 1)

    def prepared(self, x: Tensor) -> list[Tensor] | None:
        """[B, C_out, L / stride] in 8 bits or by Winograd: all, or each half. None: by neither."""
        if self.takes_int8(x):
            return self.by_int8(x)
        single = x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if self.takes_kernels(x) and single and self.winograd[0].suits(x.shape[2]):
            return [convolve(x) for convolve in self.winograd]
        return None

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves of the output's channels, [B, C_out / 2, L / stride].

        On a CPU each in one piece: strides between them would slow all that follows. Of a layer
        whose `in_halves` says so.
        """
        assert self.in_halves
        if not channels_together(x) or self.groups > 1:
            first, second = self(x).chunk(2, 1)
            return first, second
        first, second = self.prepared(x) or [self.convolved(x, *part) for part in self.parts()]
        return first, second

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
        if self.kernel_size == (1,):
            dilation = 2  # as in `one_tap`
        sizes = (1, stride), (0, padding), (1, dilation)
        return F.conv2d(together(x), together(weight), bias, *sizes, self.groups).squeeze(2)

    def _one_product(self, x: Tensor) -> bool:
        """Whether it is a product of a matrix: in training on a CPU of one tap, where it pays."""
        plain = self.kernel_size == self.stride == (1,) and self.groups == 1
        training = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        return x.device.type == "cpu" and training and plain and self.padding == (0,)


class Conv2d(nn.Conv2d, Int8Layer):
    """`nn.Conv2d`, over rows and time, which may be of 8 bits."""

    def forward(self, input: Tensor) -> Tensor:
        """[B, C_in, N, L] -> [B, C_out, N / stride, L / stride]."""
        if self.takes_int8(input):
            return self.by_int8(input)[0]
        return self._conv_forward(input, self.weight, self.bias)


def repeated_conv(layer: Conv1d, x: Tensor, factor: int) -> Tensor:
    """A convolution of 3 taps after repetition by `factor`, in half of the work or less.

    [B, C_in, L] -> [B, C_out, L * factor]. With taps a, b, c every input is seen by factor + 2
    outputs, as c, b + c, a + b + c .. a + b + c, a + b, a: one transposed convolution.
    """
    if factor == 2 and layer.takes_int8(x):  # more products, but in 8 bits
        return layer.by_int8(x, factor)[0]
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
