"""Griffin-Lim: a waveform from a mel without a trained vocoder, the floor that one has to beat."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from wg.errors import InputError
from wg.mel.bank import weights
from wg.mel.spec import MelSpec


def griffin_lim(log_mel: Tensor, spec: MelSpec, iterations: int, seed: int) -> Tensor:
    """Waveform [F * hop], float32, of a log mel [M, F]; the same seed gives the same samples.

    Magnitudes by the filterbank's pseudo-inverse, phases by the fast Griffin-Lim algorithm
    (Perraudin, Balazs and Sondergaard 2013, momentum 0.99), in either framing aligned with the
    waveform the mel came from. InputError for a mel of another shape, one that is not finite and
    for fewer than one iteration.
    """
    from librosa import griffinlim

    if iterations < 1:
        raise InputError(f"Griffin-Lim with {iterations} iterations; give at least 1")
    magnitude = _magnitudes(log_mel, spec).numpy()
    # Without librosa's centring sample 0 is the first sample of frame 0's window, which in the
    # waveform that was reflected at its ends lies `padding` samples before its start.
    wave = griffinlim(
        magnitude,
        n_iter=iterations,
        hop_length=spec.hop_length,
        win_length=spec.win_length,
        n_fft=spec.n_fft,
        window=spec.hann.numpy(),
        center=False,
        random_state=seed,
    )
    samples = spec.num_samples(log_mel.shape[-1])
    wave = torch.from_numpy(wave).float()[spec.padding :][:samples]
    return pad(wave, (0, samples - len(wave)))


def _magnitudes(log_mel: Tensor, spec: MelSpec) -> Tensor:
    """Magnitudes [K, F], not window-normalised, in float32."""
    if log_mel.ndim != 2 or log_mel.shape[0] != spec.n_mels or not log_mel.shape[1]:
        raise InputError(f"mel of shape {list(log_mel.shape)}; give [{spec.n_mels}, frames]")
    if not log_mel.isfinite().all():
        raise InputError("mel with NaN or infinite values; repair or leave it out")
    inverse = torch.linalg.pinv(weights(spec.bands).T)  # [K, M]
    sums = inverse @ spec.decompress(log_mel.detach().cpu().double())
    magnitude = sums.clamp(min=0) ** (1 / spec.power)
    return (magnitude * spec.magnitude_divisor).float()
