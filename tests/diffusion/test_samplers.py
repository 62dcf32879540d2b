import pytest
import torch
from torch import Tensor

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.samplers import predict_clean, sampler
from wg.diffusion.schedules import inference_levels
from wg.errors import InputError

TRAINING = DiffusionConfig().levels()
ancestral = sampler("ancestral")
EVERY = ["ancestral", "ddim", "ddim-0.5", "dpm++2m", "heun", "langevin-2"]


def gaussian_denoiser(mean: float, std: float):
    """E[eps | x] for data N(mean, std^2): s (x - l mean) / (l^2 std^2 + s^2)."""

    def denoise(x: Tensor, level: float) -> Tensor:
        variance = 1 - level**2
        return variance**0.5 * (x - level * mean) / (level**2 * std**2 + variance)

    return denoise


def test_full_ancestral_sampling_adds_the_noise_of_beta_1_at_the_end() -> None:
    noise, denoise = PositionalNoise([0]), gaussian_denoiser(0.3, 0.2)
    levels = DiffusionConfig(1e-4, 0.05, 50).levels()
    made = [
        sampler(name)(denoise, noise(0, 500), levels, lambda k: noise(k, 500))
        for name in ("ancestral", "ancestral-full")
    ]
    torch.testing.assert_close(made[1] - made[0], 1e-4**0.5 * noise(1, 500), atol=1e-6, rtol=0)


def test_gaussian_data_come_back_with_their_mean_and_variance() -> None:
    noise = PositionalNoise([0])
    levels = inference_levels("1000", TRAINING)
    x = ancestral(
        gaussian_denoiser(0.3, 0.2), noise(0, 200_000), levels, lambda k: noise(k, 200_000)
    )
    assert x.mean().item() == pytest.approx(0.3, rel=0.01)
    assert x.var().item() == pytest.approx(0.04, rel=0.01)


@pytest.mark.parametrize("schedule", ["ivanvovk-6", "wavegrad-fibonacci-25", "50"])
def test_few_steps_give_the_variance_that_algebra_predicts(schedule: str) -> None:
    # On N(0, std^2) each step is x <- a x + b z, so the variance follows a scalar recursion.
    std, levels = 0.3, inference_levels(schedule, TRAINING)
    variance, path = 1.0, levels.tolist()
    for level, target in zip(path[:0:-1], path[-2::-1], strict=True):
        alpha, spread = (level / target) ** 2, 1 - level**2
        slope = 1 / (level**2 * std**2 + spread)  # eps = sqrt(spread) * slope * x
        variance *= (1 - (1 - alpha) * slope) ** 2 / alpha
        variance += (1 - target**2) / spread * (1 - alpha)
    noise = PositionalNoise([3])
    x = ancestral(
        gaussian_denoiser(0.0, std), noise(0, 100_000), levels, lambda k: noise(k, 100_000)
    )
    assert x.var().item() == pytest.approx(variance, rel=0.015)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("schedule", ["1", "2", "6", "50", "ivanvovk-6", "wavegrad-linear-1000"])
def test_true_noise_recovers_the_signal(schedule: str, name: str) -> None:
    signal = torch.sin(torch.arange(4000) / 20).double()[None]

    def oracle(x: Tensor, level: float) -> Tensor:
        return (x - level * signal) / (1 - level**2) ** 0.5

    noise = PositionalNoise([1])
    levels = inference_levels(schedule, TRAINING)
    start = noise(0, 4000).double()
    x = sampler(name)(oracle, start, levels, lambda k: noise(k, 4000).double())
    assert (x - signal).abs().max() < 1e-5


def test_a_step_follows_algorithm_2_of_wavegrad() -> None:
    beta_1, beta_2 = 0.1, 0.3
    levels = torch.tensor([1.0, (1 - beta_1) ** 0.5, ((1 - beta_1) * (1 - beta_2)) ** 0.5])
    x, eps, z = torch.tensor([[0.7]]), torch.tensor([[-0.4]]), torch.tensor([[1.3]])
    abar_1, abar_2 = 0.9, 0.63
    after = (x - 0.3 / (1 - abar_2) ** 0.5 * eps) / 0.7**0.5
    after = after + ((1 - abar_1) / (1 - abar_2) * beta_2) ** 0.5 * z
    after = (after - 0.1 / (1 - abar_1) ** 0.5 * eps) / 0.9**0.5
    got = ancestral(lambda x, level: eps, x, levels.double(), lambda k: z)
    assert got.item() == pytest.approx(after.item(), rel=1e-6)


