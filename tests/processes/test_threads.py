"""What is said of threads that spin, and memory that is kept."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from wg.processes.memory import keep_freed
from wg.processes.threads import QUIET, spinning


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of four cores, of which nothing else was said."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)  # of macOS
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)


def load(monkeypatch: pytest.MonkeyPatch, busy: float) -> None:
    """So many cores have other work."""
    monkeypatch.setattr(os, "getloadavg", lambda: (busy, busy, busy))


def test_threads_beside_other_work_are_told_the_setting_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(monkeypatch, 2.5)
    assert "GOMP_SPINCOUNT=0" in str(spinning(4))
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    assert spinning(4) is None


def test_nothing_is_said_where_cores_are_free_or_one_thread_waits_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(monkeypatch, 0.4)
    assert spinning(4) is None
    load(monkeypatch, 4.0)
    assert spinning(1) is None


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_process_can_keep_what_it_frees() -> None:
    assert keep_freed() in (True, False)
    assert bytearray(1 << 26)[-1] == 0


PAGES = """
import resource, torch
from wg.processes.memory import keep_some

def faults(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(count)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_some()
# The second one smaller: glibc 2.36 does not see that an aligned block fits in its own place.
print(faults(5_000_000), faults(4_000_000))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_a_vocoders_process_clears_the_pages_of_tensors_once() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert second < first / 10
