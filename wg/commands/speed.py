"""`wg bench speed`: networks by backends, timed in turn, beside what the machine can do at most."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

import torch

from wg.bench.backends import BACKENDS
from wg.bench.environment import environment
from wg.bench.networks import candidate_of
from wg.bench.race import EAGER, Shape, Timing, profiled, race
from wg.bench.race_results import FILES, print_race, shares_table, write_race
from wg.commands.options import FORCE, Options
from wg.commands.sampling import device_of
from wg.errors import InputError, nearest
from wg.files import check_names, own
from wg.processes.progress import progress
from wg.processes.threads import usable_cores
from wg.report.table import print_table

NETWORKS = ("ljspeech", "ljspeech/wavegrad", "ljspeech/diffwave")
QUICK = {
    "cpu": "eager,kernels,bf16,int8,onnxruntime,openvino",
    "cuda": "eager,bf16,fp16,compiled,graphs",
}
LONGEST, MOST = 600.0, 1024  # seconds of a clip; of a batch
Value = TypeVar("Value", int, float)


def parser() -> Options:
    """Command-line options of `wg bench speed`."""
    options = Options(prog="wg bench speed", allow_abbrev=False)
    options.add_argument(
        "networks",
        nargs="*",
        metavar="NETWORK",
        help="a vocoder that ships, a folder, RECIPE/EXPERIMENT with random weights, or "
        f"MODULE:FACTORY[@MEL][,KEY=VALUE] of another package [{' '.join(NETWORKS)}]",
    )
    options.add_argument("-o", "--output", type=Path, help=f"folder for {', '.join(FILES)}")
    options.add_argument(
        "--backends", help=f"names with commas, or all [{QUICK['cpu']}]: {', '.join(BACKENDS)}"
    )
    options.add_argument("--seconds", default="1", help="lengths of clips [%(default)s]")
    options.add_argument("--batch", default="1", help="clips at a time [%(default)s]")
    options.add_argument("--threads", help="numbers of them, of a CPU [torch's]")
    options.add_argument("--repeats", type=int, default=3, help="timed rounds [%(default)s]")
    options.add_argument("--steps", default="6", help="step count or schedule [%(default)s]")
    options.add_argument(
        "--consistency", type=int, help="iterations of mel-consistent sampling [the network's own]"
    )
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    options.add_argument(
        "--cpu-time",
        action="store_true",
        help="count this process's CPU seconds, which other work on the machine changes little, "
        "not the wall's; of one thread",
    )
    options.add_argument(
        "--profile", action="store_true", help="also where eager spends its time, on one thread"
    )
    options.add_argument("--list", action="store_true", help="check and list what would be timed")
    options.add_argument("--force", action="store_true", help=FORCE)
    return options


def speed(arguments: Sequence[str]) -> None:
    """Checks everything, times everything in turn, prints tables and writes the files."""
    options = parser().parse_args(arguments)
    device = device_of(options.device)
    backends = backends_of(options.backends or QUICK[device.type])
    shapes = shapes_of(options.seconds, options.batch, options.threads, device)
    if options.cpu_time and (device.type != "cpu" or any(s.threads > 1 for s in shapes)):
        raise InputError("--cpu-time: of one thread of a CPU; give --threads 1 and no --device")
    if options.repeats < 1:
        raise InputError(f"--repeats {options.repeats}: give at least 1")
    if options.consistency is not None and options.consistency < 0:
        raise InputError(f"--consistency {options.consistency}: give 0 or more")
    if options.output is not None:
        check_names(options.output, FILES, [], options.force)
    names = dict.fromkeys(options.networks or NETWORKS)
    networks = [candidate_of(name, options.steps, options.consistency, device) for name in names]
    if options.list:
        for shape, candidate, backend in product(shapes, networks, backends):
            print(f"{candidate.name} {backend}: {shape.seconds:g} s, batch {shape.batch}", end="")
            print(f", threads {shape.threads}")
        return
    calls = len(shapes) * len(networks) * len(backends) * (1 + options.repeats)
    clock = time.process_time if options.cpu_time else time.perf_counter
    with progress("speed", calls) as bar:
        rows, peaks = race(networks, backends, shapes, Timing(options.repeats, device, clock), bar)
    profiles = {s.name: profiled(s, device) for s in networks} if options.profile else {}
    print_race(rows, peaks)
    if profiles:
        print_table(*shares_table(profiles))
    if options.output is not None:
        own(options.output, FILES)
        about = {
            **environment(device),
            "clock": "CPU" if options.cpu_time else "wall",
            "command": f"wg bench speed {' '.join(arguments)}".strip(),
        }
        write_race(options.output, rows, peaks, about, profiles)
        print(f"\n{options.output / FILES[1]}")


def backends_of(text: str) -> list[str]:
    """Names of backends, eager first; InputError for one that is none."""
    names = list(BACKENDS) if text == "all" else [name for name in text.split(",") if name]
    for name in names:
        if name not in BACKENDS:
            raise InputError(f"--backends {name}: {nearest(name, ['all', *BACKENDS])}")
    return list(dict.fromkeys([EAGER, *names]))


def shapes_of(seconds: str, batch: str, threads: str | None, device: torch.device) -> list[Shape]:
    """Every combination; InputError, naming the option, for a value that cannot be."""
    cores = usable_cores()
    counts = str(min(torch.get_num_threads(), cores)) if threads is None else threads
    if device.type != "cpu" and threads is not None:
        raise InputError("--threads: of a CPU; leave it out")
    return [
        Shape(length, size, count)
        for count, length, size in product(
            values(counts, "--threads", int, 1, cores),
            values(seconds, "--seconds", float, 0.2, LONGEST),
            values(batch, "--batch", int, 1, MOST),
        )
    ]


def values(
    text: str, option: str, kind: Callable[[str], Value], least: float, most: float
) -> list[Value]:
    """Numbers with commas between; InputError for one that is none, or beyond the bounds."""
    found = []
    for word in text.split(","):
        try:
            value = kind(word)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise InputError(f"{option} {text}: give {least:g} to {most:g}, with commas between")
        found.append(value)
    return list(dict.fromkeys(found))
