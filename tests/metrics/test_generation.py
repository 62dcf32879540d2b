"""Metrics of sets on distributions whose values are known."""

import math

import numpy as np
import pytest

from wg.errors import InputError
from wg.metrics.generation import (
    accuracy,
    am_score,
    class_distances,
    different_bins,
    frechet_distance,
    gaussian_distance,
    inception_score,
    modified_inception_score,
)

RNG = np.random.default_rng


def one_hot(labels: list[int], classes: int = 10) -> np.ndarray:
    return np.eye(classes)[labels]


def test_distance_of_equal_gaussians_is_zero() -> None:
    a = RNG(0).standard_normal((5, 5))
    cov = a @ a.T
    assert gaussian_distance(a[0], cov, a[0], cov) == pytest.approx(0, abs=1e-9)


def test_distance_of_shifted_and_scaled_gaussians_is_that_of_their_axes() -> None:
    # Diagonal covariances commute: |dm|^2 + sum (sqrt(a) - sqrt(b))^2.
    value = gaussian_distance(
        np.array([1.0, 2.0]), np.diag([4.0, 9.0]), np.array([4.0, 6.0]), np.diag([1.0, 16.0])
    )
    assert value == pytest.approx(25 + 1 + 1)


def test_distance_does_not_depend_on_the_axes() -> None:
    q, _ = np.linalg.qr(RNG(1).standard_normal((4, 4)))
    a, b = np.diag([1.0, 2.0, 3.0, 4.0]), np.diag([4.0, 1.0, 1.0, 9.0])
    zero = np.zeros(4)
    expected = 1 + (math.sqrt(2) - 1) ** 2 + (math.sqrt(3) - 1) ** 2 + 1
    assert gaussian_distance(zero, q @ a @ q.T, zero, q @ b @ q.T) == pytest.approx(expected)


def test_fid_of_samples_approaches_that_of_their_gaussians() -> None:
    a = RNG(2).standard_normal((50_000, 3))
    b = 2 * RNG(3).standard_normal((50_000, 3)) + np.array([1.0, 0, 0])
    assert frechet_distance(a, b) == pytest.approx(1 + 3, rel=0.03)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_fid_of_a_set_with_itself_is_zero_with_fewer_clips_than_features() -> None:
    features = RNG(4).standard_normal((20, 96))
    assert frechet_distance(features, features) == 0  # not 3e-15, which a table would show
    moved = features + 1e-3
    assert frechet_distance(features, moved) == pytest.approx(96e-6, rel=1e-6)


def test_fid_needs_two_clips() -> None:
    with pytest.raises(InputError, match="generated features of shape"):
        frechet_distance(np.zeros((5, 3)), np.zeros((1, 3)))


def test_inception_score_of_sure_and_even_posteriors_is_the_number_of_classes() -> None:
    assert inception_score(one_hot(list(range(10)) * 3)) == pytest.approx(10)


def test_inception_score_is_one_without_variety_or_without_certainty() -> None:
    assert inception_score(one_hot([4] * 20)) == pytest.approx(1)
    assert inception_score(np.full((20, 10), 0.1)) == pytest.approx(1)


def test_inception_score_of_two_clips_is_that_of_its_equation() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    q = p.mean(0)
    expected = math.exp(
        0.5 * sum(p[i, k] * math.log(p[i, k] / q[k]) for i in range(2) for k in range(2))
    )
    assert inception_score(p) == pytest.approx(expected)


def test_modified_inception_score_is_the_mean_over_pairs() -> None:
    p = RNG(0).dirichlet(np.ones(4), 6)
    pairs = [(p[i] * np.log(p[i] / p[j])).sum() for i in range(6) for j in range(6)]
    assert modified_inception_score(p) == pytest.approx(math.exp(np.mean(pairs)))
    assert modified_inception_score(np.repeat(p[:1], 5, 0)) == pytest.approx(1)


def test_am_score_is_zero_for_sure_samples_in_the_datas_proportions() -> None:
    assert am_score(one_hot([0, 1, 1, 2]), one_hot([1, 2, 0, 1])) == pytest.approx(0, abs=1e-9)


def test_am_score_adds_the_entropy_and_the_missing_proportion() -> None:
    half = np.full((4, 2), 0.5)
    assert am_score(one_hot([0, 1], 2), half) == pytest.approx(math.log(2))
    generated = one_hot([0, 0, 0, 1], 2)
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert am_score(one_hot([0, 1], 2), generated) == pytest.approx(expected)


def test_no_bin_differs_between_a_set_and_itself() -> None:
    features = RNG(0).standard_normal((2000, 4))
    assert different_bins(features, features) == 0


def test_few_bins_differ_between_two_sets_of_one_distribution() -> None:
    a, b = RNG(0).standard_normal((2, 5000, 4))
    assert different_bins(a, b) <= 0.16  # 5 % are expected to


def test_every_bin_differs_when_all_samples_fall_into_one() -> None:
    centres = 100 * np.arange(10)[:, None]
    data = np.repeat(centres, 200, 0) + RNG(0).standard_normal((2000, 1))
    collapsed = np.full((2000, 1), 300.0)
    assert different_bins(data, collapsed, bins=10) == 1
    # The first half of the data fills five bins doubly and leaves five empty.
    assert different_bins(data, data[:1000], bins=10) == 1


def test_accuracy_is_the_share_of_right_labels() -> None:
    p = one_hot([3, 1, 4, 1])
    assert accuracy(p, [3, 1, 4, 5]) == 0.75
    with pytest.raises(InputError, match="3 labels for 4 clips"):
        accuracy(p, [1, 2, 3])


def test_class_distances_are_taken_class_by_class() -> None:
    features = RNG(0).standard_normal((400, 2))
    labels = np.arange(400) % 2
    moved = features + np.where(labels == 1, 3.0, 0.0)[:, None]
    found = class_distances((features, labels), (moved, labels))
    assert found[0] == pytest.approx(0, abs=1e-9) and found[1] == pytest.approx(18)


def test_a_class_without_two_clips_has_no_distance() -> None:
    features = RNG(0).standard_normal((9, 2))
    labels = np.array([0] * 4 + [1] * 4 + [2])
    found = class_distances((features, labels), (features[:5], labels[:5]))
    assert found[0] == 0 and math.isnan(found[1]) and math.isnan(found[2])


def test_posteriors_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(InputError, match="rows sum to 1"):
        inception_score(np.ones((3, 4)))