def test_clipping_bounds_the_estimate_of_the_clean_signal() -> None:
    x, level = torch.tensor([[3.0]]), 0.8
    clean, eps = predict_clean(x, level, torch.tensor([[-1.0]]), clip=1.0)
    assert clean.item() == 1.0
    assert level * clean + 0.6 * eps == pytest.approx(3.0)  # still explains x


def test_the_last_step_adds_no_noise() -> None:
    calls = []
    levels = inference_levels("6", TRAINING)
    zeros = torch.zeros(1, 8)
    ancestral(lambda x, level: x, zeros, levels, lambda k: calls.append(k) or zeros)
    assert calls == [6, 5, 4, 3, 2]


def test_noise_depends_on_seed_step_and_position_only() -> None:
    alone = PositionalNoise([5])(2, 30_000)
    batch = PositionalNoise([9, 5])(2, 30_000)
    assert torch.equal(alone[0], batch[1])
    assert torch.equal(PositionalNoise([5])(2, 1000, start=20_123), alone[:, 20_123:21_123])
    assert not torch.equal(PositionalNoise([5])(3, 30_000), alone)


def test_noise_is_unit_gaussian_and_uncorrelated_between_steps_and_seeds() -> None:
    one, two = PositionalNoise([1])(0, 100_000)[0], PositionalNoise([1])(1, 100_000)[0]
    other = PositionalNoise([2])(0, 100_000)[0]
    assert abs(one.mean()) < 0.01 and abs(one.std() - 1) < 0.01
    assert abs((one * two).mean()) < 0.015 and abs((one * other).mean()) < 0.015


@pytest.mark.parametrize("name", ["ddim", "dpm++2m", "heun"])
def test_deterministic_samplers_ask_for_no_noise(name: str) -> None:
    def none(step: int) -> Tensor:
        raise AssertionError(step)

    levels = inference_levels("6", TRAINING)
    x = PositionalNoise([0])(0, 50)
    first = sampler(name)(gaussian_denoiser(0.1, 0.2), x, levels, none)
    assert torch.equal(first, sampler(name)(gaussian_denoiser(0.1, 0.2), x, levels, none))
    assert sampler(name).deterministic and not sampler("ddim-0.5").deterministic


def test_ddim_with_eta_1_is_ancestral_sampling() -> None:
    noise = PositionalNoise([4])
    levels = inference_levels("12", TRAINING)
    runs = [
        sampler(name)(
            gaussian_denoiser(0.1, 0.2),
            noise(0, 500).double(),
            levels,
            lambda k: noise(k, 500).double(),
            clip=0.4,
        )
        for name in ("ancestral", "ddim-1")
    ]
    assert torch.allclose(runs[0], runs[1], atol=1e-9)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("steps", ["12", "25"])
def test_a_preconditioned_network_that_adds_nothing_makes_noise_of_the_datas_rms(
    name: str, steps: str
) -> None:
    # With F = 0 the estimate is the best one for N(0, r^2), which is what must come out.
    training = DiffusionConfig(data_rms=0.07, spacing="log_snr")
    noise, levels = PositionalNoise([2]), inference_levels(steps, training.levels())

    def denoise(x: Tensor, level: float) -> Tensor:
        column = torch.full((1,), level, dtype=torch.float64)
        return training.estimate(lambda x, told: torch.zeros_like(x), x, column)

    x = sampler(name)(denoise, noise(0, 50_000), levels, lambda k: noise(k, 50_000))
    tolerance = {"dpm++2m": 0.05, "heun": 0.15}  # the others are of first order
    assert x.std().item() == pytest.approx(0.07, rel=tolerance.get(name, 0.4))


@pytest.mark.parametrize("name", EVERY)
def test_clipping_bounds_what_every_sampler_ends_at(name: str) -> None:
    noise, levels = PositionalNoise([2]), inference_levels("6", TRAINING)
    x = sampler(name)(
        gaussian_denoiser(0, 1), noise(0, 400), levels, lambda k: noise(k, 400), clip=0.3
    )
    assert 0.29 < x.abs().max() < 0.3 + 1e-5


