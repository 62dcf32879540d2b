"""Keys of a configuration: what each means and which values it takes, on the field itself.

A dataclass of fields made by `setting` calls `check_fields` when it is made, from wherever its
values come: YAML, an override, a downloaded config.json or Python. docs/configuration.md is
generated from the same fields (`wg.report.reference`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from wg.errors import InputError, nearest

REQUIRED = dataclasses.MISSING
_META = "wg"
_LISTS = {int: "integers", float: "numbers", str: "texts"}


@dataclass(frozen=True)
class Meaning:
    """What a key is for, and the bounds of its number, or of each in its list."""

    text: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def allows(self, value: float) -> bool:
        """Whether a number is within the bounds."""
        return not (
            (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.most is not None and value > self.most)
            or (self.below is not None and value >= self.below)
        )

    @property
    def bounds(self) -> str:
        """In words: `at least 1, at most 1024`; empty where there are none."""
        words = {
            "at least": self.least,
            "more than": self.above,
            "at most": self.most,
            "less than": self.below,
        }
        return ", ".join(f"{word} {bound}" for word, bound in words.items() if bound is not None)


def setting(default: Any, text: str, **bounds: float) -> Any:
    """A field with its meaning; bounds: `least`, `above`, `most`, `below`. REQUIRED: no default."""
    return dataclasses.field(default=default, metadata={_META: Meaning(text, **bounds)})


def meaning(field: dataclasses.Field[Any]) -> Meaning:
    """The text and bounds that `setting` gave a field."""
    return field.metadata[_META]


def check_fields(section: str, config: Any) -> None:
    """InputError naming `section.key` for a value of another type, not finite, or out of bounds.

    Values become the annotation's own type: int for any integer, float for any number, tuple for
    a list.
    """
    hints = _hints(type(config))
    for field in dataclasses.fields(config):
        name = f"{section}.{field.name}"
        value = checked(name, vars(config)[field.name], hints[field.name])
        _check_bounds(name, value, meaning(field))
        object.__setattr__(config, field.name, value)


def checked(name: str, value: Any, hint: Any) -> Any:
    """`value` as an annotation has it: a number, text, true or false, choice, list, or None."""
    options = get_args(hint)
    if get_origin(hint) is Literal:
        return _choice(name, value, options)
    if NoneType in options:
        if value is None:
            return None
        return checked(name, value, next(o for o in options if o is not NoneType))
    if get_origin(hint) is tuple:
        return _list(name, value, get_args(hint))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(value, hint):
            raise InputError(f"{name} is {_short(value)}; it is a section: {name}.KEY")
        return value
    return _scalar(name, value, hint)


@lru_cache
def _hints(schema: type) -> Mapping[str, Any]:
    return get_type_hints(schema)


def _check_bounds(name: str, value: Any, meaning: Meaning) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if is_number and not meaning.allows(number):
            raise InputError(f"{name} is {_short(number)}; give {meaning.bounds}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choice(name: str, value: Any, options: tuple[Any, ...]) -> Any:
    if not any(value == option and type(value) is type(option) for option in options):
        words = all(isinstance(option, str) for option in options)
        listed = ", ".join(map(repr, options))
        hint = nearest(str(value)[:60], options) if words else f"choose from: {listed}"
        raise InputError(f"{name} is {_short(value)}; {hint}")
    return value


def _list(name: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        what = _LISTS[kinds[0]] if kinds[0] in _LISTS else "words"
        raise InputError(f"{name} is {_short(value)}; give a list of {what}")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise InputError(f"{name} has {len(value)} values; give {len(kinds)}")
    return tuple(checked(f"{name}[{i}]", item, kinds[0]) for i, item in enumerate(value))


def _scalar(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{name} is {_short(value)}; give true or false")
        return value
    if kind is str:
        if not isinstance(value, str) or "\0" in value:
            raise InputError(f"{name} is {_short(value)}; give a text")
        return value
    if kind is int:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise InputError(f"{name} is {_short(value)}; give an integer")
        return int(value)
    assert kind is float, kind
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:
        number = None
    if number is None or not math.isfinite(number):
        raise InputError(f"{name} is {_short(value)}; give a finite number")
    return number
