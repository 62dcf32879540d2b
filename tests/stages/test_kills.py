"""Runs that are killed, or for which the disk is too small: started again, they end the same."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tiny_recipe import TinyRecipe, running, wait_until

from wg.inference.checkpoint import read_checkpoint
from wg.training.resume import newest_intact


def shards(recipe: TinyRecipe) -> dict[str, dict[str, object]]:
    """What each shard holds, to the bit; safetensors orders a header's entries at random."""
    content = {}
    for path in sorted(recipe.dump.glob("*/*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}
            content[str(path.relative_to(recipe.dump))] = {**file.metadata(), **tensors}
    return content


def limit_files(size: int) -> Callable[[], None]:
    """Makes every write beyond so many bytes of a file fail, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.skipif(sys.platform != "linux", reason="reads from a named pipe, looks with ps")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_features_killed_midway_go_on_and_end_the_same(recipe: TinyRecipe, jobs: str) -> None:
    whole = TinyRecipe(recipe.root / "whole", recipe.corpus)
    recipe.copy_recipe(whole.root)
    features = ("features.shard=1", "--stop-stage", "features")
    assert whole.run(*features).code == 0
    assert recipe.run("--stop-stage", "prepare").code == 0
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    content = clip.read_bytes()
    clip.unlink()
    os.mkfifo(clip)  # whoever opens it waits
    alone = ("--stage", "features", *features)  # stage 1 would see that the clip changed
    process = recipe.start(*alone, "--jobs", jobs)
    others = 10 if jobs == "2" else 4
    wait_until(lambda: len(shards(recipe)) == others, process)
    time.sleep(0.2)
    process.kill()  # this process alone: those it started find out
    process.wait()
    wait_until(lambda: not running(process.pid, str(recipe.root)))
    assert len(shards(recipe)) == others
    assert not (recipe.dump / "stage-features.json").exists()
    clip.unlink()
    clip.write_bytes(content)
    outcome = recipe.run(*alone, "--jobs", jobs)
    assert outcome.code == 0
    assert f"{others} of 11 shards are there already\n" in outcome.out
    assert f"({11 - others} shards)" in outcome.out
    assert shards(recipe) == shards(whole)
    assert not list(recipe.work.rglob("*.tmp"))


def test_half_files_of_a_killed_run_are_removed_once_nobody_writes_them(recipe: TinyRecipe) -> None:
    old, new = (recipe.dump / "train" / f"shard-00000.safetensors.{n}.tmp" for n in (1, 2))
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert recipe.run("--stop-stage", "features").code == 0
    assert not old.exists() and new.exists()


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(recipe: TinyRecipe) -> None:
    features = ("features.shard=2", "--stop-stage", "features")
    outcome = recipe.run_apart(*features, preexec_fn=limit_files(60_000))
    line = outcome.complaint()
    assert "cannot write" in line and "File too large; free space" in line
    whole = len(shards(recipe))
    assert whole > 0
    assert not list(recipe.work.rglob("*.tmp"))
    assert not (recipe.dump / "stage-features.json").exists()
    outcome = recipe.run(*features)
    assert outcome.code == 0 and f"{whole} of 6 shards are there already" in outcome.out


def test_training_on_a_full_disk_is_one_line_and_the_last_checkpoint_stays(
    recipe: TinyRecipe,
) -> None:
    assert recipe.run("train.max_steps=4", "--stop-stage", "train").code == 0
    last = recipe.exp / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    limit = limit_files(len(before) // 2)
    outcome = recipe.run_apart("--stop-stage", "train", preexec_fn=limit)
    assert f"cannot write {recipe.exp / 'checkpoints'}/" in (line := outcome.complaint())
    assert "File too large; free space" in line
    assert last.read_bytes() == before
    assert not (recipe.exp / "stage-train.json").exists()
    assert recipe.run("--stop-stage", "train").code == 0


def test_training_killed_midway_goes_on_and_ends_the_same(recipe: TinyRecipe) -> None:
    whole = TinyRecipe(recipe.root / "whole", recipe.corpus)
    recipe.copy_recipe(whole.root)
    long = ("train.max_steps=100", "train.valid_every=20", "--stop-stage", "train")
    assert whole.run(*long).code == 0
    process = recipe.start(*long)
    last = recipe.exp / "checkpoints" / "last.ckpt"
    wait_until(last.is_file, process)
    process.kill()
    out, _ = process.communicate()
    assert "step 100/100" not in out
    newest = newest_intact(recipe.exp / "checkpoints")
    assert newest is not None and not (recipe.exp / "stage-train.json").exists()
    outcome = recipe.run(*long)
    assert outcome.code == 0 and f"resuming from {newest.path}\n" in outcome.out
    ends = [read_checkpoint(r.exp / "checkpoints" / "last.ckpt") for r in (recipe, whole)]
    assert [end["global_step"] for end in ends] == [100, 100]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name
    assert recipe.run("--dry-run", *long).decisions()["train"] == "skipped: up to date"


def test_training_that_is_interrupted_can_go_on(recipe: TinyRecipe) -> None:
    # What a script starts in the background ignores SIGINT, and so would the tests' own process.
    process = recipe.start(
        *("train.max_steps=100000", "--stop-stage", "train"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    last = recipe.exp / "checkpoints" / "last.ckpt"
    wait_until(last.is_file, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == "wg: interrupted; run the same command to go on\n"
    assert 0 < read_checkpoint(last)["global_step"] < 100_000
    assert not (recipe.exp / "stage-train.json").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_training_that_is_asked_to_end_saves_the_step_it_is_at_and_goes_on_the_same(
    recipe: TinyRecipe, processes: int
) -> None:
    several = f"train.processes={processes}"
    # A prime, so that it is very unlikely to be asked to just after a validation.
    long = ("train.max_steps=194", "train.valid_every=97", several, "--stop-stage", "train")
    process = recipe.start(*long, "train.log_every=1")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("step 5/") for line in lines)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    last = recipe.exp / "checkpoints" / "last.ckpt"
    step = read_checkpoint(last)["global_step"]
    assert 5 <= step < 194 and "run the same command to go on" in err and "Traceback" not in err
    assert not (recipe.exp / "stage-train.json").exists()

    outcome = recipe.run_apart(*long)
    assert outcome.code == 0 and f"resuming from {last}" in outcome.out
    whole = TinyRecipe(recipe.root / "whole", recipe.corpus)
    recipe.copy_recipe(whole.root)
    assert whole.run_apart(*long).code == 0
    ends = [read_checkpoint(r.exp / "checkpoints" / "last.ckpt") for r in (recipe, whole)]
    assert [end["global_step"] for end in ends] == [194, 194]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name
    names = [sorted(p.name for p in (r.exp / "checkpoints").iterdir()) for r in (recipe, whole)]
    assert names[0] == names[1] and len(names[0]) == 3


@dataclass(frozen=True)
class Clock:
    """Stands in for the module `time`."""

    time: Callable[[], float]


def test_training_ends_in_time_with_a_checkpoint(
    recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0] * 5)  # a look at the clock before each step
    monkeypatch.setattr("wg.training.saving.time", Clock(lambda: next(ticks, float("inf"))))
    endless = ("train.max_steps=100000", "train.valid_every=50000", "--stop-stage", "train")
    outcome = recipe.run(*endless, "--max-time", "0:00:03")
    assert outcome.code == 75
    assert "its time is over); run the same command to go on" in outcome.err
    step = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")["global_step"]
    assert step == 5 and "stopped at step 5 of 100000" in outcome.err
    line = recipe.run("--max-time", "soon").complaint()
    assert "--max-time 'soon': give HH:MM:SS" in line


def test_a_run_that_was_moved_away_ends_and_makes_no_new_folder(recipe: TinyRecipe) -> None:
    process = recipe.start("train.max_steps=100000", "--stop-stage", "train")
    wait_until((recipe.exp / "checkpoints" / "last.ckpt").is_file, process)
    recipe.exp.rename(recipe.exp.with_name("moved"))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "was moved or replaced while training" in err
    assert not (recipe.exp / "checkpoints").exists()


def test_a_second_run_is_refused_and_names_the_first(recipe: TinyRecipe) -> None:
    process = recipe.start("train.max_steps=100000", "--stop-stage", "train")
    wait_until((recipe.exp / "checkpoints" / "last.ckpt").is_file, process)
    line = recipe.run("train.learning_rate=1", "--stop-stage", "train").complaint()
    assert "another run is at work there" in line and f"process {process.pid} on" in line
    assert recipe.exp.is_dir() and not recipe.exp.with_name("tiny-wavegrad.old-1").exists()
    process.kill()
    process.communicate()
    assert recipe.run("train.max_steps=8", "--stop-stage", "train", "--restart").code == 0


def test_nothing_of_training_lands_in_the_temporary_folder(
    recipe: TinyRecipe, tmp_path: Path
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = recipe.start("train.max_steps=100000", "--stop-stage", "train", env=environment)
    wait_until((recipe.exp / "checkpoints" / "last.ckpt").is_file, process)
    process.kill()
    process.communicate()
    # Libraries leave folders of their own there, empty or with a few bytes; checkpoints take more.
    assert all(path.stat().st_size < 4096 for path in folder.rglob("*") if path.is_file())
