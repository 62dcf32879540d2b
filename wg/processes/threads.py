"""Threads of OpenMP beside other work."""

from __future__ import annotations

import os
import sys

QUIET = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # said by the user already


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def spinning(threads: int) -> str | None:
    """Why so many threads of this process will be slow, with the remedy; None: they need not be.

    GNU OpenMP's threads, those of torch's wheels, spin while they wait for each other. Where other
    work needs their cores, the one that is waited for does not run meanwhile.
    """
    cores, busy = usable_cores(), os.getloadavg()[0]
    chosen = any(name in os.environ for name in QUIET)
    if chosen or threads < 2 or busy + threads < cores + 1:
        return None
    return (
        f"load {busy:.1f} on {cores} cores: {threads} threads beside other work wait for each "
        "other spinning, several times as slow; OMP_NUM_THREADS=1 or GOMP_SPINCOUNT=0 is faster"
    )
