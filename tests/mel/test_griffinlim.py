"""Griffin-Lim: alignment with the waveform the mel came from, repeatability, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mel_signals import ljspeech_clip, speech_like
from torch import Tensor

from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.griffinlim import griffin_lim
from wg.mel.hub import SPECS
from wg.mel.spec import MelSpec

NAMES = ["hifigan", "tacotron2", "lmnt-diffwave", "ivanvovk-wavegrad", "wavegrad-paper", "nemo"]


def mel_error(wave: Tensor, mel: Tensor, spec: MelSpec, shift: int) -> float:
    """Mean distance of the waveform's mel, moved by so many frames, away from the ends."""
    again = log_mel(wave, spec)[:, : mel.shape[1]]
    inner = slice(4, mel.shape[1] - 4)
    moved = again[:, inner.start + shift : inner.stop + shift]
    return float((moved - mel[:, inner]).abs().mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_burst_comes_back_where_it_was(name: str) -> None:
    spec = SPECS[name]
    wave = torch.zeros(9000)
    noise = torch.randn(600, generator=torch.Generator().manual_seed(0))
    wave[4700:5300] = 0.3 * torch.hann_window(600) * noise
    again = griffin_lim(log_mel(wave, spec), spec, 16, seed=0)
    centre, expected = (
        float((x.square() * torch.arange(len(x))).sum() / x.square().sum()) for x in (again, wave)
    )
    assert abs(centre - expected) < spec.hop_length / 8  # the other framing is hop / 2 off


@pytest.mark.parametrize("name", ["hifigan", "tacotron2"])
def test_real_speech_is_aligned_and_improves_with_iterations(name: str) -> None:
    spec, wave = SPECS[name], ljspeech_clip().float()
    mel = log_mel(wave, spec)
    errors = []
    for iterations in (1, 8, 32):
        again = griffin_lim(mel, spec, iterations, seed=0)
        at_zero, *moved = (mel_error(again, mel, spec, shift) for shift in (0, -1, 1))
        assert at_zero < 0.7 * min(moved)
        errors.append(at_zero)
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.15  # nepers, about 1.3 dB


@pytest.mark.parametrize("name", NAMES)
def test_the_level_comes_back(name: str) -> None:
    spec = SPECS[name]
    wave = speech_like(spec.sample_rate).float()
    again = griffin_lim(log_mel(wave, spec), spec, 32, seed=0)
    assert again.square().sum() == pytest.approx(float(wave.square().sum()), rel=0.3)


def test_the_waveform_is_frames_times_hop_samples_long() -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("hifigan", "tacotron2", "lmnt-wavegrad"):
        spec = SPECS[name]
        for frames in (1, 2, 3, 10):
            mel = torch.rand(spec.n_mels, frames, generator=generator)
            wave = griffin_lim(mel, spec, 2, seed=0)
            assert wave.shape == (frames * spec.hop_length,)
            assert wave.dtype == torch.float32 and wave.isfinite().all()


def test_windows_that_hardly_overlap_still_give_every_sample() -> None:
    spec = replace(SPECS["tacotron2"], hop_length=1024)
    wave = griffin_lim(log_mel(speech_like(22050).float(), spec), spec, 2, seed=0)
    assert len(wave) == 1024 * spec.frames(len(speech_like(22050)))
    assert wave.isfinite().all()


def test_the_seed_decides_the_samples() -> None:
    spec = SPECS["hifigan"]
    mel = log_mel(speech_like(22050).float(), spec)
    first, second, other = (griffin_lim(mel, spec, 2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other, atol=1e-3)


def test_silence_stays_silent() -> None:
    for name in ("hifigan", "nemo", "lmnt-diffwave"):
        spec = SPECS[name]
        mel = spec.silence[:, None].expand(-1, 20)
        assert griffin_lim(mel, spec, 2, seed=0).abs().max() < 1e-3


def test_an_unusable_request_is_refused() -> None:
    spec = SPECS["hifigan"]
    mel = torch.zeros(80, 5)
    with pytest.raises(InputError, match="0 iterations; give at least 1"):
        griffin_lim(mel, spec, 0, seed=0)
    with pytest.raises(InputError, match=r"shape \[5, 80\]; give \[80, frames\]"):
        griffin_lim(mel.T, spec, 1, seed=0)
    with pytest.raises(InputError, match=r"shape \[80, 0\]"):
        griffin_lim(mel[:, :0], spec, 1, seed=0)
    with pytest.raises(InputError, match="NaN or infinite"):
        griffin_lim(mel / 0, spec, 1, seed=0)
