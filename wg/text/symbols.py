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
PAUSE = "sp"  # in place of any mark, in models whose boundaries are "pauses"
UNSPOKEN = (SILENCE, WORD_BOUNDARY, END)


def with_pauses(names: Sequence[str]) -> list[str]:
    """Symbols as an aligner of phones writes them: `sp` for a mark, no other boundary.

    As WaveGrad 2's ports are trained: silence at the ends is cut away, words follow each other.
    """
    spoken = [PAUSE if name in MARKS else name for name in names if name not in UNSPOKEN]
    while spoken and spoken[-1] == PAUSE:
        spoken.pop()
    return spoken


def to_ids(names: Iterable[str], table: Sequence[str] = SYMBOLS) -> list[int]:
    """Ids of symbols in the table that a model stores; InputError for one it does not have."""
    places = {name: place for place, name in enumerate(table)}
    ids = []
    for name in names:
        if name not in places:
            raise InputError(f"symbol {name!r} is unknown; {nearest(name, table)}")
        ids.append(places[name])
    return ids
