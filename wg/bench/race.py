"""Networks by backends, timed in turn: A B C A B C, so that a slow moment meets all of them.

Ratios are of one round, against the same network eager in float32; so are differences of output.
Shapes: B batch, M mels, F frames, T samples.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from wg.bench.backends import BACKENDS, Backend, BackendContext, Call
from wg.bench.networks import Candidate
from wg.bench.roofline import Probe, Workload, operators, probes, workload_of
from wg.bench.speed import peak_memory, seconds_of
from wg.errors import InputError, reason
from wg.mel.extract import log_mel
from wg.mel.recognise import speech_like
from wg.processes.progress import Bar

EAGER = "eager"  # what all others are held against
COUNTED = 1.0  # seconds of audio whose multiply-adds and traffic are counted
LEAST = 0.01  # share of an operation that a profile names
RECOMPILED = 64  # times that torch.compile may compile one function: a network is one


@dataclass(frozen=True)
class Shape:
    """What is asked of a network at a time, and threads of a CPU."""

    seconds: float
    batch: int
    threads: int

    @property
    def audio(self) -> float:
        """Seconds of audio in a call."""
        return self.seconds * self.batch


@dataclass(frozen=True)
class Timing:
    """How often all take their turn, where, and in whose seconds."""

    repeats: int
    device: torch.device
    clock: Callable[[], float] = time.perf_counter


@dataclass
class SpeedResult:
    """One network by one backend; one that cannot run here has a reason and no times."""

    network: str
    backend: str
    precision: str
    shape: Shape
    reason: str = ""
    times: list[float] = field(default_factory=list)  # seconds, a round each
    ready: float | None = None  # seconds until the first result
    memory: float | None = None  # MB, see `wg.bench.speed.peak_memory`
    difference: float | None = None  # greatest, from eager in float32
    work: Workload | None = None  # of a call of the network, eager
    faster: float | None = None  # than eager: median of the rounds' ratios

    @property
    def rtf(self) -> float:
        """Real-time factor: median seconds of computing a second of audio."""
        return statistics.median(self.times) / self.shape.audio

    @property
    def spread(self) -> tuple[float, float]:
        """Least and greatest real-time factor."""
        return min(self.times) / self.shape.audio, max(self.times) / self.shape.audio

    @property
    def rate(self) -> float:
        """FLOP a second: two for each multiply-add of the network as it is, eager."""
        assert self.work is not None
        return 2 * self.work.macs / statistics.median(self.times)


@dataclass
class Peak:
    """A probe's times, which say what the machine can do at most; timed in turn with the rest."""

    probe: Probe
    shape: Shape
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """FLOP, or of a copy bytes, a second."""
        return self.probe.work / statistics.median(self.times)


@dataclass
class Runner:
    """A row, how to fill it, and what it is given."""

    row: SpeedResult
    call: Call
    mels: Tensor

    def once(self) -> Tensor:
        """Waveforms [B, T] of the row's mels, computed once more."""
        return self.call(self.mels)


def mels_of(candidate: Candidate, seconds: float, batch: int, device: torch.device) -> Tensor:
    """Mels [B, M, F] of something like speech: what they say changes no cost."""
    wave = speech_like(candidate.spec.sample_rate, seconds).float()
    return log_mel(wave, candidate.spec).repeat(batch, 1, 1).to(device)


def race(
    networks: Sequence[Candidate],
    backends: Sequence[str],
    shapes: Sequence[Shape],
    timing: Timing,
    bar: Bar,
) -> tuple[list[SpeedResult], list[Peak]]:
    """Everything timed in turn, a shape after another; eager runs whether asked for or not."""
    device = timing.device
    chosen = {name: BACKENDS[name] for name in dict.fromkeys([EAGER, *backends])}
    work = {s.name: counted(s, device) for s in networks}
    rows: list[SpeedResult] = []
    peaks: list[Peak] = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in shapes:
            context = BackendContext(device, shape.threads, Path(folder))
            with threads(shape.threads), compiling():
                entries = [(s, name, b) for s in networks for name, b in chosen.items()]
                runners = list(started(entries, shape, context, bar))
                ready = [runner for runner in runners if not runner.row.reason]
                wanted = {runner.row.precision for runner in ready}
                limits = [Peak(probe, shape) for probe in probes(device, wanted)]
                take_turns(ready, limits, timing, bar)
                for runner in ready:
                    runner.row.memory = peak_memory(runner.once, device)
                    runner.row.work = of_shape(work[runner.row.network], shape)
            rows += [runner.row for runner in runners]
            peaks += limits
    compare(rows)
    return rows, peaks


