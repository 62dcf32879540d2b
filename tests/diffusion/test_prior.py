import math

import pytest
import torch
from torch import Tensor

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.prior import Prior, deviation
from wg.diffusion.process import DiffusionConfig, diffuse
from wg.diffusion.sampling import reverse
from wg.diffusion.schedules import inference_levels
from wg.errors import InputError
from wg.mel.spec import MelSpec

SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=10)
ENERGY = DiffusionConfig(prior="energy")
SILENCE = math.sqrt(10 * 1e-5)  # ten bands at the floor


def mel_of(energies: list[float]) -> Tensor:
    """A natural-log mel [1, 10, F] with these roots of sums of the linear mel."""
    linear = torch.tensor(energies) ** 2 / 10
    return linear.clamp(min=1e-5).log().expand(1, 10, -1)


def test_the_deviation_follows_priorgrads_energy() -> None:
    sigma = deviation(mel_of([0, 0.2, 1, 2.5, 4, 9]), SPEC, ENERGY)
    assert isinstance(sigma, Tensor) and sigma.shape == (1, 6 * 64)
    expected = [0.1, 0.1, *((e - SILENCE) / (4 - SILENCE) for e in (1, 2.5)), 1, 1]
    assert sigma[0, ::64].tolist() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(sigma[0, :64], sigma[0, :1].expand(64))


@pytest.mark.parametrize("log", ["log10", "db"])
def test_the_deviation_is_that_of_the_sound_not_of_the_logarithm(log: str) -> None:
    other = MelSpec(**{**vars(SPEC), "log": log, "mean": (0.3,) * 10, "std": (2.0,) * 10})
    linear = torch.rand(1, 10, 7)
    ours, theirs = (deviation(spec.compress(linear), spec, ENERGY) for spec in (SPEC, other))
    assert torch.allclose(torch.as_tensor(ours), torch.as_tensor(theirs), atol=1e-5)


def test_the_standard_prior_is_one() -> None:
    assert deviation(mel_of([1]), SPEC, DiffusionConfig()) == 1.0


def test_an_energy_below_silence_is_refused() -> None:
    with pytest.raises(InputError, match="diffusion.energy_max is 0"):
        DiffusionConfig(energy_max=0.0)
    with pytest.raises(InputError, match="energy_max is 0.001, but digital silence has 0.01"):
        deviation(mel_of([1]), SPEC, DiffusionConfig(prior="energy", energy_max=1e-3))


@pytest.mark.parametrize("level", [0.2, 0.9, 0.9999])
def test_a_preconditioned_network_sees_unit_variance_under_a_prior_too(level: float) -> None:
    torch.manual_seed(0)
    seen: list[Tensor] = []
    sigma = torch.tensor([0.1, 0.4, 1.0]).repeat_interleave(40_000)[None]
    clean, noise = 0.07 * torch.randn(1, 120_000), sigma * torch.randn(1, 120_000)
    column = torch.tensor([level], dtype=torch.float64)
    x, schedule = diffuse(clean, column, noise), DiffusionConfig(data_rms=0.07)
    zero = schedule.estimate(
        lambda s, told: seen.append(s) or torch.zeros_like(s), x, column, sigma
    )
    one = schedule.estimate(lambda s, told: torch.ones_like(s), x, column, sigma)
    for part in (seen[0], (noise - zero) / (one - zero)):
        assert part.view(3, -1).std(1).tolist() == pytest.approx([1, 1, 1], abs=0.02)


@pytest.mark.parametrize("name", ["ancestral", "ddim", "ddim-0.5", "dpm++2m", "heun", "langevin"])
def test_every_sampler_works_on_noise_of_any_deviation(name: str) -> None:
    # The best estimate for N(0, r^2) under noise of deviation sigma brings N(0, r^2) back.
    schedule = DiffusionConfig(data_rms=0.3)
    sigma = torch.tensor([0.2, 1.0]).repeat_interleave(20_000)[None]
    noise, levels = PositionalNoise([1]), inference_levels("200", schedule.levels())

    def estimate(x: Tensor, level: float) -> Tensor:
        column = torch.tensor([level], dtype=torch.float64)
        return schedule.estimate(lambda s, told: torch.zeros_like(s), x, column, sigma)

    wave = reverse(estimate, levels, lambda k: noise(k, 40_000), Prior(sigma), name, clip=2.0)
    # N(0, 1) at the noisiest level lacks the signal there, which a small sigma makes count.
    tolerance = 0.05 if name != "ancestral" else 0.03
    assert wave.view(2, -1).std(1).tolist() == pytest.approx([0.3, 0.3], rel=tolerance)
