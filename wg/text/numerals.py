"""Numbers as American English speaks them."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

_LONGEST = 15  # digits that are read as one number
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_CANONICAL = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")


@cache
def _inflect() -> Any:
    import inflect

    return inflect.engine()


@lru_cache(maxsize=10_000)
def cardinal(number: int) -> str:
    """1312: one thousand three hundred twelve."""
    return _inflect().number_to_words(number, andword="").replace(",", "").replace("-", " ")


def ordinal(number: int) -> str:
    """The ordinal in words; 21: twenty first."""
    return nth(cardinal(number))


@lru_cache(maxsize=10_000)
def nth(words: str) -> str:
    """The ordinal of a number in words: twenty one, twenty first."""
    return _inflect().ordinal(words)


def year(number: int) -> str:
    """1906: nineteen oh six; 1900: nineteen hundred; 2005: two thousand five."""
    century, rest = divmod(number, 100)
    if not rest:
        return cardinal(number) if century % 10 == 0 else f"{cardinal(century)} hundred"
    if rest < 10:
        return cardinal(number) if century % 10 == 0 else f"{cardinal(century)} oh {cardinal(rest)}"
    return f"{cardinal(century)} {cardinal(rest)}"


def plural(words: str) -> str:
    """Several of a number in words: nineteen sixties, twos."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def digits(text: str) -> str:
    """30016: three zero zero one six."""
    return " ".join(cardinal(int(digit)) for digit in text)


def quantity(text: str) -> str:
    """What is counted: 1,000, 8.25, .38, 007; anything very long digit by digit."""
    whole, point, fraction = text.replace(",", "").partition(".")
    if len(whole) > _LONGEST or (len(whole) > 1 and whole.startswith("0")):
        words = digits(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(fraction)}".strip() if point else words


def number(text: str) -> str:
    """A number that nothing explains: 1100 to 2099 are years."""
    return year(int(text)) if re.fullmatch(r"1[1-9]\d\d|20\d\d", text) else quantity(text)


def fraction(top: int, bottom: int) -> str:
    """top / bottom in words; 3, 4: three quarters."""
    names = {2: "half", 4: "quarter"}
    name = names[bottom] if bottom in names else ordinal(bottom)
    several = "halves" if name == "half" else f"{name}s"
    return f"{cardinal(top)} {name if top == 1 else several}"


def roman(text: str) -> int:
    """XIV: 14; 0 where it is no Roman numeral in its usual form."""
    if not text or not _CANONICAL.fullmatch(text):
        return 0
    values = [_ROMAN[letter] for letter in text]
    return sum(
        -value if value < after else value
        for value, after in zip(values, [*values[1:], 0], strict=True)
    )
