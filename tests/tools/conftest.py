"""Fixture of the script tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from stand_in import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout of its own, with no Python on its PATH yet."""
    return Checkout(tmp_path)
