"""Reading what others wrote: of any content a value, or one clear error."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from wg.errors import InputError


def parse_json(text: str, where: str, remedy: str) -> Any:
    """The value of a JSON text; InputError naming `where` for none, for NaN and for deep nests."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: not JSON ({reason}); {remedy}") from None


def read_json(path: Path, remedy: str) -> Any:
    """The value of a JSON file; InputError for one that cannot be read."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {remedy}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; {remedy}") from None
    return parse_json(text, str(path), remedy)


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """As `read_json`, of a file that holds an object."""
    content = read_json(path, remedy)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, not an object; {remedy}")
    return content


def torn(path: Path) -> str | None:
    """What is wrong with a checkpoint's bytes, by the checksum of each of its parts; or None."""
    try:
        if not path.stat().st_size:
            return "an empty file"
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return None if bad is None else f"damaged in {bad}"
    except OSError as error:
        return str(error.strerror)
    except Exception:  # a damaged archive raises almost anything
        return "truncated or damaged"
