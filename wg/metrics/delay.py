"""A constant delay between two waveforms: found, reported, and removed only on request.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.
"""

from __future__ import annotations

import math

import numpy as np

from wg.metrics.pairs import pair, waves

LIMIT_S = 0.05
LEAST_CORRELATION = 0.5  # below it the waveforms have no common shape to align by


def delay(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> int:
    """Delay of the synthesis in samples (negative: early), the peak of the cross-correlation.

    Searched within +-LIMIT_S. 0 where the normalised peak is below 0.5: a synthesis whose
    phases are its own (Griffin-Lim) has no delay that its samples could tell.
    """
    reference, synthesis = waves(reference, synthesis, sample_rate)
    lag, correlation = _peak(reference, synthesis, round(LIMIT_S * sample_rate))
    return lag if correlation >= LEAST_CORRELATION else 0


def delay_ms(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Delay of the synthesis in ms, as `delay`; nan where no lag correlates by 0.5."""
    reference, synthesis = pair(reference, synthesis, sample_rate)
    lag, correlation = _peak(reference, synthesis, round(LIMIT_S * sample_rate))
    return 1e3 * lag / sample_rate if correlation >= LEAST_CORRELATION else math.nan


def align(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both waveforms without their constant `delay`, cut to the samples they share.

    `score` never calls it: it shows the delay in a column of its own. `score_aligned` does.
    """
    lag = delay(reference, synthesis, sample_rate)
    reference, synthesis = reference[max(-lag, 0) :], synthesis[max(lag, 0) :]
    length = min(len(reference), len(synthesis))
    return reference[:length], synthesis[:length]


def _peak(reference: np.ndarray, synthesis: np.ndarray, limit: int) -> tuple[int, float]:
    """Lag of the largest cross-correlation within +-limit samples, and its normalised value."""
    from scipy.signal import correlate

    limit = min(limit, len(reference) - 1, len(synthesis) - 1)
    norm = math.sqrt((reference @ reference) * (synthesis @ synthesis))
    if norm == 0:
        return 0, 0.0
    correlation = correlate(synthesis, reference, mode="full", method="fft")
    zero = len(reference) - 1  # index of lag 0
    window = correlation[zero - limit : zero + limit + 1]
    best = int(window.argmax())
    return best - limit, float(window[best] / norm)
