"""Training steps a CPU second: eager float32 against what `wg` does, over the same batches.

`python benchmarks/train_speed.py WORK [CONFIG ...] [--ways eager,float32,bf16] [--steps 200]`: WORK
is a work dir of recipes/ljspeech whose features are made, a CONFIG one of its experiments. Each way
trains in a process of its own from the same weights on the same segments, levels and noise, and
they take turns of 10 steps, so that a slow moment hits all. Rates are of the median turn but for
the first, losses means of the last quarter of the steps. Of Lightning there is nothing in a step.

- eager: float32, convolutions all by torch, optimiser and average a weight at a time.
- float32: as stage train; bf16: with train.precision=bf16; compiled: with train.compile too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from wg.config import load_experiment
from wg.data.dump import Dump, features_folder
from wg.data.segments import EndlessBatches, Segments, Share, training_loader
from wg.models import config_class
from wg.models.convolution import Conv1d
from wg.training.modules import build_module
from wg.training.power import fit_power
from wg.training.trainer import warming_average

CONFIGS = ("spectral", "wavegrad_small", "diffwave_small")
WAYS = ("eager", "float32", "bf16", "compiled")
TURN = 10  # steps
CLIPS = 5  # that tell the power of the bins


def losses_of(work: Path, config: str, way: str) -> Iterator[float]:
    """A step of training, as Lightning makes it, for each loss."""
    overrides = ["train.precision=bf16"] if way in ("bf16", "compiled") else []
    experiment = load_experiment(Path("recipes/ljspeech"), config, overrides, config_class)
    train, dump = experiment.train, Dump(features_folder(work, experiment) / "train")
    torch.manual_seed(train.seed)
    module = build_module(experiment)
    if module.denoiser.power is not None:
        fit_power(module.denoiser.power, dump.clips(CLIPS), CLIPS, experiment.mel)
    average = AveragedModel(module, multi_avg_fn=warming_average(train.ema), use_buffers=True)
    if way == "eager":
        average = AveragedModel(module, avg_fn=get_ema_avg_fn(train.ema), use_buffers=True)
        Conv1d.convolved = nn.Conv1d._conv_forward
    if way == "compiled":
        module.network.denoise = torch.compile(module.network.denoise)
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    if way == "eager":
        optimizer.param_groups[0].update(fused=False, foreach=False)
    frames = train.segment_samples // experiment.mel.hop_length
    batches = EndlessBatches(len(dump), train.batch_size, train.seed, Share(), 0)
    for batch in training_loader(Segments(dump, frames), batches, 0):
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(overrides)):
            losses = module.losses(batch, *module.drawn(batch))
            loss = torch.stack(list(losses.values())).sum(0).mean()
        optimizer.zero_grad()
        loss.backward()
        module.configure_gradient_clipping(optimizer, train.clip_norm)
        optimizer.step()
        schedule.step()
        average.update_parameters(module)
        yield loss.item()


def serve(work: Path, config: str, way: str, turn: Connection) -> None:
    """Answers each turn with the CPU seconds and losses of its steps."""
    torch.set_num_threads(1)
    steps = losses_of(work, config, way)
    while turn.recv():
        started = time.process_time()
        losses = [next(steps) for _ in range(TURN)]
        turn.send((time.process_time() - started, losses))


def main() -> None:
    """Trains each experiment in all ways in turn."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("work", type=Path)
    options.add_argument("configs", nargs="*", default=CONFIGS)
    options.add_argument("--ways", default="eager,float32,bf16", help=", ".join(WAYS))
    options.add_argument("--steps", type=int, default=200)
    given = options.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for config in given.configs:
        turns: dict[str, Connection] = {}
        for way in given.ways.split(","):
            turns[way], there = spawn.Pipe()
            spawn.Process(target=serve, args=(given.work, config, way, there), daemon=True).start()
        times: dict[str, list[float]] = {way: [] for way in turns}
        losses: dict[str, list[float]] = {way: [] for way in turns}
        for _ in range(given.steps // TURN):
            for way, turn in turns.items():
                turn.send(True)
                taken, found = turn.recv()
                times[way].append(taken)
                losses[way] += found
        for turn in turns.values():
            turn.send(False)
        rates = {way: TURN / statistics.median(taken[1:]) for way, taken in times.items()}
        for way, rate in rates.items():
            loss = statistics.mean(losses[way][-(given.steps // 4) :])
            print(
                f"{config:14} {way:8} {rate:6.2f} steps a CPU second  "
                f"{rate / next(iter(rates.values())):.2f} times as many  loss {loss:.4f}"
            )


if __name__ == "__main__":
    main()
