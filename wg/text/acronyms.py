"""Words in capitals: which are spelt out, and which are words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wg.text.pronounce import Pronunciation, by_letters, ending_s, known

# Of these the dictionary has a word, or a wrong spelling.
_SPELT = frozenset(
    "AI AR CA COO DEA EDI EEG EFT ER EV GAO GDP GPS IDE ILO IRA JFK MC NGO ODA POW RA RAF ROI SEO "
    "SOS UN VAT".split()
)
# The same, but English words, which they are where the text or a neighbour shouts.
_SPELT_OR_WORDS = frozenset("AD AM ED ET ID INS IT LA LED OS PA PM SAT UPS US WHO".split())
# Read as words, though they are short and no dictionary has them.
_READ = frozenset("BREXIT BRICS COVID DARPA GIF HIPAA IKEA JPEG LIDAR MERS UEFA".split())
_INITIALS = 5  # letters of an unknown word in capitals that is spelt out


def listed(tokens: Sequence[str], place: int, shouted: bool) -> bool:
    """Whether a token is an acronym that is always spelt, or is where not all is in capitals."""
    stem = _stem(tokens[place])
    beside = [*tokens[max(place - 1, 0) : place], *tokens[place + 1 : place + 2]]
    word = stem in _SPELT_OR_WORDS and (shouted or any(map(_is_word_in_capitals, beside)))
    return stem in _SPELT | _SPELT_OR_WORDS and not word


def initials(token: str) -> bool:
    """Whether a word that no dictionary has is spelt out: FPCC, GPUs."""
    stem = _stem(token)
    return stem.isalpha() and stem.isupper() and len(stem) <= _INITIALS and stem not in _READ


def spell(token: str) -> Pronunciation:
    """Phonemes of the letters, and of an 's or s after them."""
    stem = _stem(token)
    letters = by_letters(stem.lower())
    return letters if stem == token else letters + ending_s(letters[-1])


def _stem(token: str) -> str:
    return re.sub(r"(?<=[A-Z])'?s$", "", token)


def _is_word_in_capitals(token: str) -> bool:
    if len(token) < 2 or not token.isupper() or token in _SPELT | _SPELT_OR_WORDS:
        return False
    found = known(token.lower(), {})
    return found is not None and _sounds(found) != _sounds(by_letters(token.lower()))


def _sounds(phonemes: Pronunciation) -> list[str]:
    """Without stresses, of which the dictionary has others in FBI."""
    return [name.rstrip("012") for name in phonemes]
