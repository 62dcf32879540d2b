"""Frames: perfect reconstruction, unit noise, and rows of a batch that do not know each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from wg.errors import InputError
from wg.mel.frames import Frames
from wg.mel.spec import MelSpec

KINDS = [
    Frames(64, 64, 16),
    Frames(64, 64, 16, centred=True),
    Frames(128, 75, 25, centred=True, periodic=False),
    Frames(64, 64, 32),
    Frames(100, 100, 25, centred=True),
]


def noise(frames: Frames, count: int, rows: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, count * frames.hop, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("frames", KINDS)
def test_a_waveform_comes_back_to_its_ends(frames: Frames) -> None:
    x = noise(frames, 21)
    assert frames.spectrum(x).shape == (2, 21, frames.bins)
    torch.testing.assert_close(frames.wave(frames.spectrum(x)), x, atol=1e-10, rtol=0)
    torch.testing.assert_close(frames.synthesise(frames.analyse(x)), x, atol=1e-10, rtol=0)


def test_a_frame_is_the_transform_around_where_a_mels_frame_is() -> None:
    for frames in KINDS[:2]:
        x = noise(frames, 9)[0].numpy()
        middle = 4 * 16 + (0 if frames.centred else 8)
        hann = np.hanning(65)[:-1]
        expected = np.fft.rfft(x[middle - 32 : middle + 32] * hann / np.sqrt((hann**2).sum()))
        got = frames.spectrum(torch.from_numpy(x)[None])[0, 4].numpy()
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_white_noise_has_bins_of_unit_variance() -> None:
    frames = KINDS[0]
    power = frames.spectrum(noise(frames, 4000)).abs().square().mean((0, 1))
    torch.testing.assert_close(power, torch.ones_like(power), atol=0.06, rtol=0)


@pytest.mark.parametrize("frames", KINDS)
def test_a_padded_row_comes_out_as_alone(frames: Frames) -> None:
    generator = torch.Generator().manual_seed(1)
    bins = torch.randn(2, 2, frames.bins, 12, generator=generator, dtype=torch.float64)
    both = frames.synthesise(bins, torch.tensor([12, 7]))
    alone = frames.synthesise(bins[1:, ..., :7])
    torch.testing.assert_close(both[1:, : 7 * frames.hop], alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("frames", KINDS)
def test_the_graph_for_onnx_computes_the_same(
    frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = noise(frames, 8)
    bins = frames.analyse(x) * torch.rand(frames.bins, 1, dtype=torch.float64)
    wave = frames.synthesise(bins)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    torch.testing.assert_close(frames.synthesise(bins), wave, atol=1e-10, rtol=0)
    again = frames.analyse(x) - frames.analyse(frames.synthesise(frames.analyse(x)))
    assert float(again.abs().max()) < 1e-10


def test_windows_that_leave_gaps_are_refused() -> None:
    spec = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=200, n_mels=10)
    with pytest.raises(InputError, match="mel.hop_length is 200, over half of mel.win_length"):
        Frames.own(spec)
