"""Level, clipping and waveform error.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.
"""

from __future__ import annotations

import math

import numpy as np

from wg.metrics.pairs import pair

FULL_SCALE = 1 - 2.0**-15  # the largest 16-bit sample
SI_SDR_LIMIT_DB = 100.0  # beyond the resolution of 16 bits


def level_difference(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Level of the synthesis above the reference in dB: 20 log10 of the RMS ratio.

    nan: silence on either side.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    energies = float(reference @ reference), float(synthesis @ synthesis)
    return 10 * math.log10(energies[1] / energies[0]) if min(energies) > 0 else math.nan


def clipped(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Number of samples of the synthesis at or beyond 16-bit full scale; the reference's
    own are not subtracted.
    """
    _, synthesis = pair(reference, synthesis, sample_rate)
    return float((np.abs(synthesis) >= FULL_SCALE).sum())


def si_sdr(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, Le Roux et al. (1811.02508), eq. (3).

    10 log10(|a s|^2 / |a s - s'|^2) with a = <s', s> / |s|^2, limited to +-100 dB (identity is
    100). A waveform measure: it means little for a vocoder that is free to choose phases.
    nan: silence on either side.
    """
    s, t = pair(reference, synthesis, sample_rate)
    if not s.any() or not t.any():
        return math.nan
    target = (t @ s) / (s @ s) * s
    signal, error = float(target @ target), float((target - t) @ (target - t))
    span = 10 ** (SI_SDR_LIMIT_DB / 10)
    return 10 * math.log10(min(max(signal / max(error, signal / span), 1 / span), span))
