"""What a vocoder costs: time, memory, parameters, multiply-adds."""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from wg.bench.plan import Speed
from wg.bench.systems import System
from wg.models.int8 import plainly
from wg.processes.devices import synchronise

PERCENTILES = (50, 90, 99)
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEGA = 1e6


def cost(system: System, waves: Sequence[np.ndarray], rate: int, speed: Speed) -> dict[str, Any]:
    """Everything that a cell says of speed, measured on the beginning of its recordings [T].

    | name | definition |
    |---|---|
    | rtf | seconds of synthesis over seconds of audio, one utterance at a time: percentiles |
    | rtf_batch | the same over all utterances of a batch |
    | first_chunk_ms | computing until the first audio: percentiles, ms |
    | first_chunk_after_s | seconds of features that must be there by then |
    | peak_memory_mb | of a synthesis: on a GPU allocated memory, on a CPU growth of the process |
    | parameters | of the network; None without one |
    | gmacs | 1e9 multiply-adds a second of audio, of convolutions and products; None likewise |

    Timings are wall-clock, after one untimed synthesis, and a GPU is waited for at either end.
    First audio: what a listener of `Vocoder.stream` waits for, fed chunks of one utterance that are
    there at once. A vocoder that does not stream synthesises the first chunk by itself.
    """
    clip = excerpt(waves, round(speed.seconds * rate))
    whole = system.features(clip, rate)
    chunk = system.features(clip[: round(speed.chunk * rate)], rate)
    seconds = len(clip) / rate

    def times(batch: int) -> np.ndarray:
        def call() -> object:
            return system.synthesise([whole] * batch, range(batch))

        return timings(call, system.device, speed.repeats)

    def first() -> object:
        return system.begin(whole, speed.chunk) or system.synthesise([chunk], [0])

    def once() -> object:
        return system.synthesise([whole], [0])

    network, after = system.network, system.begin(whole, speed.chunk)
    return {
        "seconds": seconds,
        "batch": speed.batch,
        "repeats": speed.repeats,
        "rtf": percentiles(times(1) / seconds),
        "rtf_batch": percentiles(times(speed.batch) / (seconds * speed.batch)),
        "first_chunk_ms": percentiles(1e3 * timings(first, system.device, speed.repeats)),
        "first_chunk_after_s": speed.chunk if after is None else after,
        "peak_memory_mb": peak_memory(once, system.device),
        "parameters": None if network is None else sum(w.numel() for w in network.parameters()),
        "gmacs": None if network is None else multiply_adds(once, network) / seconds / 1e9,
    }


def excerpt(waves: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """The first samples [samples] of the recordings [T] in a row, repeated if too short."""
    return np.resize(np.concatenate(waves), samples)


def timings(call: Callable[[], object], device: torch.device, repeats: int) -> np.ndarray:
    """Seconds [repeats] of each call, after a first one that is not timed."""
    found = []
    for number in range(repeats + 1):
        taken = seconds_of(call, device)
        if number:
            found.append(taken)
    return np.array(found)


def seconds_of(
    call: Callable[[], object],
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of a call, by the wall unless told otherwise; a GPU is waited for at either end."""
    synchronise(device)
    started = clock()
    call()
    synchronise(device)
    return clock() - started


def percentiles(values: np.ndarray) -> dict[str, float]:
    """Median, 90th and 99th percentile of values [N], as p50, p90 and p99."""
    found = np.percentile(values, PERCENTILES)
    return {f"p{which}": float(value) for which, value in zip(PERCENTILES, found, strict=True)}


def peak_memory(call: Callable[[], object], device: torch.device) -> float | None:
    """Most memory that a call takes beyond what was taken before, MB; None where unknown."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        call()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) / MEGA
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc: freed memory that it kept would hide the call's
        CLEAR.write_text("5")  # Linux: the peak starts again from what is taken now
    except (OSError, AttributeError):
        return None
    before = resident("VmRSS")
    call()
    return max(0.0, resident("VmHWM") - before)


def resident(which: str) -> float:
    """A memory value of this process, MB."""
    found = re.search(rf"{which}:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return int(found[1]) * 1024 / MEGA


def multiply_adds(call: Callable[[], object], network: nn.Module | None = None) -> float:
    """Multiply-adds of a call of a network, as torch counts them: of convolutions and products."""
    from torch.utils.flop_counter import FlopCounterMode

    plain = nullcontext() if network is None else plainly(network)
    with plain, FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2