@pytest.mark.parametrize("count", [1, 3])
def test_langevin_steps_give_the_variance_that_algebra_predicts(count: int) -> None:
    # On N(0, std^2) the score at level l is -x / v, v = l^2 std^2 + s^2: all is linear.
    std, levels, ratio = 0.3, inference_levels("6", TRAINING), 0.16
    found = {}
    for corrections in (0, count):
        variance, path = 1.0, levels.tolist()
        for level, target in zip(path[:0:-1], path[-2::-1], strict=True):
            alpha, spread = (level / target) ** 2, 1 - level**2
            total = level**2 * std**2 + spread
            variance *= (1 - (1 - alpha) / total) ** 2 / alpha
            variance += (1 - target**2) / spread * (1 - alpha)
            step = 2 * ratio**2 * (1 - target**2)  # of 0 at the end: nothing is corrected there
            total = target**2 * std**2 + 1 - target**2
            for _ in range(corrections if target < 1 else 0):
                variance = variance * (1 - step / total) ** 2 + 2 * step
        found[corrections] = variance
    noise = PositionalNoise([3])
    x = sampler(f"langevin-{count}")(
        gaussian_denoiser(0.0, std), noise(0, 100_000), levels, lambda k: noise(k, 100_000)
    )
    assert x.var().item() == pytest.approx(found[count], rel=0.015)
    # Six ancestral steps lose variance; Langevin's give some back.
    assert found[0] < found[count] < std**2 * 1.1


def test_langevin_dynamics_settle_at_the_density_of_the_level() -> None:
    std, level, seen = 0.3, 0.5, []
    levels = torch.tensor([1.0, level, 0.1], dtype=torch.float64)
    exact = gaussian_denoiser(0.0, std)

    def denoise(x: Tensor, at: float) -> Tensor:
        seen.append((at, x.var().item()))
        return exact(x, at)

    noise = PositionalNoise([5])
    start = 3 * noise(0, 20_000)  # far from what the level should have
    sampler("langevin-100")(denoise, start, levels, lambda k: noise(k, 20_000))
    spread = 1 - level**2
    variance, step = level**2 * std**2 + spread, 2 * 0.16**2 * spread
    # The fixed point of v <- v (1 - d / variance)^2 + 2 d: variance, but for the step's size.
    assert [at for at, _ in seen] == [0.1] + [level] * 101
    assert seen[-1][1] == pytest.approx(variance / (1 - step / (2 * variance)), rel=0.03)


@pytest.mark.parametrize("name", ["langevin-0", "langevin-", "langevin-101", "langevin-1.5"])
def test_a_number_of_corrections_that_is_none_is_named(name: str) -> None:
    with pytest.raises(InputError, match=r"steps of the corrector; give 1 to 100"):
        sampler(name)


def test_heun_follows_algorithm_1_of_edm() -> None:
    # The paper's: noise of deviation sigma on data that are not scaled, dx / dsigma = eps.
    denoise, levels = gaussian_denoiser(0.3, 0.2), inference_levels("5", TRAINING)
    start = PositionalNoise([6])(0, 50).double()
    y, path = start / levels[-1], [*zip(levels[1:].flip(0), levels[:-1].flip(0), strict=True)]
    for level, target in path:
        sigma, after = (((1 - one**2) ** 0.5 / one).item() for one in (level, target))
        slope = denoise(level * y, level.item())
        euler = y + (after - sigma) * slope
        if after > 0:
            slope = (slope + denoise(target * euler, target.item())) / 2
        y = y + (after - sigma) * slope
    asked: list[float] = []

    def counted(x: Tensor, level: float) -> Tensor:
        asked.append(level)
        return denoise(x, level)

    got = sampler("heun")(counted, start, levels, lambda k: torch.zeros(()))
    assert torch.allclose(got, y, atol=1e-9) and len(asked) == 2 * 5 - 1


def test_an_unknown_sampler_is_named_with_the_valid_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'ancestral'"):
        sampler("ancestal")
    for name in ("ddim-2", "ddim-", "ddim-x", "ddim--1", "ddim-nan"):
        with pytest.raises(InputError, match="give 0 to 1, such as ddim-0.5"):
            sampler(name)
