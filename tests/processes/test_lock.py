"""Two runs never work in one folder, and a lock that nobody holds stands in no one's way."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wg.errors import InputError
from wg.processes import lock
from wg.processes.launch import Member
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


def other_machines(folder: Path, run: str, **further: object) -> Path:
    """A lock that another machine holds, of this run."""
    path = lock_path(folder)
    content = {"host": "node07", "pid": 1, "time": "then", "run": run, **further}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("role", ["alone", "first", "any", "other"])
def test_a_run_on_several_machines_is_refused_where_another_one_is(
    tmp_path: Path, role: Any
) -> None:
    path = other_machines(tmp_path / "exp", "torchrun node07:29500")
    with (
        pytest.raises(InputError, match="process 1 on node07, since then"),
        locked(tmp_path / "exp", member=Member("torchrun node01:29500", role)),
    ):
        pass
    long_ago = time.time() - STALE - 60
    os.utime(path, (long_ago, long_ago))
    with locked(tmp_path / "exp", member=Member("torchrun node01:29500", role)):
        taken = json.loads(path.read_text())["run"] == "torchrun node01:29500"
        assert taken == (role != "other")


def test_machines_of_one_run_share_its_lock_whichever_comes_first(tmp_path: Path) -> None:
    folder, run = tmp_path / "exp", Member("torchrun node01:29500", "any")
    with locked(folder, member=run):
        with locked(folder, member=run):
            assert lock_path(folder).is_file()
        assert lock_path(folder).is_file()  # the second one has not given it back
    assert not lock_path(folder).exists()
    path = other_machines(folder, run.run)
    with locked(folder, member=run):
        assert json.loads(path.read_text())["host"] == "node07"


def test_other_processes_of_a_run_leave_its_lock_to_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "exp"
    with locked(folder, member=Member("slurm 7.0", "other")):
        assert not lock_path(folder).exists()
    with (
        locked(folder, member=Member("slurm 7.0", "first")),
        locked(folder, member=Member("slurm 7.0", "other")),
    ):
        assert json.loads(lock_path(folder).read_text())["pid"] == os.getpid()


def test_a_job_that_is_queued_again_waits_for_its_own_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "STALE", 1.0)
    path = other_machines(tmp_path / "exp", "slurm 7.0")
    with locked(tmp_path / "exp", member=Member("slurm 7.0", "first")):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    other_machines(tmp_path / "exp", "slurm 8.0")
    with (
        pytest.raises(InputError, match="another run"),
        locked(tmp_path / "exp", member=Member("slurm 7.0", "first")),
    ):
        pass


def test_machines_of_one_name_are_told_apart(tmp_path: Path) -> None:
    with locked(tmp_path / "exp"):
        mine = json.loads(lock_path(tmp_path / "exp").read_text())
    if not mine["boot"]:
        pytest.skip("this system does not say when it was started")
    dead = {**mine, "pid": 2**22 + 1}
    path = lock_path(tmp_path / "exp")
    path.write_text(json.dumps({**dead, "boot": "another"}))
    with pytest.raises(InputError, match="another run"), locked(tmp_path / "exp"):
        pass
    path.write_text(json.dumps(dead))
    with locked(tmp_path / "exp"):
        pass


def test_a_run_that_stood_still_ends_once_another_has_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "exp"
    command = [sys.executable, "-c", f"import wg.processes.lock as l; l.RENEWED = 0.1\n{HOLD}"]
    with subprocess.Popen(
        [*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        path = other_machines(folder, "")
        _, said = process.communicate(timeout=60)
    (line,) = said.splitlines()
    assert process.returncode == 2 and line.startswith(f"wg: error: {path}: was taken by another")
    assert path.is_file()


def test_a_disk_on_which_files_have_one_name_has_locks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with locked(tmp_path / "exp"):
        with pytest.raises(InputError, match="another run"), locked(tmp_path / "exp"):
            pass
        assert lock_path(tmp_path / "exp").is_file()
    assert list(tmp_path.iterdir()) == []
