"""Prior, losses, search and durations against independent references."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import betabinom

from wg.alignment.durations import quantise
from wg.alignment.losses import binarisation, forward_sum, posteriors
from wg.alignment.monotonic import monotonic_search
from wg.alignment.prior import beta_binomial
from wg.errors import InputError

GENERATOR = np.random.default_rng(0)


def alignments(frames: int, optional: np.ndarray) -> Iterator[np.ndarray]:
    """All durations of symbols that sum to `frames`."""
    for least in range(0 if optional[0] else 1, frames + 1):
        if len(optional) > 1:
            for rest in alignments(frames - least, optional[1:]):
                yield np.array([least, *rest])
        elif least == frames:
            yield np.array([least])


def small_cases() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _ in range(150):
        frames, symbols = GENERATOR.integers(1, 8), GENERATOR.integers(1, 6)
        optional = GENERATOR.random(symbols) < 0.4
        if (~optional).sum() <= frames:
            scores = GENERATOR.standard_normal((frames, symbols)).astype(np.float32)
            yield scores, optional


def path_scores(scores: np.ndarray, optional: np.ndarray) -> list[tuple[float, np.ndarray]]:
    rows = np.arange(len(scores))
    return [
        (float(scores[rows, np.repeat(np.arange(len(optional)), d)].sum(dtype=float)), d)
        for d in alignments(len(scores), optional)
    ]


def test_search_finds_what_trying_all_alignments_finds() -> None:
    for scores, optional in small_cases():
        best = max(path_scores(scores, optional), key=lambda one: one[0])
        assert monotonic_search(scores, optional).tolist() == best[1].tolist()


def test_posteriors_are_sums_over_all_alignments() -> None:
    for scores, optional in small_cases():
        values, durations = zip(*path_scores(scores, optional), strict=True)
        total = np.logaddexp.reduce(values)
        expected = np.zeros(scores.shape)
        for value, d in zip(values, durations, strict=True):
            path = np.repeat(np.arange(len(optional)), d)
            expected[np.arange(len(scores)), path] += np.exp(value - total)
        found, share = posteriors(scores, optional)
        assert found == pytest.approx(total, abs=1e-4)
        np.testing.assert_allclose(share, expected, atol=1e-5)


def test_forward_sum_is_ctc_without_a_blank() -> None:
    lengths, counts = [40, 33], [12, 9]
    log_p = torch.randn(2, 40, 12, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    ours, theirs = (log_p.clone().requires_grad_() for _ in range(2))
    frames = torch.tensor(lengths)
    loss = forward_sum(ours, frames, [np.zeros(n, bool) for n in counts])
    reference = torch.stack(
        [
            F.ctc_loss(
                F.pad(theirs[b, :t, :n], (1, 0), value=-1e9)[:, None],
                torch.arange(1, n + 1)[None],
                torch.tensor([t]),
                torch.tensor([n]),
                reduction="sum",
            )
            / t
            for b, (t, n) in enumerate(zip(lengths, counts, strict=True))
        ]
    ).mean()
    torch.testing.assert_close(loss, reference)
    loss.backward()
    assert ours.grad is not None
    # Each frame belongs to one symbol: its gradients sum to -1 / (T B).
    for b, (t, n) in enumerate(zip(lengths, counts, strict=True)):
        torch.testing.assert_close(ours.grad[b, :t].sum(-1), torch.full((t,), -1 / (t * 2)))
        assert not ours.grad[b, t:].any() and not ours.grad[b, :, n:].any()


def test_forward_sum_has_the_gradient_that_its_differences_show() -> None:
    log_p = torch.randn(1, 6, 4, dtype=torch.float64).log_softmax(-1)
    optional = [np.array([True, False, True, False])]
    frames = torch.tensor([6])
    given = log_p.clone().requires_grad_()
    forward_sum(given, frames, optional).backward()
    assert given.grad is not None
    for place in ((0, 0, 1), (0, 3, 2), (0, 5, 3)):
        step = torch.zeros_like(log_p)
        step[place] = 1e-3
        rise = forward_sum(log_p + step, frames, optional) - forward_sum(
            log_p - step, frames, optional
        )
        assert float(rise) / 2e-3 == pytest.approx(float(given.grad[place]), abs=1e-5)


@pytest.mark.parametrize(("frames", "symbols", "scale"), [(7, 4, 1.0), (50, 20, 1.0), (9, 5, 0.05)])
def test_the_prior_is_scipys_beta_binomial(frames: int, symbols: int, scale: float) -> None:
    prior = beta_binomial(frames, symbols, scale)
    for t in (1, frames // 2, frames):
        expected = betabinom.logpmf(
            np.arange(symbols), symbols - 1, scale * t, scale * (frames - t + 1)
        )
        np.testing.assert_allclose(prior[t - 1], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(prior.exp().sum(-1), torch.ones(frames))


def test_binarisation_is_the_cross_entropy_of_the_hard_alignment() -> None:
    log_p = torch.randn(1, 5, 3).log_softmax(-1)
    log_p[0, 0, 2] = -torch.inf  # off the path: of no account
    path = torch.tensor([0, 0, 1, 2, 2])
    hard = F.one_hot(path, 3)[None].float()
    expected = F.nll_loss(log_p[0], path)
    torch.testing.assert_close(binarisation(log_p, hard), expected)


def test_more_phonemes_than_frames_do_not_fit() -> None:
    with pytest.raises(InputError, match="3 phonemes do not fit in 2 frames"):
        monotonic_search(np.zeros((2, 4)), np.array([True, False, False, False]))
    with pytest.raises(InputError, match="3 phonemes do not fit in 2 frames"):
        quantise([0.5, 1.0, 1.5], np.zeros(3, bool), 2)


def test_durations_sum_to_the_frames_and_leave_no_phoneme_out() -> None:
    for _ in range(200):
        count = int(GENERATOR.integers(1, 12))
        optional = GENERATOR.random(count) < 0.4
        frames = int(GENERATOR.integers(max(1, (~optional).sum()), 40))
        ends = np.sort(GENERATOR.random(count)) * frames
        durations = quantise(ends.tolist(), optional, frames)
        assert durations.sum() == frames
        assert (durations >= ~optional).all()


def test_ends_are_rounded_where_nothing_vanishes() -> None:
    durations = quantise([1.6, 3.2, 6.9, 10.4], np.zeros(4, bool), 10)
    assert durations.tolist() == [2, 1, 4, 3]
