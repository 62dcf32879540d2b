"""README's test command and CI's, with stand-ins for the checkers and pytest."""

from __future__ import annotations

import pytest
from stand_in import Checkout


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    checkout.add_python()
    checkout.set_up()
    return checkout


SPREAD = "--numprocesses auto --maxprocesses 4 --dist loadfile"


def test_the_test_command_ends_with_the_closing_line_of_pytest(ready: Checkout) -> None:
    result = ready.run(ready.root / "tools" / "test.sh", "-k", "a b")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == [f"{ready.venv} {SPREAD} -k a b", "== 1 passed =="]


@pytest.mark.parametrize("checker", ["ruff", "pyright", "codespell_lib"])
def test_a_failed_check_fails_although_the_tests_pass(ready: Checkout, checker: str) -> None:
    result = ready.run(ready.root / "tools" / "test.sh", CHECK_FAILS=checker)
    assert result.returncode == 1
    assert "== 1 passed ==" in result.stdout
    assert "tools/check.sh failed" in result.stderr.splitlines()[-1]
    assert checker.split("_")[0] in result.stderr


def test_failed_tests_fail_although_the_checks_pass(ready: Checkout) -> None:
    assert ready.run(ready.root / "tools" / "test.sh", TESTS_EXIT="3").returncode == 3


def test_ci_makes_an_environment_of_its_own_and_removes_it(ready: Checkout) -> None:
    calls = ready.pip_calls()
    result = ready.run(ready.root / ".ci" / "run", VIRTUAL_ENV=str(ready.venv))
    own = ready.root / ".venv-ci"
    assert result.returncode == 0, result.stderr
    assert f"{own} " in result.stdout and ready.pip_calls() == calls + 4
    assert result.stdout.splitlines()[-1].startswith("ci: set-up ")
    assert not own.exists() and ready.venv.exists()
    assert ready.run(ready.root / ".ci" / "run", TESTS_EXIT="1").returncode == 1
