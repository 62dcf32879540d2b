"""Losses of a soft alignment: it should be monotonic, and near its best hard one."""

from __future__ import annotations

from typing import Any, cast

import numba
import numpy as np
import torch
from torch import Tensor


def forward_sum(log_p: Tensor, frames: Tensor, optional: list[np.ndarray]) -> Tensor:
    """-log of the summed probability of all monotonic alignments, divided by T; mean over B.

    One TTS Alignment (2108.10447), eq. 5 and 6; the paper computes it by a CTC with a blank, which
    is a frame without a symbol. Here every frame has one, and symbols that are `optional` may have
    no frame. `log_p` [B, T, N]; `frames` [B] are lengths; `optional` holds a mask [N_b] each.
    """
    return cast("Tensor", _ForwardSum.apply(log_p, frames, optional))


def binarisation(log_p: Tensor, hard: Tensor) -> Tensor:
    """-mean of log p [B, T, N] where the hard alignment [B, T, N] is 1; (2108.10447), eq. 9."""
    return -(log_p.masked_fill(hard == 0, 0.0)).sum() / hard.sum()


class _ForwardSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor, frames: Tensor, optional: list[np.ndarray]) -> Tensor:
        values = log_p.detach().cpu().numpy()
        gradient = np.zeros_like(values)
        total = 0.0
        for item, (length, mask) in enumerate(zip(frames.tolist(), optional, strict=True)):
            part = np.ascontiguousarray(values[item, :length, : len(mask)])
            log_sum, posterior = posteriors(part, mask)
            total -= log_sum / length
            gradient[item, :length, : len(mask)] = -posterior / length
        ctx.save_for_backward(torch.from_numpy(gradient / len(values)).to(log_p))
        return log_p.new_tensor(total / len(values))

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None


@numba.njit(cache=True)
def _add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    if one < other:
        one, other = other, one
    if other == -np.inf or other < one - 30.0:
        return one
    return one + np.log1p(np.exp(other - one))


@numba.njit(cache=True)
def posteriors(log_p: np.ndarray, optional: np.ndarray) -> tuple[float, np.ndarray]:
    """Log of the sum over all monotonic alignments, and each symbol's share of each frame.

    `log_p` [T, N], `optional` [N]; the forward-backward algorithm. Shares are [T, N].
    """
    frames, symbols = log_p.shape
    never = -np.inf
    forward = np.empty((frames, symbols))
    for frame in range(frames):
        enter = 0.0 if frame == 0 else never
        for symbol in range(symbols):
            stay = forward[frame - 1, symbol] if frame else never
            forward[frame, symbol] = log_p[frame, symbol] + _add(stay, enter)
            enter = _add(stay, enter) if optional[symbol] else stay
    backward = np.empty(symbols)
    share = np.zeros((frames, symbols), np.float32)
    leave = 0.0
    for symbol in range(symbols - 1, -1, -1):
        backward[symbol] = leave
        leave = leave if optional[symbol] else never
    total = never
    for symbol in range(symbols):
        total = _add(total, forward[frames - 1, symbol] + backward[symbol])
    for frame in range(frames - 1, -1, -1):
        leave = never
        for symbol in range(symbols - 1, -1, -1):
            if frame < frames - 1:
                stay = log_p[frame + 1, symbol] + backward[symbol]
                backward[symbol] = _add(stay, leave)
                leave = _add(stay, leave) if optional[symbol] else stay
            share[frame, symbol] = np.exp(forward[frame, symbol] + backward[symbol] - total)
    return total, share
