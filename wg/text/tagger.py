"""Parts of speech by NLTK's tagger, where its data is found."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from functools import cache

log = logging.getLogger(__name__)

_DATA = "averaged_perceptron_tagger_eng"


def tag(words: Sequence[str]) -> list[str]:
    """Penn Treebank tags; "" for each word where the tagger's data is missing."""
    if not available():
        return [""] * len(words)
    import nltk

    return [tag for _, tag in nltk.pos_tag(list(words))]


@cache
def available() -> bool:
    """Whether the data is in NLTK_DATA or the user's cache; says once what its absence changes."""
    if _found():
        return True
    log.warning(
        "NLTK's %s is missing: words such as read, lead or live are always pronounced the "
        "dictionary's first way; run `python -m nltk.downloader %s`, or set NLTK_DATA",
        *(_DATA, _DATA),
    )
    return False


def fetch() -> None:
    """Tries to download the data where it is missing; `available` says if that was in vain."""
    if not _found():
        import nltk

        # NLTK tells its errors even if it is to be quiet, and raises those of the disk.
        with contextlib.suppress(OSError, ValueError):
            nltk.download(_DATA, quiet=True, print_error_to=io.StringIO())


def _found() -> bool:
    import nltk

    try:
        nltk.data.find(f"taggers/{_DATA}/")
    except LookupError:
        return False
    return True
