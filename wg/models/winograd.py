"""Convolutions of three taps with half of their products: Winograd's F(4, 3).

Lavin and Gray (1509.09308), over time. Of the inputs x0 .. x5, `dilation` d apart, four outputs are
A (G w * B x), with products of channels for `*`: 6 instead of 12. A and B are kernels
(`wg.models.kernels`).

Shapes: B batch, C_in and C_out channels, L places, a place's channels together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wg.models import fused

TILE = 1024  # fours at a time, so that A finds in the cache what B and the products made
LEAST = 1 << 13  # c_in * c_out
SHORTEST = 256  # places, for which products of so many rows pay
FEWEST = 4  # times four outputs of a dilation: the last ones may lie beyond the end

WEIGHTS = (  # G, for the points 0, 1, -1, 2, -2, infinity
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def pays(weight: Tensor) -> bool:
    """Whether it is faster for weights [C_out, C_in, 3], and as exact.

    In 16 bits its error is four times as large.
    """
    c_out, c_in, _ = weight.shape
    large = min(c_in, c_out) >= fused.NARROWEST and c_in * c_out >= LEAST
    known = hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and large and weight.dtype == torch.float32


def products(weight: Tensor) -> Tensor:
    """G w of weights [C_out, C_in, 3], [6, C_out, C_in]."""
    out = weight.new_tensor(WEIGHTS) @ weight.flatten(0, 1).T
    return out.unflatten(1, weight.shape[:2])


class Winograd:
    """A convolution by weight [C_out, C_in, 3] and bias [C_out], in float32 on a CPU.

    It keeps the length, with zeros beyond the ends. Later changes of the weights are not seen.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int) -> None:
        self.weight, self.bias, self.dilation = weight.detach(), bias.detach(), dilation
        self.packed = [
            torch.ops.mkldnn._reorder_linear_weight(product.contiguous(), TILE)
            for product in products(self.weight)
        ]

    def __reduce__(self) -> tuple[type[Winograd], tuple[Tensor, Tensor, int]]:
        """Made anew of the weights: oneDNN's order of them can be neither copied nor pickled."""
        return Winograd, (self.weight, self.bias, self.dilation)

    def suits(self, length: int) -> bool:
        """Whether it pays for so many places."""
        return length >= max(SHORTEST, FEWEST * 4 * self.dilation)

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C_in, L] -> [B, C_out, L]."""
        rows, dilation, bias = x.transpose(1, 2).contiguous(), self.dilation, self.bias.numpy()
        batch, length, channels = rows.shape
        out = rows.new_empty(batch, length, len(bias))
        fours = -(-length // (4 * dilation)) * dilation
        tile = dilation * -(-fours // dilation // max(1, round(fours / TILE)))
        memory, kernels, count = (
            rows.new_empty(6 * tile * channels),
            fused.kernels(),
            fused.threads(),
        )
        for source, target in zip(rows.numpy(), out.numpy(), strict=True):
            for first in range(0, fours, tile):
                size = min(tile, fours - first)
                seen = memory[: 6 * size * channels].view(6, size, channels)
                kernels.enter_fours(source, 4 * first, dilation, seen.numpy(), count)
                made = tuple(
                    torch.ops.mkldnn._linear_pointwise(part, weight, None, "none", [], "").numpy()
                    for part, weight in zip(seen, self.packed, strict=True)
                )
                kernels.leave_fours(made, bias, 4 * first, dilation, target, count)
        return out.transpose(1, 2)
