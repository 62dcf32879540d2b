"""Training from tars that are read in sequence: features.stream."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tiny_recipe import TinyRecipe, wg

from wg.inference.checkpoint import read_checkpoint

SMALL = ("features.shard=1", "features.buffer=4")  # six tars, of which four are read at once
TRAIN = (*SMALL, "--stage", "train", "--stop-stage", "train")


@pytest.fixture
def streamed(recipe: TinyRecipe) -> str:
    """The override by which a recipe trains from tars of its features."""
    assert recipe.run(*SMALL, "--stop-stage", "features").code == 0
    place = recipe.root / "store"
    outcome = wg("tars", str(recipe.dump), "-o", str(place), "--jobs", "1")
    assert outcome.code == 0 and "6 utterances in 6 tars" in outcome.out, outcome
    return f"features.stream={place}"


def last(recipe: TinyRecipe) -> dict:
    return read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")


def test_a_run_that_stopped_goes_on_to_the_same_weights(
    recipe: TinyRecipe, streamed: str, tmp_path: Path
) -> None:
    shutil.rmtree(recipe.dump / "train")  # nothing but the tars has it any more
    other = recipe.copy(tmp_path / "other")
    assert recipe.run(*TRAIN, streamed).code == 0
    assert other.run(*TRAIN, streamed, "train.max_steps=4").code == 0
    outcome = other.run(*TRAIN, streamed, "train.workers=2")
    assert outcome.code == 0 and "resuming from" in outcome.out, outcome
    one, two = (last(made)["state_dict"] for made in (recipe, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_goes_on_from_the_dump_to_tars(recipe: TinyRecipe, streamed: str) -> None:
    assert recipe.run(*TRAIN, "train.max_steps=4").code == 0
    outcome = recipe.run(*TRAIN, streamed)
    assert outcome.code == 0 and "resuming from" in outcome.out, outcome
    assert last(recipe)["global_step"] == 8


@pytest.mark.parametrize("workers", [0, 1])
def test_a_tar_that_is_cut_off_ends_the_run_with_one_line(
    recipe: TinyRecipe, streamed: str, workers: int
) -> None:
    path = recipe.root / "store" / "shard-00004.tar"
    path.write_bytes(path.read_bytes()[:3000])
    line = recipe.run(*TRAIN, streamed, f"train.workers={workers}").complaint()
    assert line.startswith(f"wg: error: {path}: cannot be read to its end (")
    assert line.endswith("; copy it there again, or write it again by wg tars")


def test_tars_of_other_features_are_refused(recipe: TinyRecipe, streamed: str) -> None:
    line = recipe.run(*TRAIN, streamed, "mel.n_mels=12").complaint()
    assert "features of another MelSpec" in line and line.endswith("by wg tars")
    splits = ("corpus.valid=[tone-06]", "--stop-stage", "features")
    assert recipe.run(*SMALL, *splits).code == 0
    line = recipe.run(*TRAIN, streamed, splits[0]).complaint()
    assert f"was not made of {recipe.dump} as it is now" in line
    assert not recipe.exp.exists()


def test_what_cannot_be_streamed_is_refused_before_any_stage(recipe: TinyRecipe) -> None:
    line = recipe.run("features.stream=nowhere").complaint()
    assert "nowhere/index.json: cannot be read" in line and "wg tars" in line
    (recipe.folder / "conf" / "diffwave.yaml").write_text(
        "model: {name: diffwave, channels: 8, layers: 4, dilation_cycle: 4, conditions: none}\n"
        "diffusion: {conditioning: discrete}\n"
        "train: {segment_samples: 512, batch_size: 4, max_steps: 8, valid_every: 4}\n"
    )
    line = recipe.run("--model", "diffwave", "features.stream=nowhere").complaint()
    assert "features.stream: tars are for models of mels, diffwave here takes none" in line
    assert not recipe.work.exists()


def test_tars_are_made_of_finished_features_alone(recipe: TinyRecipe, tmp_path: Path) -> None:
    line = wg("tars", str(tmp_path), "-o", str(tmp_path / "store")).complaint()
    assert "no finished features there" in line and "stage 2 (features)" in line
    assert not (tmp_path / "store").exists()


def test_tars_are_not_written_among_a_users_files(recipe: TinyRecipe, streamed: str) -> None:
    line = wg("tars", str(recipe.dump), "-o", str(recipe.corpus)).complaint()
    assert "wg did not make this folder" in line
