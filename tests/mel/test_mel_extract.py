"""Mel extraction against librosa and torchaudio, and its refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from mel_signals import ljspeech_clip, speech_like
from torch import Tensor

from wg.errors import InputError
from wg.mel.bank import weights
from wg.mel.extract import filterbank, linear_mel, log_mel, magnitudes
from wg.mel.hub import SPECS
from wg.mel.spec import MelSpec

SMALL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=20)


def spectrogram(wave: np.ndarray, spec: MelSpec, reflect: int, eps: float = 0.0) -> np.ndarray:
    """Magnitudes by librosa from a waveform reflected by hand."""
    padded = np.pad(wave, reflect, mode="reflect")
    window = "hann" if spec.window == "hann_periodic" else np.hanning(spec.win_length)
    spectrum = librosa.stft(
        padded,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        win_length=spec.win_length,
        window=window,
        center=False,
    )
    return np.sqrt(np.abs(spectrum) ** 2 + eps)


def basis(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> np.ndarray:
    return librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, dtype=np.float64
    )


def hifigan(wave: np.ndarray) -> np.ndarray:
    linear = basis(22050, 1024, 80, 0, 8000) @ spectrogram(wave, SPECS["hifigan"], 384, 1e-9)
    return np.log(np.maximum(linear, 1e-5))


def tacotron2(wave: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=wave, sr=22050, n_fft=1024, hop_length=256, power=1, pad_mode="reflect", n_mels=80,
        fmin=0, fmax=8000, dtype=np.float64,
    )  # fmt: skip
    return np.log(np.maximum(mel, 1e-5))


def parallel_wavegan(wave: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=wave, sr=22050, n_fft=1024, hop_length=256, power=1, pad_mode="reflect", n_mels=80,
        fmin=80, fmax=7600, dtype=np.float64,
    )  # fmt: skip
    return np.log10(np.maximum(mel, 1e-10))


def espnet2(wave: np.ndarray) -> np.ndarray:
    magnitude = spectrogram(wave, SPECS["espnet2"], 512)
    linear = basis(22050, 1024, 80, 80, 7600) @ np.sqrt(np.maximum(magnitude**2, 1e-10))
    return np.log10(np.maximum(linear, 1e-10))


def speecht5(wave: np.ndarray) -> np.ndarray:
    linear = basis(16000, 1024, 80, 80, 7600) @ spectrogram(wave, SPECS["speecht5"], 512)
    return np.log10(np.maximum(linear, 1e-10))


def nemo(wave: np.ndarray) -> np.ndarray:
    linear = basis(22050, 1024, 80, 0, 8000) @ spectrogram(wave, SPECS["nemo"], 512)
    return np.log(linear + 1e-5)


def coqui(wave: np.ndarray) -> np.ndarray:
    linear = basis(22050, 1024, 80, 0, 11025) @ spectrogram(wave, SPECS["coqui-wavegrad"], 512)
    decibel = 20 * np.log10(np.maximum(linear, 1e-8)) - 20
    return np.clip(8 * (decibel + 100) / 100 - 4, -4, 4)


def htk(wave: np.ndarray, spec: MelSpec) -> Tensor:
    """Linear mel by torchaudio, its window and filterbank in float64 too."""
    torch.set_default_dtype(torch.float64)
    try:
        transform = torchaudio.transforms.MelSpectrogram(
            sample_rate=spec.sample_rate,
            n_fft=spec.n_fft,
            win_length=spec.win_length,
            hop_length=spec.hop_length,
            f_min=spec.fmin,
            f_max=spec.fmax,
            n_mels=spec.n_mels,
            power=float(spec.power),
            normalized=spec.window_norm,
        )
    finally:
        torch.set_default_dtype(torch.float32)
    return transform(torch.from_numpy(wave))


def vocos(wave: np.ndarray) -> np.ndarray:
    return htk(wave, SPECS["vocos"]).clip(min=1e-7).log().numpy()


def lmnt_wavegrad(wave: np.ndarray) -> np.ndarray:
    decibel = 20 * htk(wave, SPECS["lmnt-wavegrad"]).clamp(min=1e-5).log10() - 20
    return ((decibel + 100) / 100).clamp(0, 1).numpy()


def lmnt_diffwave(wave: np.ndarray) -> np.ndarray:
    decibel = 20 * htk(wave, SPECS["lmnt-diffwave"]).clamp(min=1e-5).log10() - 20
    return ((decibel + 100) / 100).clamp(0, 1).numpy()


def ivanvovk(wave: np.ndarray) -> np.ndarray:
    value = htk(wave, SPECS["ivanvovk-wavegrad"]).log10()
    return torch.where(value.isinf(), 0, value).numpy()


REFERENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hifigan": hifigan,
    "tacotron2": tacotron2,
    "parallel-wavegan": parallel_wavegan,
    "espnet2": espnet2,
    "speecht5": speecht5,
    "nemo": nemo,
    "coqui-wavegrad": coqui,
    "vocos": vocos,
    "lmnt-wavegrad": lmnt_wavegrad,
    "lmnt-diffwave": lmnt_diffwave,
    "ivanvovk-wavegrad": ivanvovk,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_synthetic_speech_agrees_with_the_systems_own_libraries(name: str) -> None:
    spec = SPECS[name]
    wave = speech_like(spec.sample_rate)
    expected = torch.from_numpy(REFERENCES[name](wave.numpy()))
    torch.testing.assert_close(log_mel(wave, spec), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", REFERENCES)
def test_real_speech_agrees_with_the_systems_own_libraries(name: str) -> None:
    spec, wave = SPECS[name], ljspeech_clip()  # as numbers: at 16 and 24 kHz it plays off speed
    expected = torch.from_numpy(REFERENCES[name](wave.numpy()))
    torch.testing.assert_close(log_mel(wave, spec), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", REFERENCES)
def test_float32_agrees_with_float64(name: str) -> None:
    spec = SPECS[name]
    wave = speech_like(spec.sample_rate)
    single = log_mel(wave.float(), spec)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), log_mel(wave, spec), atol=1e-5, rtol=0)


def test_a_torchaudio_transform_with_default_settings_agrees_in_float32() -> None:
    spec = replace(SPECS["vocos"], hop_length=300, floor=1e-3)
    wave = speech_like(spec.sample_rate).float()
    mel = torchaudio.transforms.MelSpectrogram(
        sample_rate=24000, n_fft=1024, hop_length=300, n_mels=100, power=1.0
    )(wave)
    expected = mel.clamp(min=1e-3).log()
    torch.testing.assert_close(log_mel(wave, spec), expected, atol=3e-5, rtol=0)


@pytest.mark.parametrize("rate", [16000, 22050, 11025])
@pytest.mark.parametrize("scale, norm", [("slaney", "slaney"), ("htk", "none")])
def test_filterbanks_equal_those_of_librosa(rate: int, scale: str, norm: str) -> None:
    spec = MelSpec.from_dict(
        {"sample_rate": rate, "n_fft": 1024, "win_length": 800, "hop_length": 200, "n_mels": 64}
        | {"fmin": 30, "fmax": None, "mel_scale": scale, "mel_norm": norm}
    )
    expected = librosa.filters.mel(
        sr=rate,
        n_fft=1024,
        n_mels=64,
        fmin=30,
        htk=scale == "htk",
        norm=None if norm == "none" else "slaney",
        dtype=np.float64,
    )
    assert filterbank(spec).shape == (513, 64)
    torch.testing.assert_close(weights(spec.bands).T, torch.from_numpy(expected))


def test_the_slaney_basis_is_the_same_matrix_in_hifigan_tacotron_and_nemo() -> None:
    bases = {SPECS[name].bands for name in ("hifigan", "tacotron2", "nemo", "nemo-hifigan")}
    assert len(bases) == 1


def test_a_batch_is_its_clips_stacked() -> None:
    waves = torch.stack([speech_like(8000), speech_like(8000).flip(0)])
    batch = log_mel(waves, SMALL)
    assert batch.shape == (2, SMALL.n_mels, SMALL.frames(waves.shape[1]))
    for wave, mel in zip(waves, batch, strict=True):
        torch.testing.assert_close(mel, log_mel(wave, SMALL), atol=1e-12, rtol=0)


def test_a_pure_tone_has_the_magnitude_of_its_windowed_sum() -> None:
    time = torch.arange(4000, dtype=torch.float64)
    tone = 0.5 * torch.cos(2 * torch.pi * time * 32 / 256)  # exactly bin 32
    frame = magnitudes(tone, SMALL)[:, 30]
    assert frame.argmax() == 32
    assert frame[32] == pytest.approx(0.5 / 2 * 128, rel=1e-9)  # amplitude / 2 * sum of Hann
    power = linear_mel(tone, replace(SMALL, power=2))[:, 30]
    expected = (frame[:, None] ** 2 * weights(SMALL.bands)).sum(0)
    torch.testing.assert_close(power, expected)


def test_window_norm_makes_white_noise_independent_of_the_window_length() -> None:
    noise = torch.randn(80_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for win in (64, 256):
        spec = replace(SMALL, win_length=win, window_norm=True)
        power = magnitudes(noise, spec)[5:-5].square().mean()
        assert power == pytest.approx(1.0, rel=0.03)  # the noise's variance


def test_framing_hop_centres_frames_on_their_samples() -> None:
    wave = torch.zeros(64 * 20)
    wave[64 * 7 + 32] = 1.0  # the middle of samples 7 * hop .. 8 * hop
    spec = replace(SMALL, framing="hop")
    energy = magnitudes(wave, spec).square().sum(0)
    assert energy.argmax() == 7
    torch.testing.assert_close(energy[6], energy[8])  # a symmetric neighbourhood
    wave = torch.zeros(64 * 20)
    wave[64 * 7] = 1.0
    energy = magnitudes(wave, SMALL).square().sum(0)
    assert energy.argmax() == 7
    torch.testing.assert_close(energy[6], energy[8])


@pytest.mark.parametrize("framing", ["centre", "hop"])
@pytest.mark.parametrize("hop, win, n_fft", [(64, 256, 256), (50, 200, 256), (256, 256, 256)])
def test_frames_is_the_number_of_frames(framing: str, hop: int, win: int, n_fft: int) -> None:
    geometry = {"framing": framing, "hop_length": hop, "win_length": win, "n_fft": n_fft}
    spec = MelSpec.from_dict(SMALL.to_dict() | geometry)
    for samples in range(spec.min_samples, spec.min_samples + 3 * hop, 7):
        assert log_mel(torch.zeros(samples), spec).shape == (20, spec.frames(samples))


@pytest.mark.parametrize("name", SPECS)
def test_silence_is_what_extraction_of_zeros_gives(name: str) -> None:
    spec = SPECS[name]
    mel = log_mel(torch.zeros(spec.min_samples), spec)
    expected = spec.silence[:, None].expand_as(mel)
    torch.testing.assert_close(mel, expected, atol=1e-6, rtol=1e-6)


def test_a_mel_is_the_same_inside_autocast() -> None:
    wave = speech_like(8000).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mel = log_mel(wave, SMALL)
    torch.testing.assert_close(mel, log_mel(wave, SMALL), atol=0, rtol=0)


def test_a_mel_has_gradients_even_on_silence_and_after_inference_mode() -> None:
    weights.cache_clear()
    with torch.inference_mode():
        log_mel(torch.zeros(400), SMALL)
    wave = torch.zeros(400, dtype=torch.float64, requires_grad=True)
    linear_mel(wave, SMALL).sum().backward()
    assert wave.grad is not None and wave.grad.isfinite().all()


@pytest.mark.parametrize(
    "wave, message",
    [
        (torch.zeros(400, dtype=torch.int16), "torch.int16; give floating point"),
        (torch.zeros(1, 1, 400), r"shape \[1, 1, 400\]"),
        (torch.tensor(0.0), r"shape \[\]"),
        (torch.zeros(128), "128 samples.* at least 129"),
        (torch.zeros(0), "0 samples"),
        (torch.full((400,), torch.nan), "400 NaN or infinite"),
        (torch.cat([torch.zeros(399), torch.tensor([torch.inf])]), "1 NaN or infinite"),
    ],
)
def test_an_unusable_waveform_is_refused(wave: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        log_mel(wave, SMALL)


def test_the_shortest_clip_of_each_framing_works_and_one_sample_less_does_not() -> None:
    for spec in (SMALL, replace(SMALL, framing="hop"), replace(SMALL, framing="hop", n_fft=512)):
        log_mel(torch.zeros(spec.min_samples), spec)
        with pytest.raises(InputError, match="samples"):
            log_mel(torch.zeros(spec.min_samples - 1), spec)


@pytest.mark.filterwarnings("ignore:Empty filters")  # librosa's
def test_bands_without_a_bin_are_named() -> None:
    few = MelSpec(sample_rate=8000, n_fft=32, win_length=32, hop_length=16, n_mels=26)
    bank = librosa.filters.mel(sr=8000, n_fft=32, n_mels=26, dtype=np.float64)
    empty = ", ".join(str(band) for band in range(26) if bank[band].max() < 1e-12)
    assert empty.count(",") > 2
    message = rf"mel.n_mels is 26, but no FFT bin \(250.0 Hz apart\) lies in band\(s\) {empty};"
    with pytest.raises(InputError, match=message):
        filterbank(few)
