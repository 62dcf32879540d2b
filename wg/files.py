"""What wg writes: whole or not at all, and never over anything that is the user's.

A folder of ours carries a stamp that lists what we wrote in it. Only such a folder, or one that
wg made before there were stamps, is replaced or written into; a file there that the stamp does
not list is the user's.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import escape
from pathlib import Path
from typing import Any

from wg.errors import InputError

STAMP = ".wg.json"
ABANDONED = 3600  # seconds after which nobody is still writing a file
LONGEST = 200  # bytes of a name that further endings are added to
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
MODEL_FILES = ("config.json", "model.safetensors", "README.md")
_DESKTOP = (".DS_Store", "._*", "Thumbs.db", "desktop.ini")  # what file managers leave


@dataclass(frozen=True)
class Kind:
    """A kind of folder that wg makes whole: only its like is replaced by it.

    `later` are patterns of what wg adds afterwards; by `mark` and `first` those are known that
    were made before there were stamps.
    """

    name: str
    mark: str
    first: tuple[str, ...]
    later: tuple[str, ...] = ()


SEARCHED = ("search-*.jsonl", "schedule-*.json")  # what wg schedule search leaves with a model
_PHONEMES = ("*.jsonl", "stage-phonemes.json", "oov.tsv", "pictures/*", "aligner/*")
MANIFESTS = Kind(
    "manifests",
    "train.jsonl.gz",
    ("*.jsonl.gz", "left-out.txt"),
    ("stage-prepare.json", *(f"phonemes/*/{name}" for name in _PHONEMES)),
)
MODEL = Kind("model", "model.safetensors", MODEL_FILES, SEARCHED)
PAGE = Kind("page", "index.html", ("index.html", "steps.png", "*/*.wav", "*/*.png"))
# The same, of folders that wg fills file by file.
_FILLED = (
    *("stage-*.json", "decode/*/stage-*.json", "config.yaml", "checkpoints/*.ckpt"),
    *("*/shard-*.safetensors*", "cells/*/*/cell.json"),
)


@contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the block ends without an error.

    So one appears whole or not at all. Its name ends in .tmp, or further in what its writer
    insists on. InputError where it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp{ending}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; free space or choose another folder "
            "(what is already written stays and is not made again)"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """A file that appears whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """As `write_bytes`, of an object."""
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def check_name(name: str, what: str) -> None:
    """InputError for a name that no file can have, or whose path would leave its folder."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= LONGEST or name in (".", "..") or {"/", "\\", "\0", "\n"} & set(name):
        shown = f"{name[:60]!r}" + ("..." if len(name) > 60 else "")
        raise InputError(
            f"{what} is {shown}; give a name that a file can have: no / or \\, 1 to {LONGEST} bytes"
        )


def same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, through links of any kind."""
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except (OSError, RuntimeError):
        return False


def check_file(path: Path, endings: Sequence[str], inputs: Iterable[Path], option: str) -> None:
    """InputError unless `option` may write this file: before any work, and never over an input."""
    name = f"{option} {path}"
    with _readable(name):
        if path.is_dir():
            raise InputError(f"{name}: a folder; name a file in it")
        if endings and path.suffix.lower() not in endings:
            raise InputError(f"{name}: give a name that ends in {' or '.join(endings)}")
        if not path.parent.is_dir():
            raise InputError(f"{name}: no folder {path.parent}")
        if os.path.lexists(path) and not path.is_file():
            raise InputError(f"{name}: not a regular file; give another name")
        for read in inputs:
            if same(path, read):
                raise InputError(f"{name}: would replace the input {read}; give another name")
        check_writable(path.resolve().parent, name)


def check_sidecar(path: Path, keys: Iterable[str], inputs: Iterable[Path], force: bool) -> None:
    """InputError where a file that wg writes unasked would replace one that is not its own.

    One of ours is an object with these keys; `force` is the user's leave to replace any other
    that is no input.
    """
    for read in inputs:
        if same(path, read):
            raise InputError(
                f"{path}: is an input and would be replaced by what describes the output; "
                "give the output another name"
            )
    if not os.path.lexists(path) or (force and path.is_file()):
        return
    try:
        content = json.loads(path.read_text("utf-8"))
        ours = isinstance(content, dict) and content.keys() >= set(keys)
    except (OSError, ValueError):
        ours = False
    if not ours:
        remedy = "move it" if path.is_dir() else "move it, or give --force to replace it"
        raise InputError(
            f"{path}: goes beside the output, but one that wg did not write is there; {remedy}"
        )


def check_folder(path: Path, kind: Kind, inputs: Iterable[Path], name: str) -> None:
    """InputError unless `fresh_folder` may make or replace this folder.

    It must be absent, empty or wholly ours and of this kind, and hold no input.
    """
    with _readable(name):
        target = path.resolve()
        for read in inputs:
            if target == read.resolve() or target in read.resolve().parents:
                raise InputError(
                    f"{name}: would be replaced, and with it the input {read}; choose another "
                    "folder, or move the input"
                )
        if os.path.lexists(target) and not target.is_dir():
            raise InputError(f"{name}: not a folder; choose another name, or move it")
        if (found := foreign(target, kind)) is not None:
            raise InputError(
                f"{name}: holds {found}, which wg did not write as part of a {kind.name} "
                "folder; choose another folder, or move it"
            )
        check_writable(target.parent, name)


