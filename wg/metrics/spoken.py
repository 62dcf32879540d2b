"""Metrics of speech made from text: durations of its symbols, and what a recogniser hears.

Durations are in ms, [N] for the N symbols of an utterance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def duration_mae(reference: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute difference of durations [N], in their unit; nan for no symbols."""
    return float(np.abs(predicted - reference).mean()) if len(reference) else float("nan")


def mean_durations(spoken: Iterable[tuple[Sequence[str], Sequence[float]]]) -> dict[str, float]:
    """Mean duration of each symbol in (symbols, durations) of utterances."""
    found: dict[str, list[float]] = {}
    for symbols, durations in spoken:
        for symbol, duration in zip(symbols, durations, strict=True):
            found.setdefault(symbol, []).append(duration)
    return {symbol: float(np.mean(values)) for symbol, values in found.items()}


def as_the_mean(symbols: Sequence[str], means: Mapping[str, float]) -> list[float]:
    """What the mean of each symbol predicts, and of a symbol without one, the mean of means."""
    default = float(np.mean(list(means.values())))
    return [means[symbol] if symbol in means else default for symbol in symbols]


def error_rates(text: str, heard: str) -> dict[str, float]:
    """wer and cer: of words, and of characters, spaces among them."""
    return {
        "wer": word_error_rate(text, heard),
        "cer": character_error_rate(text, heard),
    }


def word_error_rate(text: str, heard: str) -> float:
    """Edits of words that turn `text` into `heard`, over the words of `text`; nan for none."""
    from torchaudio.functional import edit_distance

    words = text.split()
    return edit_distance(words, heard.split()) / len(words) if words else float("nan")


def character_error_rate(text: str, heard: str) -> float:
    """Edits that turn `text` into `heard`, over the length of `text`; nan for no text."""
    from torchaudio.functional import edit_distance

    return edit_distance(text, heard) / len(text) if text else float("nan")
