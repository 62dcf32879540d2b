"""Training in two processes on the CPU: the same gradients as one process computes for both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ddp_worker import MADE, gradients, spoken, untrained
from tiny import dumps
from tiny_recipe import TinyRecipe, running, wait_until

from wg.data.segments import Share
from wg.inference.checkpoint import read_checkpoint
from wg.training.data import SegmentData
from wg.training.modules import DiffusionModule

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)
WORKER = Path(__file__).with_name("ddp_worker.py")
PROCESSES = ("--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have trained for four steps."""
    folder = tmp_path_factory.mktemp("ddp")
    dumps(folder)
    command = [sys.executable, "-m", "torch.distributed.run", *PROCESSES, str(WORKER), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each process saw."""
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]


class OfRank(DiffusionModule):
    """A module that takes itself for that of a process among others, without any others."""

    rank = 0

    @property
    def global_rank(self) -> int:
        return self.rank


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def shares(folder: Path) -> list[dict[str, torch.Tensor]]:
    """The gradients of the first batch's two halves, each computed alone."""
    feed = SegmentData(MADE, *dumps(folder))
    found = []
    for rank in (0, 1):
        module = untrained(OfRank)
        assert isinstance(module, OfRank)
        module.rank = rank
        batch = next(iter(feed.training(Share(rank, 2), 0)))
        assert len(batch["ids"]) == MADE.train.batch_size // 2
        module.training_step(batch, 0).backward()
        found.append(gradients(module))
    return found


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_processes_average_the_gradients_of_their_shares(
    folder: Path, seen: list[dict[str, dict[str, torch.Tensor]]], tmp_path: Path
) -> None:
    first, second = shares(tmp_path)
    for name, got in seen[0]["first"].items():
        assert torch.allclose(got, (first[name] + second[name]) / 2, rtol=1e-5, atol=1e-6), name
    # The shares differ, so that their average is neither of them.
    assert any(not torch.allclose(first[name], second[name], atol=1e-3) for name in first)


def test_processes_agree_to_the_bit(seen: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    for part in ("first", "last"):
        for name, value in seen[0][part].items():
            assert torch.equal(value, seen[1][part][name]), (part, name)


def test_batch_norm_and_the_mean_over_symbols_are_of_all_processes(
    seen: list[dict[str, dict[str, torch.Tensor]]],
) -> None:
    one, two = (process["spoken"] for process in seen)
    whole = spoken([0, 1, 2, 3])
    assert one.keys() == whole.keys()
    for name, expected in whole.items():
        if name.startswith("gradient"):
            got = (one[name] + two[name]) / 2  # as DDP does
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
        else:
            torch.testing.assert_close(one[name], expected, rtol=1e-5, atol=1e-7)
            assert torch.equal(one[name], two[name])


def test_processes_write_one_set_of_checkpoints(folder: Path) -> None:
    names = sorted(path.name for path in (folder / "exp" / "checkpoints").iterdir())
    assert [name[:12] for name in names] == ["last.ckpt", "step-0000002", "step-0000004"]
    assert len(list((folder / "exp" / "log" / "csv").iterdir())) == 1


def test_the_averaged_weights_of_processes_are_saved(
    folder: Path, seen: list[dict[str, dict[str, torch.Tensor]]]
) -> None:
    content = read_checkpoint(folder / "exp" / "checkpoints" / "last.ckpt")
    assert content["global_step"] == 4
    for name, value in content["state_dict"].items():
        assert torch.equal(value, seen[0]["last"][name]), name
    assert any(
        not torch.equal(value, content["current_model_state"][name])
        for name, value in content["state_dict"].items()
    )


def test_a_recipe_in_two_processes_is_killed_and_goes_on(recipe: TinyRecipe) -> None:
    endless = ("train.processes=2", "train.max_steps=100000")
    process = recipe.start(*endless, "--stop-stage", "train")
    last = recipe.exp / "checkpoints" / "last.ckpt"
    wait_until(last.is_file, process)
    process.kill()  # this process alone: torchrun and its two find out
    process.wait()
    wait_until(lambda: not running(process.pid, str(recipe.root)))
    steps = read_checkpoint(last)["global_step"]
    assert not (recipe.exp / "stage-train.json").exists()

    outcome = recipe.run_apart(
        "train.processes=2", f"train.max_steps={steps + 4}", "--stop-stage", "decode"
    )
    assert outcome.code == 0, outcome
    assert outcome.out.count(f"resuming from {last}") == 1
    assert outcome.out.count(f"step {steps + 4}/{steps + 4}") == 1
    assert read_checkpoint(last)["global_step"] == steps + 4
    assert (recipe.decoded / "tone-09.wav").is_file()
    again = recipe.run(f"train.max_steps={steps + 4}", "--stop-stage", "decode").decisions()
    assert set(again.values()) == {"skipped: up to date"}


def test_a_batch_that_does_not_divide_is_refused_before_any_work(recipe: TinyRecipe) -> None:
    line = recipe.run("train.processes=3").complaint()
    assert "train.batch_size 4 does not divide by 3 processes; the nearest is 3" in line
    assert not recipe.work.exists()
