import math

import pytest
import torch

from wg.diffusion.process import DiffusionConfig, diffuse
from wg.diffusion.schedules import inference_levels
from wg.errors import InputError


def test_forward_process_has_the_signal_and_noise_shares_of_its_level() -> None:
    torch.manual_seed(0)
    signal, noise = torch.ones(1, 200_000), torch.randn(1, 200_000)
    noisy = diffuse(signal, torch.tensor([0.6], dtype=torch.float64), noise)
    assert noisy.mean().item() == pytest.approx(0.6, abs=0.01)
    assert noisy.std().item() == pytest.approx(0.8, abs=0.01)


def test_noise_share_is_exact_next_to_the_clean_end() -> None:
    level = DiffusionConfig().levels()[1:2]  # l^2 = 1 - 1e-6
    noisy = diffuse(torch.zeros(1, 1), level, torch.ones(1, 1))
    assert noisy.item() == pytest.approx(1e-3, rel=1e-6)


def draw(schedule: DiffusionConfig, count: int, generator: torch.Generator) -> torch.Tensor:
    """Levels [count] of a batch of so many rows."""
    place = torch.rand(count, dtype=torch.float64, generator=generator)
    return schedule.drawn(place, torch.arange(count), count)


def test_continuous_levels_fill_each_interval_of_the_schedule_equally() -> None:
    schedule = DiffusionConfig(start=0.1, end=0.3, steps=4)
    drawn = draw(schedule, 40_000, torch.Generator().manual_seed(1))
    levels = schedule.levels()
    counts = torch.histogram(drawn, levels.flip(0)).hist
    assert (counts / 10_000 - 1).abs().max() < 0.03
    inside = drawn[(drawn < levels[2]) & (drawn > levels[3])]
    middle = (levels[2] + levels[3]).item() / 2
    assert inside.mean().item() == pytest.approx(middle, rel=0.003)  # uniform within


def test_discrete_levels_are_the_schedules_own_and_equally_likely() -> None:
    schedule = DiffusionConfig(start=0.1, end=0.3, steps=4, conditioning="discrete")
    drawn = draw(schedule, 40_000, torch.Generator().manual_seed(1))
    values, counts = drawn.unique(return_counts=True)
    assert torch.equal(values, schedule.levels()[1:].flip(0))
    assert (counts / 10_000 - 1).abs().max() < 0.03


@pytest.mark.parametrize("conditioning", ["continuous", "discrete"])
def test_stratified_levels_come_one_from_each_share_of_the_steps(conditioning) -> None:
    schedule = DiffusionConfig(0.01, 0.03, 40, conditioning, draws="stratified")
    edges = schedule.levels()[::5]  # of eight shares
    for seed in range(50):
        drawn = draw(schedule, 8, torch.Generator().manual_seed(seed))
        assert ((drawn <= edges[:-1]) & (drawn >= edges[1:])).all()


def test_a_stratified_level_is_distributed_as_an_independent_one() -> None:
    schedule = DiffusionConfig(start=0.1, end=0.3, steps=4, draws="stratified")
    generator = torch.Generator().manual_seed(1)
    drawn = torch.cat([draw(schedule, 3, generator) for _ in range(14_000)])
    counts = torch.histogram(drawn, schedule.levels().flip(0)).hist
    assert (counts / 10_500 - 1).abs().max() < 0.03


def test_discrete_networks_are_told_the_step() -> None:
    schedule = DiffusionConfig(start=1e-4, end=0.05, steps=50, conditioning="discrete")
    assert schedule.network_input(schedule.levels()[[7]]).item() == pytest.approx(7)
    assert DiffusionConfig().network_input(torch.tensor([0.5])).item() == 0.5


def test_plain_estimates_are_the_networks_own() -> None:
    x, level = torch.randn(2, 8), torch.tensor([0.3, 0.9], dtype=torch.float64)
    got = DiffusionConfig().estimate(lambda scaled, told: scaled * told.float()[:, None], x, level)
    assert torch.equal(got, x * level.float()[:, None])


