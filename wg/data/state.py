"""Whether a corpus on disk has changed: a state that is quick to take, and contents."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

_READ = (".wav", ".flac", ".csv", ".tsv", ".txt")  # what the readers of corpora look at


def corpus_state(corpus: Path, without: Collection[Path]) -> str:
    """Number of files and a digest of their names, sizes and times; of lists, of the contents.

    `without` are folders that a run writes, which may lie in the corpus's.
    """
    found = hashlib.blake2b(digest_size=8)
    count = 0
    for path in _files(corpus, {folder.resolve() for folder in without}):
        status = path.stat()
        found.update(os.fsencode(path.relative_to(corpus)))
        if path.parent == corpus and path.suffix.lower() not in (".wav", ".flac"):
            found.update(path.read_bytes())
        else:
            found.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        count += 1
    return f"{count} files, {found.hexdigest()}"


def _files(folder: Path, without: set[Path]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        kept = sorted(n for n in folders if n[0] != "." and Path(place, n).resolve() not in without)
        folders[:] = kept
        for name in sorted(names):
            path = Path(place, name)
            if name[0] != "." and path.suffix.lower() in _READ and path.is_file():
                yield path


def content_of(path: Path) -> str:
    """Digest of a file's bytes."""
    found = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
