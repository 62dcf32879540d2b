"""Command-line options whose mistakes are one line, as every mistake of a user is."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from wg.errors import InputError

FORCE = "replace files that wg did not write"


class Options(argparse.ArgumentParser):
    """An ArgumentParser that raises InputError instead of printing its usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401
        """Refuses what no file, number or word has in it."""
        for argument in args or ():
            if "\0" in argument:
                raise InputError(f"{argument[:60]!r}: holds a NUL character; leave it out")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """InputError with argparse's message, so that it ends as every mistake of a user does."""
        raise InputError(f"{message}; --help lists the options")
