"""Everything that waits for a GPU, measured in about five minutes and written into docs/gpu.md.

    python benchmarks/gpu.py                        # on the first GPU
    python benchmarks/gpu.py --device cpu --quick   # the same paths, tiny sizes; writes nothing

The tests marked cuda; training steps a second by precision, compiled or not; real-time factors by
`wg bench speed`, eager, in 16 bits and with CUDA graphs over buckets of lengths, alone and in
batches, beside lmnt's networks where they are installed; mel-consistent sampling on the device.
Weights are random but for the vocoder that ships. What fails is a row with its reason. Once
`--minutes` have gone by nothing new is begun, and what was left out is named.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from wg.bench.environment import device_name
from wg.bench.networks import RECIPES, Candidate, candidate_of
from wg.bench.race import Shape, SpeedResult, Timing, race
from wg.config import load_experiment
from wg.data.dump import Dump, make_index, write_shard
from wg.data.index import Utterance
from wg.data.segments import Share
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.recognise import speech_like
from wg.mel.spec import MelSpec
from wg.models import config_class
from wg.processes.devices import synchronise
from wg.processes.progress import progress
from wg.report.record import commit_of
from wg.report.table import markdown, number
from wg.training.data import SegmentData
from wg.training.modules import build_module
from wg.training.trainer import PRECISIONS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gpu.md"
HEADER = ["date", "commit", "hardware", "command", "result"]
EMPTY = "| " * 5 + "|"  # the row of a page on which nothing stands yet
PEERS = ("wg.bench.peers:lmnt_wavegrad@lmnt-wavegrad", "wg.bench.peers:lmnt_diffwave@lmnt-diffwave")


@dataclass(frozen=True)
class Sizes:
    """What is measured: on a GPU, or quickly anywhere."""

    trained: tuple[str, ...] = ("ljspeech/wavegrad", "ljspeech/diffwave")
    overrides: tuple[str, ...] = ()
    steps: int = 40  # of training, a quarter of them before the clock starts
    timed: tuple[str, ...] = ("libritts/wavegrad", "ljspeech/diffwave")
    backends: tuple[str, ...] = ("bf16", "fp16", "graphs", "graphs-bf16")
    shapes: tuple[tuple[float, int], ...] = ((5.0, 1), (5.0, 8))
    repeats: int = 5
    sampling: str = "6"


QUICK = Sizes(
    trained=("mini/wavegrad",),
    overrides=("train.batch_size=2", "train.segment_samples=2048"),
    steps=4,
    timed=("mini/wavegrad",),
    shapes=((0.3, 1), (0.3, 2)),
    repeats=2,
    sampling="2",
)


@dataclass(frozen=True)
class Part:
    """A measurement: the command that stands for it, and what gives its result in words."""

    command: str
    result: Callable[[], str]


class Clock(Callback):
    """Seconds of the steps after the first ones."""

    def __init__(self, first: int) -> None:
        self.first, self.started, self.steps, self.seconds = first, 0.0, 0, 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        """Starts after `first` steps, then counts."""
        if trainer.global_step == self.first:
            synchronise(pl_module.device)
            self.started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops."""
        synchronise(pl_module.device)
        self.steps = trainer.global_step - self.first
        self.seconds = time.perf_counter() - self.started


