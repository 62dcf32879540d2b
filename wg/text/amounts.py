"""A number with all that belongs to it, read as one: -$5.2M, 22nd-25th, 5 m², 1,000th, 10⁶.

range  = amount ("-" amount)*
amount = [sign] [currency] number [^power] [magnitude] [th | s | unit | currency] [/ unit]
number = 1,000.5 | 2 1/2 | 3/4
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from re import Match

from wg.text.measures import (
    COUNTED_MAGNITUDES,
    CURRENCIES,
    LENGTHS,
    MAGNITUDES,
    MONEY_MAGNITUDES,
    NUMBER_SIGNS,
    SCALES,
    UNITS,
)
from wg.text.quantities import Amount, names_of, power, spoken
from wg.text.rules import any_of

_CODES = any_of(name for name in CURRENCIES if name.strip(".").isalpha())
_SYMBOLS = any_of(name for name in CURRENCIES if not name.strip(".").isalpha())
_CURRENCY = rf"(?:{_SYMBOLS}|(?:{_CODES})(?![A-Za-z])|[\u20a0-\u20cf])"
_SIGN = any_of(NUMBER_SIGNS)
_FREE = MAGNITUDES | COUNTED_MAGNITUDES | MONEY_MAGNITUDES
_COUNTED = any_of(COUNTED_MAGNITUDES)
_UNIT = (
    # `s`, `in`, `x`, `p` and `c` are words or endings as well.
    rf"(?:{any_of(UNITS.keys() - {'s', 'in', 'x', 'p', 'c'})}"
    r"|(?<=\ )s(?!')|in(?=\.)|(?<=\d)in|(?<=-)in(?!-)|(?<=\d)x|(?<=\d)(?<!\d\d\d)[pc])"
)
_LENGTH = rf"(?:{any_of(LENGTHS)})"
_AMOUNT = re.compile(
    rf"""
    (?:(?P<sign>{_SIGN})\ ?(?<!-\ ))?
    (?:(?P<money>{_CURRENCY})\ ?(?P<inner>[-−+])?)?
    (?: (?:(?P<whole>\d+)[ -])? (?P<top>\d+)/(?P<bottom>\d+) (?![\d/]|\.\d) (?:(?:th|rd|nd)s?\b)?
      | (?P<digits>(?:\d{{1,3}}(?:,\d{{2,3}})*,\d{{3}}(?!\d)|\d+)(?:\.\d+)*|\.\d+) (?!\d|\.\d)
    )
    (?:\^(?P<power>[-−+]?\d+))?
    (?: (?P<link>[ -])(?P<scale>{any_of(SCALES)})\b
      | (?P<short>{any_of(MAGNITUDES)}
          |(?:(?<=\.\d)|(?<=\.\d\d))(?:{_COUNTED})
          |(?:{_COUNTED})(?=\ (?:of|people|[a-z]{{3,}}s)\b)
          |(?:{any_of(_FREE)})(?=\ ?{_CURRENCY})
          |(?(money)(?:{any_of(_FREE)}|\ (?:{any_of(_FREE.keys() - {"t", "T"})}))|(?!))
        ) (?![A-Za-z\d])
    )?
    (?: (?P<th>st|nd|rd|th|ST|ND|RD|TH)(?![A-Za-z])
      | (?P<plural>'?s)(?![A-Za-z\d])
      | (?P<gap>[ -]?) (?:(?P<shape>sq|cu)\.?\ )?
        (?: (?P<length>{_LENGTH})\^?(?P<square>[23])
          | (?P<unit>{_UNIT})(?:\^(?P<raised>[-−]?\d+))? ) (?![A-Za-z\d])
        (?:\.(?=\ [a-z\d(]|[,;:)]))?
      | \ ?(?P<after>{_CURRENCY})
    )?
    (?: /(?:(?P<per_length>{_LENGTH})\^?(?P<per_square>[23])
        |(?P<per>{any_of(unit for unit in UNITS if unit.isalpha())}|[A-Za-z]{{3,}})
         (?:\^(?P<per_raised>\d))?) (?![\w/])
    )?
    (?(money)(?!\d)|(?![A-Za-z\d^]))
    """,
    re.VERBOSE,
)
_START = re.compile(
    rf"(?<![\w)%°′″^-])(?={_SIGN})"
    rf"|(?<![A-Za-z\d^])(?<![A-Z]-)(?<!\^-)(?<!\d\.)(?=\d|(?<!\.)\.\d|{_CURRENCY})"
    rf"|(?=(?:{_SYMBOLS}))"  # also after letters: Mex$5
)
_SHAPES = {"2": "square", "3": "cubic", "sq": "square", "cu": "cubic"}


def speak_amounts(text: str) -> str:
    """The text with its amounts in words."""
    pieces, end = [], 0
    for chain, start, stop in _chains(text):
        pieces += [text[end:start], spoken(chain)]
        end = stop
    pieces.append(text[end:])
    return "".join(
        # Words are kept apart, whatever the text has between them.
        f" {piece}" if before[-1:].isalnum() and piece[:1].isalnum() else piece
        for before, piece in zip(["", *pieces], pieces, strict=False)
    )


def _chains(text: str) -> Iterator[tuple[list[Amount], int, int]]:
    """Amounts from left to right, those that hyphens join together, with their extent."""
    end = 0
    while start := _START.search(text, end):
        end = start.start() + 1
        match = _AMOUNT.match(text, start.start())
        if not match:
            continue
        chain, end = [_amount(match)], match.end()
        while text[end : end + 1] == "-" and (text[end + 1 : end + 2] != "-" or chain[0].sign):
            # Money to its end: $5-10m, where 10m alone were a length.
            match, money = _AMOUNT.match(text[end + 1 :]), ""
            if chain[0].money and match and not any(match.group("money", "after", "per")):
                money = chain[0].money
                match = _AMOUNT.match(money + text[end + 1 :])
            if not match:
                break
            chain.append(replace(_amount(match), money="") if money else _amount(match))
            end += 1 + match.end() - len(money)
        yield chain, start.start(), end


def _amount(match: Match[str]) -> Amount:
    part = match.groupdict("")
    money, after = part["money"], part["after"]
    if after and (not money or names_of(after)[0].endswith("dollar")):
        money = after  # $50 CAD
    return Amount(
        part["digits"] or f"{part['whole']} {part['top']}/{part['bottom']}".strip(),
        NUMBER_SIGNS.get(part["sign"].strip() or part["inner"], ""),
        money,
        power(part["power"]),
        part["scale"] or _FREE.get(part["short"].strip(), ""),
        "th" if part["th"] else part["plural"] and "s",
        _unit(part),
        "-" in (part["gap"], part["link"]),
    )


def _unit(part: dict[str, str]) -> tuple[str, str]:
    """One and several of a unit with its shape and what it is taken by: square meters per hour."""
    unit = part["unit"] or part["length"]
    one, several = UNITS[unit] if unit else ("", "")
    shape, raised, by = part["square"] or part["shape"], power(part["raised"]), ""
    if not shape and unit in LENGTHS and part["raised"] in _SHAPES:
        shape, raised = part["raised"], ""
    if per := part["per"] or part["per_length"]:
        square = _SHAPES.get(part["per_square"], "")
        name = UNITS[per][0] if per in UNITS else per
        by = " ".join(filter(None, ("per", square, name, power(part["per_raised"]))))
    words = (filter(None, (_SHAPES.get(shape, ""), name, raised, by)) for name in (one, several))
    singular, plural = (" ".join(each) for each in words)
    return singular, plural
