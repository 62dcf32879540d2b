"""Functions that a user names as `module:function`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from wg.errors import InputError, nearest


def function_named(reference: str, where: str) -> Callable[..., Any]:
    """The function of that name; InputError, naming `where` it was asked for, if there is none."""
    module, _, name = reference.partition(":")
    try:
        names = vars(importlib.import_module(module))
    except Exception as error:  # whatever somebody else's module does when it is imported
        raise InputError(
            f"{where} {reference!r}: cannot import {module!r} ({error}); write "
            "MODULE:FACTORY, and put the module's folder into PYTHONPATH"
        ) from None
    if name not in names:
        functions = [key for key, value in names.items() if callable(value)]
        raise InputError(
            f"{where} {reference!r}: {module} has no such function; {nearest(name, functions)}"
        )
    return names[name]