@pytest.mark.parametrize("level", [0.1, 0.5, 0.99, 0.99999])
def test_a_preconditioned_network_starts_at_the_best_linear_estimate(level: float) -> None:
    # For Gaussian data that estimate is E[eps | x] itself, so a network of zeros is perfect.
    rms, spread = 0.07, (1 - level**2) ** 0.5
    x = torch.randn(1, 100)
    column = torch.tensor([level], dtype=torch.float64)
    schedule = DiffusionConfig(data_rms=rms)
    got = schedule.estimate(lambda scaled, told: torch.zeros_like(scaled), x, column)
    best = spread / (level**2 * rms**2 + spread**2) * x
    assert torch.allclose(got, best, rtol=1e-5)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.99, 0.99999])
def test_a_preconditioned_network_sees_and_learns_unit_variance(level: float) -> None:
    torch.manual_seed(0)
    rms, seen = 0.07, []
    clean, noise = rms * torch.randn(1, 100_000), torch.randn(1, 100_000)
    column = torch.tensor([level], dtype=torch.float64)
    x = diffuse(clean, column, noise)
    schedule = DiffusionConfig(data_rms=rms)
    zero = schedule.estimate(lambda s, told: seen.append(s) or torch.zeros_like(s), x, column)
    one = schedule.estimate(lambda s, told: torch.ones_like(s), x, column)
    target = (noise - zero) / (one - zero)
    assert seen[0].std().item() == pytest.approx(1, abs=0.01)
    assert target.std().item() == pytest.approx(1, abs=0.02)


def test_log_snr_spacing_keeps_the_ends_of_the_linear_schedule() -> None:
    linear = DiffusionConfig().levels()
    spaced = DiffusionConfig(spacing="log_snr").levels()
    assert spaced[[0, 1, -1]].tolist() == pytest.approx(linear[[0, 1, -1]].tolist())


def test_a_discrete_network_trains_on_the_fibonacci_schedule_it_samples_with() -> None:
    fibonacci = DiffusionConfig(steps=25, spacing="fibonacci", conditioning="discrete")
    levels = inference_levels("wavegrad-fibonacci-25", fibonacci.levels())
    assert torch.equal(levels, fibonacci.levels())
    assert torch.equal(fibonacci.network_input(levels[1:]), torch.arange(1.0, 26).double())
    drawn = draw(fibonacci, 2000, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == set(levels[1:].tolist())


def test_cosine_betas_are_those_of_improved_ddpm() -> None:
    levels = DiffusionConfig(steps=1000, spacing="cosine").levels()
    for n in (1, 250, 500, 900):  # alpha_bar = cos^2 / cos^2 at 0, away from the clipped end
        angle = [math.pi / 2 * (t + 0.008) / 1.008 for t in (n / 1000, 0)]
        ratio = math.cos(angle[0]) / math.cos(angle[1])
        assert levels[n].item() == pytest.approx(ratio, rel=1e-9)
    assert 1 - (levels[1000] / levels[999]).item() ** 2 == pytest.approx(0.999)


def test_validation_levels_are_centres_of_equal_shares_of_the_steps() -> None:
    schedule = DiffusionConfig()
    assert torch.equal(schedule.quantiles(2), schedule.levels()[[250, 750]])


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"start": 0.0}, "start"),
        ({"end": 1.0}, "end"),
        ({"start": 0.02}, "start"),
        ({"steps": 0}, "steps"),
        ({"start": math.nan}, "start"),
        ({"data_rms": -0.1}, "data_rms"),
        ({"spacing": "fibonacci"}, "spacing, diffusion.steps: .* 1 to 28"),
        ({"spacing": "fibonacci", "steps": 25, "start": 1e-4}, "spacing, .* beta 20 of 25 is 1.0"),
        ({"spacing": "cosine", "steps": 2, "betas": (0.1, 0.2)}, "spacing is 'cosine' and .*betas"),
    ],
)
def test_a_bad_training_schedule_names_the_key(values: dict, key: str) -> None:
    with pytest.raises(InputError, match=f"diffusion.{key}"):
        DiffusionConfig(**values)
