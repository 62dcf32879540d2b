"""JSON of any content is a value or one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from wg.errors import InputError
from wg.reading import read_json, read_object


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b"[Infinity]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b"\x00",
        b"[1] 2",
    ],
)
def test_what_is_no_json_is_one_line_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}: .*; get another") as caught:
        read_json(path, "get another")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_another_kind_than_an_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[1, 2]")
    assert read_json(path, "") == [1, 2]
    with pytest.raises(InputError, match="holds a list, not an object"):
        read_object(path, "get another")
    with pytest.raises(InputError, match="No such file"):
        read_json(tmp_path / "none.json", "get it")