def check_writable(folder: Path, name: str) -> None:
    """InputError unless this folder, or the nearest above it that is there, can be written."""
    with _readable(name):
        nearest = folder.resolve()
        while not os.path.lexists(nearest):
            nearest = nearest.parent
        if not nearest.is_dir():
            raise InputError(f"{name}: {nearest} is not a folder; choose another place")
        if not os.access(nearest, os.W_OK | os.X_OK):
            remedy = "choose another folder, or mend its permissions"
            raise InputError(f"{name}: {nearest} cannot be written; {remedy}")


def foreign(folder: Path, kind: Kind) -> str | None:
    """A file in a folder, by its path below, that is none of this kind's; None where all are."""
    files = _files(folder)
    stamp = _read_stamp(folder)
    if stamp is not None:
        known = set(stamp["files"]) if kind.name in stamp["kind"] else set()
        later = stamp["later"] if known else []
        return next((f for f in files if f not in known and not _matches(f, later)), None)
    if kind.mark in files and _is_ours(folder / kind.mark):
        return next((f for f in files if not _matches(f, (*kind.first, *kind.later))), None)
    return files[0] if files else None


def check_filled(folder: Path, name: str) -> None:
    """InputError unless wg may fill this folder file by file: it is absent, empty or ours."""
    with _readable(name):
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError(f"{name}: not a folder; choose another name, or move it")
        check_writable(folder, name)
        if not _files(folder) or _read_stamp(folder) is not None:
            return
        if not any(next(folder.glob(mark), None) for mark in _FILLED):
            raise InputError(
                f"{name}: holds {_files(folder)[0]}, and wg did not make this folder; choose "
                "another, or move it"
            )


def check_names(folder: Path, names: Iterable[str], inputs: Iterable[Path], force: bool) -> None:
    """InputError where `-o` has files of these names that are inputs or not written by wg."""
    name = f"-o {folder}"
    with _readable(name):
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError(f"{name}: a file; give a folder to write into")
        if not folder.parent.is_dir():
            raise InputError(f"{name}: no folder {folder.parent}")
        check_writable(folder, name)
        known = (_read_stamp(folder) or {"files": []})["files"]
        for file in names:
            if any(same(folder / file, path) for path in inputs):
                raise InputError(f"{name}: would replace the input {folder / file}")
            taken = os.path.lexists(folder / file) and file not in known
            if taken and not (force and (folder / file).is_file()):
                raise InputError(
                    f"{name}: has a {file} that wg did not write there; choose another folder, "
                    "or give --force to replace it"
                )


def own(
    folder: Path, names: Iterable[str] = (), later: Iterable[str] = (), kind: str = "files"
) -> None:
    """Makes a folder, and notes in its stamp what wg writes there: names, and later patterns."""
    before = _read_stamp(folder) or {"kind": [kind], "files": [], "later": []}
    stamp = {
        "kind": before["kind"],
        "files": sorted({*before["files"], *names}),
        "later": sorted({*before["later"], *later}),
    }
    if stamp != before or not (folder / STAMP).is_file():
        about = "written by wg, which replaces these files and no others in this folder"
        write_json(folder / STAMP, {"about": about, **stamp})


@contextmanager
def fresh_folder(path: Path, kind: Kind, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A folder that replaces `path` whole when the block ends without an error.

    See `check_folder` for what it refuses.
    """
    check_folder(path, kind, inputs, str(path))
    target = path.resolve()
    temporary: Path | None = None
    try:
        with _readable(str(path)):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(target)
            temporary = Path(tempfile.mkdtemp(".tmp", f"{target.name}.", target.parent))
        temporary.chmod(0o777 & ~_umask())
        own(temporary, kind=kind.name)
        yield temporary
        own(temporary, _files(temporary), kind.later)
        _swap(temporary, target)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise InputError(f"cannot write {path}: {error.strerror}; free space there") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, target: Path) -> None:
    """Puts a folder in the place of another of ours, or of none."""
    if target == Path.cwd():  # which has to stay the folder that the user's shell is in
        for old in target.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for new in temporary.iterdir():
            os.replace(new, target / new.name)
        return
    if target.exists():
        shutil.rmtree(target)
    os.replace(temporary, target)


def _remove_abandoned(target: Path) -> None:
    """Deletes what killed runs left when they made this folder."""
    for left in target.parent.glob(f"{escape(target.name)}.*.tmp"):
        if _read_stamp(left) is not None and time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)


def keep_aside(path: Path) -> Path:
    """Renames a folder to the first free `path.old-N`, so that nothing is lost."""
    aside = free_aside(path)
    os.replace(path, aside)
    return aside


def free_aside(path: Path) -> Path:
    """PATH.old-N with the first N = 1, 2 ... that is free: where a run goes that is kept aside."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return aside


def _files(folder: Path) -> list[str]:
    """Everything below a folder that is no folder, but for our stamp and file managers' files."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(
        path.relative_to(folder).as_posix()
        for path in paths
        if path != folder / STAMP and not _matches(path.name, _DESKTOP)
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _read_stamp(folder: Path) -> dict[str, list[str]] | None:
    try:
        content = json.loads((folder / STAMP).read_text("utf-8"))
        return {key: [str(name) for name in content[key]] for key in ("kind", "files", "later")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_ours(mark: Path) -> bool:
    """Whether the file by which an unstamped folder of wg is known is one that wg wrote."""
    try:
        if mark.name == "index.html":
            return "<body data-recording=" in mark.read_text("utf-8")
        if mark.name == "model.safetensors":
            config = json.loads((mark.parent / "config.json").read_text("utf-8"))
            return {"format", "model", "mel", "diffusion"} <= set(config)
    except (OSError, ValueError, TypeError):
        return False
    return True


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """InputError for a path that the system cannot follow: links in a circle, a name too long."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{name}: {reason}; give another path") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
