"""English as it is written to English as it is spoken: words and punctuation marks only.

In this order: characters, names, dates and telephones, amounts, Roman numerals, what is left.
"""

from __future__ import annotations

import re
from re import Match

from wg.text import numerals
from wg.text.amounts import speak_amounts
from wg.text.characters import plain
from wg.text.dates import DATES, TELEPHONES
from wg.text.measures import LENGTHS, SIGNS, UNITS
from wg.text.names import NAMES, ROMAN, spelt
from wg.text.quantities import power
from wg.text.rules import any_of, apply, compiled


def normalise(text: str) -> str:
    """Spoken words and the marks , . ! ? ; : - ( ) and ".

    InputError as `wg.text.characters.plain`.
    """
    text = apply(
        _QUOTES + NAMES + DATES + TELEPHONES + _SHAPES, _primes(plain(text).replace("''", '"'))
    )
    text = apply(ROMAN + _LEFT, speak_amounts(text))
    return re.sub(r"\s+", " ", text).strip()


def _primes(text: str) -> str:
    """Quotation marks after numbers as primes, feet and inches, where they close no quotation."""
    opened, marks = {"'": False, '"': False}, []
    for place, mark in enumerate(text):
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if mark in opened and before.isdigit() and not opened[mark] and not after.isalnum():
            mark = "′" if mark == "'" else "″"
        elif mark == '"' or (mark == "'" and not (before.isalnum() and after.isalnum())):
            elided = re.match(r"'\d\d(?:s\b|\b(?!'))", text[place:])  # '90s opens nothing
            opened[mark] = not opened[mark] and not elided
        marks.append(mark)
    return "".join(marks)


def _power(match: Match[str]) -> str:
    return f" {power(match[1])} "


def _area(match: Match[str]) -> str:
    return f"{'square' if match[2] == '2' else 'cubic'} {UNITS[match[1]][0]}"


def _code(match: Match[str]) -> str:
    parts = re.findall(r"[A-Z]+|\d+", match[0])
    words = " ".join(spelt(part) if part.isalpha() else numerals.digits(part) for part in parts)
    return numerals.plural(words) if match[1] else words


_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
# Marks of quotation that stand for feet and inches, or for minutes and seconds of an angle.
_QUOTES = compiled(
    (r"(?<=\d)['′] ?-?(\d+(?: \d+/\d+|\.\d+)?)(?:[\"″]|''|(?![\w.'-]))", r"′ \1″"),
    (r"(?<=\d)''", "″"),
    (r"(?<!\d)[′″]", lambda match: "'" if match[0] == "′" else '"'),
    (r"(\d+)° ?(\d+)′ ?(\d+(?:\.\d+)?)″ ?", r"\1 degrees \2 minutes \3 seconds "),
    (r"(\d+)° ?(\d+)′ ?", r"\1 degrees \2 minutes "),
    (r"(?<=(?:minutes|seconds) )([NSEW])\b",
     lambda match: {"N": "north", "S": "south", "E": "east", "W": "west"}[match[1]]),
)  # fmt: skip
_SHAPES = compiled(
    (r"\+/[-−]|\+-(?=\d)", "±"),
    (r"(?<=\d)( ?)[eE]([-+]?\d+)\b", r" × 10^\2"),
    (r"(?<=\d) ?x ?(?=10\^)", " × "),
    (r"(?<=\d)(?: x |x)(?=\d[\d.]*(?! x [a-z]))", " by "),
    (r"° (?=[CFNSEW]\b)", "°"),
    (r"(?<=\d)((?: (?:ft|feet|foot)\.?|′) \d+) in\b(?!\.)", r"\1″"),
    # 100 000; a group with a leading nought is no number of its own.
    (
        r"(?<![\d.,-])\d{1,3}(?: \d{3})*(?: 0\d\d)(?: \d{3})*(?!\d)",
        lambda match: match[0].replace(" ", ""),
    ),
    (r"(£\d+),? (\d+)s\b\.?", r"\1 \2 shillings"),
    (r"(?<=shillings) (\d+)d\b\.?", r" \1 pence"),
    (r"\b([A-G])#", r"\1 sharp"),
    (r"#(?=[A-Za-z])", " hashtag "),
)
_LEFT = compiled(
    (r"\b(?:[A-Z]{1,3}-?\d+|\d+[A-Z])[A-Z\d]*('?s)?\b", _code),
    (rf"\b({any_of(LENGTHS)})\^([23])\b", _area),
    (r"(?<![A-Za-z]{2})\^([-+]?\d+)", _power),
    (r"\^", " "),  # of a footnote
    (r"(?<=[A-Za-z\d])-(?=[A-Za-z\d])", " "),
    (rf"(?<![\w-])-(?={_NUMBER})", "minus "),
    (r"~(?= ?\d)", "about "),
    (_NUMBER, lambda match: f" {numerals.number(match[0])} "),
    (rf"[{re.escape(''.join(SIGNS))}]", lambda match: f" {SIGNS[match[0]]} "),
    (r"(?<=[a-z])\.(?=[a-z])", " dot "),
    # Marks
    (r"-+", " - "),
    (r"""[^A-Za-z',.!?;:()" -]""", " "),
    (r" +(?=[,.!?;:])", ""),
)
