"""The symbols that models read: phonemes of ARPAbet with stress, pauses, punctuation.

A sequence is `sil`, the words' phonemes with one boundary symbol after each word, `eos`. The
boundary is the punctuation mark that stands there, or `wb`. Boundary symbols may last no time;
phonemes always last at least one frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wg.errors import InputError, nearest

VERSION = 1  # of what the names mean; models store it beside the names. Ids are never compared.

PAD = "pad"
SILENCE = "sil"  # before the first word
WORD_BOUNDARY = "wb"
END = "eos"
MARKS = (",", ".", "!", "?", ";", ":", "-", "(", ")", '"')
VOWELS = tuple("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
CONSONANTS = tuple("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())
PHONEMES = (*(f"{vowel}{stress}" for vowel in VOWELS for stress in "012"), *CONSONANTS)
BOUNDARIES = (SILENCE, WORD_BOUNDARY, END, *MARKS)
SYMBOLS: tuple[str, ...] = (PAD, *BOUNDARIES, *PHONEMES)


def to_ids(names: Iterable[str], table: Sequence[str] = SYMBOLS) -> list[int]:
    """Ids of symbols in the table that a model stores; InputError for one it does not have."""
    places = {name: place for place, name in enumerate(table)}
    ids = []
    for name in names:
        if name not in places:
            raise InputError(f"symbol {name!r} is unknown; {nearest(name, table)}")
        ids.append(places[name])
    return ids
