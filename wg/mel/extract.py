"""Mel spectrograms of waveforms, as a `MelSpec` says.

Shapes: T samples, K = n_fft // 2 + 1 bins, M bands, F = spec.frames(T) frames; with a batch,
[B, T] gives [B, ., F]. A float64 waveform is computed in float64, any other in float32.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from wg.errors import InputError
from wg.mel.bank import weights
from wg.mel.spec import MelSpec

Array = TypeVar("Array", Tensor, np.ndarray)
CHANNELS = 8  # at most, of recordings


def log_mel(wave: Array, spec: MelSpec) -> Array:
    """Log mel [M, F] or [B, M, F] of a waveform at `spec.sample_rate`, full scale +-1.

    Numpy for numpy. InputError for a waveform that is not floating point, of another shape, not
    finite or shorter than `spec.min_samples`, and for a filterbank with empty bands.
    """
    if isinstance(wave, np.ndarray):
        return log_mel(_as_tensor(wave), spec).numpy()  # pyright: ignore[reportReturnType]
    return spec.compress(linear_mel(wave, spec))


def linear_mel(wave: Tensor, spec: MelSpec) -> Tensor:
    """Mel [M, F] or [B, M, F] before floor and log: the bands' sums of a^power."""
    magnitude = magnitudes(wave, spec)
    bank = weights(spec.bands).to(magnitude)
    with torch.autocast(magnitude.device.type, enabled=False):  # a bf16 product would be noise
        return bank.T @ (magnitude if spec.power == 1 else magnitude.square())


def magnitudes(wave: Tensor, spec: MelSpec) -> Tensor:
    """Magnitudes a = sqrt(|S|^2 + eps) [K, F] or [B, K, F], window-normalised if the spec is."""
    _check(wave, spec)
    wave = wave if wave.dtype == torch.float64 else wave.float()
    batch = wave if wave.ndim == 2 else wave[None]
    padded = pad(batch, (spec.padding, spec.padding), mode="reflect")
    spectrum = torch.stft(
        padded,
        spec.n_fft,
        hop_length=spec.hop_length,
        win_length=spec.win_length,
        window=spec.hann.to(wave),
        center=False,
        return_complex=True,
    )  # [B, K, F]
    magnitude = _rooted(spectrum, spec) / spec.magnitude_divisor
    return magnitude if wave.ndim == 2 else magnitude[0]


def filterbank(spec: MelSpec) -> Tensor:
    """Filterbank [K, M] in float32; InputError if a band is empty."""
    return weights(spec.bands).float()


def _as_tensor(wave: np.ndarray) -> Tensor:
    if wave.dtype.kind != "f":
        raise InputError(f"waveform of {wave.dtype}; give floating point samples in -1..1")
    return torch.from_numpy(np.array(wave, np.float64 if wave.dtype == np.float64 else np.float32))


def _rooted(spectrum: Tensor, spec: MelSpec) -> Tensor:
    if not spec.magnitude_eps:
        return spectrum.abs()  # unlike a root of squares, it has a gradient at 0
    power = spectrum.real.square() + spectrum.imag.square()
    if spec.magnitude_eps_mode == "add":
        return (power + spec.magnitude_eps).sqrt()
    return power.clamp(min=spec.magnitude_eps).sqrt()


def _check(wave: Tensor, spec: MelSpec) -> None:
    if not wave.is_floating_point():
        raise InputError(f"waveform of {wave.dtype}; give floating point samples in -1..1")
    if wave.ndim not in (1, 2):
        raise InputError(f"waveform of shape {list(wave.shape)}; give [T] or [B, T]")
    if wave.ndim == 2 and wave.shape[1] <= CHANNELS < wave.shape[0]:
        raise InputError(
            f"waveform of shape {list(wave.shape)}: {wave.shape[1]} channels, last; mix down to "
            "one first: wave.mean(-1)"
        )
    if wave.shape[-1] < spec.min_samples:
        raise InputError(
            f"waveform of {wave.shape[-1]} samples; mel.n_fft {spec.n_fft} needs at least "
            f"{spec.min_samples} to reflect at its ends: pad it with silence or leave it out"
        )
    bad = wave.numel() - int(wave.isfinite().sum())
    if bad:
        raise InputError(f"waveform with {bad} NaN or infinite samples; repair or leave it out")
