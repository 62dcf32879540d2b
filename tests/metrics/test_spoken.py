"""Metrics of speech from text: after alignment, of durations, of characters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wg.metrics import METRICS, score
from wg.metrics.spoken import as_the_mean, character_error_rate, duration_mae, mean_durations

RATE = 16_000
WARPED = tuple(metric.name for metric in METRICS.values() if metric.warped)


def syllables(seconds: tuple[float, ...], pitch: float = 120.0) -> np.ndarray:
    """Vowels of different spectra, each as long as told, with silence between; float64 [T]."""
    generator = np.random.default_rng(0)
    parts = []
    for number, length in enumerate(seconds):
        time = np.arange(round(length * RATE)) / RATE
        formant = 500 * (number + 1)
        harmonics = sum(
            np.sin(2 * np.pi * k * pitch * time) / (1 + ((k * pitch - formant) / 300) ** 2)
            for k in range(1, 40)
        )
        parts += [0.2 * harmonics, np.zeros(round(0.1 * RATE))]
    wave = np.concatenate(parts)
    return wave + 1e-4 * generator.standard_normal(len(wave))


def test_speech_against_itself_is_perfect_after_alignment() -> None:
    scores = score(syllables((0.3, 0.2)), syllables((0.3, 0.2)), RATE, WARPED)
    assert scores["mcd_dtw"] == scores["vde_dtw"] == scores["f0_rmse_cents_dtw"] == 0
    assert scores["voicing_f1_dtw"] == 1


def test_another_timing_costs_far_less_than_another_pitch() -> None:
    reference = syllables((0.3, 0.2, 0.4))
    slower = score(reference, syllables((0.45, 0.3, 0.5)), RATE, WARPED)
    higher = score(reference, syllables((0.3, 0.2, 0.4), 120 * 2 ** (1 / 6)), RATE, WARPED)
    assert slower["f0_rmse_cents_dtw"] < 40 and slower["vde_dtw"] < 0.12
    assert higher["f0_rmse_cents_dtw"] == pytest.approx(200, abs=30)
    assert higher["f0_rmse_hz_dtw"] == pytest.approx(120 * (2 ** (1 / 6) - 1), abs=3)


def test_after_alignment_nothing_is_defined_of_a_click() -> None:
    scores = score(np.ones(100), syllables((0.3,)), RATE, ("vde_dtw", "f0_rmse_hz_dtw"))
    assert all(math.isnan(value) for value in scores.values())


def test_duration_error_is_the_mean_absolute_one() -> None:
    assert duration_mae(np.array([10, 20, 0]), np.array([12, 17, 1.0])) == 2
    assert math.isnan(duration_mae(np.array([]), np.array([])))


def test_the_mean_of_each_symbol_predicts_its_mean() -> None:
    means = mean_durations([(("a", "b", "a"), (2, 6, 4)), (("b",), (8,))])
    assert means == {"a": 3, "b": 7}
    assert as_the_mean(("b", "a", "never seen"), means) == [7, 3, 5]


@pytest.mark.parametrize(
    "text, heard, expected",
    [("WXYZ", "WXYZ", 0), ("WXYZ", "WXZ", 0.25), ("WXYZ", "WAYZB", 0.5), ("AB", "", 1)],
)
def test_characters_are_counted_by_edits(text: str, heard: str, expected: float) -> None:
    assert character_error_rate(text, heard) == expected


def test_no_text_has_no_error_rate() -> None:
    assert math.isnan(character_error_rate("", "A"))
