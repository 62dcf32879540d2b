"""Some of the generated bad inputs: no traceback, no hang, nothing outside the output.

All two thousand of them: `python tests/bad_inputs.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import CORPORA, DESKS, attempt

SEEDS = range(10_000, 10_024)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bad_input_is_one_line_and_harms_nothing(tmp_path: Path, seed: int) -> None:
    verdict = attempt(seed, tmp_path)
    assert verdict.fault is None, verdict
    assert verdict.kind in (*CORPORA, *DESKS, "odd_call", "odd_output")
