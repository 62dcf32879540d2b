"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing in other processes.

Both tell what is done, elapsed and remaining time. Lines come when nothing was said for five
seconds, and then ever more rarely, up to a minute: a log of days stays readable.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from wg.processes.launch import place

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")

FIRST_S = 5.0  # of silence before the first line
LONGEST_S = 60.0
LATER = 1.3  # times the gap before, the next gap


def clock(seconds: float) -> str:
    """Duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Bar:
    """What is done of something; this one says nothing of it unasked."""

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self.what, self.total, self.first, self.done = what, total, done, done
        self.note, self.started = "", time.monotonic()

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """So much more is done; `note` is shown until the next."""
        self.done += count
        self.note = self.note if note is None else note

    def line(self, text: str) -> None:
        """Prints something that stays."""
        print(text, flush=True)

    def close(self) -> None:
        """Ends it."""

    @property
    def seconds_left(self) -> float | None:
        """By the mean speed so far; None where there is none."""
        made, elapsed = self.done - self.first, time.monotonic() - self.started
        if self.total is None or not made:
            return None
        return max(0, self.total - self.done) * elapsed / made


class Lines(Bar):
    """Lines where there is no terminal, at growing intervals, so that logs stay short."""

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        super().__init__(what, total, done)
        self.said, self.gap, self.ended = self.started, FIRST_S, threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def line(self, text: str) -> None:
        """Prints it, which breaks the silence."""
        self.said = time.monotonic()
        super().line(text)

    def close(self) -> None:
        """Ends it."""
        self.ended.set()

    def _beat(self) -> None:
        while not self.ended.wait(max(0.05, self.said + self.gap - time.monotonic())):
            if time.monotonic() - self.said >= self.gap:
                self.gap = min(LONGEST_S, self.gap * LATER)
                self.line(self.state())

    def state(self) -> str:
        """What is done, of how much, elapsed and remaining time, and the note."""
        of = "" if self.total is None else f" {self.done}/{self.total}"
        left = "" if self.seconds_left is None else f", {clock(self.seconds_left)} left"
        elapsed = clock(time.monotonic() - self.started)
        return f"{self.what}{of}: {elapsed} elapsed{left}{self.note and f'  {self.note}'}"


class Terminal(Bar):
    """A bar of rich; one inside another stands below it while it lasts."""

    live: ClassVar[Progress | None] = None

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        super().__init__(what, total, done)
        self.outermost = Terminal.live is None
        self.rich = Terminal.live or display()
        Terminal.live = self.rich
        self.task = self.rich.add_task(what, total=total, completed=done)
        self.rich.start()

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """Moves the bar."""
        super().advance(count, note)
        described = f"{self.what}  {self.note}" if self.note else self.what
        self.rich.update(self.task, completed=self.done, description=described)

    def line(self, text: str) -> None:
        """Prints it above the bar."""
        self.rich.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leaves the bar as it stands; one inside another goes."""
        if self.outermost:
            self.rich.stop()
            Terminal.live = None
        else:
            self.rich.remove_task(self.task)


def display() -> Progress:
    """Name, bar, count, elapsed and remaining time."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    name = TextColumn("{task.description}", markup=False)
    times = TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(name, BarColumn(bar_width=None), MofNCompleteColumn(), *times, expand=True)


def bar(what: str, total: int | None = None, done: int = 0) -> Bar:
    """The bar that suits where this prints; `done` of `total` were done before. Close it."""
    return (Terminal if sys.stdout.isatty() else Lines)(what, total, done)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Bar]:
    """A bar for the time of a block; total None: nobody knows how much there is to do.

    A process that others started, or that is not the first, shows none.
    """
    silent = multiprocessing.parent_process() is not None or place().rank
    shown = Bar(what, total) if silent else bar(what, total)
    try:
        yield shown
    finally:
        shown.close()


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, with a bar that moves when the next one is asked for."""
    with progress(what, total) as shown:
        for item in items:
            yield item
            shown.advance()
