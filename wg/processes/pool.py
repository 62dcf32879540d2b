"""Work on many items over the processes of one machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from wg.errors import InputError
from wg.processes.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int, what: str = "work"
) -> list[Result]:
    """Results in order, over processes of one thread each; one process is this one.

    `what` is done stands beside the bar.
    """
    return list(as_they_come(function, items, processes, what))


def as_they_come(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int, what: str = "work"
) -> Iterator[Result]:
    """The same, each as soon as it and those before it are there."""
    with workers(min(processes, len(items))) as over:
        yield from track(over(function, items), what, len(items))


@contextmanager
def workers(processes: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` over processes of one thread each, to be called again and again."""
    if processes <= 1:
        with one_thread():
            yield map
        return
    # spawn: a forked child of a process that has used torch threads can deadlock.
    start = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=start, initializer=start_worker) as pool:
            yield pool.map
    except BrokenProcessPool:
        raise InputError(
            "a process was killed, perhaps for want of memory; give fewer --jobs and run again"
        ) from None


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: as many as in a process of many, so that the bits are the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def start_worker() -> None:
    """One thread a process, which ends when its parent does, even by SIGKILL."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
