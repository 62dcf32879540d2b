"""Command-line options whose mistakes are one line, as every mistake of a user is."""

from __future__ import annotations

import argparse
from typing import NoReturn

from wg.errors import InputError

FORCE = "replace files that wg did not write"


class Options(argparse.ArgumentParser):
    """An ArgumentParser that raises InputError instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """InputError with argparse's message."""
        raise InputError(f"{message}; --help lists the options")
