"""A user's pronunciations: a file with a line `word PHONEME PHONEME ...` for each word."""

from __future__ import annotations

import re
from pathlib import Path

from wg.errors import InputError, nearest
from wg.text.symbols import PHONEMES


def read_lexicon(path: Path) -> dict[str, tuple[str, ...]]:
    """Phonemes of each word in lower case; `#` begins a comment.

    InputError, with the line's number, for a line that is malformed, an unknown phoneme, or a
    word that stands there twice.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"lexicon {path}: {error.strerror}; check its path") from None
    except UnicodeDecodeError:
        remedy = "convert it (iconv -f ENCODING -t UTF-8)"
        raise InputError(f"lexicon {path}: not UTF-8; {remedy}") from None
    lexicon: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        columns = line.split("#")[0].split()
        if not columns:
            continue
        where, (word, *phonemes) = f"lexicon {path}, line {number}", columns
        if not phonemes or not re.fullmatch(r"[A-Za-z']*[A-Za-z][A-Za-z']*", word):
            raise InputError(f"{where}: {line[:60]!r} is not `word PHONEME ...`; correct it")
        if word.lower() in lexicon:
            raise InputError(f"{where}: {word!r} stands there before; remove one")
        lexicon[word.lower()] = tuple(phoneme(name, where) for name in phonemes)
    return lexicon


def phoneme(name: str, where: str) -> str:
    """The phoneme as the symbol table writes it; InputError for one it does not have."""
    if name.upper() not in PHONEMES:
        stress = "; vowels end in their stress, 0, 1 or 2" if f"{name.upper()}0" in PHONEMES else ""
        raise InputError(f"{where}: unknown phoneme {name!r}{stress}; {nearest(name, PHONEMES)}")
    return name.upper()
