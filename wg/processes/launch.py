"""One process a device: starting them, and knowing which one this is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wg.errors import InputError, Stopped

LAUNCHER = "WG_LAUNCHER"  # environment: the process that started torchrun
PART = "WG_PART"  # environment: I/N, of jobs that know nothing of each other


@dataclass(frozen=True)
class Place:
    """Of `world` processes, this is number `rank`; `local` on its machine."""

    rank: int
    local: int
    world: int


def place() -> Place:
    """From --part, or the environment of torchrun or srun; a single process otherwise."""
    env = os.environ
    if PART in env:
        number, parts = map(int, env[PART].split("/"))
        return Place(number - 1, 0, parts)
    if "LOCAL_RANK" in env:
        return Place(int(env["RANK"]), int(env["LOCAL_RANK"]), int(env["WORLD_SIZE"]))
    if int(env.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in env:
        numbers = (env["SLURM_PROCID"], env["SLURM_LOCALID"], env["SLURM_NTASKS"])
        return Place(*map(int, numbers))
    return Place(0, 0, 1)


def wait_for_all(seconds: int = 1800) -> None:
    """Returns once every process has come here; at the first call that many seconds are waited."""
    if place().world == 1 or PART in os.environ:
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
