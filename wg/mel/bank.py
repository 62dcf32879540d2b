"""Mel filterbanks, built once for each set of parameters."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from wg.errors import InputError

MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney", "none"]


@dataclass(frozen=True)
class Bands:
    """What a filterbank depends on: equal bands are equal matrices."""

    sample_rate: int  # Hz
    n_fft: int
    n_mels: int
    fmin: float  # Hz
    fmax: float  # Hz
    scale: MelScale
    norm: MelNorm


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # a cached inference tensor could not take part in a later backward
def weights(bands: Bands) -> Tensor:
    """Filterbank [n_fft // 2 + 1, n_mels] in float64, shared by all callers: do not write to it.

    InputError for bands so narrow that no FFT bin lies in them.
    """
    from torchaudio.functional import melscale_fbanks

    # torchaudio lays its bins up to rate // 2, half a hertz low at an odd rate. Twice the rate
    # and twice the bins put bin k at exactly k * rate / n_fft; the upper half is cut off.
    # On the CPU, whatever the default device of the first caller is: all share it.
    with torch.device("cpu"), _Float64(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its warning about empty bands: an error below
        bank = melscale_fbanks(
            n_freqs=bands.n_fft + 1,
            f_min=bands.fmin,
            f_max=bands.fmax,
            n_mels=bands.n_mels,
            sample_rate=2 * bands.sample_rate,
            norm=None if bands.norm == "none" else bands.norm,
            mel_scale=bands.scale,
        )[: bands.n_fft // 2 + 1]
    peaks = bank.amax(0)
    empty = torch.nonzero(peaks <= 1e-9 * peaks.max()).flatten().tolist()
    if empty:
        listed = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
        width = bands.sample_rate / bands.n_fft
        raise InputError(
            f"mel.n_mels is {bands.n_mels}, but no FFT bin ({width:.1f} Hz apart) lies in band(s) "
            f"{listed}; use fewer bands, a larger mel.n_fft or a wider mel.fmin..fmax"
        )
    return bank.contiguous()


class _Float64(TorchFunctionMode):
    """Grids in float64: torchaudio's in float32 move log mels of real speech by up to 3e-5."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)
