"""The order of a tensor in memory that a CPU is fast at: the channels of a place together.

Shapes: B batch, C channels, L places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def one_tap(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[B, C_in, L] -> [B, C_out, L] by weight [C_out, C_in, 1], where `channels_together`."""
    # Dilated, which says nothing of one tap: else torch on one thread takes a product.
    return F.conv2d(together(x), together(weight), bias, dilation=(1, 2)).squeeze(2)
