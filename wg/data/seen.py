"""What was found in audio files, kept until all are looked through: a killed run goes on there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

CHUNK = 1024  # files between two entries


class Finding(NamedTuple):
    """Of a file: why it cannot be trained on, or None; and the digest of its bytes."""

    problem: str | None
    content: str


class Seen:
    """Findings by file, size, time and what was asked; in a file of lines, if there is a path."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.found: dict[str, Finding] = {}
        if path is None or not path.is_file():
            return
        for line in path.read_text("utf-8", "replace").splitlines():
            try:  # the last one may be half a line
                name, problem, content = json.loads(line)
                self.found[str(name)] = Finding(problem, str(content))
            except (ValueError, TypeError):
                continue

    def look(
        self, paths: Sequence[str], asked: object, look: Callable[[str], Finding], jobs: int
    ) -> list[Finding]:
        """A finding of each path, by `look` over threads where there is none yet.

        Threads, not processes: decoding runs outside Python's lock, and a spawned process takes
        longer to start (it imports its caller anew) than hundreds of files take to check.
        """
        made: list[Finding] = []
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            for first in range(0, len(paths), CHUNK):
                names = {path: _name(path, asked) for path in paths[first : first + CHUNK]}
                new = [path for path, name in names.items() if name not in self.found]
                findings = dict(zip(new, pool.map(look, new), strict=True))
                if len(names) == CHUNK:  # a smaller rest is soon looked at again
                    self._keep({names[path]: finding for path, finding in findings.items()})
                made += [
                    findings[path] if path in findings else self.found[name]
                    for path, name in names.items()
                ]
        return made

    def _keep(self, findings: dict[str, Finding]) -> None:
        if self.path is None or not findings:
            return
        lines = [json.dumps([name, *finding]) + "\n" for name, finding in findings.items()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())

    def forget(self) -> None:
        """Removes the file: all were looked through."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _name(path: str, asked: object) -> str:
    try:
        status = os.stat(path)
        return f"{path} {status.st_size} {status.st_mtime_ns} {asked}"
    except OSError:
        return f"{path} {asked}"
