"""English as it is written to English as it is spoken: words and punctuation marks only.

The rules run in the order of `_RULES`, the particular before the general; each is a pattern and
the words that take its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from re import Match

from wg.text import numerals
from wg.text.abbreviations import (
    COUNTED,
    CURRENCIES,
    DOTTED,
    MONTHS,
    NUMBERED,
    REGNAL,
    SCALES,
    SHORT_MONTHS,
    SIGNS,
    UNITS,
)
from wg.text.characters import plain


def normalise(text: str) -> str:
    """Spoken words and the marks , . ! ? ; : - ( ) and ".

    InputError as `wg.text.characters.plain`.
    """
    text = plain(text)
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    return re.sub(r"\s+", " ", text).strip()


def spelt(text: str) -> str:
    """Letters one by one; `a` by its name, since alone it is the article."""
    return " ".join("ay" if letter in "aA" else letter for letter in text if letter.isalpha())


def _any(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _at_end(words: str, match: Match[str]) -> str:
    """The full stop of an abbreviation is also the sentence's where the text ends."""
    return f"{words}." if match.end() == len(match.string) else words


def _dotted(match: Match[str]) -> str:
    return _at_end(DOTTED[match[1]], match)


def _street_or_saint(match: Match[str]) -> str:
    return "Saint" if match[1] else _at_end("Street", match)


def _initials(match: Match[str]) -> str:
    return _at_end(spelt(match[0]), match)


