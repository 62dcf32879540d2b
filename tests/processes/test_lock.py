"""Two runs never work in one folder, and a lock that nobody holds stands in no one's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wg.errors import InputError
from wg.processes.lock import STALE, lock_path, locked

HOLD = "import sys, time; from pathlib import Path; from wg.processes.lock import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    with locked(tmp_path / "exp"):
        with (
            pytest.raises(InputError, match=f"another run.*process {os.getpid()} on "),
            locked(tmp_path / "exp"),
        ):
            pass
        assert lock_path(tmp_path / "exp").is_file()
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_named_and_once_killed_no_longer_holds(tmp_path: Path) -> None:
    folder = tmp_path / "exp"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} on "), locked(folder):
            pass
        process.kill()
    with locked(folder):
        assert json.loads(lock_path(folder).read_text())["pid"] == os.getpid()


def test_another_machines_lock_is_stale_once_nobody_renews_it(tmp_path: Path) -> None:
    folder = tmp_path / "exp"
    path = lock_path(folder)
    path.write_text(json.dumps({"host": "node07", "pid": 1, "time": "then"}))
    with (
        pytest.raises(InputError, match="process 1 on node07, since then"),
        locked(tmp_path / "exp"),
    ):
        pass
    long_ago = time.time() - STALE - 60
    os.utime(path, (long_ago, long_ago))
    with locked(tmp_path / "exp"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_damaged_lock_is_taken_for_one_that_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "exp"
    path = lock_path(folder)
    path.write_bytes(b"")
    with (
        pytest.raises(InputError, match=f"cannot be read.*delete {path}"),
        locked(tmp_path / "exp"),
    ):
        pass


def test_a_place_where_no_folder_can_be_is_one_line() -> None:
    with pytest.raises(InputError, match=r"/proc/nowhere: cannot be made \(No such file"):
        locked(Path("/proc/nowhere/exp")).__enter__()
