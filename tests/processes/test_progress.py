"""Progress: lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import io
import sys
import time

import pytest

from wg.processes import progress as module
from wg.processes.progress import Terminal, progress, track


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""


def test_silence_is_broken_ever_more_rarely(capsys, monkeypatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.1)
    with progress("count", 4) as shown:
        shown.advance(2, "so far so good")
        time.sleep(0.75)
    lines = capsys.readouterr().out.splitlines()
    assert 2 <= len(lines) <= 5  # after .1, .23, .4, .62 s
    assert lines[0] == "count 2/4: 0:00:00 elapsed, 0:00:00 left  so far so good"


def test_a_line_breaks_the_silence_too(capsys, monkeypatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.4)
    with progress("unknown") as shown:
        for _ in range(6):
            time.sleep(0.1)
            shown.line("step")
    assert capsys.readouterr().out.splitlines() == ["step"] * 6


def test_a_terminal_has_bars_one_inside_another_no_wider_than_it(monkeypatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen)
    with progress("cells", 2) as outer:
        for item in track(range(3), "inner", 3):
            outer.line(f"[{item}] said")
        outer.advance()
    assert Terminal.live is None
    printed = screen.getvalue()
    assert "cells" in printed and "inner" in printed and "1/2" in printed and "[2] said" in printed
