"""The characters of a text, reduced to those that English is written with."""

from __future__ import annotations

import re
import unicodedata

from wg.errors import InputError

_SAME = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"}
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "ı": "i"}
    | dict.fromkeys("‘’‛′`´", "'")
    | dict.fromkeys("“”„«»″", '"')
    | dict.fromkeys("–—―−", "-")
    | {"[": "(", "]": ")", "…": "...", "⁄": "/"}
)
_VULGAR_FRACTION = re.compile(r"(?<=\d)(?=[½⅓⅔¼¾⅛⅜⅝⅞])")


def plain(text: str) -> str:
    """Latin letters without accents, ASCII digits and quotes, single spaces.

    Emoji and other pictures go. InputError for control characters (what a broken file has) and
    for letters of other scripts.
    """
    for character in text:
        if unicodedata.category(character) == "Cc" and not character.isspace():
            raise InputError(
                f"text {text[:40]!r} has the control character {character!r}; is it really text?"
            )
    text = unicodedata.normalize("NFKD", _VULGAR_FRACTION.sub(" ", text).translate(_SAME))
    kept = "".join(_ascii(character) for character in text.translate(_SAME))
    foreign = "".join(c for c in kept if c.isalpha() and not c.isascii())
    if foreign:
        raise InputError(
            f"text {text[:40]!r} has letters that English has not: {foreign[:20]!r}; write such "
            "words in Latin letters, or their phonemes in braces: {HH AH0 L OW1}"
        )
    return re.sub(r"\s+", " ", kept).strip()


def _ascii(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category[0] == "M":  # accents, now apart from their letters
        return ""
    return " " if category in ("So", "Sk", "Cf", "Cn", "Co") and character != "°" else character
