"""Model folders that ship with wg, and those on the Hugging Face hub.

huggingface_hub is imported only when one is asked for. Its mixin would have to be a base class,
imported with every vocoder; these are the same files.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from wg.errors import InputError, nearest, reason
from wg.inference.folder import read_config

PRETRAINED = Path(__file__).parents[1] / "pretrained"
SHIPPED = ("ljspeech", "voices", "voices-24k")  # vocoders in that folder
DEFAULT = "ljspeech"
FILES = ("config.json", "model.safetensors", "README.md")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def local_folder(source: Path | str, revision: str | None = None) -> Path:
    """The folder itself if there is one of that name, or one that ships, or a hub id's snapshot.

    InputError for a name that none of them has, an id that the hub does not know or, without
    network, the cache does not hold (it is downloaded once), and for an incomplete installation.
    """
    folder = Path(source)
    if folder.exists() or isinstance(source, Path):
        return folder
    if source in SHIPPED:
        return shipped(source)
    if not HUB_ID.fullmatch(source):
        if difflib.get_close_matches(source, SHIPPED, cutoff=0.75):
            raise InputError(
                f"{source}: no such folder, and no vocoder of that name ships with wg; "
                f"{nearest(source, SHIPPED)}"
            )
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(FILES)))
    except LocalEntryNotFoundError:
        raise InputError(
            f"{source}: no such folder, and as a hub id it is not in the cache and the hub cannot "
            "be reached; give a folder, or load it once with a network"
        ) from None
    except Exception as error:  # of the library, and of those that it is built on
        raise InputError(
            f"{source}: no such folder, and not to be had as a hub id: {reason(error)}"
        ) from None


def shipped(name: str) -> Path:
    """The folder of a vocoder that ships with wg; InputError where its files are missing."""
    folder = PRETRAINED / name
    for file in FILES[:2]:
        if not (folder / file).is_file():
            raise InputError(
                f"{folder / file}: missing, though it ships with wg; the installation is "
                "incomplete: install wg again"
            )
    return folder


def shipped_for(bands: int) -> list[str]:
    """Names of the vocoders that ship whose mels have so many bands."""
    return [name for name in SHIPPED if read_config(shipped(name))["mel"]["n_mels"] == bands]


def push(folder: Path, repo_id: str, private: bool, token: str | None) -> str:
    """Uploads a model folder, making the repository if needed; its URL."""
    if not HUB_ID.fullmatch(repo_id):
        raise InputError(f"repo_id {repo_id!r}: give USER/NAME")
    from huggingface_hub import HfApi

    api: Any = HfApi(token=token)
    try:
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, allow_patterns=list(FILES))
    except Exception as error:  # of the library, and of those that it is built on
        raise InputError(f"{repo_id}: the hub did not take it: {reason(error)}") from None
    return str(url)
