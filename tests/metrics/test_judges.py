"""Metrics that ask a network: CREPE, DNSMOS, SQUIM, UTMOS; and what is said where one lacks."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from wg.errors import InputError
from wg.metrics import METRICS, SIGNAL, check_metrics, judged, predicted, score
from wg.metrics import periodicity as crepe
from wg.metrics.perceptual import resample

RATE = 16000
CLIP = (
    Path(__file__).resolve().parents[2] / "../shared/data/ljspeech/LJSpeech-1.1/wavs/LJ001-0002.wav"
)
needs_crepe = pytest.mark.skipif(
    crepe.missing_crepe() is not None, reason=str(crepe.missing_crepe())
)
needs_dnsmos = pytest.mark.skipif(
    predicted.missing_dnsmos() is not None, reason=str(predicted.missing_dnsmos())
)


needs_distillmos = pytest.mark.skipif(
    judged.missing_distillmos() is not None, reason=str(judged.missing_distillmos())
)
needs_voices = pytest.mark.skipif(
    judged.missing_similarity() is not None, reason=str(judged.missing_similarity())
)
needs_clip = pytest.mark.skipif(not CLIP.is_file(), reason="the LJSpeech clips are absent")


def tone(hz: float, seconds: float) -> np.ndarray:
    """Ten harmonics above a little noise: without it most bins, and so the frame, are silent."""
    t = np.arange(round(seconds * RATE)) / RATE
    voice = np.sum([np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 11)], axis=0)
    return 0.1 * voice + 0.03 * noise(len(t))


def noise(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


# -- CREPE -----------------------------------------------------------------------------------


def test_periodicity_errors_follow_their_definitions() -> None:
    h = np.array([0.9, 0.5, 0.3, 0.0])
    other = np.array([0.9, 0.1, 0.3, 0.4])
    scores = crepe.compare_periodicity(h, other)
    assert scores["periodicity"] == pytest.approx(math.sqrt((0.4**2 + 0.4**2) / 4))
    assert scores["crepe_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert math.isnan(crepe.compare_periodicity(h * 0, h * 0)["crepe_f1"])


@needs_crepe
def test_a_tone_is_periodic_noise_is_not_and_silence_is_set_to_zero() -> None:
    voiced = crepe.periodicity(tone(200, 0.15))
    assert len(voiced) == 1 + (round(0.15 * RATE) - 1024) // 160
    assert voiced.min() > 0.6 > crepe.VOICED
    assert crepe.periodicity(noise(1600)).max() < 0.3
    assert not crepe.periodicity(1e-6 * tone(200, 0.1)).any()


@needs_crepe
def test_identity_is_perfect_and_noise_costs_periodicity() -> None:
    clean = tone(150, 0.12)
    same = score(clean, clean, RATE, ["periodicity", "crepe_f1"])
    assert same == {"periodicity": 0.0, "crepe_f1": 1.0}
    worse = [
        score(clean, clean + gain * noise(len(clean)), RATE, ["periodicity"])["periodicity"]
        for gain in (0.5, 4)
    ]
    assert 0 < worse[0] < worse[1]


@needs_crepe
def test_audio_shorter_than_a_frame_has_no_periodicity() -> None:
    scores = score(tone(150, 0.06), tone(150, 0.06), RATE, ["periodicity", "crepe_f1"])
    assert all(map(math.isnan, scores.values()))


# -- DNSMOS ----------------------------------------------------------------------------------


@needs_dnsmos
def test_dnsmos_hears_noise_and_is_the_package_s_own() -> None:
    if not CLIP.exists():
        pytest.skip(f"no real speech at {CLIP}")
    from speechmos import dnsmos

    wave, rate = soundfile.read(CLIP)
    names = [name for name in METRICS if name.startswith("dnsmos")]
    clean = score(wave, wave, rate, names)
    noisy = score(wave, wave + 0.3 * noise(len(wave)), rate, names)
    for name in names:
        assert 1 < noisy[name] < clean[name] < 5, name
    own: Any = dnsmos.run(resample(wave, rate, RATE), RATE)
    assert clean["dnsmos_ovrl"] == pytest.approx(float(own["ovrl_mos"]), abs=1e-6)


@needs_dnsmos
def test_predictions_of_silence_are_undefined() -> None:
    silence = np.zeros(RATE)
    assert all(map(math.isnan, predicted.dnsmos_scores(silence, silence, RATE).values()))
    assert all(map(math.isnan, predicted.squim_scores(silence, silence, RATE).values()))
    assert math.isnan(predicted.utmos(silence, silence, RATE))


# -- SQUIM and UTMOS: their weights are not in any package ------------------------------------


def test_squim_runs_with_weights_where_torchaudio_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchaudio.models import squim_objective_base

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    reason = predicted.missing_squim()
    assert reason is not None and str(tmp_path) in reason
    torch.manual_seed(0)
    network = squim_objective_base().eval()
    predicted.squim_weights().parent.mkdir(parents=True)
    torch.save(network.state_dict(), predicted.squim_weights())
    predicted.squim.cache_clear()
    wave = tone(200, 0.5)
    try:
        scores = predicted.squim_scores(wave, wave, RATE)
    finally:
        predicted.squim.cache_clear()
    assert predicted.missing_squim() is None
    with torch.inference_mode():
        expected = network(torch.from_numpy(wave).float()[None])
    assert list(scores.values()) == pytest.approx([value.item() for value in expected])


def test_utmos_hears_16_khz_and_loads_the_weights_of_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if importlib.util.find_spec("utmos_pytorch") is None:
        pytest.skip("the package utmos-pytorch is not installed")
    import huggingface_hub
    import utmos_pytorch

    asked: list[Any] = []

    class StandIn:
        """As UTMOSScoreTorch, whose weights are 400 MB: the score is the number of samples."""

        def __init__(self, path: str) -> None:
            asked.append(path)

        def score(self, wave: torch.Tensor) -> torch.Tensor:
            return torch.tensor([wave.shape[1]])

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: "/cache/utmos.pt")
    monkeypatch.setattr(utmos_pytorch, "UTMOSScoreTorch", StandIn)
    predicted.utmos_network.cache_clear()
    wave = tone(200, 0.5)
    try:
        value = predicted.utmos(wave, wave, 8000)
    finally:
        predicted.utmos_network.cache_clear()
    assert (value, asked) == (2 * len(wave), ["/cache/utmos.pt"])


# -- PLCMOS, DistillMOS, voices ----------------------------------------------------------------


def clip() -> tuple[np.ndarray, int]:
    return soundfile.read(CLIP, dtype="float64")


@needs_dnsmos
@needs_clip
def test_plcmos_hears_gaps_and_says_the_same_again() -> None:
    wave, rate = clip()
    gaps = wave * (np.arange(len(wave)) // 1500 % 3 > 0)
    drawn = np.random.RandomState(3).random()
    np.random.seed(3)
    clean, again = (judged.plcmos(wave, wave, rate) for _ in range(2))
    assert clean == again, "the package draws raters at random"
    assert np.random.random() == drawn, "and nobody else's draws change"
    assert clean > 4 > judged.plcmos(wave, gaps, rate) + 0.5


@needs_distillmos
@needs_clip
def test_distillmos_hears_noise() -> None:
    wave, rate = clip()
    noisy = wave + 0.3 * noise(len(wave))
    assert judged.distillmos(wave, wave, rate) > 3 > judged.distillmos(wave, noisy, rate) + 0.5


@needs_voices
@needs_clip
def test_a_voice_is_like_itself_and_unlike_a_higher_one() -> None:
    wave, rate = clip()
    other = soundfile.read(CLIP.with_name("LJ001-0008.wav"))[0][: len(wave)]
    higher = resample(wave, rate, round(rate / 1.35))
    size = min(len(other), len(higher))
    assert judged.speaker_similarity(wave, wave, rate) == pytest.approx(1, abs=1e-5)
    same = judged.speaker_similarity(wave[: len(other)], other, rate)
    assert same > 0.7
    assert judged.speaker_similarity(other[:size], higher[:size], rate) < same - 0.05


def test_the_judges_say_nothing_of_silence() -> None:
    silence = np.zeros(RATE)
    for name in ("plcmos", "distillmos", "speaker_similarity"):
        if METRICS[name].missing() is None:
            assert math.isnan(METRICS[name].function(silence, silence, RATE))
            short = noise(400)
            assert math.isnan(METRICS[name].function(short, short, RATE))


def test_a_network_that_lacks_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    check_metrics(SIGNAL, "score.metrics")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    with pytest.raises(InputError, match=r"--metrics: squim_pesq cannot .* into /nowhere"):
        check_metrics(["stoi", "squim_pesq"], "--metrics")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in (
        *("periodicity", "dnsmos_ovrl", "utmos"),
        *("plcmos", "distillmos", "speaker_similarity"),
    ):
        with pytest.raises(InputError, match="pip install"):
            check_metrics([name], "--metrics")
