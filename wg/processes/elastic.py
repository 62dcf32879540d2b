"""torchrun that ends with its processes' exit status, not with a traceback of its own.

python -m wg.processes.elastic ARGUMENTS OF TORCHRUN
"""

from __future__ import annotations

import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main


def run() -> int:
    """The exit status of the first process that failed, 0 where none did."""
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
