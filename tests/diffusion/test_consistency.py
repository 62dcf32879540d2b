"""Mel-consistent sampling: nearer to the mel, by an independent re-statement, and alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wg.diffusion.consistency import Banded, Consistency, MelConsistency, check_invertible
from wg.diffusion.sampling import correction
from wg.errors import InputError
from wg.mel.bank import weights
from wg.mel.extract import linear_mel, log_mel
from wg.mel.spec import MelSpec

SPEC = MelSpec(
    sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=20, framing="hop", fmax=3000
)


def voice(samples: int = 64 * 60) -> Tensor:
    """A vowel-like sound: harmonics of 150 Hz that fade in and out."""
    time = torch.arange(samples) / 8000
    tones = sum(torch.sin(2 * torch.pi * 150 * n * time + n) / n for n in range(1, 20))
    assert isinstance(tones, Tensor)
    return 0.1 * tones * torch.sin(2 * torch.pi * 3 * time).abs()


def distance(wave: Tensor, mel: Tensor) -> float:
    """RMS difference of log mels, away from the ends."""
    return float((log_mel(wave, SPEC) - mel)[..., 3:-3].square().mean().sqrt())


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("magnitudes", ["bands", "inverse"])
def test_iterations_bring_an_estimate_to_the_mel(magnitudes: Any, power: Any) -> None:
    clean = voice()
    spec = replace(SPEC, power=power, log="db", window_norm=True)
    mel = log_mel(clean, spec)
    noisy = clean + 0.05 * torch.randn(len(clean), generator=torch.Generator().manual_seed(0))

    def off(wave: Tensor) -> float:
        return float((log_mel(wave, spec) - mel)[..., 3:-3].square().mean().sqrt())

    results = [
        off(MelConsistency(Consistency(k, magnitudes=magnitudes), mel[None], spec)(noisy[None])[0])
        for k in (1, 4, 32)
    ]
    assert results[0] < 0.7 * off(noisy) and results[2] < results[1] < results[0]
    # Bands are met; a pseudo-inverse that is not negative cannot meet all of them.
    assert results[2] < (0.15 if magnitudes == "bands" else 0.5) * off(noisy)


def test_inverse_magnitudes_are_fast_griffin_lim_from_the_estimates_phases() -> None:
    clean = voice()
    mel = log_mel(clean, SPEC)
    start = clean + 0.02 * torch.randn(len(clean), generator=torch.Generator().manual_seed(1))
    options = Consistency(5, magnitudes="inverse", momentum=0.9)
    got = MelConsistency(options, mel[None], SPEC)(start[None])[0].numpy()

    bank = weights(SPEC.bands).numpy()
    target = np.maximum(np.linalg.pinv(bank.T) @ np.exp(mel.double().numpy()), 0)
    hann = np.hanning(257)[:-1]

    def stft(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, 96)
        frames = [padded[i : i + 256] * hann for i in range(0, len(padded) - 255, 64)]
        return np.fft.rfft(frames).T

    def istft(bins: np.ndarray) -> np.ndarray:
        total, cover = np.zeros(64 * bins.shape[1] + 192), np.zeros(64 * bins.shape[1] + 192)
        for i, frame in enumerate(np.fft.irfft(bins.T)):
            total[64 * i : 64 * i + 256] += frame * hann
            cover[64 * i : 64 * i + 256] += hann**2
        return (total / np.maximum(cover, 1e-3))[96:-96]

    bins = stft(start.double().numpy())
    own, shown, before = np.abs(bins), bank.sum(1) > 0, None

    def project(bins: np.ndarray) -> np.ndarray:
        return np.where(shown[:, None], target, own) * bins / np.maximum(np.abs(bins), 1e-12)

    for _ in range(5):
        rebuilt = stft(istft(project(bins)))
        bins = rebuilt if before is None else rebuilt + 0.9 * (rebuilt - before)
        before = rebuilt
    np.testing.assert_allclose(got, istft(project(bins)), atol=2e-5)


def test_bins_that_the_mel_does_not_show_keep_their_magnitudes() -> None:
    mel = log_mel(voice(), SPEC)[None]
    x = torch.randn(1, 64 * 60, generator=torch.Generator().manual_seed(2))
    corrected = MelConsistency(Consistency(0), mel, SPEC)(x)
    before, after = (torch.fft.rfft(wave[0]).abs() for wave in (x, corrected))
    above = slice(int(3200 / 8000 * x.shape[1]), None)
    torch.testing.assert_close(after[above], before[above], atol=0.05 * float(before.max()), rtol=0)
    assert float(after[: above.start].square().sum() / before[: above.start].square().sum()) < 0.1


def test_a_padded_row_is_corrected_as_alone() -> None:
    waves = torch.stack([voice(), voice().flip(0)])
    mels = log_mel(waves, SPEC)
    mels[1, :, 40:] = SPEC.silence[:, None]
    waves[1, 40 * 64 :] = 0
    options = Consistency(8)
    both = MelConsistency(options, mels, SPEC, torch.tensor([60, 40]))(waves)
    alone = MelConsistency(options, mels[1:, :, :40], SPEC)(waves[1:, : 40 * 64])
    assert float((both[1, : 40 * 64] - alone[0]).abs().max()) < 1e-4


@pytest.mark.parametrize("magnitudes", ["bands", "inverse"])
def test_autocast_changes_nothing(magnitudes: Any) -> None:
    wave, options = voice()[None], Consistency(4, magnitudes=magnitudes)
    mel = log_mel(wave, SPEC)
    plain = MelConsistency(options, mel, SPEC)(wave.roll(7))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(MelConsistency(options, mel, SPEC)(wave.roll(7)), plain)


def test_products_with_a_filterbank_leave_out_zeros_alone() -> None:
    bank = weights(SPEC.bands).clone()
    bank[:, 3] = 0  # a band without a bin
    for matrix in (bank, bank.T):
        x, product = torch.rand(2, 5, len(matrix)).double(), Banded(matrix)
        torch.testing.assert_close(product(x), x @ matrix)
        assert sum(block.numel() for _, block in product.blocks) < 0.6 * matrix.numel()


def test_it_acts_between_its_levels_only() -> None:
    options = Consistency(2, snr_from=0.0, snr_to=20.0)
    assert [options.acts_at(level) for level in (0.5, 0.8, 0.99, 0.999)] == [
        *(False, True, True),
        False,
    ]
    assert Consistency(2).acts_at(1.0) and not Consistency().acts_at(0.5)
    mel = log_mel(voice(), SPEC)[None]
    correct = correction(options, mel, SPEC)
    x = torch.randn(1, 64 * 60)
    assert correct is not None and torch.equal(correct(x, 0.5), x)
    assert not torch.allclose(correct(x, 0.8), x)
    assert correction(Consistency(), mel, SPEC) is None and correction(None, mel, SPEC) is None


def test_silence_stays_finite() -> None:
    mel = SPEC.silence[None, :, None].expand(1, -1, 10)
    for x in (torch.zeros(1, 640), torch.randn(1, 640)):
        wave = MelConsistency(Consistency(8), mel, SPEC)(x)
        assert bool(wave.isfinite().all())
        assert float(linear_mel(wave, SPEC).mean()) <= float(linear_mel(x, SPEC).mean())


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"iterations": -1}, "consistency.iterations is -1; give at least 0, at most 1000"),
        ({"iterations": 10**9}, "consistency.iterations is 1000000000"),
        ({"iterations": 1.5}, "consistency.iterations is 1.5"),
        ({"snr_from": 30.0, "snr_to": 10.0}, "snr_from is 30 dB, consistency.snr_to 10 dB"),
        ({"momentum": 1.0}, "consistency.momentum is 1.0"),
        ({"magnitudes": "mel"}, "consistency.magnitudes is 'mel'; choose from: bands, inverse"),
    ],
)
def test_options_that_make_no_sense_are_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Consistency(**keys)


def test_mels_without_an_inverse_are_refused() -> None:
    with pytest.raises(InputError, match="mel.n_mels is 1: one band"):
        check_invertible(replace(SPEC, n_mels=1))
    with pytest.raises(InputError, match="over half of mel.win_length"):
        check_invertible(replace(SPEC, hop_length=150))
