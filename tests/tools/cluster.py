"""A stand-in for SLURM: sbatch, srun and scontrol, which start the tasks of two nodes here.

As SLURM's own do: the batch script runs from a copy, its #SBATCH lines are options, tasks learn
their place from SLURM's variables, pre-emption and the time limit send SIGTERM to the tasks and
not to the script, and a job that is queued again is ended where it stands, then started anew.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from stand_in import BASH, ROOT, executable

SRUN = """
import os, subprocess, sys
assert sys.argv[1] == "--kill-on-bad-exit=0", sys.argv  # the first task to end takes no other along
count, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NNODES"])
tasks = []
for rank in range(count):
    node, local = divmod(rank, count // nodes)
    own = {"SLURM_PROCID": rank, "SLURM_LOCALID": local, "SLURM_NODEID": node, "SLURM_STEP_ID": 0}
    environment = {**os.environ, **{key: str(value) for key, value in own.items()}}
    tasks.append(subprocess.Popen(sys.argv[2:], env=environment))
with open(os.environ["STAND_IN_TASKS"], "w") as file:
    file.write(" ".join(str(task.pid) for task in tasks))
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = """
case "$*" in
  "show hostnames 127.0.0.[1-2]") printf '127.0.0.1\\n127.0.0.2\\n' ;;
  "requeue $SLURM_JOB_ID") touch "$STAND_IN_QUEUE"; kill "$STAND_IN_SCRIPT" ;;
  *) echo "scontrol: $*?" >&2; exit 1 ;;
esac
"""


def here(folder: Path) -> dict[str, str]:
    """An environment whose `python` is this one, with this checkout's wg and no venv."""
    python = f'#!{BASH}\nexec "{sys.executable}" "$@"\n'
    executable(folder / "python", python)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    for key in ("VIRTUAL_ENV", "WG_VENV", "WG_ROOT"):
        kept.pop(key, None)
    return {**kept, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def started(
    command: list[str], environment: dict[str, str], output: Path
) -> subprocess.Popen[bytes]:
    """A process in a session of its own, which adds what it prints to a file."""
    with output.open("ab") as file:
        return subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, start_new_session=True
        )


def free_port(least: int = 20000, most: int = 32000) -> int:
    """A port that nobody listens to."""
    for port in range(least + os.getpid() % 5000, most):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


class Slurm:
    """A queue of one job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = here(folder / "bin")
        executable(folder / "bin" / "srun", f"#!{sys.executable}{SRUN}")
        executable(folder / "bin" / "scontrol", f"#!{BASH}{SCONTROL}")
        self.tasks, self.queue, self.output = (
            folder / "tasks",
            folder / "again",
            folder / "slurm.out",
        )
        self.starts = 0

    def sbatch(self, *command: str | Path, **options: int) -> subprocess.Popen[bytes]:
        """Starts the job `command`, a script and its arguments, or starts it anew."""
        script, *arguments = map(str, command)
        lines = re.findall(r"^#SBATCH (.*)", Path(script).read_text("utf-8"), re.MULTILINE)
        items = [item[2:].split("=", 1) for item in shlex.split(" ".join(lines))]
        asked = {item[0]: item[-1] for item in items}
        assert "requeue" in asked and asked["signal"] == "TERM@300"  # to the tasks, not to B:
        assert asked["open-mode"] == "append"
        nodes = options["nodes"] if "nodes" in options else int(asked["nodes"])
        spool = self.folder / "spool" / "slurm_script"  # not where it was: neither may its tools be
        spool.parent.mkdir(exist_ok=True)
        shutil.copy(script, spool)
        self.tasks.unlink(missing_ok=True)
        told = {
            "SLURM_JOB_ID": free_port() - 20000,
            "SLURM_JOB_NODELIST": "127.0.0.[1-2]",
            "SLURM_NNODES": nodes,
            "SLURM_NTASKS": nodes * int(asked["ntasks-per-node"]),
            "SLURM_NTASKS_PER_NODE": asked["ntasks-per-node"],
            "SLURM_RESTART_COUNT": self.starts,
            "SLURM_SUBMIT_DIR": ROOT,
            "STAND_IN_TASKS": self.tasks,
            "STAND_IN_QUEUE": self.queue,
        }
        self.starts += 1
        start = f'export STAND_IN_SCRIPT=$$; exec {BASH} "$@"'
        environment = {**self.environment, **{key: str(value) for key, value in told.items()}}
        return started(
            [BASH, "-c", start, "sbatch", str(spool), *arguments], environment, self.output
        )

    def preempt(self) -> None:
        """What it does before a job's time is over, or to make room for another one."""
        for pid in self.tasks.read_text("utf-8").split():
            os.kill(int(pid), signal.SIGTERM)

    def queued_again(self) -> bool:
        """Whether the job asked for that; once."""
        asked = self.queue.exists()
        self.queue.unlink(missing_ok=True)
        return asked
