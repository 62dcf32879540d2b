"""Training goes on from the newest sound checkpoint, and begins anew only where nothing is lost."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch
from tiny_recipe import TinyRecipe

from wg.inference.checkpoint import find_checkpoint, read_checkpoint
from wg.training.resume import read_intact

LONGER = ("--stage", "train", "--stop-stage", "train", "train.max_steps=12")


def damage(path: Path, dice: random.Random) -> None:
    """One of the ways in which files are lost: cut off, emptied, zeroed, a bit turned, gone."""
    content = bytearray(path.read_bytes())
    way = dice.choice(["cut", "empty", "zeros", "bits", "text", "gone"])
    if way == "gone":
        path.unlink()
        return
    if way == "bits":  # in the middle of the weights
        for _ in range(8):
            content[dice.randrange(len(content) // 4, len(content) // 2)] ^= 0xFF
    elif way == "zeros":
        content = bytearray(len(content))
    elif way == "text":
        content = bytearray(b"version https://git-lfs.github.com/spec/v1\n")
    else:
        content = content[: dice.randrange(1, len(content)) if way == "cut" else 0]
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(6))
def test_the_newest_sound_checkpoint_is_used(done: TinyRecipe, seed: int) -> None:
    dice = random.Random(seed)
    folder = done.exp / "checkpoints"
    steps = sorted(folder.glob("step-*.ckpt"))  # of steps 4 and 8
    assert len(steps) == 2
    damage(folder / "last.ckpt", dice)
    if seed % 2:
        damage(steps[1], dice)
    left = steps[0] if seed % 2 else steps[1]
    outcome = done.run(*LONGER)
    assert outcome.code == 0, outcome
    assert f"resuming from {left}" in outcome.out
    assert "step 1/" not in outcome.out
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == 12


def test_a_run_that_was_ended_between_its_two_files_is_whole(done: TinyRecipe) -> None:
    folder = done.exp / "checkpoints"
    (earlier,) = folder.glob("step-0000004-*.ckpt")
    shutil.copyfile(earlier, folder / "last.ckpt")
    (newest,) = folder.glob("step-0000008-*.ckpt")
    (done.exp / "stage-train.json").unlink()
    outcome = done.run("--stage", "train", "--stop-stage", "train")
    assert outcome.code == 0, outcome
    assert f"resuming from {newest}" in outcome.out
    assert (folder / "last.ckpt").read_bytes() == newest.read_bytes()


def test_damaged_ones_are_said_with_the_step_that_is_left(done: TinyRecipe) -> None:
    last = done.exp / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    outcome = done.run(*LONGER)
    (line,) = [line for line in outcome.out.splitlines() if "resuming" in line]
    assert line.startswith("damaged: last.ckpt (truncated or damaged); resuming from ")
    assert line.endswith(", step 8")


def test_without_a_sound_one_nothing_is_begun_unless_asked_for(done: TinyRecipe) -> None:
    folder = done.exp / "checkpoints"
    for path in folder.iterdir():
        path.write_bytes(b"")
    before = {path: path.read_bytes() for path in done.exp.rglob("*") if path.is_file()}
    line = done.run(*LONGER).complaint()
    assert f"{folder}: no sound checkpoint" in line and "last.ckpt (an empty file)" in line
    assert "--restart" in line
    assert all(path.read_bytes() == before[path] for path in folder.iterdir())
    outcome = done.run(*LONGER, "--restart")
    assert outcome.code == 0, outcome
    aside = done.exp.with_name(f"{done.exp.name}.old-1")
    assert f"--restart: the run before is kept in {aside}" in outcome.out
    assert "step 1/12" in outcome.out
    assert (aside / "checkpoints" / "last.ckpt").read_bytes() == b""
    assert (aside / "vocoder" / "model.safetensors").is_file()


def test_an_emptied_folder_is_a_new_start(done: TinyRecipe) -> None:
    shutil.rmtree(done.exp / "checkpoints")
    outcome = done.run(*LONGER)
    assert outcome.code == 0 and "step 1/12" in outcome.out


def test_a_finished_run_starts_again_when_asked_to(done: TinyRecipe) -> None:
    outcome = done.run("--restart", "--stop-stage", "train")
    assert outcome.decisions()["train"] == "runs: --restart"
    assert outcome.code == 0 and "step 1/8" in outcome.out
    line = done.run("--restart", "--stage", "decode").complaint()
    assert "--restart: is of stage train, which is not in decode..7" in line


def test_a_checkpoint_of_another_model_is_named(done: TinyRecipe, tmp_path: Path) -> None:
    other = ("model.mel_channels=4", "model.up_channels=[4, 4, 4, 4, 4]", *LONGER)
    (done.exp / "config.yaml").unlink()
    line = done.run(*other).complaint()
    assert "last.ckpt: checkpoint of another model" in line and "--restart" in line


def test_decoding_takes_the_next_best_where_the_best_is_torn(done: TinyRecipe) -> None:
    folder = done.exp / "checkpoints"
    best = find_checkpoint(done.exp, "best")
    (other,) = [path for path in folder.glob("step-*.ckpt") if path != best]
    content = bytearray(best.read_bytes())
    content[len(content) // 3] ^= 0x10  # one bit of a weight
    best.write_bytes(content)
    outcome = done.run("--stage", "decode", "--stop-stage", "decode", "decode.seed=7")
    assert outcome.code == 0, outcome
    assert f"damaged: {best.name} (damaged in" in outcome.err
    assert f"taking {other.name}" in outcome.err and f"{other.name}: 3 utterances" in outcome.out
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    line = done.run("--stage", "decode", "--stop-stage", "decode", "decode.seed=8").complaint()
    assert f"{folder}: no sound checkpoint" in line


def test_no_changed_byte_of_a_checkpoint_is_taken_for_another_weight(done: TinyRecipe) -> None:
    path, dice = done.exp / "checkpoints" / "last.ckpt", random.Random(0)
    content = path.read_bytes()
    true = read_checkpoint(path)["state_dict"]
    for _ in range(60):
        changed = bytearray(content)
        changed[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(changed)
        found = read_intact(path)
        if not isinstance(found, str):  # a byte of the archive's own, such as a date
            assert all(
                torch.equal(value, true[name]) for name, value in found["state_dict"].items()
            )