def started(
    entries: Sequence[tuple[Candidate, str, Backend]],
    shape: Shape,
    context: BackendContext,
    bar: Bar,
) -> Iterator[Runner]:
    """Each built and run until it is warm; what fails here has its reason, and is not timed."""
    outputs: dict[str, Tensor] = {}
    for candidate, name, backend in entries:
        row = SpeedResult(candidate.name, name, backend.precision, shape)
        mels = mels_of(candidate, shape.seconds, shape.batch, context.device)
        runner = Runner(row, candidate, mels)
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of exporters and compilers, about themselves
                runner.call = backend.make(candidate, context)
                wave = runner.once().float().cpu()
            row.ready = time.perf_counter() - began
            for _ in range(2 if context.device.type == "cuda" else 0):  # graphs record, then replay
                runner.once()
        except Exception as error:  # of a compiler, a runtime, somebody else's network
            row.reason = str(error) if isinstance(error, InputError) else f"fails: {reason(error)}"
        else:
            if name == EAGER:
                outputs[candidate.name] = wave
            if candidate.name in outputs:
                row.difference = difference(wave, outputs[candidate.name])
        bar.advance(note=f"{candidate.name}, {name}")
        yield runner


def difference(wave: Tensor, other: Tensor) -> float:
    """Greatest absolute difference of waveforms [B, T]; infinite where their shapes differ."""
    if wave.shape != other.shape:
        return float("inf")
    return (wave - other).abs().max().item()


def take_turns(
    runners: Sequence[Runner],
    peaks: Sequence[Peak],
    timing: Timing,
    bar: Bar,
) -> None:
    """Times all of them once, then all of them again, and so on; probes are warmed before."""
    for peak in peaks:
        peak.probe.call()
    for number in range(timing.repeats):
        for peak in peaks:
            peak.times.append(seconds_of(peak.probe.call, timing.device, timing.clock))
        for runner in runners:
            runner.row.times.append(seconds_of(runner.once, timing.device, timing.clock))
            bar.advance(note=f"round {number + 1}: {runner.row.network}, {runner.row.backend}")


def compare(rows: Sequence[SpeedResult]) -> None:
    """How many times as fast each is as the same network eager, by rounds."""
    base = {(r.network, r.shape): r for r in rows if r.backend == EAGER and r.times}
    for row in rows:
        if row.times and (row.network, row.shape) in base:
            pairs = zip(base[row.network, row.shape].times, row.times, strict=True)
            row.faster = statistics.median(slow / fast for slow, fast in pairs)


def counted(candidate: Candidate, device: torch.device) -> Workload:
    """What a second of audio asks of a network; nothing is known of one that fails."""
    mels = mels_of(candidate, COUNTED, 1, device)
    seconds = mels.shape[-1] * candidate.spec.hop_length / candidate.spec.sample_rate
    try:
        found = workload_of(lambda: candidate(mels))
    except Exception:  # its eager row says why
        return Workload(0.0, 0.0)
    return Workload(found.macs / seconds, found.traffic / seconds)


def profiled(candidate: Candidate, device: torch.device) -> dict[str, float]:
    """Shares of torch's operations in a second of audio, eager; the first of them, to 1 %."""
    mels = mels_of(candidate, COUNTED, 1, device)
    candidate(mels)
    with threads(1):
        found = operators(lambda: candidate(mels), device)
    return {name: share for name, share in found.items() if share >= LEAST}


def of_shape(a_second: Workload, shape: Shape) -> Workload:
    """The workload of a call, from that of a second of audio."""
    return Workload(a_second.macs * shape.audio, a_second.traffic * shape.audio)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for torch's operations."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def compiling() -> Iterator[None]:
    """Compilation from anew, as threads are compiled in; never given up for want of tries."""
    torch.compiler.reset()
    import torch._dynamo.config as dynamo

    with dynamo.patch(recompile_limit=RECOMPILED):  # pyright: ignore[reportAttributeAccessIssue]
        yield
