"""The generated tables of docs/ are what the code gives."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from wg.config import SECTIONS
from wg.models import REGISTRY, config_class
from wg.report.reference import MEANINGS, PAGES, comments, current, section_table

DOCS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True)
class Sample:
    """A section to read back."""

    first: int = 3  # beside it
    # above it,
    # on two lines
    second: Literal["a", "b"] = "a"
    third: tuple[float, ...] | None = None  # None: a|b, ()

    # not about a field

    fourth: bool = False  # last


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_table_that_the_code_gives(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    assert current(page, text) == text, "run `python -m wg.report.reference docs`"


def test_comments_beside_and_above_a_field_are_its_meaning() -> None:
    said = {"first": "beside it", "second": "above it, on two lines", "third": "None: a|b, ()"}
    assert comments(Sample) == {**said, "fourth": "last"}


def test_a_table_shows_defaults_as_yaml_and_types_in_words() -> None:
    rows = section_table("sample", Sample).splitlines()[2:]
    assert rows == [
        "| `sample.first` | `3` | whole number | beside it |",
        "| `sample.second` | `a` | `a`, `b` | above it, on two lines |",
        "| `sample.third` | `null` | list of numbers | null: a\\|b, [] |",
        "| `sample.fourth` | `false` | true, false | last |",
    ]


def test_no_meaning_is_kept_for_a_key_that_is_gone() -> None:
    schemas = [*SECTIONS.items(), *(("model", config_class(name)) for name in REGISTRY)]
    keys = {
        f"{name}.{field.name}" for name, schema in schemas for field in dataclasses.fields(schema)
    }
    assert MEANINGS.keys() <= keys
