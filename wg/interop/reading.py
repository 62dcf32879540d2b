"""Checkpoints and configs of other projects, read without running anything that is in them.

Numbers and arrays of numpy, which many projects store beside their weights, are plain values too.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wg.errors import InputError

# YAML 1.1, which PyYAML reads, takes 1e-4 for text.
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
SCALAR = re.compile(r"(\w+)\s*:\s*([^\s#!\[{'\"&*][^#]*?)\s*(#.*)?")
# Strings, which are kept, and what JSON with comments has besides.
COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def numpy_globals() -> list[Any]:
    """What a pickle needs for scalars and arrays of numpy: it builds values and calls nothing."""
    from numpy._core import multiarray

    made = [multiarray.scalar, multiarray._reconstruct]  # pyright: ignore
    # Under the name of numpy 1 too.
    old = [(function, f"numpy.core.multiarray.{function.__name__}") for function in made]
    kinds = [kind for kind in vars(np.dtypes).values() if isinstance(kind, type)]
    return [*made, *old, np.ndarray, np.dtype, *kinds]


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
        with torch.serialization.safe_globals(numpy_globals()):
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


class Plain(pickle.Unpickler):
    """A pickle of plain values and numpy's arrays, and of nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What numpy's values need; UnpicklingError for anything else."""
        for known in numpy_globals():
            found, path = known if isinstance(known, tuple) else (known, "")
            if f"{module}.{name}" == (path or f"{found.__module__}.{found.__name__}"):
                return found
        raise pickle.UnpicklingError(f"needs {module}.{name}")


def read_array(path: Path) -> Any:
    """What np.save put into a .npy file: an array, or an object of plain values and arrays.

    InputError for a file that is none, or whose pickle needs more.
    """
    headers = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
    try:
        with path.open("rb") as file:
            if not headers[read_magic(file)](file)[2].hasobject:
                return np.load(path)
            return Plain(file).load().item()
    except Exception as error:  # a damaged pickle raises almost anything
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: not a readable .npy file ({reason})") from None


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

    A prefix `module.` (DataParallel) is dropped. InputError for anything else than named tensors,
    each no larger than the file.
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
    state = {str(name).removeprefix("module."): value.float() for name, value in found.items()}
    if len(state) < len(found):
        raise InputError(f"{path}: has weights twice, with and without a prefix module.")
    return state


class Settings:
    """What a project's files say of a model, and what was guessed where they say nothing."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said
        self.guessed: dict[str, str] = {}

    def find(self, key: str, default: Any = None) -> Any:
        """What is said at a dotted key; the default, which is no guess, where nothing is."""
        found: Any = self.said
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return default
            found = found[part]
        return found

    def take(self, key: str, guess: Any, shown: str | None = None) -> Any:
        """What is said at a dotted key, else a guess, told as `shown`."""
        found = self.find(key)
        if found is None:
            self.guessed[key.rpartition(".")[2]] = str(guess) if shown is None else shown
            return guess
        return found


def section(content: Any, key: str) -> Mapping[str, Any]:
    """The settings that a checkpoint holds at a key; {} where there are none, or None."""
    found = content[key] if isinstance(content, Mapping) and key in content else None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise InputError(f"{key!r} in it is a {type(found).__name__}, not settings by name")
    return found


def read_config(path: Path | None) -> dict[str, Any]:
    """A project's own config: JSON, comments allowed, or YAML; None: {}.

    Of a YAML file with tags, which would build objects (SpeechBrain's), the plain `key: value`
    lines.
    """
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
        yaml = path.suffix in (".yaml", ".yml")
        content = from_yaml(text) if yaml else json.loads(COMMENT.sub(kept, text))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--config {path}: not readable ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: holds a {type(content).__name__}, not an object")
    return content


def kept(match: re.Match[str]) -> str:
    """A string as it is; nothing of a comment."""
    return match[0] if match[0].startswith('"') else ""


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
