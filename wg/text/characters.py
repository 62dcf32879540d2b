"""The characters of a text, reduced to those that English is written with."""

from __future__ import annotations

import re
import unicodedata
from re import Match

from wg.errors import InputError

_SAME = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"}
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "ı": "i"}
    | dict.fromkeys("‘’‛`´", "'")
    | dict.fromkeys("“”„«»", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\ufe63\uff0d", "-")
    | dict.fromkeys("\u2014\u2015\u2e3a\u2e3b", " - ")  # em dashes
    | dict.fromkeys("˚º", "°")
    | {"[": "(", "]": ")", "…": "...", "⁄": "/", "№": "No. ", "™": " ", "℠": " "}
    | {"㎡": "m²", "㎢": "km²", "㎠": "cm²", "㎥": "m³", "㎤": "cm³"}
    | {"μ": "µ", "\u2126": "\u03a9", "≠": " is not "}
)
_SUPERSCRIPT = re.compile(r"([⁺⁻]?)([⁰¹²³⁴-⁹]+)")
_VULGAR_FRACTION = re.compile(r"(?<=\d)(?=[½⅓⅔¼¾⅕-⅞])")
_NUMERO = re.compile(r"\b[Nn]º ?(?=\d)")
_GREEK_UNIT = re.compile(r"(?<=\d)( ?)(?:µ(?=[A-Za-z])|[kM]?\u03a9)")


def plain(text: str) -> str:
    """Latin letters without accents, ASCII digits and quotes, single spaces.

    A superscript is marked, 10^6; a dash that is a pause has spaces around it; primes, the minus
    sign and the Greek letters of units stay. Emoji and other pictures go. InputError for control
    characters (what a broken file has) and for letters of other scripts.
    """
    for character in text:
        if unicodedata.category(character) == "Cc" and not character.isspace():
            raise InputError(
                f"text {text[:40]!r} has the control character {character!r}; is it really text?"
            )
    # Before NFKD, which makes 10⁶ and 2½ other numbers.
    marked = _NUMERO.sub("No. ", _VULGAR_FRACTION.sub(" ", text)).translate(_SAME)
    folded = unicodedata.normalize("NFKD", _SUPERSCRIPT.sub(_marked, marked)).translate(_SAME)
    kept = "".join(_ascii(character) for character in folded.replace("′′", "″"))
    foreign = "".join(c for c in _GREEK_UNIT.sub("", kept) if c.isalpha() and not c.isascii())
    if foreign:
        raise InputError(
            f"text {text[:40]!r} has letters that English has not: {foreign[:20]!r}; write such "
            "words in Latin letters, or their phonemes in braces: {HH AH0 L OW1}"
        )
    return re.sub(r"\s+", " ", kept).strip()


def _marked(match: Match[str]) -> str:
    sign = match[1].translate(str.maketrans("⁺⁻", "+-"))
    return f"^{sign}{unicodedata.normalize('NFKD', match[2])}"


def _ascii(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    # Accents, now apart from their letters; soft hyphens, joiners and marks of direction.
    if category[0] == "M" or (category == "Cf" and character != "\u200b"):
        return ""
    return (
        " " if category in ("So", "Sk", "Cf", "Cn", "Co") and character not in "°^" else character
    )
