"""Modules that moved: scripts written for their old names go on working."""

import importlib
import subprocess
import sys

import pytest

from wg.moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_same_module_and_says_the_new_one(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is {MOVED[old]} now"):
        module = importlib.import_module(old)
    new = importlib.import_module(MOVED[old])
    assert module is new
    assert new.__spec__ is not None and new.__spec__.name == new.__name__ == MOVED[old]


def test_a_script_is_told_once_and_at_its_own_line() -> None:
    code = "from wg.vocoder import Synthesis, Vocoder\nfrom wg.vocoder import Vocoder\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("DeprecationWarning: wg.vocoder is wg.inference.vocoder now") == 1
    assert "<string>:1:" in done.stderr
