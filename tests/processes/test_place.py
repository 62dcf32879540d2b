"""Which of several processes this is, by what torchrun, srun and sbatch say."""

from __future__ import annotations

import os

import pytest

from wg.processes.launch import Member, Place, member, place, wait_for_all

JOB = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}
ELASTIC = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a"}
ALONE = Place(0, 0, 1)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [*os.environ]:
        if key.startswith(("SLURM_", "MASTER_")) or key in ELASTIC:
            monkeypatch.delenv(key)


def say(monkeypatch: pytest.MonkeyPatch, **said: str) -> None:
    for key, value in said.items():
        monkeypatch.setenv(key, value)


def test_a_task_of_srun_knows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, **{**JOB, **STEP, "SLURM_PROCID": "3", "SLURM_LOCALID": "1"})
    assert place() == Place(3, 1, 4)
    assert member(2) == Member("slurm 7.0", "other")


def test_a_step_of_fewer_tasks_than_the_job_has_counts_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say(monkeypatch, **{**JOB, **STEP, "SLURM_STEP_NUM_TASKS": "1"})
    assert place() == ALONE


@pytest.mark.parametrize("number", [None, "4294967291", "4294967290"])
def test_a_jobs_script_is_alone_whatever_tasks_the_job_has(
    monkeypatch: pytest.MonkeyPatch, number: str | None
) -> None:
    """sbatch without srun, and the shell of salloc: one process, which waits for no other."""
    say(monkeypatch, **JOB, **({"SLURM_STEP_ID": number} if number else {}))
    assert place() == ALONE
    assert member(1) == Member("slurm 7.script", "alone")
    wait_for_all(seconds=1)


def test_torchrun_is_believed_before_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, **{**JOB, **ELASTIC})
    assert place() == Place(1, 1, 2)


def test_processes_of_torchrun_are_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, MASTER_ADDR="a")
    assert member(2) == Member("torchrun a:29500", "any")  # which machine this is, none knows
    say(monkeypatch, **ELASTIC)
    assert member(2) == Member("torchrun a:29500", "other")
    say(monkeypatch, RANK="0", LOCAL_RANK="0")
    assert member(2) == Member("torchrun a:29500", "first")
