"""Where a run computes."""

from __future__ import annotations

from dataclasses import dataclass

from wg.errors import InputError


@dataclass(frozen=True)
class Devices:
    """GPUs a machine (0: CPU processes) and machines."""

    gpus: int = 0
    nodes: int = 1

    def check(self) -> None:
        """InputError if this machine lacks what was asked for."""
        import torch

        found = torch.cuda.device_count()
        if self.gpus > found:
            raise InputError(
                f"--ngpu {self.gpus}: this machine has {found} CUDA devices; give --ngpu {found}"
            )
