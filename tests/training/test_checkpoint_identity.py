"""Whether a checkpoint is of the experiment that it is to be used with."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import experiment

from wg.config import to_dict
from wg.errors import InputError
from wg.inference.checkpoint import check_identity

PATH = Path("old.ckpt")


def test_a_key_that_came_after_a_checkpoint_has_its_default_there() -> None:
    stored = to_dict(experiment())
    for key in ("prior", "energy_max"):
        del stored["diffusion"][key]
    check_identity(PATH, stored, experiment())
    with pytest.raises(InputError, match="diffusion.prior: standard there, energy here"):
        check_identity(PATH, stored, experiment(diffusion={"prior": "energy"}))


def test_a_checkpoint_of_another_prior_is_refused() -> None:
    stored = to_dict(experiment(diffusion={"prior": "energy"}))
    with pytest.raises(InputError, match="old.ckpt: checkpoint of another diffusion"):
        check_identity(PATH, stored, experiment())
