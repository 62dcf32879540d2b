from __future__ import annotations

import math
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wg.errors import InputError
from wg.metrics import METRICS, SIGNAL, Metric, align, delay, score, score_aligned
from wg.metrics.cepstral import mel_cepstrum
from wg.metrics.perceptual import resample
from wg.metrics.pitch import compare_tracks, f0

RATE = 22050
CLIP = (
    Path(__file__).resolve().parents[2] / "../shared/data/ljspeech/LJSpeech-1.1/wavs/LJ001-0002.wav"
)


def value(name: str, reference: np.ndarray, synthesis: np.ndarray, rate: int = RATE) -> float:
    return METRICS[name].function(reference, synthesis, rate)


def tone(hz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Ten harmonics of 1/k amplitude."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.2 * np.sum([np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 11)], axis=0)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples)


def with_noise(wave: np.ndarray, snr_db: float) -> np.ndarray:
    added = noise(len(wave))
    return wave + added * np.sqrt((wave @ wave) / (added @ added)) * 10 ** (-snr_db / 20)


def babble() -> np.ndarray:
    """Two seconds that pass for speech: voiced syllables of moving pitch, unvoiced ones, pauses."""
    t = np.arange(2 * RATE) / RATE
    pitch = 140 + 30 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voiced = np.sum([np.sin(k * phase) / k for k in range(1, 25)], axis=0)
    formants = 1 + 0.8 * np.sin(2 * np.pi * 2.3 * t)
    syllable = np.maximum(np.sin(2 * np.pi * 2 * t), 0) ** 0.5
    hiss = np.maximum(-np.sin(2 * np.pi * 2 * t), 0) ** 4
    return 0.15 * (syllable * formants * voiced + 0.3 * hiss * noise(len(t))) + 1e-4 * noise(
        len(t), 1
    )


@pytest.fixture(scope="module", params=["made", "LJ001-0002"])
def speech(request: pytest.FixtureRequest) -> np.ndarray:
    if request.param == "made":
        return babble()
    if not CLIP.exists():
        pytest.skip(f"no real speech at {CLIP}")
    wave, rate = soundfile.read(CLIP)
    assert rate == RATE
    return wave


PERFECT = {
    "voicing_f1": 1.0,
    "voicing_f1_dtw": 1.0,
    "pesq_wb": 4.6439,  # P.862.2: 0.999 + 4 / (1 + exp(-1.3669 * 4.5 + 3.8224))
    "pesq_nb": 4.5486,  # P.862.1: the same with -1.4945 and 4.6607
    "stoi": 1.0,
    "estoi": 1.0,
    "si_sdr": 100.0,
}


def test_identity_gives_the_perfect_score_in_every_metric(speech: np.ndarray) -> None:
    scores = score(speech, speech.copy(), RATE)
    assert tuple(scores) == SIGNAL
    for name, got in scores.items():
        assert got == pytest.approx(PERFECT.get(name, 0.0), abs=1e-4), name


BANDS = ("lsd", "lsd_0_2k", "lsd_2_4k", "lsd_4_8k", "lsd_8k_up")
SPECTRAL = ("ls_mse", "mcd", "mr_stft", *BANDS)
HEARD = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr")
VOICING = ("vde", "ffe", "voicing_f1")
PITCH = ("f0_rmse_hz", "f0_rmse_cents")


def badness(name: str, scores: dict[str, float]) -> float:
    return scores[name] if METRICS[name].better == "lower" else -scores[name]


def test_more_noise_scores_worse(speech: np.ndarray) -> None:
    names = [*SPECTRAL, "mcd_dtw", *HEARD, *PITCH, *VOICING]
    scores = [score(speech, with_noise(speech, snr), RATE, names) for snr in (40, 20, 0)]
    for name in names:
        first, second, third = (badness(name, at_snr) for at_snr in scores)
        if name in ("vde", "ffe"):  # shares of some hundred frames
            assert 0 < first <= second < third, name
        else:
            assert first < second < third, name


def low_passed(wave: np.ndarray, hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / RATE) > hz] = 0
    return np.fft.irfft(spectrum, len(wave))


def test_less_bandwidth_scores_worse(speech: np.ndarray) -> None:
    names = ["ls_mse", "mcd", "mcd_dtw", "mr_stft", "lsd", "lsd_0_2k", "lsd_2_4k", *HEARD]
    scores = [score(speech, low_passed(speech, hz), RATE, names) for hz in (7000, 3000, 1000)]
    for name in names:
        first, second, third = (badness(name, at) for at in scores)
        assert first < second < third, name


