"""Averages over utterances, with intervals, and comparisons of two systems.

nan is a metric's "undefined". It is left out and counted, never averaged in as a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from wg.errors import InputError

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 0
BLOCK = 1_000_000  # drawn at once, to bound memory


@dataclass(frozen=True)
class Summary:
    """Average of one metric over utterances, in the metric's unit; nan where undefined."""

    mean: float
    median: float
    low: float  # 95 % interval of the mean
    high: float
    count: int  # utterances averaged
    undefined: int  # utterances left out


def summarise(values: Iterable[float]) -> Summary:
    """Mean, median and interval of a metric's values; nan values are left out and counted.

    The interval is the percentile bootstrap of the mean, 2.5 % to 97.5 % of 10,000 resamples
    with a fixed seed, so equal values give equal intervals. It needs two values or more.
    Raises `InputError` for infinite values.
    """
    scores = np.fromiter(values, dtype=np.float64)
    if np.isinf(scores).any():
        raise InputError(
            f"{int(np.isinf(scores).sum())} scores are infinite; use nan for undefined"
        )
    defined = scores[~np.isnan(scores)]
    if not len(defined):
        return Summary(math.nan, math.nan, math.nan, math.nan, 0, len(scores))
    low, high = _interval(defined)
    return Summary(
        float(defined.mean()),
        float(np.median(defined)),
        low,
        high,
        len(defined),
        len(scores) - len(defined),
    )


def paired_difference(first: Mapping[str, float], second: Mapping[str, float]) -> Summary:
    """Summary of first - second over utterances, from {utterance id: value} of two systems.

    Pairing removes what is common to an utterance; an interval that leaves out 0 is a
    difference. `undefined` counts ids where either value is nan. Raises `InputError` if the two
    do not score the same ids.
    """
    unpaired = sorted(first.keys() ^ second.keys())
    if unpaired:
        raise InputError(
            f"{len(unpaired)} utterances are scored for one system only, such as "
            f"{unpaired[0]!r}; score both on the same list"
        )
    return summarise(first[name] - second[name] for name in sorted(first))


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(SEED)
    rows = max(1, BLOCK // len(values))
    means = [
        values[
            generator.integers(len(values), size=(min(rows, RESAMPLES - done), len(values)))
        ].mean(axis=1)
        for done in range(0, RESAMPLES, rows)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
