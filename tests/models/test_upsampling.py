"""Gaussian upsampling against a loop over frames and symbols."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from wg.models.upsampling import CONVENTIONS, Predictor, gaussian_weights

DURATIONS = torch.tensor([[3.0, 0.0, 5.0, 2.0], [4.0, 1.0, 0.0, 0.0]])
RANGES = torch.tensor([[0.7, 1.2, 2.0, 0.5], [0.4, 3.0, 1.0, 1.0]])
REAL = torch.tensor([[True] * 4, [True, True, False, False]])
WHOLE = torch.zeros(2, dtype=torch.long)


def by_loops(row: int, frame: int) -> list[float]:
    """w_ti of one frame, as the equation stands in the paper."""
    durations = DURATIONS[row].tolist()
    densities = []
    for i, (duration, sigma) in enumerate(zip(durations, RANGES[row].tolist(), strict=True)):
        centre = duration / 2 + sum(durations[:i])
        density = math.exp(-((frame + 0.5 - centre) ** 2) / (2 * sigma**2)) / sigma
        densities.append(density if REAL[row, i] else 0.0)
    return [density / sum(densities) for density in densities]


def test_weights_are_those_of_a_loop() -> None:
    made = gaussian_weights(DURATIONS, RANGES, REAL, WHOLE, 10)
    expected = [[by_loops(row, frame) for frame in range(10)] for row in range(2)]
    torch.testing.assert_close(made, torch.tensor(expected))


def test_a_window_is_a_part_of_the_whole() -> None:
    whole = gaussian_weights(DURATIONS, RANGES, REAL, WHOLE, 10)
    part = gaussian_weights(DURATIONS, RANGES, REAL, torch.tensor([4, 1]), 3)
    torch.testing.assert_close(part[0], whole[0, 4:7])
    torch.testing.assert_close(part[1], whole[1, 1:4])


def test_narrow_ranges_give_each_frame_to_the_nearest_centre() -> None:
    weights = gaussian_weights(DURATIONS[:1], torch.full((1, 4), 1e-2), REAL[:1], WHOLE[:1], 10)
    centres = torch.tensor([1.5, 3.0, 5.5, 9.0])
    distance = (torch.arange(10)[:, None] + 0.5 - centres).abs()
    torch.testing.assert_close(weights[0], torch.eye(4)[distance.argmin(1)])


def test_weights_stay_finite_far_from_every_symbol() -> None:
    weights = gaussian_weights(DURATIONS, RANGES * 1e-2, REAL, WHOLE + 10_000, 4)
    assert torch.isfinite(weights).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4))


@pytest.mark.parametrize("port, middle", [("mindslab", 0.0), ("keonlee", 1.0)])
def test_a_ports_frames_fade_far_from_every_symbol(port: str, middle: float) -> None:
    ranges = RANGES * 0.3
    made = gaussian_weights(DURATIONS, ranges, REAL, WHOLE, 10, CONVENTIONS[port])
    centres = torch.tensor([1.5, 3.0, 5.5, 9.0])
    time = torch.arange(10)[:, None] + middle
    density = torch.distributions.Normal(centres, ranges[0]).log_prob(time).exp()
    expected = density / (density.sum(1, keepdim=True) + 1e-8)
    torch.testing.assert_close(made[0], expected, atol=1e-6, rtol=1e-4)
    heard = made[0].sum(1)
    assert heard.max() > 0.999 and 0 < heard.min() < 0.9


def test_gradients_reach_durations_and_ranges() -> None:
    durations, ranges = DURATIONS.clone().requires_grad_(), RANGES.clone().requires_grad_()
    value = torch.arange(4.0)
    (gaussian_weights(durations, ranges, REAL, WHOLE, 10) @ value).sum().backward()
    for gradient in (durations.grad, ranges.grad):
        assert isinstance(gradient, Tensor) and torch.isfinite(gradient).all() and gradient.any()


def test_the_predictors_layers_are_torchs_lstm() -> None:
    torch.manual_seed(0)
    predictor, x, lengths = Predictor(6, 4), torch.randn(3, 5, 6), torch.tensor([2, 5, 1])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    assert isinstance(predictor.lstm, nn.LSTM)
    hidden, _ = pad_packed_sequence(predictor.lstm(packed)[0], batch_first=True)
    expected = predictor.projection(hidden)[..., 0]
    given = list(predictor.parameters())
    made = predictor(x, lengths)
    torch.testing.assert_close(made, expected)
    for ours, theirs in zip(
        torch.autograd.grad(made.square().sum(), given),
        torch.autograd.grad(expected.square().sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("length", [1, 3])
def test_a_prediction_depends_on_the_real_symbols_alone(length: int) -> None:
    torch.manual_seed(0)
    predictor, x = Predictor(6, 4), torch.randn(2, 5, 6)
    together = predictor(x, torch.tensor([5, length]))
    alone = predictor(x[1:, :length], torch.tensor([length]))
    torch.testing.assert_close(together[1:, :length], alone)
