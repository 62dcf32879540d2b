"""Which schedules go with which samplers and training ranges."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.plan import sampling_levels
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.samplers import sampler
from wg.diffusion.schedules import PUBLISHED
from wg.errors import InputError

WAVEGRAD = DiffusionConfig()
DIFFWAVE = DiffusionConfig(start=1e-4, end=0.05, steps=50, conditioning="discrete")


@pytest.mark.parametrize("name", ["ddim", "ddim-0", "dpm++2m", "heun"])
@pytest.mark.parametrize("schedule", ["ivanvovk-6", "wavegrad-fibonacci-25"])
def test_a_deterministic_sampler_refuses_to_start_far_from_noise(name: str, schedule: str) -> None:
    with pytest.raises(InputError, match="dB too loud; take a schedule that starts at a level"):
        sampling_levels(schedule, name, WAVEGRAD)
    for stochastic in ("ancestral", "ddim-0.5"):
        assert (
            len(sampling_levels(schedule, stochastic, WAVEGRAD)) == len(PUBLISHED[schedule]()) + 1
        )


def test_the_refusal_says_by_how_much_the_result_would_be_too_loud() -> None:
    levels = torch.tensor([1.0, 0.999, 0.99, 0.9636], dtype=torch.float64)
    std, source = 0.05, PositionalNoise([1])

    def gaussian(x: Tensor, level: float) -> Tensor:
        return (1 - level**2) ** 0.5 * x / (level**2 * std**2 + 1 - level**2)

    x = sampler("dpm++2m")(gaussian, source(0, 50_000), levels, lambda k: source(k, 50_000))
    exact = sampler("dpm++2m")(
        gaussian, source(0, 50_000) * (1 - 0.9636**2) ** 0.5, levels, lambda k: source(k, 50_000)
    )
    assert 20 * math.log10(x.std() / exact.std()) == pytest.approx(11.4, abs=0.1)
    with pytest.raises(InputError, match=r"0\.964, .* about 11 dB too loud"):
        sampling_levels("ivanvovk-6", "dpm++2m", WAVEGRAD)


@pytest.mark.parametrize("name", ["ancestral", "ddim", "ddim-0.5", "dpm++2m"])
@pytest.mark.parametrize("schedule", ["1", "2", "3", "50", "quantiles-12", "diffwave-fast-base"])
@pytest.mark.parametrize("training", [WAVEGRAD, DIFFWAVE])
def test_every_sampler_takes_schedules_over_the_training_range(
    name: str, schedule: str, training: DiffusionConfig
) -> None:
    levels = sampling_levels(schedule, name, training)
    assert levels[0] == 1 and (levels.diff() < 0).all()


def test_quantiles_take_even_shares_of_the_training_steps() -> None:
    trained = DIFFWAVE.levels()
    assert torch.equal(sampling_levels("quantiles-50", "ancestral", DIFFWAVE), trained)
    assert torch.equal(sampling_levels("quantiles-5", "ddim", DIFFWAVE), trained[::10])
    for steps in ("0", "51", "-3"):
        with pytest.raises(InputError, match="has quantiles 1 to 50"):
            sampling_levels(f"quantiles-{steps}", "ancestral", DIFFWAVE)


@pytest.mark.parametrize("steps", ["0", "-1", "10001", "99999999999999"])
def test_step_counts_that_are_none_are_refused(steps: str) -> None:
    with pytest.raises(InputError, match="give 1 to 10000"):
        sampling_levels(steps, "ancestral", WAVEGRAD)


@pytest.mark.parametrize(
    ("levels", "training", "message"),
    [
        ([1, 0.9, 0.01], WAVEGRAD, r"0\.010000 lies outside the trained range 0\.081380 to 1\.0"),
        ([1, 0.9, 0.3], DIFFWAVE, r"0\.300000 lies outside the trained range 0\.52\d+ to 0\.9999"),
        ([1, 0.999999, 0.6], DIFFWAVE, r"0\.999999 lies outside"),
    ],
)
def test_levels_that_were_never_trained_are_refused_with_the_range(
    levels: list[float], training: DiffusionConfig, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"levels": levels}))
    with pytest.raises(InputError, match=message) as caught:
        sampling_levels(str(path), "ancestral", training)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"levels": [0.9, 0.5]}, r"the first \[0.9.*\]; give a flat list from 1"),
        ({"levels": [1]}, r"levels of shape \[1\]"),
        ({"levels": []}, r"levels of shape \[0\]"),
        ({"levels": [[1, 0.5]]}, r"levels of shape \[1, 2\]"),
        ({"levels": 1}, r"levels of shape \[\]"),
        ({"levels": [1, 0.5, 0.6]}, "level 2 of 2 is 0.6 after 0.5"),
        ({"levels": [1, 0.5, 0.5]}, "level 2 of 2 is 0.5 after 0.5"),
        ({"levels": [1, 0.5, float("nan")]}, "NaN is no number"),
        ({"levels": [1, -0.5]}, "level 1 of 1 is -0.5"),
        ({"levels": [1, "a"]}, "not a list of numbers"),
        ({"steps": 6}, r"no key 'betas' or 'levels' among \['steps'\]"),
        ([0.1, float("nan")], "NaN is no number"),
        ([[0.1]], r"shape \[1, 1\]"),
        ("words", "not a list of numbers"),
    ],
)
def test_a_schedule_file_that_is_none_is_named(
    content: object, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        sampling_levels(str(path), "ancestral", WAVEGRAD)
    assert f"schedule file {path}: " in str(caught.value) and "\n" not in str(caught.value)
