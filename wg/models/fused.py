"""Passes over memory made one, on a CPU where numba is (`wg.models.kernels`)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wg.models.layout import in_pieces

NARROWEST = 64  # channels: with fewer they spare little of a call


@cache
def kernels() -> Any:
    """`wg.models.kernels`, or None where numba is not, may not compile or cannot keep it."""
    try:
        from wg.models import kernels
    except (ImportError, RuntimeError, ValueError):
        return None
    return kernels


def threads() -> int:
    """How many a kernel may use: torch's, if both have the same ones, which spin; or one."""
    wanted = torch.get_num_threads()
    return kernels().share(wanted) if wanted > 1 else 1


def ready() -> bool:
    """Whether there are kernels, for as many threads as torch has."""
    return kernels() is not None and threads() == torch.get_num_threads()


class Fusible(nn.Module):
    """A layer that kernels make faster once `fuse` was called, without gradients on a CPU."""

    by_kernels = False

    @property
    def suits_kernels(self) -> bool:
        """Whether they gain more than the half second and 100 MB that it takes to load them."""
        raise NotImplementedError

    def fuse(self) -> None:
        """Takes kernels from now on, and the weights of now."""
        self.by_kernels = True

    def takes_kernels(self, x: Tensor) -> bool:
        """Whether kernels compute x [B, C, ...]."""
        return self.by_kernels and in_pieces(x)


def fusible(network: nn.Module) -> list[Fusible]:
    """Those that there may be kernels for."""
    return [layer for layer in network.modules() if isinstance(layer, Fusible)]


def fuse(network: nn.Module) -> None:
    """Kernels for all layers that they suit, where they are `ready`."""
    suited = [layer for layer in fusible(network) if layer.suits_kernels]
    if suited and ready():
        for layer in suited:
            layer.fuse()


def fused_layers(network: nn.Module) -> list[Fusible]:
    """Those that take kernels."""
    return [layer for layer in fusible(network) if layer.by_kernels]


def array(x: Tensor) -> np.ndarray:
    """A tensor's memory; bfloat16 as its bits."""
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Of the last axis of x [B, ..., C], by weight and bias [B, C], or [C] of all clips."""
    x = x.contiguous()
    out = torch.empty_like(x)
    scales = (t.float().expand(len(x), -1).numpy() for t in (weight, bias))
    for clip, made, *scale in zip(x.flatten(1, -2), out.flatten(1, -2), *scales, strict=True):
        told = array(clip), *scale, np.float32(epsilon), array(made)
        kernels().normalised(*told, threads())
    return out


def modulated(x: Tensor, scale: Tensor, shift: Tensor, slope: float) -> Tensor:
    """Leaky ReLU of shift + scale * x, of tensors [B, C, L]."""
    if not x.shape == scale.shape == shift.shape:  # kernels do not look
        raise ValueError(f"shapes {[*x.shape]}, {[*scale.shape]} and {[*shift.shape]}")
    told = [t.transpose(1, 2).contiguous() for t in (x, scale, shift)]
    out = torch.empty_like(told[0])
    arrays = [array(t.flatten(0, 1)) for t in (*told, out)]
    kernels().modulated(*arrays[:3], np.float32(slope), arrays[3], threads())
    return out.transpose(1, 2)


def gated(y: Tensor, condition: Tensor | None) -> Tensor:
    """tanh(a) sigmoid(b) of halves (a, b) of y + condition, [B, 2 C, L] -> [B, C, L].

    The condition [B, 2 C, L or 1] comes times (-2, 1).
    """
    if condition is not None and condition.shape not in (y.shape, (*y.shape[:2], 1)):
        raise ValueError(f"shapes {[*y.shape]} and {[*condition.shape]}")
    rows = y.transpose(1, 2).contiguous()
    out = rows.new_empty(*rows.shape[:2], y.shape[1] // 2)
    told = rows[:, :0] if condition is None else condition.transpose(1, 2).contiguous()
    for clip, there, made in zip(rows, told, out, strict=True):
        kernels().gated(array(clip), array(there), array(made), threads())
    return out.transpose(1, 2)
