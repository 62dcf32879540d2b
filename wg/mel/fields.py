"""Values of a dataclass's fields, checked against their annotations."""

from __future__ import annotations

import math
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from wg.errors import InputError, nearest


def checked(key: str, value: Any, hint: Any) -> Any:
    """`value` as the annotation's own type: int for any integer, float for any finite number.

    Knows bool, int, float, str literals, tuples of float, and each of these or None.
    InputError names `key` and says what it takes.
    """
    options = get_args(hint)
    if get_origin(hint) is Literal:
        return _choice(key, value, options)
    if NoneType in options:
        if value is None:
            return None
        hint = next(option for option in options if option is not NoneType)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{key} is {value!r}; give a list of numbers")
        return tuple(checked(f"{key}[{i}]", item, float) for i, item in enumerate(value))
    return _scalar(key, value, hint)


def _choice(key: str, value: Any, options: tuple[Any, ...]) -> Any:
    if not any(value == option and type(value) is type(option) for option in options):
        words = all(isinstance(option, str) for option in options)
        listed = ", ".join(map(repr, options))
        hint = nearest(str(value), options) if words else f"choose from: {listed}"
        raise InputError(f"{key} is {value!r}; {hint}")
    return value


def _scalar(key: str, value: Any, kind: type) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{key} is {value!r}; give true or false")
        return value
    if kind is int:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise InputError(f"{key} is {value!r}; give an integer")
        return int(value)
    assert kind is float, kind
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{key} is {value!r}; give a finite number")
    return float(value)
