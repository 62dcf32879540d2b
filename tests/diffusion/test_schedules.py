import json
import math

import pytest
import torch

from wg.diffusion import schedules
from wg.errors import InputError


def last_level(betas: torch.Tensor) -> float:
    return schedules.levels_from_betas(betas)[-1].item()


def test_published_schedules_end_at_the_levels_of_the_papers() -> None:
    # Products of (1 - beta) computed independently in the fact sheet.
    assert last_level(schedules.linear(1e-6, 0.01, 1000)) == pytest.approx(0.081380, abs=1e-6)
    assert last_level(schedules.linear(1e-4, 0.005, 1000)) == pytest.approx(0.278836, abs=1e-6)
    assert last_level(schedules.linear(1e-4, 0.05, 50)) == pytest.approx(0.528841, abs=1e-6)
    assert last_level(schedules.fibonacci(25)) == pytest.approx(0.847647, abs=1e-6)
    six = schedules.levels_from_betas(schedules.PUBLISHED["ivanvovk-6"]())
    assert six[1:].tolist() == pytest.approx(
        [0.9999995, 0.999990, 0.999930, 0.999428, 0.993868, 0.963591], abs=1e-6
    )


def test_fibonacci_betas_are_sums_of_the_two_before() -> None:
    betas = schedules.fibonacci(25)
    assert betas[:2].tolist() == [1e-6, 2e-6]
    assert torch.equal(betas[2:], betas[1:-1] + betas[:-2])
    assert betas[-1].item() == pytest.approx(0.121393)


def test_levels_and_betas_are_inverse() -> None:
    betas = schedules.linear(1e-4, 0.02, 200)
    again = schedules.betas_from_levels(schedules.levels_from_betas(betas))
    assert torch.allclose(again, betas, rtol=1e-9, atol=0)


def test_log_snr_spacing_covers_the_training_range_evenly() -> None:
    training = schedules.levels_from_betas(schedules.linear(1e-6, 0.01, 1000))
    for steps in (1, 2, 6, 50):
        levels = schedules.log_snr_spaced(training, steps)
        assert len(levels) == steps + 1 and levels[0] == 1
        assert levels[-1].item() == pytest.approx(training[-1].item())
        assert (levels.diff() < 0).all()
    gaps = schedules.log_snr(schedules.log_snr_spaced(training, 8)[1:]).diff()
    assert torch.allclose(gaps, gaps.mean().expand_as(gaps))


@pytest.mark.parametrize(
    ("eta", "steps", "end", "expected"),
    [
        (
            "diffwave-fast-base",
            50,
            0.05,
            [1, 1.894134, 5.086654, 11.451817, 23.992493, 43.918643],
        ),
        (
            "diffwave-fast-large",
            200,
            0.02,
            [1, 4.20068, 14.430277, 34.820288, 74.982461, 171.605126],
        ),
        (
            "diffwave-fast-base",
            40,
            0.05,
            [1, 1.724838, 4.585538, 10.280084, 21.454789, 39.210209],
        ),
    ],
)
def test_aligned_steps_are_those_of_the_diffwave_paper(
    eta: str, steps: int, end: float, expected: list[float]
) -> None:
    training = schedules.levels_from_betas(schedules.linear(1e-4, end, steps))
    levels = schedules.levels_from_betas(schedules.PUBLISHED[eta]())[1:]
    assert schedules.aligned_step(levels, training).tolist() == pytest.approx(expected, abs=1e-5)


def test_aligned_steps_of_a_schedule_of_the_users_are_those_of_the_fact_sheet() -> None:
    # PriorGrad's four betas on DiffWave's 20 steps.
    training = schedules.levels_from_betas(schedules.linear(1e-4, 0.05, 20))
    levels = schedules.levels_from_betas(schedules.check_betas([0.001, 0.01, 0.05, 0.2]))[1:]
    expected = [1.329998, 3.356695, 7.331702, 15.115865]
    assert schedules.aligned_step(levels, training).tolist() == pytest.approx(expected, abs=1e-5)


def test_aligned_step_of_a_training_level_is_its_number() -> None:
    training = schedules.levels_from_betas(schedules.linear(1e-4, 0.05, 50))
    steps = schedules.aligned_step(training[1:], training)
    assert steps.tolist() == pytest.approx(range(1, 51))


def test_a_level_outside_the_training_range_is_refused_with_the_range() -> None:
    training = schedules.levels_from_betas(schedules.linear(1e-4, 0.05, 20))
    levels = schedules.levels_from_betas(schedules.PUBLISHED["diffwave-fast-base"]())[1:]
    with pytest.raises(InputError, match=r"0\.613014 .* 0\.774996 to 0\.999950"):
        schedules.aligned_step(levels, training)


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ([], "non-empty"),
        ([[0.1, 0.2]], "flat list"),
        ([0.1, -0.2], "beta 2 of 2 is -0.2"),
        ([0.1, 1.0], "beta 2 of 2 is 1"),
        ([0.0], "beta 1 of 1 is 0"),
        ([math.nan], "beta 1 of 1 is nan"),
        ([math.inf], "beta 1 of 1 is inf"),
        (["a"], "not a list of numbers"),
    ],
)
def test_bad_betas_are_named(betas: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        schedules.check_betas(betas)


def test_a_schedule_is_a_count_a_name_or_a_file(tmp_path) -> None:
    training = schedules.levels_from_betas(schedules.linear(1e-6, 0.01, 1000))
    assert len(schedules.inference_levels("6", training)) == 7
    assert len(schedules.inference_levels("wavegrad-fibonacci-25", training)) == 26
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"betas": [0.01, 0.5]}))
    levels = schedules.inference_levels(str(path), training)
    assert levels.tolist() == pytest.approx([1, math.sqrt(0.99), math.sqrt(0.495)])
    assert schedules.schedule_label(str(path)) == "mine"
    assert schedules.schedule_label("6") == "6-steps"


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("0", "steps is 0"),
        ("-3", "steps is -3"),
        ("9999999", "steps is 9999999"),
        ("wavegrad-fibonaci-25", "did you mean 'wavegrad-fibonacci-25'"),
        ("missing.json", "No such file"),
        ("--5", "not a step count"),
        ("\u00b2", "not a step count"),
        ("quantiles-+-2", "not a step count"),
        ("", "not a step count"),
    ],
)
def test_a_bad_schedule_is_one_clear_error(schedule: str, message: str) -> None:
    training = schedules.levels_from_betas(schedules.linear(1e-6, 0.01, 1000))
    with pytest.raises(InputError, match=message):
        schedules.inference_levels(schedule, training)
