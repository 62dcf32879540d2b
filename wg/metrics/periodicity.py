"""Periodicity error and voicing of CREPE, as CARGAN and Vocos report them."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import torch

from wg.metrics.pairs import pair
from wg.metrics.perceptual import WIDE, resample

LOWEST_HZ, HIGHEST_HZ = 50.0, 550.0
HOP, WINDOW = 160, 1024  # samples at 16 kHz
SILENCE_DB = -60  # A-weighted, below torchcrepe's reference of 20 dB
VOICED = 0.21
FRAMES_AT_ONCE = 256


def missing_crepe() -> str | None:
    """Why CREPE cannot run here; None: it can."""
    if importlib.util.find_spec("torchcrepe") is None:
        return "the package torchcrepe is not installed; run pip install 'wg[judges]'"
    return None


def crepe_scores(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> dict[str, float]:
    """What differs between the two waveforms' periodicity h, h' [N], a value every 10 ms.

    | name | definition |
    |---|---|
    | periodicity | root mean square of h' - h over the N frames |
    | crepe_f1 | 2 TP / (2 TP + FP + FN) of the decision "voiced", h >= 0.21 |

    h is the "full" CREPE network's confidence in its Viterbi pitch (`torchcrepe`, 50 to 550 Hz,
    16 kHz, unpadded frames), 0 where the A-weighted level of a frame is below -60 dB. nan: audio
    shorter than a frame (64 ms); crepe_f1 without a voiced frame at all.
    """
    reference, synthesis = pair(reference, synthesis, sample_rate)
    s, t = (resample(wave, sample_rate, WIDE) for wave in (reference, synthesis))
    if len(s) < WINDOW:
        return {"periodicity": math.nan, "crepe_f1": math.nan}
    return compare_periodicity(periodicity(s), periodicity(t))


def periodicity(wave: np.ndarray) -> np.ndarray:
    """Periodicity of a waveform [T] at 16 kHz, 0 to 1, every 10 ms: [frames]."""
    import torchcrepe

    audio = torch.from_numpy(wave).float()[None]
    values = torchcrepe.predict(
        audio,
        WIDE,
        HOP,
        fmin=LOWEST_HZ,
        fmax=HIGHEST_HZ,
        return_periodicity=True,
        batch_size=FRAMES_AT_ONCE,
        pad=False,
    )[1]
    audible = torchcrepe.threshold.Silence(SILENCE_DB)(values, audio, WIDE, HOP, pad=False)
    return audible[0].numpy()


def compare_periodicity(h: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """The values of `crepe_scores` for periodicities [N], h the reference's."""
    voiced, said = h >= VOICED, other >= VOICED
    both, errors = int((voiced & said).sum()), int((voiced != said).sum())
    return {
        "periodicity": math.sqrt(np.mean((other - h) ** 2)),
        "crepe_f1": 2 * both / (2 * both + errors) if both or errors else math.nan,
    }
