from __future__ import annotations

import math

import numpy as np
import pytest

from wg.errors import InputError
from wg.metrics import Summary, paired_difference, summarise

VALUES = np.random.default_rng(0).normal(3, 1, 40)


def test_the_interval_holds_the_mean_and_repeats_itself() -> None:
    summary = summarise(VALUES)
    assert summary.low < summary.mean < summary.high
    assert summary.mean == pytest.approx(VALUES.mean())
    assert summary.median == pytest.approx(np.median(VALUES))
    assert summarise(VALUES) == summary


def test_the_interval_has_the_width_of_the_standard_error() -> None:
    summary = summarise(VALUES)
    expected = 2 * 1.96 * VALUES.std() / math.sqrt(len(VALUES))
    assert summary.high - summary.low == pytest.approx(expected, rel=0.05)


def test_the_interval_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap

    result = bootstrap((VALUES,), np.mean, method="percentile", n_resamples=20_000)
    interval, summary = result.confidence_interval, summarise(VALUES)
    width = summary.high - summary.low
    assert summary.low == pytest.approx(interval.low, abs=0.05 * width)
    assert summary.high == pytest.approx(interval.high, abs=0.05 * width)


def test_undefined_values_are_left_out_and_counted() -> None:
    with_gaps = [*VALUES[:20], math.nan, *VALUES[20:], math.nan]
    summary, whole = summarise(with_gaps), summarise(VALUES)
    assert (summary.count, summary.undefined) == (40, 2)
    assert (summary.mean, summary.low, summary.high) == (whole.mean, whole.low, whole.high)


def test_a_large_set_is_summarised_in_blocks() -> None:
    summary = summarise(np.arange(1200.0))
    assert summary.mean == 599.5
    assert summary.high - summary.low == pytest.approx(2 * 1.96 * 346.4 / math.sqrt(1200), rel=0.05)


def test_nothing_defined_has_no_average() -> None:
    for values, undefined in (([], 0), ([math.nan] * 3, 3)):
        summary = summarise(values)
        assert math.isnan(summary.mean)
        assert math.isnan(summary.low)
        assert (summary.count, summary.undefined) == (0, undefined)


def test_one_value_has_an_average_and_no_interval() -> None:
    summary = summarise([2.0])
    assert (summary.mean, summary.median, summary.count) == (2.0, 2.0, 1)
    assert math.isnan(summary.low)


def test_infinite_scores_are_refused() -> None:
    with pytest.raises(InputError, match="1 scores are infinite"):
        summarise([1.0, math.inf])


def test_a_constant_advantage_is_found_under_any_spread() -> None:
    first = {f"u{n}": value for n, value in enumerate(VALUES)}
    second = {name: value + 0.1 for name, value in reversed(first.items())}
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(-0.1)
    assert difference.high < 0
    assert difference.count == 40


def test_a_pair_needs_both_values() -> None:
    first = {"a": 1.0, "b": math.nan, "c": 3.0}
    second = {"a": 2.0, "b": 2.0, "c": math.nan}
    difference = paired_difference(first, second)
    assert isinstance(difference, Summary)
    assert (difference.mean, difference.count, difference.undefined) == (-1.0, 1, 2)


def test_systems_scored_on_different_utterances_are_refused() -> None:
    with pytest.raises(InputError, match="1 utterances .* 'b'"):
        paired_difference({"a": 1.0}, {"a": 1.0, "b": 2.0})
