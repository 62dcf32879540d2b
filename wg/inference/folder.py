"""The folder of a trained model: `config.json`, `model.safetensors` and `README.md`.

Nothing in it is a pickle. `config.json` has the format's version, five sections (model, mel,
diffusion, synthesis, history; the last may be missing) and the checksum of the weights.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wg.diffusion.power import LATER
from wg.errors import InputError, nearest
from wg.files import replacing, write_bytes
from wg.reading import read_object

FORMAT = 1
SECTIONS = ("model", "mel", "diffusion", "synthesis")


def write_folder(
    folder: Path, weights: Mapping[str, Tensor], sections: Mapping[str, Any], card: str | None
) -> None:
    """Writes the three files; `sections` are plain values, `card` is README.md, None: as it is."""
    assert sections.keys() == {*SECTIONS, "history"}
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in weights.items()}
    with replacing(folder / "model.safetensors") as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
        config = {"format": FORMAT, **sections, "sha256": checksum(temporary)}
    write_bytes(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    if card is not None:
        write_bytes(folder / "README.md", card.encode())
    # safetensors writes for the owner alone.
    shutil.copymode(folder / "config.json", folder / "model.safetensors")


def read_config(folder: Path) -> dict[str, Any]:
    """The contents of config.json; InputError unless it is this format's, with weights beside."""
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; {folder} is not a vocoder folder")
    path = folder / "config.json"
    config = read_object(path, "get the folder again")
    if missing := {"format", *SECTIONS} - set(config):
        raise InputError(f"{path}: keys {sorted(missing)} are missing; not a wg vocoder")
    if config["format"] != FORMAT:
        raise InputError(
            f"{path}: format {config['format']}; this wg reads format {FORMAT}: update wg"
        )
    return config


def from_plain(schema: type, content: dict[str, Any]) -> Any:
    """A config dataclass from JSON: lists become tuples, unknown keys and choices are errors."""
    if not isinstance(content, dict):
        raise InputError(f"a section is {str(content)[:60]!r}; it holds keys and values")
    names = {f.name for f in fields(schema)}
    kinds = get_type_hints(schema)
    values = {}
    for key, value in content.items():
        if key not in names:
            raise InputError(f"unknown key {key!r}; {nearest(key, names)}")
        if get_origin(kinds[key]) is Literal and value not in get_args(kinds[key]):
            raise InputError(f"{key} is {value!r}; {nearest(str(value), get_args(kinds[key]))}")
        inner = [kind for kind in (kinds[key], *get_args(kinds[key])) if is_dataclass(kind)]
        if inner and value is not None:
            if not isinstance(value, dict):
                raise InputError(f"{key} is {str(value)[:60]!r}; it holds keys and values")
            assert isinstance(inner[0], type)
            values[key] = from_plain(inner[0], value)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    return schema(**values)


def check_sizes(network: nn.Module, folder: Path) -> None:
    """InputError unless the weights beside config.json are those of `network`, by their shapes.

    For a network on the device "meta", so that a config that asks for terabytes gets none.
    """
    path = folder / "model.safetensors"
    try:
        with safe_open(path, "pt") as content:
            stored = {name: content.get_slice(name).get_shape() for name in content.keys()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    wanted = {name: list(value.shape) for name, value in network.state_dict().items()}
    for name in LATER - stored.keys():
        wanted.pop(name, None)
    for name in sorted(wanted.keys() | stored.keys()):
        if name not in stored or name not in wanted:
            where = "config.json" if name in stored else "the file"
            raise InputError(f"{path}: weights do not fit config.json: {name} is not in {where}")
        if stored[name] != wanted[name]:
            raise InputError(
                f"{path}: weights do not fit config.json: {name} is {stored[name]} in the file, "
                f"{wanted[name]} in the model that it describes"
            )


def load_weights(network: nn.Module, folder: Path, config: Mapping[str, Any]) -> None:
    """Loads the weights; every key and shape must fit, and the checksum where there is one."""
    path = folder / "model.safetensors"
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: weights do not fit config.json: {reason}") from None
    if "sha256" in config and checksum(path) != config["sha256"]:
        raise InputError(
            f"{path}: not the weights that config.json was written with; get the folder again"
        )


def checksum(path: Path) -> str:
    """SHA-256 of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