def _time(match: Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if not minute:
        return numerals.cardinal(hour)
    return f"{numerals.cardinal(hour)} {'oh ' if minute < 10 else ''}{numerals.cardinal(minute)}"


def _month(name: str) -> str:
    return SHORT_MONTHS[name] if name in SHORT_MONTHS else name


def _month_first(match: Match[str]) -> str:
    after = f", {numerals.year(int(match[3]))}" if match[3] else ""
    return f"{_month(match[1])} {numerals.ordinal(int(match[2]))}{after}"


def _day_first(match: Match[str]) -> str:
    return f"{numerals.ordinal(int(match[1]))} of {_month(match[2])}"


def _slashed_date(match: Match[str]) -> str:
    month, day = int(match[1]), int(match[2])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{MONTHS[month - 1]} {numerals.ordinal(day)}, {numerals.year(int(match[3]))}"


def _iso_date(match: Match[str]) -> str:
    month, day = int(match[2]), int(match[3])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{MONTHS[month - 1]} {numerals.ordinal(day)}, {numerals.year(int(match[1]))}"


def _money(match: Match[str]) -> str:
    one, several, cent, cents = CURRENCIES[match[1]]
    whole, _, part = match[2].partition(".")
    if match[3] or (part and len(part) != 2):
        return f"{numerals.number(match[2])} {match[3] + ' ' if match[3] else ''}{several}"
    amounts = []
    if int(whole.replace(",", "") or 0) or not int(part or 0):
        amounts.append(f"{numerals.quantity(whole or '0')} {one if whole == '1' else several}")
    if int(part or 0):
        amounts.append(f"{numerals.cardinal(int(part))} {cent if part == '01' else cents}")
    return " and ".join(amounts)


def _decade(match: Match[str]) -> str:
    century = f"{numerals.cardinal(int(match[1]))} " if match[1] else ""
    if match[2] == "00":
        return f"{century}hundreds"
    return century + numerals.plural(numerals.cardinal(int(match[2])))


def _regnal(match: Match[str]) -> str:
    number = numerals.roman(match[2])
    return f"{match[1]} the {numerals.ordinal(number)}" if number else match[0]


def _counted(match: Match[str]) -> str:
    number = numerals.roman(match[2])
    return f"{match[1]} {numerals.cardinal(number)}" if number else match[0]


def _roman(match: Match[str]) -> str:
    number = numerals.roman(match[0])
    return numerals.cardinal(number) if number else match[0]


def _unit(match: Match[str]) -> str:
    one, several = UNITS[match[2]]
    return f"{numerals.quantity(match[1])} {one if match[1] == '1' else several}"


def _fraction(match: Match[str]) -> str:
    top, bottom = int(match[2]), int(match[3])
    if not 1 <= top < bottom <= 100:
        return match[0]
    part = numerals.fraction(top, bottom)
    if match[1] is None:
        return part
    return f"{numerals.cardinal(int(match[1]))} and {part.replace('one ', 'a ')}"


def _code(match: Match[str]) -> str:
    parts = re.findall(r"[A-Za-z]+|\d+", match[0])
    return " ".join(spelt(part) if part.isalpha() else numerals.digits(part) for part in parts)


_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_MONTH = rf"\b({_any([*MONTHS, *SHORT_MONTHS])})\b\.?"
_Rule = tuple[str, str | Callable[[Match[str]], str]]
_WRITTEN: tuple[_Rule, ...] = (
    # Abbreviations
    (rf"\b({_any(DOTTED)})\.(?!\w)", _dotted),
    (rf"\b({_any(NUMBERED)})\. ?(?=\d)", lambda match: f"{NUMBERED[match[1]]} "),
    (r"\bSt\.( (?=[A-Z]))?", lambda match: _street_or_saint(match) + (match[1] or "")),
    (r"(?<=\d) ?([AaPp])\.?[Mm]\b\.?", lambda match: _at_end(f" {spelt(match[1])} m", match)),
    (r"\b(?:[A-Za-z]\. ?)+[A-Za-z]\.(?!\w)", _initials),
    (r"\b[A-Z]\.(?= [A-Z])", _initials),
    (r"\bU\.?S\.?A?\b", _initials),
    # Dates and times
    (r"\b(\d{4})-(\d\d)-(\d\d)\b", _iso_date),
    (r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b", _slashed_date),
    (rf"{_MONTH} {_DAY}\b(?:,? (\d{{4}})\b)?(?![:.,]\d)", _month_first),
    (rf"\b{_DAY} (?:of )?{_MONTH}(?! \d{{1,2}}\b)", _day_first),
    (r"\b([01]?\d|2[0-3]):([0-5]\d)\b", _time),
    (r"(?:\b(1\d|20)|'|\b)(\d0)'?s\b", _decade),
    # Quantities
    (rf"([{''.join(CURRENCIES)}]) ?({_NUMBER})(?: ({_any(SCALES)})\b)?", _money),
    (rf"({_NUMBER})[ -]?({_any(UNITS)})(?![\w/])", _unit),
    (r"\b(?:(\d+) )?(\d+)/(\d+)\b", _fraction),
    (r"\b(\d{3})-(\d{4})\b", _code),
    (rf"({_NUMBER})-(?={_NUMBER})", r"\1 to "),
    (r"\b(\d+)(?:st|nd|rd|th)\b", lambda match: numerals.ordinal(int(match[1]))),
    # Roman numerals
    (rf"\b({_any(COUNTED)}) ([IVXLC]+)\b", _counted),
    (rf"\b({_any(REGNAL)}) (I(?=[.,;:)]|$)|V|X|[IVX]{{2,}})\b", _regnal),
    (r"\b[IVX]{2,}\b", _roman),
    # What is left
    (r"\b(?:[A-Z]+-?\d+|\d+[A-Z])[A-Z\d]*\b", _code),
    (r"(?<=[A-Za-z\d])-(?=[A-Za-z\d])", " "),
    (rf"(?<![\w-])-(?={_NUMBER})", "minus "),
    (_NUMBER, lambda match: f" {numerals.number(match[0])} "),
    (rf"[{re.escape(''.join(SIGNS))}]", lambda match: f" {SIGNS[match[0]]} "),
    (r"(?<=[a-z])\.(?=[a-z])", " dot "),
    # Marks
    (r"-+", " - "),
    (r"""[^A-Za-z',.!?;:()" -]""", " "),
    (r" +(?=[,.!?;:])", ""),
)
_RULES = tuple((re.compile(pattern), words) for pattern, words in _WRITTEN)
