"""What a machine can do at most, and what a network asks of it.

Arithmetic intensity is of the operations as torch calls them one by one, each reading its inputs
and writing its outputs: a backend that fuses operations moves less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from wg.bench.speed import multiply_adds
from wg.bench.systems import AUTOCAST
from wg.models.int8 import Int8Conv, rounded

SIZES = {"cpu": (2048, 4096, 2**24), "cuda": (8192, 65536, 2**28)}
CHANNELS, TAPS = 512, 3  # of the convolution, like WaveGrad's widest


@dataclass(frozen=True)
class Probe:
    """Work of a known amount, to time: arithmetic in FLOP, or a copy in bytes."""

    name: str  # product, convolution or copy
    precision: str
    work: float
    call: Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """What a call asks for."""

    macs: float  # multiply-adds of convolutions and products
    traffic: float  # bytes that its operations read and write


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Calls the operation and adds what it moves."""
        from torch.utils._pytree import tree_leaves

        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            moved = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in moved)
        return out


def workload_of(call: Callable[[], object]) -> Workload:
    """Multiply-adds and traffic of a call."""
    with Traffic() as traffic:
        macs = multiply_adds(call)
    return Workload(macs, traffic.bytes)


def operators(call: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Share of a call's time in each of torch's operations, the largest first; it is warm.

    Of the CPU's seconds, or the GPU's, less what the operations call in turn.
    """
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device.type == "cuda"
    seen = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=seen) as profiled:
        call()
    taken = {
        event.key.removeprefix("aten::"): event.self_device_time_total
        if on_gpu
        else event.self_cpu_time_total
        for event in profiled.key_averages()
    }
    whole = sum(taken.values()) or 1
    return {name: taken[name] / whole for name in sorted(taken, key=lambda n: -taken[n])}


def int8_probe(length: int) -> Probe:
    """A convolution in 8 bits, of what is rounded already."""
    taps = torch.randn(CHANNELS, CHANNELS, TAPS)
    convolution = Int8Conv(taps[:, :, None], torch.zeros(CHANNELS), (1, 1), (1, 1))
    clip = rounded(torch.randn(1, length, CHANNELS), (0, TAPS // 2))
    work = 2.0 * CHANNELS**2 * TAPS * length
    return Probe("convolution", "int8", work, lambda: convolution(clip, torch.bfloat16))


def probes(device: torch.device, precisions: set[str]) -> list[Probe]:
    """A product of large matrices and a convolution in each precision, and a copy in float32."""
    size, length, count = SIZES[device.type]
    found = []
    for precision in sorted(precisions):
        if precision == "int8":
            found.append(int8_probe(length))
            continue
        dtype = AUTOCAST.get(precision, torch.float32)
        square = torch.randn(size, size, device=device).to(dtype)
        wave = torch.randn(1, CHANNELS, length, device=device).to(dtype)
        taps = torch.randn(CHANNELS, CHANNELS, TAPS, device=device).to(dtype)
        found += [
            Probe("product", precision, 2.0 * size**3, lambda m=square: m @ m),
            Probe(
                "convolution",
                precision,
                2.0 * CHANNELS**2 * TAPS * length,
                lambda x=wave, w=taps: torch.nn.functional.conv1d(x, w, padding="same"),
            ),
        ]
    source = torch.ones(count, device=device)
    target = torch.empty_like(source)
    copied = 2.0 * count * source.element_size()
    return [*found, Probe("copy", "32", copied, lambda: target.copy_(source))]
