"""The variational bound, on Gaussian data, whose density is known."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from wg.diffusion.bound import bits, bound, weights
from wg.diffusion.prior import Prior, SpectralPrior
from wg.diffusion.schedules import levels_from_betas, linear, log_snr_spaced
from wg.errors import InputError

RMS, SAMPLES = 0.3, 200_000
TRAINED = levels_from_betas(linear(1e-6, 0.01, 1000))
ENTROPY = 0.5 * math.log(2 * math.pi * math.e * RMS**2)  # nats a sample


def optimal(x: Tensor, level: Tensor) -> Tensor:
    """E[eps | x] for x_0 ~ N(0, RMS^2)."""
    level = level[:, None].to(x)
    spread = (1 - level**2).sqrt()
    return spread / (level**2 * RMS**2 + spread**2) * x


def white(step: int) -> Tensor:
    return torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(step))


def clean() -> Tensor:
    return RMS * white(999)


def expected(levels: Tensor) -> Tensor:
    """The terms in closed form: E (eps - E[eps | x])^2 = l^2 r^2 / (l^2 r^2 + s^2)."""
    square, spread = levels[1:] ** 2, 1 - levels[1:] ** 2
    errors = square * RMS**2 / (square * RMS**2 + spread)
    snr = square / spread
    kept = errors.clone()
    kept[1:] *= (snr[:-1] / snr[1:] - 1) / 2
    kept[0] = 0.5 * math.log(2 * math.pi * spread[0]) + errors[0] / (2 * square[0])
    last = square[-1] * RMS**2 + spread[-1]  # E x_N^2
    start = 0.5 * (last - 1 - math.log(spread[-1]))
    return torch.cat([torch.stack([start]), kept])


def test_each_term_is_that_of_gaussian_data() -> None:
    levels = log_snr_spaced(TRAINED, 20)
    found = bound(optimal, clean(), levels, white)
    terms = expected(levels)
    assert torch.allclose(found.terms[0], terms, rtol=0.02, atol=1e-4)
    assert found.nats.item() == pytest.approx(terms.sum().item(), abs=0.01)


def test_the_bound_nears_the_entropy_with_more_levels_and_stays_above_it() -> None:
    steps = (10, 100, 1000, 10_000)
    gaps = [expected(log_snr_spaced(TRAINED, n)).sum().item() - ENTROPY for n in steps]
    assert all(8 < gap / next_gap < 30 for gap, next_gap in pairwise(gaps))
    assert 0 < gaps[-1] < 0.006


def test_a_worse_estimate_has_a_higher_bound_at_its_level() -> None:
    levels = log_snr_spaced(TRAINED, 20)

    def worse(x: Tensor, level: Tensor) -> Tensor:
        off = 0.5 if abs(level.item() - levels[7].item()) < 1e-12 else 0.0
        return optimal(x, level) + off

    best, other = (bound(e, clean(), levels, white).terms[0] for e in (optimal, worse))
    assert (other - best)[7].item() == pytest.approx(weights(levels)[6].item() * 0.25, rel=0.05)
    assert torch.equal(other[torch.arange(21) != 7], best[torch.arange(21) != 7])


def test_the_weights_are_those_of_diffwaves_proposition() -> None:
    betas = linear(1e-4, 0.05, 50)
    levels = levels_from_betas(betas)
    before = levels[:-1] ** 2
    kappa = betas / (2 * (1 - betas) * (1 - before))
    kappa[0] = 1 / (2 * (1 - betas[0]))
    assert torch.allclose(weights(levels), kappa, rtol=1e-9)


def test_data_as_loud_as_its_prior_has_the_density_of_its_scale() -> None:
    # x_0 = sigma w: -ln p(x_0) = -ln p(w) + ln sigma, and eps is sigma times that of w.
    sigma = torch.linspace(0.1, 1, SAMPLES)[None]
    levels = log_snr_spaced(TRAINED, 20)
    plain = bound(optimal, clean(), levels, white)

    def scaled(x: Tensor, level: Tensor) -> Tensor:
        return sigma * optimal(x / sigma, level)

    found = bound(scaled, sigma * clean(), levels, white, Prior(sigma))
    assert torch.allclose(found.errors, plain.errors, rtol=1e-3)
    shift = sigma.double().log().mean().item()
    assert (found.nats - plain.nats).item() == pytest.approx(shift, abs=1e-3)


def test_noise_without_a_density_is_refused() -> None:
    with pytest.raises(InputError, match=r"diffusion.prior is 'mel'.* no density"):
        bound(optimal, clean(), log_snr_spaced(TRAINED, 2), white, SpectralPrior())


def test_bits_are_those_of_16_bit_codes() -> None:
    # Uniform on -1 .. 1 has the density 1/2: 16 bits a code.
    assert bits(math.log(2)) == pytest.approx(16)