def tests(device: torch.device) -> str:
    """What pytest says last of the tests marked cuda."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(ROOT / "tests")], capture_output=True, text=True, cwd=ROOT)
    last = done.stdout.strip().splitlines()[-1:] or done.stderr.strip().splitlines()[-1:]
    return " ".join(last).strip("= ")


def dump_of(folder: Path, spec: MelSpec, seconds: float) -> Dump:
    """Sixteen clips of something like speech."""
    audio = speech_like(spec.sample_rate, seconds).float()
    mel = log_mel(audio, spec)
    entries = [(Utterance(f"clip-{n}", len(audio), mel.shape[1]), audio, mel) for n in range(16)]
    write_shard(folder / "shard-00000.safetensors", entries, spec, "speech-like")
    make_index(folder)
    return Dump(folder)


def train(name: str, precision: str, compiled: bool, sizes: Sizes, device: torch.device) -> str:
    """Steps a second of an experiment, with its own loader and optimiser, and the most memory."""
    recipe, experiment_name = name.split("/")
    words = [*sizes.overrides, f"train.precision={precision}", f"train.compile={compiled}".lower()]
    experiment = load_experiment(RECIPES / recipe, experiment_name, words, config_class)
    config = experiment.train
    module = build_module(experiment)
    power = module.denoiser.power
    if power is not None:
        power.bias.fill_(-6)  # as if fitted to a quiet recording
    clock = Clock(max(1, sizes.steps // 4))
    on_gpu = device.type == "cuda"
    trainer = Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=[device.index or 0] if on_gpu else 1,
        precision=PRECISIONS[config.precision],  # pyright: ignore[reportArgumentType]
        max_steps=sizes.steps,
        max_epochs=-1,
        gradient_clip_val=config.clip_norm or None,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        callbacks=[clock],
    )
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as folder:
        seconds = 2 * config.segment_samples / experiment.mel.sample_rate
        dump = dump_of(Path(folder), experiment.mel, seconds)
        trainer.fit(module, SegmentData(experiment, dump, dump).training(Share(), 0))
    rate, memory = clock.steps / clock.seconds, torch.cuda.max_memory_allocated() if on_gpu else 0
    used = f", {memory / 1e9:.1f} GB" if on_gpu else ""
    return f"{number(rate)} steps/s, {number(rate * config.batch_size)} segments/s{used}"


def timed(
    names: tuple[str, ...], consistency: int | None, sizes: Sizes, device: torch.device
) -> list[str]:
    """A line for each network, backend and shape."""
    networks: list[Candidate] = []
    for name in names:
        try:
            networks.append(candidate_of(name, sizes.sampling, consistency, device))
        except InputError as error:
            if name not in PEERS:  # which need not be installed
                raise
            print(error, file=sys.stderr)
    threads = torch.get_num_threads()
    shapes = [Shape(seconds, batch, threads) for seconds, batch in sizes.shapes]
    with progress("real-time factors", None) as bar:
        rows, _ = race(networks, sizes.backends, shapes, Timing(sizes.repeats, device), bar)
    return [said(row) for row in rows]


def said(row: SpeedResult) -> str:
    """A row in words."""
    what = f"{row.network} {row.backend}, {row.shape.seconds:g} s, batch {row.shape.batch}"
    if row.reason:
        return f"{what}: {row.reason}"
    low, high = row.spread
    ratio = "" if row.faster is None else f", {row.faster:.2f} times eager"
    memory = "" if row.memory is None else f", {row.memory:.0f} MB"
    differs = "" if row.difference is None else f", differs by {row.difference:.0e}"
    spread = f"({number(low)} to {number(high)})"
    return f"{what}: RTF {number(row.rtf)} {spread}{ratio}{memory}{differs}"


def parts(sizes: Sizes, device: torch.device) -> Iterator[Part]:
    """What is measured, the most telling first."""
    yield Part("tools/test.sh -m cuda", lambda: tests(device))
    peers = PEERS if sizes is not QUICK else ()
    speed = f"wg bench speed {' '.join((*sizes.timed, *peers))} --device {device}"
    speed += f" --backends {','.join(sizes.backends)}"
    for shape in sizes.shapes:  # each alone, so that the first is there when time is up
        one = replace(sizes, shapes=(shape,))
        options = f" --seconds {shape[0]:g} --batch {shape[1]}"
        yield Part(
            speed + options,
            lambda one=one: "<br>".join(timed((*one.timed, *peers), None, one, device)),
        )
    for name in sizes.trained:
        for precision, compiled in (("32", False), ("bf16", False), ("bf16", True), ("16", False)):
            if precision == "16" and device.type == "cpu":
                continue
            command = f"training {name}: train.precision={precision} train.compile={compiled}"
            yield Part(
                command.replace("True", "true").replace("False", "false"),
                lambda n=name, p=precision, c=compiled: train(n, p, c, sizes, device),
            )
    few = replace(sizes, backends=("bf16",), sampling="4" if sizes is not QUICK else "2")
    for count in (16, 0):
        command = f"wg bench speed ljspeech --steps {few.sampling} --consistency {count}"
        yield Part(
            f"{command} --device {device}",
            lambda count=count: "<br>".join(timed(("ljspeech",), count, few, device)),
        )


def measured(part: Part) -> str:
    """Its result, or why there is none."""
    try:
        return part.result()
    except Exception as error:  # the other parts are worth having
        return f"fails: {' '.join(f'{type(error).__name__}: {error}'.split())[:200]}"


def filled(text: str, rows: list[list[str]]) -> str:
    """A page with rows at the end of its last table, in place of an empty one."""
    lines = text.rstrip("\n").splitlines()
    if lines[-1] == EMPTY:
        lines.pop()
    return "\n".join([*lines, *markdown(HEADER, rows).splitlines()[2:]]) + "\n"


def main() -> None:
    """Measures, prints, and writes the page."""
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu [%(default)s]")
    options.add_argument("--quick", action="store_true", help="tiny sizes, for a CPU")
    options.add_argument("--minutes", type=float, default=5.0, help="begin nothing after them")
    options.add_argument("--page", type=Path, help=f"to add rows to [{PAGE} of a GPU; else none]")
    given = options.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(f"--device {device}: torch {torch.__version__} sees no GPU; try --device cpu")
    page = given.page or (PAGE if device.type == "cuda" else None)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    about = [date.today().isoformat(), commit_of(ROOT), device_name(device)]
    about[-1] += f", torch {torch.__version__}"
    before = "" if page is None else page.read_text("utf-8")
    started, rows = time.monotonic(), []
    for part in parts(QUICK if given.quick else Sizes(), device):
        late = time.monotonic() - started > 60 * given.minutes
        result = "left out: time was up" if late else measured(part)
        rows.append([*about, f"`{part.command}`", result])
        print(f"{part.command}: {result}", flush=True)
        if page is not None:  # after each, so that a machine that is taken away leaves the rest
            page.write_text(filled(before, rows), "utf-8")


if __name__ == "__main__":  # the loader's processes import this file
    main()
