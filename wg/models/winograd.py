"""Convolutions of three taps with half of their products: Winograd's F(4, 3).

Lavin and Gray (1509.09308), over time. Of the inputs x0 .. x5, `dilation` d apart, four outputs are
A (G w * B x), with products of channels for `*`: 6 instead of 12.

Shapes: B batch, C_in and C_out channels, L places, a place's channels together; N fours of outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from wg.models.layout import one_tap

TILE = 4096  # places at a time, so that a piece's sums find it in the cache
LEAST = 1 << 15  # c_in * c_out: with less the sums cost what the products save
SHORTEST = 256  # places, for which products of the weights pay

WEIGHTS = (  # G, for the points 0, 1, -1, 2, -2, infinity
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether it is faster for x [B, C_in, L] and weight [C_out, C_in, 3], and as exact.

    In 16 bits its error is four times as large; what is compiled must not depend on the length.
    """
    single = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    (c_out, c_in, _), length = weight.shape, x.shape[2]
    large = min(c_in, c_out) >= 128 and c_in * c_out >= LEAST and length >= SHORTEST
    return single and not torch.compiler.is_compiling() and large


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """[B, C_in, L] -> [B, C_out, L] by weight [C_out, C_in, 3], with zeros beyond the ends."""
    (batch, c_in, length), c_out = x.shape, len(weight)
    products = (x.new_tensor(WEIGHTS) @ weight.reshape(-1, 3).T).view(6, c_out, c_in, 1)
    rows, out = x.transpose(1, 2).contiguous(), x.new_empty(batch, length, c_out)
    four = 4 * dilation
    tile = four * max(1, min(TILE, length) // four)
    pieces = x.new_empty(3, tile // 4 * max(c_in, c_out))
    for source, target in zip(rows, out, strict=True):
        for start in range(0, length, tile):
            end = min(start + tile, length)
            whole = start + four * -(-(end - start) // four)
            first, last = start - dilation, whole + dilation
            seen = source[max(first, 0) : last]
            seen = F.pad(seen, (0, 0, max(-first, 0), max(last - length, 0)))
            if whole == end:
                fours(seen, products, bias, target[start:end], pieces)
            else:
                made = x.new_empty(whole - start, c_out)
                fours(seen, products, bias, made, pieces)
                target[start:end] = made[: end - start]
    return out.transpose(1, 2)


def fours(seen: Tensor, products: Tensor, bias: Tensor | None, out: Tensor, pieces: Tensor) -> None:
    """Writes `out` [4 d N, C_out] of `seen` [4 d N + 2 d, C_in].

    By `products` [6, C_out, C_in, 1], in three pieces of memory over and over: what is new is
    not in the cache.
    """
    d, c_in, c_out = (len(seen) - len(out)) // 2, seen.shape[1], out.shape[1]
    row = d * c_in
    x0, x1, x2, x3, x4, x5 = (
        seen.flatten().unfold(0, 6 * row, 4 * row).unflatten(1, (6, row)).unbind(1)
    )
    piece, even, odd = (p[: x0.numel()].view_as(x0) for p in pieces)
    y0, y1, y2, y3 = out.view(-1, 4, d * c_out).unbind(1)

    def product(i: int, bias: Tensor | None = None) -> Tensor:
        made = one_tap(piece.view(1, -1, c_in).transpose(1, 2), products[i], bias)
        return made.transpose(1, 2).view(y0.shape)

    torch.sub(x4, x2, alpha=4, out=even)
    torch.sub(x3, x1, alpha=4, out=odd)
    torch.add(even, odd, out=piece)
    m1 = product(1, bias)
    torch.sub(even, odd, out=piece)
    m2 = product(2)
    torch.add(m1, m2, out=y0)
    torch.sub(m1, m2, out=y1)
    torch.sub(x4, x2, out=even)
    torch.sub(x3, x1, out=odd)
    torch.add(even, odd, alpha=2, out=piece)
    m3 = product(3)
    torch.sub(even, odd, alpha=2, out=piece)
    m4 = product(4)
    torch.sub(x0, x2, out=piece)
    torch.add(even, piece, alpha=4, out=piece)
    m0 = product(0)
    torch.sub(x5, x3, out=piece).sub_(odd, alpha=4)
    m5 = product(5)
    even, odd = (p[: y0.numel()].view_as(y0) for p in pieces[1:])
    torch.add(m3, m4, out=even)
    torch.sub(m3, m4, out=odd)
    torch.add(y0, even, alpha=4, out=y2)
    torch.add(y1, odd, alpha=8, out=y3)
    y0.add_(even).add_(m0)
    y1.add_(odd, alpha=2)
    y3.add_(m5)
