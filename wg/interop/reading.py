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

# YAML 1.1, which PyYAML reads, takes 1e-4 for text.
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
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
    """A project's own config: JSON or YAML; None: {}.

    Of a YAML file with tags, which would build objects (SpeechBrain's), the plain `key: value`
    lines.
    """
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
        content = from_yaml(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--config {path}: not readable ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: holds a {type(content).__name__}, not an object")
    return content


def from_yaml(text: str) -> Any:
    """Plain values of YAML; its own lines alone where it has tags. ValueError for neither."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Knows plain values and nothing else."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.constructor.ConstructorError:
        lines = [match for line in text.splitlines() if (match := SCALAR.fullmatch(line))]
        return {match[1]: plain(match[2]) for match in lines}
    except yaml.YAMLError as error:
        raise ValueError(error) from None


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
