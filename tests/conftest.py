"""Fixtures of the tests that run recipes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tiny_recipe import Outcome, TinyRecipe, make_recipe


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from a second thread, and on a busy machine wait for it."""
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def recipe(tmp_path: Path) -> TinyRecipe:
    """A tiny recipe of which no stage has run."""
    return make_recipe(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyRecipe, Outcome]:
    """A tiny recipe all of whose stages have run, and what they printed: read it, or copy it."""
    made = make_recipe(tmp_path_factory.mktemp("finished"))
    outcome = made.run()
    assert outcome.code == 0, outcome
    return made, outcome


@pytest.fixture
def done(finished: tuple[TinyRecipe, Outcome], tmp_path: Path) -> TinyRecipe:
    """A copy of the finished recipe, to change."""
    return finished[0].copy(tmp_path)
