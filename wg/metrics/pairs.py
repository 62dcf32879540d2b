"""Checks that every metric makes on its two waveforms.

| symbol | meaning |
|---|---|
| reference, synthesis | float waveforms [T] in [-1, 1] |
| sample_rate | their common rate in Hz |
| nan | the metric's value where it is undefined, such as pitch in silence |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from wg.errors import InputError

Function: TypeAlias = Callable[[np.ndarray, np.ndarray, int], float]
Group: TypeAlias = Callable[[np.ndarray, np.ndarray, int], dict[str, float]]

TOLERANCE_S = 0.05  # one analysis window of LS-MSE
LOWEST_RATE = 8000  # Hz; below it no metric here means anything


def waves(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both waveforms in float64, each [T] of its own length.

    Raises `InputError` for integers, more than one dimension, no samples, NaN or infinite
    samples, and rates below 8 kHz.
    """
    if sample_rate < LOWEST_RATE:
        raise InputError(f"sample_rate is {sample_rate}; metrics need at least {LOWEST_RATE} Hz")
    return _wave("reference", reference), _wave("synthesis", synthesis)


def pair(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both waveforms in float64, [T] of one length.

    Lengths may differ by 50 ms (a vocoder's last frame); the longer one then loses its end.
    Raises `InputError` as `waves` does, and for a larger difference of length.
    """
    reference, synthesis = waves(reference, synthesis, sample_rate)
    excess, allowed = len(synthesis) - len(reference), round(TOLERANCE_S * sample_rate)
    if abs(excess) > allowed:
        raise InputError(
            f"reference has {len(reference)} samples, synthesis has {len(synthesis)}; "
            f"lengths may differ by {allowed} (50 ms): cut one, or choose mcd_dtw"
        )
    length = min(len(reference), len(synthesis))
    return reference[:length], synthesis[:length]


def _wave(side: str, samples: np.ndarray) -> np.ndarray:
    array = np.asarray(samples)
    if array.ndim != 1:
        raise InputError(f"{side} has shape {array.shape}; give one channel as [T]")
    if array.size == 0:
        raise InputError(f"{side} is empty; give at least one sample")
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{side} has {array.dtype} samples; give floats in [-1, 1]")
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(f"{side} has {bad} NaN or infinite samples; repair or leave it out")
    return array.astype(np.float64)
