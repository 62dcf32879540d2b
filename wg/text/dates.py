"""Dates, times of day and telephone numbers."""

from __future__ import annotations

import re
from re import Match

from wg.text import numerals
from wg.text.abbreviations import MONTHS, SHORT_MONTHS, WEEKDAYS
from wg.text.rules import any_of, at_end, compiled


def _month(name: str) -> str:
    return SHORT_MONTHS.get(name, name)


def _days(first: str, last: str | None) -> str:
    words = numerals.ordinal(int(first))
    return f"{words} to {numerals.ordinal(int(last))}" if last else words


def _month_first(match: Match[str]) -> str:
    after = f", {numerals.year(int(match[4]))}" if match[4] else ""
    return f"{_month(match[1])} {_days(match[2], match[3])}{after}"


def _day_first(match: Match[str]) -> str:
    return f"{_days(match[1], match[2])} of {_month(match[3])}"


def _date(match: Match[str], year: str, month: int, day: int) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    words = numerals.year(int(year)) if len(year) == 4 else numerals.quantity(year)
    return f"{MONTHS[month - 1]} {numerals.ordinal(day)}, {words}"


def _slashed(match: Match[str]) -> str:
    first, second = int(match[1]), int(match[2])
    month, day = (second, first) if first > 12 else (first, second)
    return _date(match, match[3], month, day)


def _iso(match: Match[str]) -> str:
    return _date(match, match[1], int(match[2]), int(match[3]))


def _time(match: Match[str]) -> str:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    words = [numerals.cardinal(hour)]
    if minute:
        words.append(f"{'oh ' if minute < 10 else ''}{numerals.cardinal(minute)}")
    if second and int(second):
        words.append(f"and {numerals.cardinal(int(second))} second{'s' * (int(second) != 1)}")
    return " ".join(words)


def _telephone(match: Match[str]) -> str:
    plus = "plus " if match[0].startswith("+") else ""
    groups = re.findall(r"\d+", match[0])
    return plus + ", ".join(numerals.digits(group) for group in groups)


def _digits(match: Match[str]) -> str:
    return numerals.digits("".join(filter(str.isdigit, match[0])))


_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_SPAN = rf"{_DAY}(?:-{_DAY})?"
_MONTH = rf"\b({any_of([*MONTHS, *SHORT_MONTHS])})\b\.?"
TELEPHONES = compiled(
    (r"(?<![\w.+-])\+\d{1,3}(?:[ .-]\(?\d{1,8}\)?){2,5}(?![\w-])", _telephone),
    (
        r"(?<![\w.,$-])(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-]|\.\d)",
        _telephone,
    ),
    (r"(?<![\w.,-])0\d{2,4} \d{3,4} ?\d{3,4}(?![\w-])", _telephone),
    (r"(?<![\w.,$-])(?=(?:-?\d){7,})\d+(?:-\d+){2,}(?![\w-]|\.\d)", _telephone),
    (r"\b1-8\d\d(?=-[A-Z])", _telephone),
    # Not 500-1000 people.
    (r"(?<![\w.,$-])(?!\d00-\d\d00)\d{3}-\d{4}(?![\w-]|[.,]\d| ?(?:%|[a-z]+s\b))", _digits),
    (r"(?<=[Cc]all |[Dd]ial |[Rr]ing )(?:\d11|999|112|000)\b(?! [a-z]+s\b)", _digits),
)
DATES = compiled(
    (r"\b(\d{4})[/-](\d\d)[/-](\d\d)\b", _iso),
    (r"(?<![\w/-])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\w/])", _slashed),
    (r"(?<![\w/-])(\d{1,2})-(\d{1,2})-(\d{4})(?![\w-])", _slashed),
    (rf"\b({any_of(WEEKDAYS)})\.(?=,| (?:{any_of(MONTHS)}|{any_of(SHORT_MONTHS)}|\d))",
     lambda match: WEEKDAYS[match[1]]),
    (rf"{_MONTH}-(?={_MONTH})", lambda match: f"{_month(match[1])} to "),
    (rf"{_MONTH} {_SPAN}\b(?:,? (\d{{4}})\b)?(?![:.,]\d|/)", _month_first),
    (rf"\b{_SPAN} (?:of )?{_MONTH}(?! \d{{1,2}}\b)", _day_first),
    (rf"\b({any_of(SHORT_MONTHS)})\.(?!\w)",
     lambda match: at_end(_month(match[1]), match)),
    (rf"\b({any_of(SHORT_MONTHS)})(?=,? '?\d)", lambda match: _month(match[1])),
    (rf"(?<=st|nd|rd|th)-(?=(?:{any_of(MONTHS)})\b)", " to "),
    (r"(?<=\d)-(?=\d{1,2}:\d\d)|(?<= m)-(?=\d)", " to "),
    (r"\b([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\b", _time),
    (r"(?<!\d)'(?=\d\d\b(?!'))|(?<!\w)'(?=\d0'?s\b)", ""),  # '64, '90s
    (r"(?<=\d):(?=\d)", " to "),
)  # fmt: skip
