"""A long text cut where it can be spoken apart."""

from __future__ import annotations

import re

from wg.text.abbreviations import DEGREES, DOTTED, NUMBERED, SHORT_MONTHS, WEEKDAYS
from wg.text.measures import UNITS
from wg.text.rules import any_of

_ENDS = re.compile(r"""[.!?]+["')\]]*(?=\s)""")
_PAUSES = (re.compile(r"[;:](?=\s)"), re.compile(r",(?=\s)"), re.compile(r"\s(?=\S)"))
_NO_END = re.compile(
    rf"(?:^|[\s(\"'])(?:{any_of({*DOTTED, *NUMBERED, *SHORT_MONTHS, *WEEKDAYS, 'St'})}"
    rf"|[A-Z]|(?:[A-Za-z]\.|(?:{any_of(DEGREES)})\. ?)+(?:[A-Za-z]|{any_of(DEGREES)}))\.$"
)
_UNIT = re.compile(rf"\d[ -]?(?:{any_of(UNITS)})\.$")  # before the next number: 6 ft. 2 in.


def sentences(text: str, longest: int = 400) -> list[str]:
    """The sentences of a text, in order; nothing but spaces between them is lost.

    One of more than `longest` characters is cut further, at a semicolon, a comma or a space.
    Braces are kept whole.
    """
    parts = []
    for line in text.splitlines():
        start = 0
        for end in _ENDS.finditer(line):
            if _ends_sentence(line, start, end.end()):
                parts.append(line[start : end.end()])
                start = end.end()
        parts.append(line[start:])
    return [piece for part in parts for piece in _short(part.strip(), longest) if piece]


def _ends_sentence(line: str, start: int, end: int) -> bool:
    following = line[end:].lstrip()
    return (
        not _NO_END.search(line[start:end])
        and not (following[:1].isdigit() and _UNIT.search(line[start:end]))
        and (not following[:1].islower())
        and _outside_braces(line[start:end])
    )


def _outside_braces(text: str) -> bool:
    return text.count("{") <= text.count("}")


def _short(sentence: str, longest: int) -> list[str]:
    if len(sentence) <= longest:
        return [sentence]
    for pause in _PAUSES:
        ends = [m.end() for m in pause.finditer(sentence, longest // 4, longest)]
        ends = [end for end in ends if _outside_braces(sentence[:end])]
        if ends:
            cut = ends[-1]
            return [sentence[:cut].strip(), *_short(sentence[cut:].strip(), longest)]
    return [sentence]
