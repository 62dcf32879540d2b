"""Memory that a process keeps for what it does next."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import torch

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h
NEVER = 2**31 - 1
LARGEST = 2**25 - 2**14  # bytes: from larger blocks glibc learns nothing


@cache
def keep_some() -> None:
    """Lets the process keep up to 64 MB of what it frees, by glibc's own rule.

    It keeps twice the largest block that it saw freed, if that had up to 32 MB: so here is one.
    """
    torch.empty(LARGEST, dtype=torch.uint8)


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
