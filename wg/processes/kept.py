"""What a stage has found so far, item by item, until the stage is finished.

A killed run goes on from it, and the parts of an array job leave theirs to the run that puts them
together: each process adds lines to a file of its own, and reads those of all.
"""

from __future__ import annotations

import glob
import json
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from wg.processes.launch import part, share

OFTEN_S = 10.0  # what a killed run loses at most
MANY = 1024  # results between two writes, at most
LAST = 1 << 16  # bytes that have a file's last line

Item = TypeVar("Item")


class Kept:
    """Results of one stage with one set of settings, by name; without a `stem` in memory alone.

    Files are STEM-KEY.I-of-N.jsonl, whose lines are [name, result], the last one {"done": "I/N"}.
    """

    def __init__(self, stem: Path | None = None, key: str = "") -> None:
        self.stem, self.key = stem, key

    @property
    def path(self) -> Path | None:
        """The file that this process writes."""
        if self.stem is None:
            return None
        number, of = share()
        return self.stem.with_name(f"{self.stem.name}-{self.key}.{number + 1}-of-{of}.jsonl")

    def of(
        self,
        items: Mapping[str, Item],
        make: Callable[[Sequence[Item]], Iterable[Any]],
        stands: Callable[[str], bool] = lambda name: True,
    ) -> dict[str, Any]:
        """The result of each item, in order; in a part of a stage, those of its share.

        `make` gives those that are not known, in order; what is known counts while it `stands`.
        """
        number, parts = part() or (1, 1)
        names = list(items)[number - 1 :: parts]
        before = _Results(self._files(self.key))
        known = {name: found[0] for name in names if (found := before.of(name)) and stands(name)}
        new = [name for name in names if name not in known]
        with self._noting() as note:
            for name, result in zip(new, make([items[name] for name in new]), strict=True):
                note(name, result)
                known[name] = result
        return {name: known[name] for name in names}

    def each(
        self,
        items: Iterable[tuple[str, Item]],
        make: Callable[[Sequence[Item]], Iterable[Any]],
    ) -> Iterator[tuple[Item, Any]]:
        """Items with their results, as `of`, of more than should be in memory at once."""
        number, parts = part() or (1, 1)
        mine = islice(items, number - 1, None, parts)
        before = _Results(self._files(self.key))
        with self._noting() as note:
            while some := list(islice(mine, MANY)):
                known = [before.of(name) for name, _ in some]
                new = [item for (_, item), found in zip(some, known, strict=True) if not found]
                made = iter(make(new))
                for (name, item), found in zip(some, known, strict=True):
                    if found:
                        yield item, found[0]
                        continue
                    result = next(made)
                    note(name, result)
                    yield item, result

    @contextmanager
    def _noting(self) -> Iterator[Callable[[str, Any], None]]:
        """Takes results, and writes them every now and then; of a part, all of them."""
        waiting: list[str] = []
        written = time.monotonic()

        def note(name: str, result: Any) -> None:  # noqa: ANN401
            nonlocal written
            waiting.append(json.dumps([name, result]) + "\n")
            if len(waiting) >= MANY or time.monotonic() - written > OFTEN_S:
                self._add(waiting)
                waiting.clear()
                written = time.monotonic()

        try:
            yield note
        finally:
            if part() or time.monotonic() - written > OFTEN_S:
                self._add(waiting)

    def _add(self, lines: Sequence[str]) -> None:
        path = self.path
        if path is None or not lines:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + "".join(lines))  # after what may be half a line
            file.flush()
            os.fsync(file.fileno())

    def any(self) -> bool:
        """Whether anything is kept, of whatever settings."""
        return bool(self._files("*"))

    def _files(self, key: str) -> list[Path]:
        if self.stem is None:
            return []
        name = f"{glob.escape(self.stem.name)}-{key}.*-of-*.jsonl"
        return sorted(self.stem.parent.glob(name), key=lambda path: path.stat().st_mtime)

    def end_part(self, result: Mapping[str, Any]) -> None:
        """Notes that this part of the stage is done, and what the stage gave for it."""
        number, parts = part() or (1, 1)
        self._add([json.dumps({"done": f"{number}/{parts}", "result": dict(result)}) + "\n"])

    def parts(self) -> dict[str, dict[str, Any]]:
        """The parts that are done, I/N, in the order in which they were; and what each gave."""
        done = {}
        for path in self._files(self.key):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LAST))
                last = file.read().rpartition(b"\n{")[2]
            try:
                content = json.loads(b"{" + last)
                done[str(content["done"])] = dict(content["result"])
            except (ValueError, TypeError, KeyError):
                continue
        return done

    def missing(self) -> list[str] | None:
        """Parts that are not done, of as many as the last one was of; None: the stage has none."""
        done = self.parts()
        lacking: list[str] | None = None
        for count in dict.fromkeys(int(name.partition("/")[2]) for name in done):
            wanted = [f"{number}/{count}" for number in range(1, count + 1)]
            lacking = [name for name in wanted if name not in done]
            if not lacking:
                return []
        return lacking

    def forget(self) -> None:
        """Removes it all, that of other settings too: the stage is finished."""
        for path in self._files("*"):
            path.unlink(missing_ok=True)


class _Results:
    """The results in some files by name, the last of each; where they lie is all that is held."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        names, places = array("q"), array("q")
        for number, file in enumerate(self._files):
            at = 0
            for line in file:
                if (entry := _entry(line)) is not None:
                    names.append(hash(entry[0]))
                    places.append(at * len(paths) + number)
                at += len(line)
        hashes = np.array(names, np.int64)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._places = hashes[order], np.array(places, np.int64)[order]

    def __del__(self) -> None:
        for file in self._files:
            file.close()

    def of(self, name: str) -> tuple[Any] | None:
        """The result of a name, alone in a tuple; None where there is none."""
        last = int(np.searchsorted(self._hashes, hash(name), "right")) - 1
        if last < 0 or self._hashes[last] != hash(name):
            return None
        at, number = divmod(int(self._places[last]), len(self._files))
        self._files[number].seek(at)
        entry = _entry(self._files[number].readline())
        return (entry[1],) if entry is not None and entry[0] == name else None


def _entry(line: bytes) -> tuple[str, Any] | None:
    """Name and result of a line; None for one that is cut off, or something else."""
    try:
        name, result = json.loads(line)
    except (ValueError, TypeError):
        return None
    return (name, result) if isinstance(name, str) else None
