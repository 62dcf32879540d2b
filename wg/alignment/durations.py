"""Times of symbols in seconds to whole frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wg.errors import InputError


def quantise(ends: Sequence[float], optional: np.ndarray, frames: int) -> np.ndarray:
    """Durations [N] in whole frames of symbols that end at `ends` [N] in frames and parts of them.

    Ends are rounded, so errors do not add up, and the sum is `frames`; where a symbol that is not
    `optional` [N] would vanish, its end moves to leave it one frame. InputError where there are
    fewer frames than such symbols.
    """
    least = (~optional).astype(int)
    if least.sum() > frames:
        raise InputError(f"{least.sum()} phonemes do not fit in {frames} frames")
    places = [min(round(end), frames) for end in ends]
    places[-1] = frames
    for symbol in range(len(places)):
        before = places[symbol - 1] if symbol else 0
        places[symbol] = max(places[symbol], before + least[symbol])
    places[-1] = frames
    for symbol in range(len(places) - 2, -1, -1):
        places[symbol] = min(places[symbol], places[symbol + 1] - least[symbol + 1])
    return np.diff([0, *places])