def test_a_coarser_codec_scores_worse(speech: np.ndarray) -> None:
    def coded(level: float) -> np.ndarray:
        file = BytesIO()
        with soundfile.SoundFile(
            file, "w", RATE, 1, format="OGG", subtype="VORBIS", compression_level=level
        ) as out:
            out.write(speech)
        file.seek(0)
        return soundfile.read(file)[0][: len(speech)]

    warped = [f"{name}_dtw" for name in (*PITCH, *VOICING)]
    names = [*SPECTRAL, "mcd_dtw", *HEARD, *PITCH, *VOICING, *warped]
    fine, coarse = (score(speech, coded(level), RATE, names) for level in (0.0, 1.0))
    for name in names:
        assert badness(name, fine) < badness(name, coarse), name


def test_a_gain_moves_level_and_what_depends_on_it_only(speech: np.ndarray) -> None:
    names = ["level_difference", "ls_mse", "lsd", "pesq_wb", "stoi", "si_sdr", "f0_rmse_cents"]
    quiet, quieter = (score(speech, gain * speech, RATE, names) for gain in (0.7, 0.4))
    assert quieter["level_difference"] < quiet["level_difference"] < 0
    assert 0 < quiet["ls_mse"] < quieter["ls_mse"]
    assert 0 < quiet["lsd"] < quieter["lsd"]
    for scores in (quiet, quieter):
        assert scores["stoi"] == pytest.approx(1, abs=1e-3)
        assert scores["si_sdr"] == 100
        assert scores["pesq_wb"] == pytest.approx(PERFECT["pesq_wb"], abs=0.01)
        assert scores["f0_rmse_cents"] == pytest.approx(0, abs=0.1)


def test_a_longer_delay_scores_worse_until_it_is_taken_out(speech: np.ndarray) -> None:
    names = [*SPECTRAL, "si_sdr", "stoi", "estoi", *VOICING]
    late = [np.concatenate([1e-5 * noise(n), speech])[: len(speech)] for n in (20, 200, 800)]
    raw = [score(speech, wave, RATE, names) for wave in late]
    for name in names:
        first, second, third = (badness(name, at) for at in raw)
        assert first < second < third, name
    for samples, wave in zip((20, 200, 800), late, strict=True):
        scores = score_aligned(speech, wave, RATE, names)
        assert scores["delay_ms"] == pytest.approx(1000 * samples / RATE)
        assert (scores["ls_mse"], scores["si_sdr"]) == (0, 100)
        assert scores["stoi"] == pytest.approx(1)


def test_score_gives_the_same_values_alone_and_together() -> None:
    speech = babble()
    noisy = with_noise(speech, 20)[:-200]
    together = score(speech, noisy, RATE)
    for name in SIGNAL:
        assert score(speech, noisy, RATE, [name])[name] == together[name], name


# -- spectra ---------------------------------------------------------------------------------


def test_ls_mse_of_a_gain_is_the_sum_over_bands_of_its_squared_log() -> None:
    loud = 0.1 * noise(RATE)
    assert value("ls_mse", loud, 2 * loud) == pytest.approx(128 * math.log(2) ** 2, rel=1e-9)


@pytest.mark.parametrize("rate", [8000, 16000, RATE, 24000, 44100, 48000])
def test_every_mel_band_of_ls_mse_holds_a_bin(rate: int) -> None:
    loud = 0.1 * noise(rate)
    assert value("ls_mse", loud, 2 * loud, rate) == pytest.approx(128 * math.log(2) ** 2)


def test_silence_on_both_sides_is_no_spectral_difference() -> None:
    silence = np.zeros(RATE)
    assert value("ls_mse", silence, silence) == 0
    assert value("lsd", silence, silence) == 0


def test_log_spectral_distance_of_a_gain_is_the_gain_in_decibels() -> None:
    loud = 0.1 * noise(RATE)
    for name in ("lsd", "lsd_0_2k", "lsd_2_4k", "lsd_4_8k", "lsd_8k_up"):
        assert value(name, loud, 2 * loud) == pytest.approx(20 * math.log10(2), abs=1e-3)


def test_a_missing_high_band_shows_in_its_band_only() -> None:
    loud = 0.1 * noise(RATE)
    scores = score(loud, low_passed(loud, 7900), RATE)
    assert scores["lsd_8k_up"] > 40
    assert scores["lsd_0_2k"] < 0.05
    assert scores["lsd_2_4k"] < 0.05


def test_a_band_above_half_the_rate_is_undefined() -> None:
    assert math.isnan(value("lsd_8k_up", tone(200, rate=16000), tone(200, rate=16000), 16000))


