"""tools/slurm.sh and tools/torchrun.sh on two simulated nodes: ended, and gone on to the same."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import torch
from cluster import Slurm, free_port, here, started
from stand_in import BASH, ROOT
from tiny_recipe import TinyRecipe, wait_until

from wg.inference.checkpoint import read_checkpoint

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)
STEPS = 80
SETTINGS = (f"train.max_steps={STEPS}", "train.valid_every=40", "train.log_every=1")


def weights(recipe: TinyRecipe) -> dict[str, torch.Tensor]:
    """Those of the last checkpoint, which is of the last step."""
    content = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")
    assert content["global_step"] == STEPS
    return content["state_dict"]


def begun(output: Path, *processes: subprocess.Popen[bytes]) -> None:
    """Returns once a run that prints there has made five steps."""

    def made() -> bool:
        assert all(process.poll() is None for process in processes), output.read_text()
        return "\nstep 5/" in output.read_text("utf-8")

    wait_until(made)


def assert_as_one_node(recipe: TinyRecipe) -> None:
    """What two nodes trained in two goes is, to the bit, what two processes of one do in one.

    One process differs from two by rounding (`tests/training/test_ddp.py`).
    """
    ours = weights(recipe)
    recipe.exp.rename(recipe.exp.with_name("nodes"))
    assert recipe.run_apart("--stop-stage", "train", *SETTINGS, "train.processes=2").code == 0
    for name, value in weights(recipe).items():
        assert torch.equal(value, ours[name]), name


def test_a_slurm_job_that_is_preempted_is_queued_again_and_ends_as_one_node(
    recipe: TinyRecipe, tmp_path: Path
) -> None:
    assert recipe.run("--stop-stage", "features").code == 0
    slurm = Slurm(tmp_path / "slurm")
    _, folder, *options = recipe.arguments(*SETTINGS)
    command = (ROOT / "tools" / "slurm.sh", folder, *options)
    job = slurm.sbatch(*command, nodes=2)
    begun(slurm.output, job)
    slurm.preempt()
    job.wait(120)
    said = slurm.output.read_text("utf-8")
    assert slurm.queued_again() and "not done yet" in said and "Traceback" not in said, said
    step = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")["global_step"]
    assert 5 <= step < STEPS and not (recipe.exp / "stage-train.json").exists()

    job = slurm.sbatch(*command, nodes=2)
    code, said = job.wait(120), slurm.output.read_text("utf-8")
    assert code == 0 and not slurm.queued_again(), said
    assert said.count("resuming from") == 1 and said.count(f"step {STEPS}/{STEPS}") == 1
    assert recipe.run("--dry-run", *SETTINGS).decisions()["train"] == "skipped: up to date"
    assert_as_one_node(recipe)


def test_a_slurm_job_that_fails_is_not_queued_again(recipe: TinyRecipe, tmp_path: Path) -> None:
    slurm = Slurm(tmp_path / "slurm")
    job = slurm.sbatch(ROOT / "tools" / "slurm.sh", str(recipe.folder), "train.batch_size=0")
    code, said = job.wait(120), slurm.output.read_text("utf-8")
    assert code == 2 and not slurm.queued_again()
    assert said.count("wg: error: train.batch_size") == 1 and "Traceback" not in said, said


def test_a_second_run_is_refused_while_nodes_are_at_work(
    recipe: TinyRecipe, tmp_path: Path
) -> None:
    assert recipe.run("--stop-stage", "features").code == 0
    slurm = Slurm(tmp_path / "slurm")
    _, folder, *options = recipe.arguments("train.max_steps=100000", "train.log_every=1")
    job = slurm.sbatch(ROOT / "tools" / "slurm.sh", folder, *options, nodes=2)
    begun(slurm.output, job)
    for further in ((), ("--nodes", "2")):
        line = recipe.run_apart(
            *("--stage", "train", "--stop-stage", "train", "train.max_steps=100000", *further),
            env={**slurm.environment, "MASTER_ADDR": "127.0.0.1"},
        ).complaint()
        assert "another run is at work there" in line
    second = Slurm(tmp_path / "second")
    other = second.sbatch(ROOT / "tools" / "slurm.sh", folder, *options, nodes=2)
    assert other.wait(120) == 2  # all of its tasks end: none waits for the one that was refused
    assert second.output.read_text("utf-8").count("another run is at work there") == 2
    slurm.preempt()
    assert job.wait(120) != 0


def test_a_jobs_script_without_srun_trains_alone(
    recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"JOB_ID": "7", "NTASKS": "4", "NTASKS_PER_NODE": "4", "NNODES": "1"}
    for key, value in {**told, "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    outcome = recipe.run("--stop-stage", "train")
    assert outcome.code == 0 and "step 8/8" in outcome.out, outcome


def test_more_tasks_than_the_run_has_processes_are_refused(
    recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"STEP_ID": "0", "NTASKS": "4", "PROCID": "1", "LOCALID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    line = recipe.run("--stage", "train", "--stop-stage", "train", "--nodes", "2").complaint()
    assert "4 processes were started" in line and "are 2; start a task a GPU" in line
    assert not recipe.work.exists()


def test_machines_under_torchrun_are_asked_to_end_and_end_as_one_node(
    recipe: TinyRecipe, tmp_path: Path
) -> None:
    assert recipe.run("--stop-stage", "features").code == 0
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    environment = {**here(tmp_path / "bin"), **meeting}
    _, folder, *options = recipe.arguments(*SETTINGS)
    command = [BASH, str(ROOT / "tools" / "torchrun.sh"), "2", folder, *options]
    output = tmp_path / "output"
    machines = [started(command, environment, output) for _ in range(2)]
    begun(output, *machines)
    machines[0].send_signal(signal.SIGTERM)  # one of them is enough
    codes = [machine.wait(120) for machine in machines]
    said = output.read_text("utf-8")
    assert codes == [75, 75] and "Traceback" not in said, said
    assert not (recipe.exp / "stage-train.json").exists()
    machines = [started(command, environment, output) for _ in range(2)]
    codes = [machine.wait(120) for machine in machines]
    said = output.read_text("utf-8")
    assert codes == [0, 0] and said.count("resuming from") == 1, said
    assert_as_one_node(recipe)
