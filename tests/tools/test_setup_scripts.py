"""Set-up with a stand-in for Python and pip: nothing is installed."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from stand_in import BASH, CUDA, ROOT, Checkout, error_line, executable

SCRIPTS = [
    *sorted((ROOT / "tools").glob("*.sh")),
    *sorted((ROOT / "recipes").glob("*/run.sh")),
    ROOT / ".ci" / "run",
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_script_parses_and_says_whether_it_is_run_or_sourced(script: Path) -> None:
    assert subprocess.run([BASH, "-n", str(script)]).returncode == 0
    runnable = bool(script.stat().st_mode & stat.S_IXUSR)
    assert runnable == script.read_text().startswith("#!/usr/bin/env bash\n")
    assert runnable == (script.name != "activate.sh")


def test_without_python_the_remedy_is_to_install_one(checkout: Checkout) -> None:
    assert "no Python 3.10 or newer found" in error_line(checkout.set_up())
    assert not checkout.venv.exists()


def test_a_python_that_is_too_old_does_not_count(checkout: Checkout) -> None:
    executable(checkout.bin / "python3", f"#!{BASH}\necho 3.9\nexit 1\n")
    assert "no Python 3.10 or newer found" in error_line(checkout.set_up())
    assert "older than Python 3.10" in error_line(checkout.set_up("--python", "python3"))


def test_a_shim_that_does_not_start_is_passed_over(checkout: Checkout) -> None:
    executable(
        checkout.bin / "python3.12", f"#!{BASH}\necho 'pyenv: not installed' >&2\nexit 127\n"
    )
    checkout.add_python("python3.11")
    assert f"({checkout.bin / 'python3.11'})" in checkout.set_up().stdout


def test_a_python_without_the_venv_module_names_the_package(checkout: Checkout) -> None:
    checkout.add_python()
    assert "python3.11 has no venv module" in error_line(checkout.set_up(NO_VENV="1"))


def test_too_little_disk_is_found_before_anything_is_made(checkout: Checkout) -> None:
    checkout.add_python()
    line = error_line(checkout.set_up(WG_MIN_DISK_GB="100000"))
    assert "needs 100000 GB" in line and "WG_VENV=DIR" in line
    assert not checkout.venv.exists()
    assert "whole number" in error_line(checkout.set_up(WG_MIN_DISK_GB="3.5"))


def test_the_cuda_build_asks_for_more_disk(checkout: Checkout) -> None:
    checkout.add_python()
    executable(
        checkout.bin / "df",
        f"#!{BASH}\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n"
        "echo 'map auto_home 99 9 5242880 1% /a b'\n",
    )
    assert "the CPU build" in checkout.set_up().stdout
    shutil.rmtree(checkout.venv)
    assert "5 GB free" in error_line(checkout.set_up(PIP_REPORT=CUDA))


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout) -> None:
    checkout.add_python()
    home = checkout.root.parent / "home"
    executable(home / "thesis.tex", "years of work")
    assert "is not a virtual environment" in error_line(checkout.set_up(WG_VENV=str(home)))
    assert [entry.name for entry in home.iterdir()] == ["thesis.tex"]


FAILURES = {
    "its index": "WARNING: Retrying (Retry(total=0)) after connection broken by 'X'",
    "the disk is full": "ERROR: Could not install packages: [Errno 28] No space left on device",
    "no C compiler": "      error: command 'g++' failed: No such file or directory",
    "python3-dev": "cheaptrick.cpp:1:10: fatal error: Python.h: No such file or directory",
    "setup.log": "ERROR: something that nobody foresaw",
}


@pytest.mark.parametrize("remedy", FAILURES)
def test_a_failure_of_pip_shows_its_words_and_the_remedy(checkout: Checkout, remedy: str) -> None:
    checkout.add_python()
    result = checkout.set_up(PIP_FAILS_AT="pyworld", PIP_LINES=FAILURES[remedy])
    assert remedy in error_line(result)
    assert f"  | {FAILURES[remedy]}" in result.stderr
    assert checkout.set_up("--check").returncode == 1


def test_an_index_without_the_pinned_pip_is_no_reason_to_stop(checkout: Checkout) -> None:
    checkout.add_python()
    result = checkout.set_up(PIP_FAILS_AT="check pip", PIP_LINES="ERROR: No matching distribution")
    assert result.returncode == 0
    assert "going on with pip 26.3" in result.stdout


def test_the_second_run_does_nothing_within_a_second(checkout: Checkout) -> None:
    checkout.add_python()
    assert checkout.set_up().returncode == 0
    calls = checkout.pip_calls()
    result = checkout.set_up()
    assert "nothing to do" in result.stdout and result.returncode == 0
    assert checkout.pip_calls() == calls == 4
    assert checkout.fastest(checkout.root / "tools" / "setup.sh") < 1
    assert checkout.set_up("--check").stdout == ""


def test_changed_constraints_are_installed(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.set_up()
    with (checkout.root / "tools" / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")
    assert checkout.set_up("--check").returncode == 1
    assert "bringing" in checkout.set_up().stdout
    assert checkout.pip_calls() == 8


def test_half_an_update_is_not_taken_for_the_old_state_again(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.set_up()
    constraints = checkout.root / "tools" / "constraints.txt"
    old = constraints.read_text()
    constraints.write_text(old + "another==1.0\n")
    checkout.set_up(PIP_FAILS_AT="--editable", PIP_LINES="killed")
    constraints.write_text(old)
    assert checkout.set_up("--check").returncode == 1


def test_an_environment_that_moved_with_its_checkout_is_installed_again(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.set_up()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.set_up("--check").returncode == 1


def test_an_interrupted_set_up_is_finished_and_a_broken_one_remade(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.set_up(PIP_FAILS_AT="--editable", PIP_LINES="killed")
    kept = checkout.venv / "kept"
    kept.touch()
    assert "bringing" in checkout.set_up().stdout and kept.exists()
    (checkout.venv / "bin" / "python").unlink()
    assert "making it anew" in checkout.set_up().stdout and not kept.exists()


@pytest.mark.parametrize("locked_by", ["flock", "mkdir"])
def test_two_set_ups_at_once_install_once(checkout: Checkout, locked_by: str) -> None:
    checkout.add_python()
    if locked_by == "mkdir":
        (checkout.bin / "flock").unlink(missing_ok=True)
    elif not shutil.which("flock"):
        pytest.skip("this machine has no flock")
    command = [BASH, str(checkout.root / "tools" / "setup.sh")]
    environment = checkout.environment({"PIP_SLEEP": "0.1"})
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    told = sorted(run.communicate(timeout=60)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert checkout.pip_calls() == 4
    assert any("was completed meanwhile" in text for text in told)


def test_a_lock_whose_owner_died_is_taken_over(checkout: Checkout) -> None:
    checkout.add_python()
    (checkout.bin / "flock").unlink(missing_ok=True)
    dead = subprocess.Popen([BASH, "-c", "exit"])
    dead.wait()
    (checkout.venv / ".wg-lock.d").mkdir(parents=True)
    (checkout.venv / ".wg-lock.d" / "pid").write_text(str(dead.pid))
    assert checkout.set_up().returncode == 0
    assert not (checkout.venv / ".wg-lock.d").exists()
