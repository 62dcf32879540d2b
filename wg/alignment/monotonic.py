"""Monotonic alignment search: the best hard alignment, in compiled code."""

from __future__ import annotations

import numba
import numpy as np

from wg.errors import InputError


def monotonic_search(scores: np.ndarray, optional: np.ndarray) -> np.ndarray:
    """Durations [N] in frames of the monotonic alignment with the greatest sum of scores [T, N].

    Each frame belongs to one symbol and symbols keep their order; those that are `optional` [N]
    may have no frame (Glow-TTS, 2005.11129, Algorithm 1, has none such). The sum is T.
    InputError where there are fewer frames than symbols that need one.
    """
    frames, needed = len(scores), int((~optional).sum())
    if frames < needed or not frames:
        raise InputError(f"{needed} phonemes do not fit in {frames} frames")
    scores = np.ascontiguousarray(scores, dtype=np.float32)
    return _search(scores, np.ascontiguousarray(optional, dtype=np.bool_))


@numba.njit(cache=True)
def _search(scores: np.ndarray, optional: np.ndarray) -> np.ndarray:
    frames, symbols = scores.shape
    never = np.float64(-np.inf)
    best = np.full(symbols, never)  # of paths to the frame before that end in each symbol
    came = np.empty((frames, symbols), np.int32)  # symbol of the frame before
    start = 0.0  # of the path that has not begun
    for frame in range(frames):
        # What enters `symbol` ends in the one before it, or before such as may be left out.
        enter, source = start, -1
        for symbol in range(symbols):
            stay = best[symbol]
            if stay >= enter and stay > never:
                best[symbol], came[frame, symbol] = stay + scores[frame, symbol], symbol
            else:
                best[symbol], came[frame, symbol] = enter + scores[frame, symbol], source
            if not optional[symbol] or stay > enter:
                enter, source = stay, symbol
        start = never
    last = symbols - 1
    for symbol in range(symbols - 2, -1, -1):
        if not optional[symbol + 1]:
            break
        if best[symbol] > best[last]:
            last = symbol
    durations = np.zeros(symbols, np.int64)
    for frame in range(frames - 1, -1, -1):
        durations[last] += 1
        last = came[frame, last]
    return durations
