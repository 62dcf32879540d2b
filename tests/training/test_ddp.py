"""Training in two processes on the CPU: the same numbers as in one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ddp_worker import NAMES, STEPS, spoken, train
from tiny import dumps
from tiny_recipe import TinyRecipe, running, wait_until

from wg.inference.checkpoint import read_checkpoint
from wg.training.resume import newest_intact

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)
WORKER = Path(__file__).with_name("ddp_worker.py")
PROCESSES = ("--standalone", "--nproc-per-node", "2")


def by_two(folder: Path, device: str) -> Path:
    """Where two processes have trained each model for ten steps."""
    dumps(folder)
    torchrun = [sys.executable, "-m", "torch.distributed.run", *PROCESSES]
    command = [*torchrun, str(WORKER), str(folder), device]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return by_two(tmp_path_factory.mktemp("ddp"), "cpu")


def ranks(folder: Path, name: str) -> list[dict[str, Any]]:
    """What each process saw."""
    return [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in (0, 1)]


def off(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two sets of tensors."""
    assert one.keys() == other.keys() and one
    return max(
        float((value.double() - other[key].double()).abs().max()) for key, value in one.items()
    )


def relative(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference, each tensor's to the largest of its values."""
    return max(
        off({key: value}, {key: other[key]}) / max(float(value.abs().max()), 1e-9)
        for key, value in one.items()
    )


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_as_one_does(folder: Path, name: str) -> None:
    alone = train(name, 1, folder)
    first, second = ranks(folder, name)
    assert first["seeds"] and sorted(first["seeds"] + second["seeds"]) == sorted(alone["seeds"])
    assert off(first["weights"], second["weights"]) == 0
    gradients = relative(alone["gradients"], first["gradients"])
    weights = off(alone["weights"], first["weights"])
    print(f"{name}: gradients off by {gradients:.1e}, weights after {STEPS} steps {weights:.1e}")
    assert gradients < max(1e-9, 10 * NAMES[name]) and weights <= NAMES[name]
    for ours, theirs in zip(alone["valid"], first["valid"], strict=True):
        for key in (key for key in ours if key.startswith("valid/")):
            assert theirs[key] == pytest.approx(ours[key], abs=1e-6), key


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_cuda_devices_train_as_one_does(tmp_path: Path) -> None:
    folder = by_two(tmp_path, "cuda")
    for name in NAMES:
        alone = train(name, 1, folder, gpus=1)
        first, second = ranks(folder, name)
        assert off(first["weights"], second["weights"]) == 0
        assert off(alone["weights"], first["weights"]) < max(1e-6, NAMES[name]), name


def test_batch_norm_and_the_mean_over_symbols_are_of_all_processes(folder: Path) -> None:
    one, two = ranks(folder, "spoken")
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
    names = sorted(path.name for path in (folder / "wavegrad-2" / "checkpoints").iterdir())
    assert [name[:12] for name in names] == ["last.ckpt", "step-0000005", "step-0000010"]
    assert len(list((folder / "wavegrad-2" / "log" / "csv").iterdir())) == 1


def test_the_averaged_weights_of_processes_are_saved(folder: Path) -> None:
    content = read_checkpoint(folder / "accumulated-2" / "checkpoints" / "last.ckpt")
    assert content["global_step"] == STEPS
    assert off(content["state_dict"], ranks(folder, "accumulated")[0]["weights"]) == 0
    assert off(content["state_dict"], content["current_model_state"]) > 0


def test_a_recipe_in_two_processes_is_killed_and_goes_on(recipe: TinyRecipe) -> None:
    endless = ("train.processes=2", "train.max_steps=100000")
    process = recipe.start(*endless, "--stop-stage", "train")
    last = recipe.exp / "checkpoints" / "last.ckpt"
    wait_until(last.is_file, process)
    process.kill()  # this process alone: torchrun and its two find out
    process.wait()
    wait_until(lambda: not running(process.pid, str(recipe.root)))
    newest = newest_intact(recipe.exp / "checkpoints")
    assert newest is not None and not (recipe.exp / "stage-train.json").exists()
    steps = newest.step

    outcome = recipe.run_apart(
        "train.processes=2", f"train.max_steps={steps + 4}", "--stop-stage", "decode"
    )
    assert outcome.code == 0, outcome
    assert outcome.out.count(f"resuming from {newest.path}") == 1
    assert outcome.out.count(f"step {steps + 4}/{steps + 4}") == 1
    assert read_checkpoint(last)["global_step"] == steps + 4
    assert (recipe.decoded / "tone-09.wav").is_file()
    again = recipe.run(f"train.max_steps={steps + 4}", "--stop-stage", "decode").decisions()
    assert set(again.values()) == {"skipped: up to date"}


def test_two_machines_train_as_one_does(recipe: TinyRecipe) -> None:
    """Two launchers that meet at an address, as on two machines."""
    train = ("--stage", "train", "--stop-stage", "train", "train.ema=0")
    assert recipe.run("--stop-stage", "features").code == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    meeting = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    machines = [recipe.start(*train, "--nodes", "2", env=meeting) for _ in range(2)]
    for machine in machines:
        _, errors = machine.communicate(timeout=600)
        assert machine.returncode == 0, errors
    ours = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")
    recipe.exp.rename(recipe.exp.with_name("two"))
    assert recipe.run(*train).code == 0
    alone = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")
    assert ours["global_step"] == alone["global_step"] == 8
    assert off(ours["state_dict"], alone["state_dict"]) < 1e-5


def test_a_batch_that_does_not_divide_is_refused_before_any_work(recipe: TinyRecipe) -> None:
    line = recipe.run("train.processes=3").complaint()
    assert "train.batch_size 4 does not divide by 3 processes; the nearest is 3" in line
    assert not recipe.work.exists()


def rank_of(launcher: int, rank: int) -> int:
    """The process that a launcher has started as this rank; torchrun's have groups of their own."""
    wanted = {b"RANK=%d" % rank, b"WG_LAUNCHER=%d" % launcher}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if wanted <= {*(folder / "environ").read_bytes().split(b"\0")}:
                return int(folder.name)
    raise AssertionError(f"no rank {rank}")


def test_a_stopped_process_ends_the_run(recipe: TinyRecipe) -> None:
    endless = ("train.processes=2", "train.max_steps=100000", "train.timeout=15")
    process = recipe.start(*endless, "--stop-stage", "train")
    last = recipe.exp / "checkpoints" / "last.ckpt"
    wait_until(last.is_file, process)
    stopped = rank_of(process.pid, 1)
    os.kill(stopped, signal.SIGSTOP)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 2
    assert "did not answer for 15 s (train.timeout)" in errors and "Traceback" not in errors


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed", "nonsense"])
def test_a_strategy_that_does_not_work_is_refused_before_any_work(
    recipe: TinyRecipe, strategy: str
) -> None:
    line = recipe.run(f"train.strategy={strategy}").complaint()
    assert "train.strategy" in line and "ddp_find_unused_parameters_true" in line
    assert not recipe.work.exists()
