"""Mistakes of the user, told apart from mistakes of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Of a recipe, in order; `wg.stages.loop` has the stages themselves.
STAGE_NAMES = ("prepare", "features", "phonemes", "train", "decode", "score", "pack")


class InputError(ValueError):
    """A user's mistake; the message names the file or key, the value and the remedy.

    The command line prints it on one line and exits with status 2. Anything else that escapes
    is a defect of wg and keeps its traceback.
    """


class PartlyDone(InputError):
    """Some of many things could not be done and were named; the rest is done. Exit status 1."""


class InputWarning(UserWarning):
    """Something that a user probably did not mean; the command line prints it on one line."""


class Stopped(Exception):
    """A run that ended before it was done, on time and with all it needs to go on.

    The command line prints it on one line and exits with status 75, "try again".
    """


def nearest(name: str, choices: Iterable[str]) -> str:
    """Hint for an unknown name: the closest valid one, then all of them."""
    options = sorted(choices)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}choose from: {', '.join(options)}"


def stage_label(name: str) -> str:
    """How messages name a stage, "stage 4 (train)": its number is its place in a recipe."""
    return f"stage {STAGE_NAMES.index(name) + 1} ({name})"


def reason(error: Exception) -> str:
    """The first line of a library's exception, with its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
