"""Text to symbols: words with their phonemes and the boundary after each."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from wg.errors import InputError
from wg.text.acronyms import initials, listed, spell
from wg.text.lexicon import phoneme
from wg.text.normalise import normalise
from wg.text.pronounce import Lexicon, homograph, is_homograph, known, predict
from wg.text.symbols import END, MARKS, SILENCE, WORD_BOUNDARY
from wg.text.tagger import tag

_BRACES = re.compile(r"\{([^{}]*)\}")
_TOKEN = re.compile(rf"'?[A-Za-z][A-Za-z']*|[{re.escape(''.join(MARKS))}]")
_LOUDEST = '.!?;:,-()"'  # of several marks between two words the first of these counts


@dataclass(frozen=True)
class Word:
    """A word as it is pronounced, and what stands after it."""

    text: str  # in lower case
    phonemes: tuple[str, ...]
    boundary: str = WORD_BOUNDARY  # after it: a mark or WORD_BOUNDARY
    predicted: bool = False  # by the network or letter by letter: no dictionary has it


def text_to_symbols(text: str, lexicon: Lexicon | None = None) -> list[str]:
    """Symbols of an English text: `sil`, phonemes with a boundary after each word, `eos`.

    Phonemes may be written in braces, {HH AH0 L OW1}; `lexicon` (word in lower case -> phonemes)
    goes before the dictionary. InputError for a text without a word, letters of other scripts,
    control characters, or wrong braces.
    """
    return symbols_of(words_of(text, lexicon or {}))


def symbols_of(words: list[Word]) -> list[str]:
    """Symbols of words; after the last, a mark only."""
    symbols = [SILENCE]
    for word in words:
        symbols += [*word.phonemes, word.boundary]
    if symbols[-1] == WORD_BOUNDARY:
        symbols.pop()
    return [*symbols, END]


def words_of(text: str, lexicon: Lexicon) -> list[Word]:
    """The words of a text; errors as `text_to_symbols`."""
    words: list[Word] = []
    for number, part in enumerate(_BRACES.split(text)):
        if number % 2:
            where = f"text {text[:40]!r}"
            phonemes = tuple(phoneme(name, where) for name in part.split())
            if not phonemes:
                raise InputError(f"{where}: empty braces; write phonemes in them: {{HH AH0 L OW1}}")
            words.append(Word(f"{{{part}}}", phonemes))
        elif "{" in part or "}" in part:
            raise InputError(f"text {text[:40]!r}: a brace without its other; write {{HH AH0}}")
        else:
            _append(words, normalise(part), lexicon, shouted=text.isupper())
    if not words:
        raise InputError(f"text {text[:40]!r} has no word to speak; write at least one")
    return words


def _append(words: list[Word], spoken: str, lexicon: Lexicon, shouted: bool) -> None:
    """Adds the words of a normalised text; a mark at its beginning belongs to the word before.

    `shouted`: it was written in capitals only.
    """
    tokens = _TOKEN.findall(spoken)
    spellings = [token.lower() for token in tokens]
    asked = any(is_homograph(word) for word in spellings if word not in lexicon)
    tags = tag(tokens) if asked else [""] * len(tokens)
    for place, (token, part) in enumerate(zip(tokens, tags, strict=True)):
        if token not in MARKS:
            following = "".join(spellings[place + 1 : place + 2])
            in_place = homograph(spellings[place], part, following)
            if listed(tokens, place, shouted):
                in_place = spell(token)
            words.append(_word(token, lexicon, in_place))
        elif words:
            words[-1] = replace(words[-1], boundary=_louder(words[-1].boundary, token))


def _word(token: str, lexicon: Lexicon, in_place: tuple[str, ...] | None) -> Word:
    word = token.lower()
    found = in_place if word not in lexicon and in_place else known(word, lexicon)
    if found:
        return Word(word, found)
    if initials(token):
        return Word(word, spell(token), predicted=True)
    return Word(word, predict(word), predicted=True)


def _louder(one: str, other: str) -> str:
    """The mark that counts of two at one place."""
    return other if one == WORD_BOUNDARY else min(one, other, key=_LOUDEST.index)
