"""One process a device: starting them, and knowing which one this is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from wg.errors import InputError, Stopped

LAUNCHER = "WG_LAUNCHER"  # environment: the process that started torchrun
PART = "WG_PART"  # environment: I/N, of jobs that know nothing of each other
SCRIPT = (
    0xFFFFFFF0  # SLURM's step ids from here on are no steps of srun, but a job's script and such
)
WHOLE = "whole"  # there: what this process does alone, while others of its run wait


Item = TypeVar("Item")


@dataclass(frozen=True)
class Place:
    """Of `world` processes, this is number `rank`; `local` on its machine."""

    rank: int
    local: int
    world: int


def place() -> Place:
    """From the environment of torchrun or srun; a single process otherwise.

    As is a job's script itself: sbatch tells it of the job's tasks too, which srun would start.
    """
    env = os.environ
    if PART in env and env[PART] == WHOLE:
        return Place(0, 0, 1)
    if "LOCAL_RANK" in env:
        return Place(int(env["RANK"]), int(env["LOCAL_RANK"]), int(env["WORLD_SIZE"]))
    if step() is not None and "SLURM_PROCID" in env:
        tasks = env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS", "1")
        return Place(*map(int, (env["SLURM_PROCID"], env["SLURM_LOCALID"], tasks)))
    return Place(0, 0, 1)


def step() -> int | None:
    """The number of the step of a SLURM job that srun started; None outside of one."""
    number = int(os.environ.get("SLURM_STEP_ID", SCRIPT))
    return number if number < SCRIPT else None


@dataclass(frozen=True)
class Member:
    """The run that a process is of, which may have others on other machines, and its role there.

    "first" takes locks for all, of "any" the one that comes first does, "other" takes none.
    """

    run: str  # the same in all of its processes; "": there are no others
    role: Literal["alone", "first", "any", "other"]


def member(nodes: int) -> Member:
    """From the environment, for a run on so many machines."""
    here, env = place(), os.environ
    run = ""
    if "SLURM_JOB_ID" in env:
        run = f"slurm {env['SLURM_JOB_ID']}.{'script' if step() is None else step()}"
    elif here.world > 1 or nodes > 1:
        run = f"torchrun {env.get('MASTER_ADDR')}:{env.get('MASTER_PORT', '29500')}"
    if here.world > 1:
        return Member(run, "other" if here.rank else "first")
    return Member(run, "any" if nodes > 1 else "alone")


def part() -> tuple[int, int] | None:
    """(I, N) of a job that does the I-th of N parts of a stage; None: the stage is done whole."""
    if PART not in os.environ or os.environ[PART] == WHOLE:
        return None
    number, of = map(int, os.environ[PART].split("/"))
    return number, of


@contextmanager
def as_part(text: str | None) -> Iterator[None]:
    """Makes this process do that part, for the time of a block; None: as others of its run."""
    before = os.environ.pop(PART, None)
    if text is not None:
        os.environ[PART] = text
    try:
        yield
    finally:
        os.environ.pop(PART, None)
        if before is not None:
            os.environ[PART] = before


def share() -> tuple[int, int]:
    """Of how many, parts and the processes of each, this process is which; the first is 0."""
    here, (number, parts) = place(), part() or (1, 1)
    return (number - 1) * here.world + here.rank, parts * here.world


def shared(items: Sequence[Item]) -> Sequence[Item]:
    """What falls to this process."""
    number, of = share()
    return items[number::of]


def wait_for_all(seconds: int = 1800) -> None:
    """Returns once every process has come here; at the first call that many seconds are waited."""
    if place().world == 1:
        return
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        here = place()
        os.environ.setdefault("MASTER_PORT", "29500")
        # Training goes on with the same group, on GPUs where there are some.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        limit = timedelta(seconds=seconds)
        dist.init_process_group(backend, rank=here.rank, world_size=here.world, timeout=limit)
    dist.barrier()


def torchrun(arguments: Sequence[str], processes: int, nodes: int = 1) -> None:
    """Runs a `wg` command under torchrun, `processes` on each node.

    Stopped where it was asked to end, and its processes could not end in their own time.
    """
    command = [
        *(sys.executable, "-m", "wg.processes.elastic", "--nproc-per-node", str(processes)),
        *(("--standalone",) if nodes == 1 else rendezvous(nodes)),
        *("-m", "wg", *arguments),
    ]
    environment = {**os.environ, LAUNCHER: str(os.getpid())}
    process = subprocess.Popen(command, env=environment)
    asked = []

    def pass_on(number: int, _: Any) -> None:
        asked.append(number)
        process.send_signal(signal.SIGUSR1)  # see wg.processes.elastic

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if asked and code:
        raise Stopped("asked to end; run the same command to go on")
    if code:
        what = " ".join(arguments[:2])
        raise InputError(f"{what} failed under torchrun (status {code}); its message is above")


def end_with_launcher() -> None:
    """Ends this process soon after the one that ran `torchrun`, were it killed.

    torchrun itself would go on, and the same command, given again, would train beside it.
    """
    if LAUNCHER not in os.environ:
        return
    launcher = int(os.environ[LAUNCHER])

    def watch() -> None:
        while True:
            try:
                os.kill(launcher, 0)
            except ProcessLookupError:
                os._exit(1)
            time.sleep(1)

    threading.Thread(target=watch, daemon=True).start()


def rendezvous(nodes: int) -> tuple[str, ...]:
    """Where several machines meet: MASTER_ADDR and MASTER_PORT."""
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "29500")
    if address is None:
        raise InputError(
            f"--nodes {nodes}: MASTER_ADDR is not set; export the first machine's address on every "
            "machine and run the same command on each (docs/cluster.md)"
        )
    return (
        "--nnodes",
        str(nodes),
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        f"{address}:{port}",
    )
