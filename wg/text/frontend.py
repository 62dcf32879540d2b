"""Text to symbols."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wg.text.pronounce import pronounce
from wg.text.symbols import END, MARKS, SILENCE, WORD_BOUNDARY

_TOKEN = re.compile(rf"[a-z']+|[{re.escape(''.join(MARKS))}]")


def text_to_symbols(text: str, lexicon: Mapping[str, tuple[str, ...]] | None = None) -> list[str]:
    """Symbols of an English text; `lexicon` overrides the pronunciation of words."""
    symbols = [SILENCE]
    for token in _TOKEN.findall(text.lower()):
        if token in MARKS:
            if symbols[-1] == WORD_BOUNDARY:
                symbols[-1] = token
            continue
        known = lexicon or {}
        symbols += [*(known[token] if token in known else pronounce(token)), WORD_BOUNDARY]
    if symbols[-1] == WORD_BOUNDARY:
        symbols.pop()
    return [*symbols, END]


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return re.split(r"(?<=[.!?])\s+(?=\S)", text.strip())
