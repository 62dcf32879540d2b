"""Checkpoints and configs of other projects, read without running anything that is in them."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wg.errors import InputError

SCALAR = re.compile(r"(\w+)\s*:\s*([^\s#!\[{'\"&*][^#]*?)\s*(#.*)?")


def read_checkpoint(path: Path, trust: bool = False) -> Any:
    """What torch.save, or safetensors, put into a file.

    InputError for a file that is none, one that would unpack to more than its size, and, unless
    `trust`, for one whose pickle needs more than tensors and plain values.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|global|class) ['\"]?([\w.]+)", str(error))
        what = f"needs {wanted[1]}" if wanted else f"is damaged ({str(error).splitlines()[0]})"
        raise InputError(
            f"{path}: this pickle {what}, more than tensors and plain values; it can run any code: "
            "give --trust only if you trust where the file came from"
        ) from None
    except Exception as error:  # a damaged pickle raises almost anything
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: not a readable checkpoint ({reason})") from None
    return content


def check_archive(path: Path) -> None:
    """InputError for a zip that grows when it is unpacked: torch.save compresses nothing."""
    if not zipfile.is_zipfile(path):
        return
    try:
        entries = zipfile.ZipFile(path).infolist()
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: not a readable checkpoint ({error})") from None
    total = sum(entry.file_size for entry in entries)
    if total > path.stat().st_size or any(entry.compress_type for entry in entries):
        raise InputError(
            f"{path}: unpacks to {total:,} bytes from {path.stat().st_size:,}; no checkpoint of "
            "torch.save does, so it is not opened"
        )


def state_of(path: Path, content: Any, keys: tuple[str, ...]) -> dict[str, Tensor]:
    """The state dict: at the first of `keys` that there is, or the content itself.

    A prefix `module.` that all names share (DataParallel) is dropped. InputError for anything
    else than named tensors, each no larger than the file.
    """
    found = content
    for key in keys:
        if isinstance(content, Mapping) and key in content:
            found = content[key]
            break
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{path}: holds no weights; looked for {' or '.join(keys)}")
    size = path.stat().st_size
    for name, value in found.items():
        if not isinstance(value, Tensor):
            shown = ", ".join(map(str, list(found)[:6]))
            raise InputError(f"{path}: {name!r} is no tensor, so no state dict (it has {shown})")
        if value.numel() * value.element_size() > size:
            raise InputError(f"{path}: {name!r} of shape {list(value.shape)} is not in the file")
    if all(str(name).startswith("module.") for name in found):
        found = {str(name)[len("module.") :]: value for name, value in found.items()}
    return {str(name): value.float() for name, value in found.items()}


def read_config(path: Path | None) -> dict[str, Any]:
    """A project's own config: JSON, or the plain `key: value` lines of a YAML file; None: {}."""
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
        if path.suffix not in (".yaml", ".yml"):
            content = json.loads(text)
        else:  # SpeechBrain's YAML has tags that would build objects: only scalars are read
            content = {
                match[1]: plain(match[2])
                for line in text.splitlines()
                if (match := SCALAR.fullmatch(line))
            }
    except (OSError, ValueError) as error:
        raise InputError(f"--config {path}: not readable ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: holds a {type(content).__name__}, not an object")
    return content


def plain(text: str) -> Any:
    """A YAML scalar: number, truth value or text."""
    words = {"true": True, "false": False, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
