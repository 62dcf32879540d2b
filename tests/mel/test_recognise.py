"""Telling what a foreign mel is: from its values, and from audio."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mel_signals import ljspeech_clip, speech_like

from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.hub import SPECS, named
from wg.mel.recognise import likely, recognise
from wg.mel.regress import explain


@pytest.mark.parametrize("name", SPECS)
def test_the_values_of_real_speech_name_their_convention(name: str) -> None:
    mel = log_mel(ljspeech_clip(), SPECS[name])  # as numbers: at other rates it plays off speed
    assert name in [guess.name for guess in likely(recognise(mel))]


@pytest.mark.parametrize(
    "name, never",
    [
        ("tacotron2", {"parallel-wavegan", "espnet2", "coqui-wavegrad", "lmnt-diffwave"}),
        ("parallel-wavegan", {"coqui-wavegrad", "lmnt-diffwave"}),
        ("lmnt-diffwave", {"tacotron2", "parallel-wavegan"}),
        ("coqui-wavegrad", {"tacotron2", "parallel-wavegan", "lmnt-diffwave"}),
    ],
)
def test_another_log_or_scaling_is_told_apart(name: str, never: set[str]) -> None:
    mel = log_mel(ljspeech_clip(), SPECS[name])
    assert not never & {guess.name for guess in likely(recognise(mel))}


def test_noise_is_no_convention() -> None:
    assert likely(recognise(torch.rand(80, 200) * 255)) == []
    assert recognise(torch.zeros(7, 100)) == []


STRUCTURE = ("hop_length", "framing", "power", "fmin", "fmax", "mel_scale", "mel_norm")


@pytest.mark.parametrize("name", SPECS)
def test_with_audio_every_named_spec_is_found(name: str) -> None:
    spec = SPECS[name]
    wave = speech_like(spec.sample_rate, seconds=1.5)
    mel = log_mel(wave, spec)
    fit = explain(mel.float(), wave, spec.sample_rate)
    assert fit is not None and fit.good
    different = set(fit.spec.differences(spec))
    assert not different & set(STRUCTURE)
    # One spec may stand for another that this audio does not tell from it.
    assert different <= {"magnitude_eps", "magnitude_eps_mode", "floor"}
    again = log_mel(wave, fit.spec)
    torch.testing.assert_close(again, mel, atol=0.02 * spec.gain, rtol=0)


def test_statistics_of_a_training_set_are_measured() -> None:
    statistics = {
        "mean": tuple(band / 20 - 5 for band in range(80)),
        "std": tuple(0.5 + band / 80 for band in range(80)),
    }
    spec = replace(named("parallel-wavegan"), **statistics)
    wave = speech_like(22050, seconds=1.5)
    fit = explain(log_mel(wave, spec), wave, 22050)
    assert fit is not None and fit.good and fit.name == "parallel-wavegan"
    plain = named("tacotron2")
    wanted = log_mel(wave, replace(plain, fmin=80.0, fmax=7600.0))
    borne = fit.spec.convert(log_mel(wave, spec), replace(plain, fmin=80.0, fmax=7600.0))
    assert float((borne - wanted)[wanted > -8].abs().max()) < 0.05


def test_a_mel_of_other_audio_is_not_explained() -> None:
    spec = named("tacotron2")
    wave = speech_like(22050, seconds=1.5)
    fit = explain(log_mel(wave.flip(0), spec), wave, 22050)
    assert fit is None or not fit.good


def test_audio_that_is_too_short_for_the_mel_is_refused() -> None:
    with pytest.raises(InputError, match="400 frames and 100 samples"):
        explain(torch.randn(80, 400), torch.randn(100), 22050)
    with pytest.raises(InputError, match="more than 16 frames"):
        explain(torch.randn(80, 3), torch.randn(768), 22050)
