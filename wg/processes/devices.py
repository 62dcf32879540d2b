"""Where a run computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wg.errors import InputError


@dataclass(frozen=True)
class Devices:
    """GPUs a machine (0: CPU processes), machines, and the time by which training has to end."""

    gpus: int = 0
    nodes: int = 1
    until: float | None = None  # seconds since the epoch; None: when it is done

    def check(self) -> None:
        """InputError if this machine lacks what was asked for."""
        found = torch.cuda.device_count()
        if self.gpus > found:
            raise InputError(
                f"--ngpu {self.gpus}: this machine has {found} CUDA devices; give --ngpu {found}"
            )


def synchronise(device: torch.device) -> None:
    """Waits until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def computes_in_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16, and does not only store it (x86 alone is known)."""
    return _has("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def computes_in_int8() -> bool:
    """Whether this CPU has avx512_vnni, and torch the convolutions that are made of it."""
    return _has("_is_vnni_supported") and hasattr(torch.ops.onednn, "qconv2d_pointwise")


def _has(*instructions: str) -> bool:
    """Whether any of them is there, by torch's names."""
    return any(getattr(torch.cpu, name, bool)() for name in instructions)
