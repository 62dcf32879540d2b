"""Choice of the environment, and the way from a recipe's run.sh into wg; nothing is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from stand_in import Checkout, error_line


def site(folder: Path, *packages: str) -> Path:
    for name in packages:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    return folder


ACTIVATE = 'source "$0/tools/activate.sh" && echo "$WG_ROOT|$(command -v python)|${NLTK_DATA:-}"'


def test_activate_prefers_an_active_environment_that_has_wg(checkout: Checkout) -> None:
    checkout.add_python("python")
    installed = site(checkout.root.parent / "site", "wg", "torch", "lightning", "lhotse")
    result = checkout.run("-c", ACTIVATE, checkout.root, PYTHONPATH=str(installed))
    assert result.stdout == f"{checkout.root}|{checkout.bin / 'python'}|\n"
    assert "has its own wg" in result.stderr
    assert not checkout.venv.exists()


def test_activate_sets_up_when_the_active_python_has_no_torch(checkout: Checkout) -> None:
    checkout.add_python("python")
    checkout.add_python()
    bare = site(checkout.root.parent / "site", "wg", "lightning", "lhotse")
    result = checkout.run("-c", ACTIVATE, checkout.root, PYTHONPATH=str(bare))
    assert result.stdout.endswith(f"{checkout.root}|{checkout.venv}/bin/python|\n")
    assert "is ready after" in result.stdout


def test_activate_uses_a_complete_environment_quickly_and_quietly(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.set_up()
    assert checkout.fastest("-c", ACTIVATE, checkout.root) < 1
    result = checkout.run("-eu", "-c", ACTIVATE, checkout.root)
    assert result.stdout == f"{checkout.root}|{checkout.venv}/bin/python|\n"
    assert result.stderr == ""


def test_a_named_environment_goes_before_the_active_one(checkout: Checkout) -> None:
    checkout.add_python("python")
    checkout.add_python()
    installed = site(checkout.root.parent / "site", "wg", "torch", "lightning", "lhotse")
    named = checkout.root.parent / "named"
    settings = {"PYTHONPATH": str(installed), "WG_VENV": "named"}
    result = checkout.run("-c", ACTIVATE, checkout.root, **settings)
    assert result.stdout.endswith(f"|{named}/bin/python|\n")


def test_activate_fails_when_the_set_up_fails(checkout: Checkout) -> None:
    result = checkout.run("-c", f"{ACTIVATE} || echo failed $?", checkout.root)
    assert result.stdout == "failed 1\n"


def test_activate_finds_the_pronouncing_data_beside_the_checkout(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.set_up()
    data = checkout.root.parent / "shared" / "data" / "nltk_data"
    data.mkdir(parents=True)
    assert checkout.run("-c", ACTIVATE, checkout.root).stdout.endswith(f"|{data}\n")
    mine = checkout.run("-c", ACTIVATE, checkout.root, NLTK_DATA="/mine")
    assert mine.stdout.endswith("|/mine\n")


@pytest.mark.parametrize("name", ["mini", "ljspeech", "libritts", "kerstin", "voices"])
def test_a_recipe_hands_its_folder_and_arguments_on(checkout: Checkout, name: str) -> None:
    checkout.add_python()
    checkout.set_up()
    link = checkout.root.parent / "link to run.sh"
    link.symlink_to(checkout.root / "recipes" / name / "run.sh")
    result = checkout.run(link, "--stage", "train", "model.name=a b")
    recipe = str(checkout.root / "recipes" / name)
    expected = ["-m", "wg", "recipe", recipe, "--stage", "train", "model.name=a b"]
    assert result.stdout.splitlines() == expected


def test_a_recipe_folder_that_does_not_exist_is_said_before_any_set_up(checkout: Checkout) -> None:
    result = checkout.run(checkout.root / "tools" / "run.sh", "recipes/none")
    assert result.returncode == 2
    assert "'recipes/none' is not a folder" in error_line(result)
