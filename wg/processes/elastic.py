"""torchrun that ends with its processes' exit status, not with a traceback of its own.

python -m wg.processes.elastic ARGUMENTS OF TORCHRUN
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main


def ask_to_end(*_: Any) -> None:
    """Asks the processes that torchrun has started, which then end in their own time.

    torchrun itself, asked to end, takes no leave of the other machines: theirs wait five minutes.
    """
    found = [path.read_text("ascii") for path in Path("/proc/self/task").glob("*/children")]
    for pid in " ".join(found).split() or [str(os.getpid())]:
        os.kill(int(pid), signal.SIGTERM)


def run() -> int:
    """The exit status of the first process that failed, 0 where none did; asked by SIGUSR1."""
    signal.signal(signal.SIGUSR1, ask_to_end)
    try:
        main()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return max(failure.exitcode, 1)  # a signal that killed it is negative
    except SignalException as error:
        return 128 + error.sigval
    return 0


if __name__ == "__main__":
    sys.exit(run())