def test_mr_stft_is_the_published_formula() -> None:
    import librosa

    s, t = babble(), with_noise(babble(), 20)
    expected = []
    for fft, hop, window in ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)):
        a, b = (
            np.abs(
                librosa.stft(w, n_fft=fft, hop_length=hop, win_length=window, pad_mode="reflect")
            )
            for w in (s, t)
        )
        convergence = np.linalg.norm(a - b) / np.linalg.norm(a)
        expected.append(convergence + np.abs(np.log(a) - np.log(b)).mean())
    assert value("mr_stft", s, t) == pytest.approx(np.mean(expected), rel=1e-6)


# -- mel-cepstra -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "order", "alpha"), [(16000, 23, 0.42), (RATE, 34, 0.45), (48000, 39, 0.55)]
)
def test_the_mel_cepstrum_is_pysptk_s_run_to_convergence(
    speech: np.ndarray, rate: int, order: int, alpha: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysptk
    wave = speech[: RATE // 2]
    starts = range(0, len(wave) - 1024 + 1, 256)
    frames = np.stack([wave[n : n + 1024] * 32768 * pysptk.hamming(1024) for n in starts])
    expected = pysptk.mcep(frames, order, alpha, etype=1, eps=1e-6, threshold=1e-8, maxiter=100)
    np.testing.assert_allclose(mel_cepstrum(wave, rate), expected[:, 1:], atol=1e-5)


def test_mcd_leaves_level_out() -> None:
    assert value("mcd", babble(), 0.5 * babble()) == pytest.approx(0, abs=1e-3)


def test_mcd_has_the_constant_of_its_definition() -> None:
    s, t = babble(), with_noise(babble(), 20)
    difference = mel_cepstrum(s, RATE) - mel_cepstrum(t, RATE)
    frames = 10 / math.log(10) * np.sqrt(2 * (difference**2).sum(axis=1))
    assert value("mcd", s, t) == pytest.approx(frames.mean(), rel=1e-12)


def test_warping_forgives_a_pause_that_framewise_mcd_does_not() -> None:
    s = babble()
    pause = 1e-4 * noise(1024, 2)  # under the tolerance of 50 ms
    t = np.concatenate([pause, s])
    assert value("mcd_dtw", s, t) < 0.5 * value("mcd", s, t)


def test_warping_takes_any_lengths() -> None:
    assert value("mcd_dtw", babble(), babble()[: RATE + 300]) > 0


def test_what_is_too_long_to_warp_is_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wg.metrics.cepstral.MOST_PAIRS", 1000)
    scores = score(babble(), babble(), RATE, ["mcd", "mcd_dtw", "vde_dtw"])
    assert scores["mcd"] == 0 and math.isnan(scores["mcd_dtw"]) and math.isnan(scores["vde_dtw"])


# -- pitch -----------------------------------------------------------------------------------


def test_the_pitch_of_a_tone_is_its_frequency() -> None:
    track = f0(tone(200), RATE)
    assert np.median(track) == pytest.approx(200, abs=0.05)


def test_three_percent_sharp_is_51_cents_and_6_hz() -> None:
    scores = score(tone(200), tone(206), RATE, ["f0_rmse_cents", "f0_rmse_hz", "gpe"])
    assert scores["f0_rmse_cents"] == pytest.approx(1200 * math.log2(1.03), abs=1)
    assert scores["f0_rmse_hz"] == pytest.approx(6, abs=0.1)
    assert scores["gpe"] == 0


def test_thirty_percent_sharp_is_a_gross_error_in_every_frame() -> None:
    scores = score(tone(200), tone(260), RATE, ["gpe", "ffe", "vde"])
    assert scores["gpe"] == 1
    assert scores["ffe"] == pytest.approx(1, abs=0.05)
    assert scores["vde"] == pytest.approx(0, abs=0.05)


def test_a_half_that_loses_its_voice_is_a_voicing_error_in_half_the_frames() -> None:
    voiced = tone(200, seconds=2)
    half = voiced.copy()
    half[RATE:] = 1e-3 * noise(RATE)
    scores = score(voiced, half, RATE, ["vde", "ffe", "voicing_f1", "gpe"])
    assert scores["vde"] == pytest.approx(0.5, abs=0.02)
    assert scores["ffe"] == pytest.approx(0.5, abs=0.02)
    assert scores["voicing_f1"] == pytest.approx(2 / 3, abs=0.02)
    assert scores["gpe"] == 0


def test_track_errors_follow_their_definitions() -> None:
    f = np.array([100.0, 100.0, 100.0, 0.0, 0.0])
    g = np.array([110.0, 150.0, 0.0, 100.0, 0.0])
    scores = compare_tracks(f, g)
    assert scores["f0_rmse_hz"] == pytest.approx(math.sqrt((10**2 + 50**2) / 2))
    assert scores["gpe"] == 1 / 2
    assert scores["vde"] == 2 / 5
    assert scores["ffe"] == 3 / 5
    assert scores["voicing_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


@pytest.mark.parametrize("name", ["f0_rmse_hz", "f0_rmse_cents", "gpe", "vde", "ffe", "voicing_f1"])
def test_pitch_is_undefined_where_nothing_is_voiced(name: str) -> None:
    assert math.isnan(value(name, np.zeros(RATE), np.zeros(RATE)))


def test_a_synthesis_that_lost_its_voice_is_wrong_and_not_undefined() -> None:
    scores = score(tone(200), np.zeros(RATE), RATE, ["f0_rmse_cents", "vde", "voicing_f1"])
    assert math.isnan(scores["f0_rmse_cents"])
    assert scores["vde"] > 0.95
    assert scores["voicing_f1"] == 0


# -- perception ------------------------------------------------------------------------------


def test_pesq_is_the_package_s_own_at_its_rate(speech: np.ndarray) -> None:
    from pesq import pesq

    s, t = (resample(wave, RATE, 16000) for wave in (speech, with_noise(speech, 20)))
    assert value("pesq_wb", s, t, 16000) == pytest.approx(pesq(16000, s, t, "wb"), abs=1e-6)
    assert value("pesq_nb", s, t, 16000) == pytest.approx(pesq(16000, s, t, "nb"), abs=1e-6)
    assert value("pesq_wb", speech, with_noise(speech, 20)) == value("pesq_wb", s, t, 16000)


def test_stoi_is_the_package_s_own(speech: np.ndarray) -> None:
    from pystoi import stoi

    noisy = with_noise(speech, 10)
    assert value("stoi", speech, noisy) == pytest.approx(stoi(speech, noisy, RATE), abs=1e-6)
    extended = stoi(speech, noisy, RATE, extended=True)
    assert value("estoi", speech, noisy) == pytest.approx(extended, abs=1e-6)


def test_estoi_repeats_itself_and_leaves_numpy_s_generator_alone() -> None:
    s = babble()
    gap = s.copy()
    gap[RATE:] = 0  # correlations of silence are those of the noise that pystoi adds
    np.random.seed(1)
    first = value("estoi", s, gap)
    drawn = np.random.rand()
    assert value("estoi", s, gap) == first
    np.random.seed(1)
    assert np.random.rand() == drawn


def test_resampling_keeps_a_tone() -> None:
    t = np.arange(RATE) / RATE
    wave = resample(np.sin(2 * np.pi * 1000 * t), RATE, 16000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(wave)) / 16000)
    np.testing.assert_allclose(wave[500:-500], expected[500:-500], atol=1e-4)


@pytest.mark.parametrize("name", ["pesq_wb", "pesq_nb", "stoi", "estoi"])
def test_perception_of_silence_and_of_a_click_is_undefined(name: str) -> None:
    silence = np.zeros(RATE)
    assert math.isnan(value(name, silence, silence))
    assert math.isnan(value(name, silence, babble()[:RATE]))
    assert math.isnan(value(name, babble()[:2000], babble()[:2000]))


def test_pesq_of_a_silent_synthesis_is_undefined() -> None:
    assert math.isnan(value("pesq_wb", babble(), np.zeros(2 * RATE)))


def test_wide_band_pesq_is_undefined_for_narrow_band_audio() -> None:
    narrow = resample(babble(), RATE, 8000)
    assert math.isnan(value("pesq_wb", narrow, narrow, 8000))
    assert value("pesq_nb", narrow, narrow, 8000) == pytest.approx(PERFECT["pesq_nb"], abs=1e-4)


def test_pesq_in_a_process_of_its_own_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    s, t = babble(), with_noise(babble(), 20)
    here = value("pesq_nb", s, t)
    monkeypatch.setattr("wg.metrics.perceptual.PESQ_IN_PROCESS_S", 1.0)
    monkeypatch.setattr("pesq.pesq", None)  # this process no longer can
    assert value("pesq_nb", s, t) == here


def test_more_utterances_than_pesq_holds_are_undefined_and_not_a_crash() -> None:
    rate = 8000
    bursts = np.sin(4 * np.pi * np.arange(30 * rate) / rate) > 0  # 60 of a quarter of a second
    s = 0.1 * bursts * noise(30 * rate)
    assert math.isnan(value("pesq_nb", s, s, rate))


# -- level and delay -------------------------------------------------------------------------


def test_twice_the_amplitude_is_six_decibels() -> None:
    assert value("level_difference", tone(200), 2 * tone(200)) == pytest.approx(6.0206, abs=1e-4)
    assert value("level_difference", tone(200), tone(200) / 2) == pytest.approx(-6.0206, abs=1e-4)
    assert math.isnan(value("level_difference", tone(200), np.zeros(RATE)))


def test_clipped_samples_are_counted_in_the_synthesis() -> None:
    s = np.zeros(RATE)
    t = s.copy()
    t[:3] = 1.5, -1.0, 32767 / 32768
    t[3] = 0.9999
    assert value("clipped", s, t) == 3
    assert value("clipped", t, s) == 0


def test_si_sdr_is_the_ratio_of_signal_and_noise_whatever_the_gain() -> None:
    s = babble()
    orthogonal = noise(len(s))
    orthogonal -= (orthogonal @ s) / (s @ s) * s
    t = s + orthogonal * math.sqrt((s @ s) / (orthogonal @ orthogonal)) / 10
    assert value("si_sdr", s, t) == pytest.approx(20, abs=1e-9)
    assert value("si_sdr", s, 3 * t) == pytest.approx(20, abs=1e-9)
    assert value("si_sdr", s, orthogonal) == pytest.approx(-100)


@pytest.mark.parametrize("samples", [-300, -1, 0, 7, 441])
def test_a_constant_delay_is_found_and_removed(speech: np.ndarray, samples: int) -> None:
    middle = slice(1000, -1000)
    late = np.roll(speech, samples)[middle]
    noisy = with_noise(0.5 * late, 10)
    assert delay(speech[middle], noisy, RATE) == samples
    assert value("delay_ms", speech[middle], noisy) == pytest.approx(1000 * samples / RATE)
    reference, aligned = align(speech[middle], late, RATE)
    np.testing.assert_array_equal(reference, aligned)
    assert len(reference) == len(late) - abs(samples)


def test_unrelated_waveforms_have_no_delay() -> None:
    s, t = noise(RATE, 0), noise(RATE, 1)
    assert delay(s, t, RATE) == 0
    assert math.isnan(value("delay_ms", s, t))


# -- input -----------------------------------------------------------------------------------


def test_a_difference_of_one_window_is_cut_off() -> None:
    s = babble()
    assert value("ls_mse", s, s[: -round(0.05 * RATE)]) == 0
    assert value("ls_mse", s[: -round(0.05 * RATE)], s) == 0


def test_a_larger_difference_names_both_lengths() -> None:
    with pytest.raises(InputError, match=r"44100 samples, synthesis has 42997"):
        value("ls_mse", babble(), babble()[:-1103])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_every_metric_refuses_what_is_no_waveform(metric: Metric) -> None:
    good = tone(200)
    broken = good.copy()
    broken[5] = math.nan
    for bad, message in (
        (broken, "1 NaN"),
        (good[None], "shape"),
        (good[:0], "empty"),
        ((good * 32767).astype(np.int16), "int16"),
    ):
        with pytest.raises(InputError, match=f"synthesis .*{message}"):
            metric.function(good, bad, RATE)
        with pytest.raises(InputError, match=f"reference .*{message}"):
            metric.function(bad, good, RATE)
    with pytest.raises(InputError, match="sample_rate is 0"):
        metric.function(good, good, 0)


@pytest.mark.parametrize("samples", [1, 1024, 4100])
@pytest.mark.parametrize("rate", [8000, RATE, 48000])
def test_short_audio_gives_numbers_or_nan_and_never_fails(samples: int, rate: int) -> None:
    for wave in (0.1 * noise(samples), np.zeros(samples)):
        scores = score(wave, 0.5 * wave, rate)
        assert not any(map(math.isinf, scores.values()))


def test_an_unknown_metric_is_met_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'pesq_wb'"):
        score(tone(200), tone(200), RATE, ["pesq-wb"])


def test_float32_audio_is_as_good_as_float64() -> None:
    s = babble().astype(np.float32)
    t = with_noise(babble(), 20).astype(np.float32)
    names = ["ls_mse", "mcd", "f0_rmse_cents", "stoi"]
    wide = score(s.astype(np.float64), t.astype(np.float64), RATE, names)
    assert score(s, t, RATE, names) == wide
