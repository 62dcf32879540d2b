"""What a stage has found so far, item by item, until the stage is finished.

A killed run goes on from it, and the parts of an array job leave theirs to the run that puts them
together: each process adds lines to a file of its own, and reads those of all.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

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
        known = {name: value for name, value in self._lines(set(names)) if stands(name)}
        new = [name for name in names if name not in known]
        known |= self._keeping(zip(new, make([items[name] for name in new]), strict=True))
        return {name: known[name] for name in names}

    def _keeping(self, found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Passes results on, and writes them every now and then; of a part, all of them."""
        waiting, written = [], time.monotonic()
        try:
            for name, result in found:
                waiting.append(json.dumps([name, result]) + "\n")
                if len(waiting) >= MANY or time.monotonic() - written > OFTEN_S:
                    self._add(waiting)
                    waiting, written = [], time.monotonic()
                yield name, result
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

    def _lines(self, wanted: set[str]) -> Iterator[tuple[str, Any]]:
        for path in self._files(self.key):
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        name, result = json.loads(line)
                    except (ValueError, TypeError):
                        continue
                    if isinstance(name, str) and name in wanted:
                        yield name, result

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
