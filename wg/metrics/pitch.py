"""Pitch and voicing errors between two F0 tracks.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from wg.metrics.pairs import pair

LOWEST_HZ, HIGHEST_HZ = 60.0, 800.0
FRAME_MS = 5.0
GROSS = 0.2  # relative error


def f0(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """F0 in Hz of a float64 waveform [T], every 5 ms, 0 where unvoiced: [frames].

    WORLD's DIO refined by StoneMask, searched from 60 to 800 Hz. Harvest takes twenty
    times as long, and called 86 % of LJ001-0001 voiced where DIO called 60 %.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pyworld's pkg_resources
        from pyworld.pyworld import dio, stonemask

    coarse, times = dio(
        wave, sample_rate, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=FRAME_MS
    )
    return stonemask(wave, coarse, times, sample_rate)


def pitch_scores(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> dict[str, float]:
    """All pitch metrics from one pair of F0 tracks f, f' (`f0`); N frames of 5 ms.

    | name | definition |
    |---|---|
    | f0_rmse_hz | root mean square of f' - f over frames voiced in both, Hz |
    | f0_rmse_cents | root mean square of 1200 log2(f' / f) over the same frames, cents |
    | gpe | gross pitch error: share of the same frames with abs(f' / f - 1) > 20 % |
    | vde | voicing decision error: share of the N frames voiced in one track only |
    | ffe | F0 frame error: (frames counted by gpe + frames counted by vde) / N |
    | voicing_f1 | 2 TP / (2 TP + FP + FN) of the decision "voiced" |

    Gross errors are part of the root mean squares. nan: f0_rmse_* and gpe without a frame
    voiced in both; the other three without a voiced frame at all.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    return compare_tracks(f0(reference, sample_rate), f0(synthesis, sample_rate))


def compare_tracks(f: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """The values of `pitch_scores` for F0 tracks [N] in Hz, f the reference's."""
    assert f.shape == g.shape
    both, either = (f > 0) & (g > 0), (f > 0) | (g > 0)
    voicing_errors = int((either & ~both).sum())
    ratio, difference = g[both] / f[both], g[both] - f[both]
    gross = int((np.abs(ratio - 1) > GROSS).sum())
    values: dict[str, float] = dict.fromkeys(
        ("f0_rmse_hz", "f0_rmse_cents", "gpe", "vde", "ffe", "voicing_f1"), math.nan
    )
    if both.any():
        values["f0_rmse_hz"] = math.sqrt(np.mean(difference**2))
        values["f0_rmse_cents"] = 1200 * math.sqrt(np.mean(np.log2(ratio) ** 2))
        values["gpe"] = gross / int(both.sum())
    if either.any():
        values["vde"] = voicing_errors / len(f)
        values["ffe"] = (gross + voicing_errors) / len(f)
        values["voicing_f1"] = 2 * int(both.sum()) / (2 * int(both.sum()) + voicing_errors)
    return values
