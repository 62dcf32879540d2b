"""Distances between short-time spectra: LS-MSE, multi-resolution STFT, log-spectral by band.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from wg.metrics.pairs import pair

LS_MSE_BANDS = 128
LS_MSE_WINDOW_S, LS_MSE_HOP_S = 0.05, 0.00625
LS_MSE_LOWEST_HZ = 20.0
LS_MSE_FLOOR = 1e-5

MR_STFT_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # FFT, hop, window
MR_STFT_FLOOR = 1e-7

LSD_WINDOW_S, LSD_HOP_S = 0.04, 0.01
LSD_FLOOR = 1e-5  # of a full-scale sine: -100 dB, above the rounding noise of 16 bits in a bin
LSD_BANDS_HZ = {
    "lsd": (0.0, math.inf),
    "lsd_0_2k": (0.0, 2e3),
    "lsd_2_4k": (2e3, 4e3),
    "lsd_4_8k": (4e3, 8e3),
    "lsd_8k_up": (8e3, math.inf),
}


def ls_mse(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Log-mel spectral mean squared error in Np^2, after WaveGrad.

    sum over 128 mel bands, then mean over frames, of (ln max(m, 1e-5) - ln max(m', 1e-5))^2,
    where m is the mel magnitude at the audio's own rate: 50 ms periodic Hann window, 6.25 ms
    hop, centred frames with reflected ends, FFT of the next power of two, magnitude over the
    window's root energy, HTK mel triangles of height 1 from 20 Hz to half the rate.

    128 bands, window and hop are WaveGrad's. The reduction (sum, then mean), the scale of the
    magnitude, the floor and the mel range are our reading: the paper does not give them. A gain
    g scores 128 ln(g)^2 above the floor. nan: audio shorter than a window.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    window = round(LS_MSE_WINDOW_S * sample_rate)
    if len(reference) < window:
        return math.nan
    fft, hop = _power_of_two(window), round(LS_MSE_HOP_S * sample_rate)
    scale = _hann(window).square().sum().sqrt()
    bank = _mel_bank(fft // 2 + 1, sample_rate)
    mels = [
        (_magnitude(wave, fft, hop, window) / scale).T @ bank for wave in (reference, synthesis)
    ]
    logs = [mel.clamp(min=LS_MSE_FLOOR).log() for mel in mels]
    return (logs[0] - logs[1]).square().sum(dim=1).mean().item()


def mr_stft(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Multi-resolution STFT distance, no unit: spectral convergence plus log distance.

    Mean over (FFT, hop, window) = (1024, 120, 600), (2048, 240, 1200), (512, 50, 240) samples
    of norm_F(S - S') / norm_F(S) + mean |ln S - ln S'|, with S the reference's magnitudes,
    no smaller than 1e-7; Parallel WaveGAN (1910.11480), eqs. (4)-(6). The sizes are samples, so
    values at different rates do not compare. nan: silent reference; 1,024 samples or fewer.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    if len(reference) <= max(fft for fft, _, _ in MR_STFT_RESOLUTIONS) // 2 or not reference.any():
        return math.nan
    total = 0.0
    for fft, hop, window in MR_STFT_RESOLUTIONS:
        s, t = (
            _magnitude(wave, fft, hop, window).clamp(min=MR_STFT_FLOOR)
            for wave in (reference, synthesis)
        )
        total += ((s - t).norm() / s.norm() + (s.log() - t.log()).abs().mean()).item()
    return total / len(MR_STFT_RESOLUTIONS)


def lsd_scores(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Log-spectral distances in dB, of the whole spectrum and by band.

    lsd: mean over frames of the root mean square over bins of 20 log10(S / S'), with a 40 ms
    Hann window, 10 ms hop, FFT of the next power of two; S is relative to a full-scale sine and
    no smaller than -100 dB. lsd_0_2k, lsd_2_4k, lsd_4_8k, lsd_8k_up: the same over the bins in
    0-2, 2-4, 4-8 kHz and from 8 kHz to half the rate, so that a missing high band shows.
    nan: a band that starts at or above half the rate; audio shorter than a window.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    window = round(LSD_WINDOW_S * sample_rate)
    if len(reference) < window:
        return dict.fromkeys(LSD_BANDS_HZ, math.nan)
    fft, hop = _power_of_two(window), round(LSD_HOP_S * sample_rate)
    full_scale = _hann(window).sum() / 2  # magnitude of a sine of amplitude 1
    s, t = (
        (_magnitude(wave, fft, hop, window) / full_scale).clamp(min=LSD_FLOOR)
        for wave in (reference, synthesis)
    )
    squares = (20 * (s / t).log10()).square()  # [bins, frames]
    bins = torch.arange(fft // 2 + 1) * sample_rate / fft
    values = {}
    for name, (low, high) in LSD_BANDS_HZ.items():
        inside = (bins >= low) & (bins < high)
        defined = low < sample_rate / 2
        values[name] = squares[inside].mean(dim=0).sqrt().mean().item() if defined else math.nan
    return values


def _power_of_two(window: int) -> int:
    return 1 << (window - 1).bit_length()


def _hann(window: int) -> Tensor:
    return torch.hann_window(window, dtype=torch.float64)


def _magnitude(wave: np.ndarray, fft: int, hop: int, window: int) -> Tensor:
    """Magnitudes of the short-time spectrum, float64 [fft / 2 + 1, frames]."""
    return torch.stft(
        torch.from_numpy(wave), fft, hop, window, window=_hann(window), return_complex=True
    ).abs()


@lru_cache(maxsize=8)
def _mel_bank(bins: int, sample_rate: int) -> Tensor:
    """HTK mel triangles of height 1, float64 [bins, 128]."""
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(
        bins,
        LS_MSE_LOWEST_HZ,
        sample_rate / 2,
        LS_MSE_BANDS,
        sample_rate,
        norm=None,
        mel_scale="htk",
    ).double()
