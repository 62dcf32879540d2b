"""Deterministic samplers against the exact solution of a Gaussian mixture's ODE."""

import math

import mixture
import pytest
import torch

from wg.diffusion.samplers import sampler

START, TARGET = 0.0814, 0.995  # WaveGrad's noisiest trained level; s = 0.1


def error(name: str, steps: int) -> float:
    """Largest error over the middle 99% of samples, with levels uniform in log-SNR."""
    ends = [math.log(level / (1 - level**2) ** 0.5) for level in (TARGET, START)]
    grid = torch.linspace(ends[0], ends[1], steps + 1, dtype=torch.float64)
    levels = torch.sigmoid(2 * grid).sqrt()
    x = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)[None]
    exact = mixture.solution(x, levels[-1].item(), levels[0].item())
    got = sampler(name)(mixture.denoise, x, levels, lambda k: torch.zeros(()))
    return (got - exact).abs().max().item()


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("dpm++2m", 2), ("heun", 2)])
def test_the_order_of_convergence_is_the_papers(name: str, order: int) -> None:
    errors = [error(name, steps) for steps in (64, 128, 256, 512)]
    measured = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert measured == pytest.approx([order] * 3, abs=0.15)
    assert errors[-1] < 10.0 ** (-2 * order)


def test_the_solution_moves_the_data_back_to_themselves() -> None:
    # The mixture's own quantiles at the noisiest level come out as its quantiles without noise.
    generator = torch.Generator().manual_seed(0)
    component = torch.multinomial(mixture.WEIGHTS, 20_000, replacement=True, generator=generator)
    data = mixture.MEANS[component] + mixture.STDS[component] * torch.randn(
        20_000, dtype=torch.float64, generator=generator
    )
    x = START * data + (1 - START**2) ** 0.5 * torch.randn(
        20_000, dtype=torch.float64, generator=generator
    )
    clean = mixture.solution(x[None], START, 1.0)[0]
    points = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)
    assert (clean.quantile(points) - data.quantile(points)).abs().max() < 0.04
