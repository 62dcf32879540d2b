"""Schedule search on a problem whose answer is algebra: the variance that few steps give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from wg.diffusion.plan import CLEANEST_START
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.schedules import PUBLISHED, betas_from_levels, levels_from_betas
from wg.diffusion.search import Span, resampled, search, starts

WAVEGRAD = DiffusionConfig()
DIFFWAVE = DiffusionConfig(start=1e-4, end=0.05, steps=50, conditioning="discrete")
STD = 0.1


def loss(levels: Tensor) -> float:
    """(ln of the variance over its true value)^2 for N(0, STD^2) by ancestral sampling."""
    variance, path = 1.0, levels.tolist()
    for level, target in zip(path[:0:-1], path[-2::-1], strict=True):
        alpha, spread = (level / target) ** 2, 1 - level**2
        slope = 1 / (level**2 * STD**2 + spread)
        variance *= (1 - (1 - alpha) * slope) ** 2 / alpha
        variance += (1 - target**2) / spread * (1 - alpha)
    return math.log(variance / STD**2) ** 2


class Recorder:
    """Scores, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def __call__(self, schedules: Sequence[Tensor]) -> list[float]:
        self.asked += schedules
        return [loss(levels) for levels in schedules]


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_the_search_beats_every_known_schedule_within_its_budget(steps: int) -> None:
    known = starts(steps, WAVEGRAD, "ancestral")
    first = min(known.values(), key=loss)
    recorder = Recorder()
    search(recorder, first, Span.of(WAVEGRAD, "ancestral"), budget=300, seed=0)
    assert 50 < len(recorder.asked) <= 300
    best = min(recorder.asked, key=loss)
    assert loss(best) < 0.02 * loss(first)


def test_the_same_seed_proposes_the_same() -> None:
    first = starts(4, WAVEGRAD, "ancestral")["4"]
    runs = [Recorder(), Recorder(), Recorder()]
    for recorder, seed in zip(runs, (1, 1, 2), strict=True):
        np.random.seed(seed + len(recorder.asked))  # what others do with it makes no difference
        search(recorder, first, Span.of(WAVEGRAD, "ancestral"), budget=50, seed=seed)
        np.random.standard_normal(7)
    asked = [torch.stack(recorder.asked) for recorder in runs]
    assert torch.equal(asked[0], asked[1]) and not torch.equal(asked[0], asked[2])


@pytest.mark.parametrize("training", [WAVEGRAD, DIFFWAVE])
@pytest.mark.parametrize("name", ["ancestral", "dpm++2m"])
@pytest.mark.parametrize("steps", [1, 3, 6, 50])
def test_whatever_is_proposed_is_a_schedule_for_the_model(
    training: DiffusionConfig, name: str, steps: int
) -> None:
    span, trained = Span.of(training, name), training.levels()
    generator = np.random.default_rng(0)
    for scale in (0.1, 1, 5, 30):
        levels = span.levels(generator.normal(-5, scale, steps))
        betas = betas_from_levels(levels)
        assert (betas > 0).all() and (betas.diff() > -1e-12).all()
        assert levels[-1] >= trained[-1] - 1e-9
        assert name == "ancestral" or levels[-1] <= CLEANEST_START + 1e-9
        if training is DIFFWAVE:
            assert levels[1] <= trained[1] + 1e-9


def test_rising_betas_within_the_range_are_left_as_they_are() -> None:
    betas = PUBLISHED["ivanvovk-6"]()
    span = Span.of(WAVEGRAD, "ancestral")
    shuffled = np.log(betas.numpy())[[3, 0, 5, 1, 4, 2]]
    assert torch.allclose(span.levels(shuffled), levels_from_betas(betas), rtol=0, atol=1e-8)


def test_the_start_is_from_published_schedules_that_fit() -> None:
    six = starts(6, WAVEGRAD, "ancestral")
    assert torch.equal(six["ivanvovk-6"], levels_from_betas(PUBLISHED["ivanvovk-6"]()))
    assert {"6", "quantiles-6", "diffwave-fast-base", "wavegrad-fibonacci-25, resampled"} <= set(
        six
    )
    assert all(len(levels) == 7 for levels in six.values())
    deterministic = starts(6, WAVEGRAD, "ddim")
    assert "ivanvovk-6" not in deterministic and "diffwave-fast-base" in deterministic
    discrete = starts(6, DIFFWAVE, "ancestral")
    assert "ivanvovk-6" not in discrete and "diffwave-fast-base" in discrete


def test_resampling_keeps_the_ends_and_falls() -> None:
    levels = levels_from_betas(PUBLISHED["wavegrad-fibonacci-25"]())
    for steps in (2, 7, 40):
        new = resampled(levels, steps)
        assert len(new) == steps + 1 and (new.diff() < 0).all()
        assert new[[1, -1]].tolist() == pytest.approx(levels[[1, -1]].tolist())
    assert resampled(levels, 1).tolist() == pytest.approx([1, levels[-1].item()])
    assert torch.allclose(resampled(levels, 25), levels)
