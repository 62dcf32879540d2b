"""Mel-cepstral distortion, without and with dynamic time warping.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.

Frames and constants are those of ESPnet's `evaluate_mcd.py`: Hamming window of 1,024 samples
with unit energy, shift of a quarter of it, no padding, samples on the 16-bit scale, 1e-6 added
to the power spectrum. Its distortion includes c0; ours leaves c0 out, so that level is no part
of it, and the values are lower than ESPnet's.

| symbol | meaning |
|---|---|
| c_d | mel-cepstral coefficient, d = 0..D |
| alpha | warping of the frequency axis: beta(w) = w + 2 atan(alpha sin w / (1 - alpha cos w)) |
| I(w) | power spectrum of a frame |
| r_m | mean over w of I(w) / exp(2 sum_d c_d cos(d beta(w))) * cos(m beta(w)) |
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from wg.metrics.pairs import pair, waves

WINDOW = 1024  # samples at every rate, as ESPnet
SHIFT = WINDOW // 4
FULL_SCALE = 2.0**15
POWER_FLOOR = 1e-6
STEPS, LAST_STEP = 30, 1e-4  # Newton steps at most, and the size of the last one
MOST_PAIRS = 2e8  # of frames that are warped, 2.7 minutes of each at 22.05 kHz: 4 GB
DECIBELS = 10 * math.sqrt(2) / math.log(10)  # 6.14185: cepstral distance to dB
ORDER_AND_ALPHA = {  # by kHz, ESPnet's table
    16.0: (23, 0.42),
    22.05: (34, 0.45),
    24.0: (34, 0.46),
    44.1: (39, 0.53),
    48.0: (39, 0.55),
}


def mcd(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Mel-cepstral distortion in dB, coefficients 1..D, frame against frame.

    Mean over frames of (10 / ln 10) sqrt(2 sum_{d=1..D} (c_d - c'_d)^2). D and the warping
    alpha follow the rate: 16 kHz 23, 0.42; 22.05 kHz 34, 0.45; 24 kHz 34, 0.46; 44.1 kHz 39,
    0.53; 48 kHz 39, 0.55; another rate takes those of the nearest in ratio.
    For pairs of one length, such as copy synthesis. nan: audio shorter than a window.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    return _plain(mel_cepstrum(reference, sample_rate), mel_cepstrum(synthesis, sample_rate))


def mcd_dtw(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Mel-cepstral distortion in dB as `mcd`, over the pairs of a warping path.

    The path is the cheapest monotone one by Euclidean distance of c_1..c_D (librosa's exact
    DTW; ESPnet approximates it). The lengths may differ. nan: audio shorter than a window, or
    so long that the frames make more than 2e8 pairs.
    """
    reference, synthesis = waves(reference, synthesis, sample_rate)
    return _warped(mel_cepstrum(reference, sample_rate), mel_cepstrum(synthesis, sample_rate))


def mcd_scores(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> dict[str, float]:
    """`mcd` and `mcd_dtw` in dB from one analysis."""
    pair(reference, synthesis, sample_rate)  # for its checks: mcd_dtw takes the whole waves
    reference, synthesis = waves(reference, synthesis, sample_rate)
    c, d = mel_cepstrum(reference, sample_rate), mel_cepstrum(synthesis, sample_rate)
    return {"mcd": _plain(c, d), "mcd_dtw": _warped(c, d)}


def mel_cepstrum(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mel-cepstral coefficients c_1..c_D of a float64 waveform [T], [frames, D].

    The minimum of mean_w(I / |H|^2 + ln |H|^2), Fukada et al. (ICASSP 1992), by Newton's method:
    the same as pysptk's `mcep` run to convergence, but for all frames at once, as matrix
    products. pysptk takes a frame at a time and alone would need half of real time for a pair.
    """
    order, alpha = _order_and_alpha(sample_rate)
    if len(wave) < WINDOW:
        return np.empty((0, order))
    frames = np.lib.stride_tricks.sliding_window_view(wave * FULL_SCALE, WINDOW)[::SHIFT]
    window = np.hamming(WINDOW)
    spectra = np.fft.rfft(frames * (window / np.linalg.norm(window)))
    log_power = np.log(np.abs(spectra) ** 2 + POWER_FLOOR)  # [frames, K]
    cosines, mean, projection = _warped_cosines(order, alpha)
    c = log_power @ projection  # [frames, D + 1], the minimum for a spectrum the model can fit
    active = np.arange(len(c))
    for _ in range(STEPS):
        step = _newton_step(log_power[active] - 2 * c[active] @ cosines, mean)
        c[active] += step
        active = active[np.abs(step).max(axis=1) > LAST_STEP]
        if not len(active):
            break
    return c[:, 1:]


def _order_and_alpha(sample_rate: int) -> tuple[int, float]:
    khz = sample_rate / 1000
    return ORDER_AND_ALPHA[min(ORDER_AND_ALPHA, key=lambda listed: abs(math.log(khz / listed)))]


def _newton_step(log_ratio: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Change of c from ln(I / |H|^2) [frames, K]; (r_|m-n| + r_m+n) step = r_m - alpha^m."""
    order = mean.shape[1] // 2
    r = np.exp(log_ratio) @ mean  # [frames, 2 D + 1]
    m = np.arange(order + 1)
    hessian = r[:, np.abs(m[:, None] - m)] + r[:, m[:, None] + m]
    gradient = r[:, : order + 1] - mean.sum(axis=0)[: order + 1]
    return np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]


@lru_cache(maxsize=8)
def _warped_cosines(order: int, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices between K = 513 bins and cos(m beta(w)): model, mean over w, first estimate.

    cosines [D + 1, K] turns c into ln |H|; mean [K, 2 D + 1] turns values of bins into means of
    value * cos(m beta); projection [K, D + 1] turns ln I into c as a cosine series in beta.
    """
    bins = WINDOW // 2 + 1
    w = np.linspace(0, np.pi, bins)
    beta = w + 2 * np.arctan2(alpha * np.sin(w), 1 - alpha * np.cos(w))
    slope = (1 - alpha**2) / (1 - 2 * alpha * np.cos(w) + alpha**2)  # d beta / d w
    weight = np.full(bins, 1 / (bins - 1))
    weight[[0, -1]] /= 2  # the ends belong to both halves of the circle
    cosines = np.cos(np.arange(2 * order + 1)[:, None] * beta)
    mean = (cosines * weight).T
    projection = mean[:, : order + 1] * slope[:, None]
    projection[:, 0] /= 2  # ln I = 2 ln |H|, and every term but the first counts twice
    return cosines[: order + 1], mean, projection


def _plain(c: np.ndarray, d: np.ndarray) -> float:
    # Frames are not padded, so the shorter wave's frames are the first ones of the longer.
    frames = min(len(c), len(d))
    return _distortion(c[:frames], d[:frames])


def _warped(c: np.ndarray, d: np.ndarray) -> float:
    path = warping_path(c, d)
    return _distortion(c[path[:, 0]], d[path[:, 1]])


def warping_path(c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Pairs of frames [P, 2] on the cheapest monotone path between two sequences of vectors.

    No pairs where a sequence is empty, or where both are too long for their table of distances.
    """
    from librosa.sequence import dtw

    if not 0 < len(c) * len(d) <= MOST_PAIRS:
        return np.empty((0, 2), dtype=int)
    return dtw(c.T, d.T, metric="euclidean")[1]


def _distortion(c: np.ndarray, d: np.ndarray) -> float:
    if not len(c):
        return math.nan
    return float(DECIBELS * np.linalg.norm(c - d, axis=1).mean())
