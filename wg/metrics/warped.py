"""Pitch and voicing errors after dynamic time warping, for speech of another timing.

Shapes: reference [T], synthesis [T']; see `wg.metrics.pairs`.
"""

from __future__ import annotations

import math

import numpy as np

from wg.metrics.cepstral import SHIFT, WINDOW, mel_cepstrum, warping_path
from wg.metrics.pairs import waves
from wg.metrics.pitch import FRAME_MS, compare_tracks, f0


def warped_pitch_scores(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> dict[str, float]:
    """`pitch_scores` over the pairs of frames that `mcd_dtw` compares, as NAME_dtw.

    F0 of a pair is that of the 5 ms frames nearest to the middles of its cepstral frames. The
    lengths may differ. nan: as in `pitch_scores`, or where `mcd_dtw` is.
    """
    reference, synthesis = waves(reference, synthesis, sample_rate)
    path = warping_path(mel_cepstrum(reference, sample_rate), mel_cepstrum(synthesis, sample_rate))
    middles = (path * SHIFT + WINDOW / 2) / sample_rate  # s
    frames = np.round(middles * 1e3 / FRAME_MS).astype(int)
    tracks = f0(reference, sample_rate), f0(synthesis, sample_rate)
    pairs = (
        track[np.minimum(column, len(track) - 1)]
        for track, column in zip(tracks, frames.T, strict=True)
    )
    scores = compare_tracks(*pairs)
    return {f"{name}_dtw": value if len(path) else math.nan for name, value in scores.items()}
