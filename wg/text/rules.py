"""Rules: a pattern and the words that take its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from re import Match, Pattern

Words = str | Callable[[Match[str]], str]
Rules = tuple[tuple[Pattern[str], Words], ...]


def any_of(words: Iterable[str]) -> str:
    """A pattern of these words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def compiled(*rules: tuple[str, Words]) -> Rules:
    """Rules in the order in which they are applied."""
    return tuple((re.compile(pattern), words) for pattern, words in rules)


def apply(rules: Rules, text: str) -> str:
    """The text after the rules."""
    for pattern, words in rules:
        text = pattern.sub(words, text)
    return text


def at_end(words: str, match: Match[str]) -> str:
    """The full stop of an abbreviation is also the sentence's where the text ends."""
    return f"{words}." if match.end() == len(match.string) else words
