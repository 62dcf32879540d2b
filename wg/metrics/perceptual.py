"""Perceptual quality (PESQ) and intelligibility (STOI), computed by their libraries.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.
"""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from typing import Literal

import numpy as np
import torch

from wg.metrics.pairs import pair
from wg.rates import check_rates

WIDE, NARROW = 16_000, 8_000  # the rates PESQ is defined at, Hz
PESQ_IN_PROCESS_S = 19.0
STOI_RATE, STOI_HOP, STOI_FRAMES = 10_000, 128, 30  # Hz, samples, frames of one segment

# PESQ's C code has room for 50 utterances and crashes on more. An utterance and its pause take
# 388 ms or more, so 19 s cannot hold them; longer audio runs in a process of its own.
_PESQ_PROCESS = """
import sys
import numpy
from pesq import pesq
pair = numpy.frombuffer(sys.stdin.buffer.read()).reshape(2, -1)
print(repr(float(pesq(int(sys.argv[1]), pair[0], pair[1], sys.argv[2]))))
"""


def pesq_wb(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Wide-band PESQ, ITU-T P.862.2, as MOS-LQO (about 1.02 to 4.64), by the `pesq` package.

    Both sides are resampled to 16 kHz first (windowed sinc, Kaiser). nan: audio below 16 kHz,
    silence on either side, under a quarter of a second, no utterance found, or more than 50.
    """
    return _pesq(reference, synthesis, sample_rate, "wb")


def pesq_nb(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Narrow-band PESQ, ITU-T P.862 with P.862.1's mapping, as MOS-LQO (about 1.0 to 4.55).

    At 16 kHz as `pesq_wb`; audio below 16 kHz is brought to 8 kHz instead. nan as there.
    """
    return _pesq(reference, synthesis, sample_rate, "nb")


def stoi(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility, 0 to 1, Taal et al. (2011), by `pystoi`.

    It resamples to 10 kHz itself and leaves out the reference's silent frames. nan: silent
    reference, or fewer than 30 frames (0.4 s) that are not silent.
    """
    return _stoi(reference, synthesis, sample_rate, "plain")


def estoi(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Extended STOI, up to 1, Jensen and Taal (2016), by `pystoi`; nan as `stoi`."""
    return _stoi(reference, synthesis, sample_rate, "extended")


def resample(wave: np.ndarray, sample_rate: int, target: int) -> np.ndarray:
    """The waveform [T] at another rate in Hz, by torchaudio's Kaiser-windowed sinc.

    The filter is librosa's "kaiser_best": 64 zero crossings, 95 % of the lower half rate.
    """
    if sample_rate == target:
        return wave
    check_rates(sample_rate, target)
    from torchaudio.functional import resample as windowed_sinc

    return windowed_sinc(
        torch.from_numpy(wave),
        sample_rate,
        target,
        lowpass_filter_width=64,
        rolloff=0.9475937167399596,
        resampling_method="sinc_interp_kaiser",
        beta=14.769656459379492,
    ).numpy()


def _pesq(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int, mode: Literal["wb", "nb"]
) -> float:
    from pesq import BufferTooShortError, NoUtterancesError, pesq

    reference, synthesis = pair(reference, synthesis, sample_rate)
    too_narrow = mode == "wb" and sample_rate < WIDE
    if too_narrow or not reference.any() or not synthesis.any():
        return math.nan
    rate = WIDE if sample_rate >= WIDE else NARROW
    s, t = resample(reference, sample_rate, rate), resample(synthesis, sample_rate, rate)
    if len(s) > PESQ_IN_PROCESS_S * rate:
        return _pesq_of_long(s, t, rate, mode)
    try:
        return float(pesq(rate, s, t, mode))
    except (BufferTooShortError, NoUtterancesError):
        return math.nan


def _pesq_of_long(s: np.ndarray, t: np.ndarray, rate: int, mode: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", _PESQ_PROCESS, str(rate), mode],
        input=np.stack([s, t]).tobytes(),
        capture_output=True,
        check=False,
    )
    if run.returncode == 0:
        return float(run.stdout)
    crashed = run.returncode < 0 or b"NoUtterancesError" in run.stderr
    assert crashed, run.stderr.decode(errors="replace")
    return math.nan


def _stoi(
    reference: np.ndarray,
    synthesis: np.ndarray,
    sample_rate: int,
    form: Literal["plain", "extended"],
) -> float:
    import pystoi

    reference, synthesis = pair(reference, synthesis, sample_rate)
    shortest = (STOI_FRAMES + 2) * STOI_HOP / STOI_RATE * sample_rate
    if len(reference) < shortest or not reference.any():
        return math.nan
    # ESTOI adds noise of 2e-16 from numpy's global generator; a fixed state repeats it.
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the sentinel below says it
            value = pystoi.stoi(reference, synthesis, sample_rate, extended=form == "extended")
    finally:
        np.random.set_state(state)
    return math.nan if value == 1e-5 else float(value)  # 1e-5: fewer than 30 frames
