"""Titles, addresses, degrees, initials and Roman numerals."""

from __future__ import annotations

import re
from re import Match

from wg.text import numerals
from wg.text.abbreviations import (
    COUNTED,
    DEGREES,
    DOTTED,
    NUMBERED,
    REGNAL,
    ROADS,
    SUFFIXES,
    TITLES,
)
from wg.text.rules import any_of, at_end, compiled


def spelt(text: str) -> str:
    """Letters one by one; `a` by its name, since alone it is the article."""
    return " ".join("ay" if letter in "aA" else letter for letter in text if letter.isalpha())


def _street_or_saint(match: Match[str]) -> str:
    return "Saint" if match[1] else at_end("Street", match)


def _address(match: Match[str]) -> str:
    return match[1] + (at_end(ROADS[match[2]], match) if match[3] else ROADS[match[2]])


def _degree(match: Match[str]) -> str:
    parts = re.findall(r"[A-Z][a-z]*", match[1])
    words = " ".join(spelt(part.upper()) if len(part) < 3 else part for part in parts)
    return f"{words}'s" if match[2] else at_end(words, match) if match[0][-1] == "." else words


def _united_states(match: Match[str]) -> str:
    """US is a word where all is in capitals."""
    return (
        match[0]
        if match[0].isalpha() and match.string.isupper()
        else at_end(spelt(match[0]), match)
    )


def _counted(match: Match[str]) -> str:
    number = numerals.roman(match[2])
    return f"{match[1]} {numerals.cardinal(number)}" if number else match[0]


def _regnal(match: Match[str]) -> str:
    number = numerals.roman(match[2])
    return f"{match[1]} the {numerals.ordinal(number)}" if number else match[0]


def _roman(match: Match[str]) -> str:
    number = numerals.roman(match[0])
    return numerals.cardinal(number) if number else match[0]


_DEGREE = any_of(DEGREES)
NAMES = compiled(
    (r"\bWW(II?|[12])\b", lambda match: f"World War {'one' if match[1] in 'I1' else 'two'}"),
    (r"(?<=[A-Z]&)A\b", "ay"),
    (rf"\b({any_of(TITLES)})\.(?=[A-Z][a-z])", lambda match: f"{DOTTED[match[1]]} "),
    (
        rf"\b(\d+ (?:[NSEW]\.? )?(?:[A-Z][a-z]+ ){{1,2}}|\d+(?:st|nd|rd|th) (?!\w+\.? [A-Z]))"
        rf"({any_of(ROADS)})\b(\.?)",
        _address,
    ),
    (
        rf"\b([A-Z]\.?(?:{_DEGREE})|(?:{_DEGREE})(?:\. ?)?[A-Z])(?:\.(?!\w)|\.?('?s\b))?"
        r"(?![A-Za-z])",
        _degree,
    ),
    (rf"\b({any_of(DOTTED)})\.(?!\w)", lambda match: at_end(DOTTED[match[1]], match)),
    (r"\b(MR|MRS|DR)\.? (?=[A-Z]{2})", lambda match: f"{DOTTED[match[1].title()]} "),
    (
        rf"\b({any_of(TITLES)}) (?=[A-Z]['A-Za-z-]*[a-z]|[A-Z]\.)",
        lambda match: f"{DOTTED[match[1]]} ",
    ),
    (
        rf"(?<=[a-z])(,? )({any_of(SUFFIXES)})\b(?!\.)",
        lambda match: match[1] + DOTTED[match[2]],
    ),
    (rf"\b({any_of(NUMBERED)})\. ?(?=\d)", lambda match: f"{NUMBERED[match[1]]} "),
    (r"\bS[tT]\.( (?=[A-Z]))?", lambda match: _street_or_saint(match) + (match[1] or "")),
    (r"\bSt (?=[A-Z][a-z])", "Saint "),
    (r"(?<=\d) ?([AaPp])\.?[Mm]\b\.?", lambda match: at_end(f" {spelt(match[1])} m", match)),
    (r"\b(?:[A-Za-z]\. ?)+[A-Za-z]\.(?!\w)", lambda match: at_end(spelt(match[0]), match)),
    (r"\b[A-Z]\.(?= [A-Z])", lambda match: spelt(match[0])),
    (r"\bU(?:S|\.S\.?)A?\b(?! ?\$)", _united_states),
)
ROMAN = compiled(
    (rf"\b({any_of(COUNTED)}) ([IVXLC]+)\b", _counted),
    (rf"\b({any_of(REGNAL)}) (I(?=[.,;:)]|$)|V|X|[IVX]{{2,}})\b", _regnal),
    (r"\b[IVX]{2,}\b", _roman),
)
