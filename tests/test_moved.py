"""Modules that moved: scripts written for their old names go on working."""

import importlib
import subprocess
import sys

import pytest

from wg.data.layout import Transcript
from wg.diffusion.process import DiffusionConfig
from wg.inference.model import SamplingConfig
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
    code = "from wg.vocoder import SamplingConfig, Vocoder\nfrom wg.vocoder import Vocoder\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("DeprecationWarning: wg.vocoder is wg.inference.vocoder now") == 1
    assert "<string>:1:" in done.stderr


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("wg", "Synthesis", SamplingConfig),
        ("wg.inference.model", "Synthesis", SamplingConfig),
        ("wg.inference.vocoder", "Synthesis", SamplingConfig),
        ("wg.data.layout", "Line", Transcript),
        ("wg.diffusion.process", "TrainingSchedule", DiffusionConfig),
    ],
)
def test_an_old_name_of_a_class_is_the_class_and_says_the_new_one(
    module: str, old: str, new: type
) -> None:
    with pytest.warns(DeprecationWarning, match=f"{module}.{old} is {new.__name__} now"):
        assert vars(importlib.import_module(module))["__getattr__"](old) is new
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        vars(importlib.import_module(module))["__getattr__"]("Nothing")


def test_a_script_with_an_old_class_is_told_once_and_at_its_own_line() -> None:
    code = "from wg import Synthesis, Vocoder\nfrom wg.vocoder import Synthesis\nSynthesis('6')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("DeprecationWarning: wg.Synthesis is SamplingConfig now") == 1
    assert "<string>:1:" in done.stderr
