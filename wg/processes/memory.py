"""Memory that a process keeps for what it does next."""

from __future__ import annotations

import ctypes
import sys

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h
NEVER = 2**31 - 1


def keep_freed() -> bool:
    """Makes the process keep the memory that it frees; False where its C library cannot.

    Else glibc gives large tensors back to the system and asks for them anew, and the system clears
    every page of them: up to a fifth of what a vocoder takes on a CPU. The process stays as large
    as it once was.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    try:
        return bool(library.mallopt(MMAP_MAX, 0) and library.mallopt(TRIM_THRESHOLD, NEVER))
    except AttributeError:  # musl
        return False
