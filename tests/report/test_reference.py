"""The generated tables of docs/ are what the code gives."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from wg.config import SECTIONS
from wg.fields import meaning, setting
from wg.models import REGISTRY, config_class
from wg.report.reference import PAGES, current, section_table

DOCS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True)
class Sample:
    """A section to read back."""

    first: int = setting(3, "of all", least=1, most=9)
    second: Literal["a", "b"] = setting("a", "which")
    third: tuple[float, ...] | None = setting(None, "null: a|b, []", above=0)
    fourth: bool = setting(False, "last")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_table_that_the_code_gives(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    assert current(page, text) == text, "run `python -m wg.report.reference docs`"


def test_a_table_shows_defaults_as_yaml_and_types_in_words() -> None:
    rows = section_table("sample", Sample).splitlines()[2:]
    assert rows == [
        "| `sample.first` | `3` | whole number, at least 1, at most 9 | of all |",
        "| `sample.second` | `a` | `a`, `b` | which |",
        "| `sample.third` | `null` | list of numbers, more than 0 | null: a\\|b, [] |",
        "| `sample.fourth` | `false` | true, false | last |",
    ]


# Numbers of any finite size, or whose bounds depend on other keys and are checked with these.
FREE = {"fmax", "offset", "clip_min", "clip_max", "zero", "mean", "start", "end", "betas"}
FREE |= {"snr_from", "snr_to", "symbols_version"}


def test_every_key_says_what_it_means_and_every_number_has_bounds() -> None:
    for schema in (*SECTIONS.values(), *(config_class(name) for name in REGISTRY)):
        for field in dataclasses.fields(schema):
            said = meaning(field)
            assert said.text, field
            numeric = re.search(r"\b(int|float)\b", str(field.type)) is not None
            assert not numeric or said.bounds or field.name in FREE, f"{schema}: {field.name}"
