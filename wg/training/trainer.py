"""The Lightning trainer of an experiment: devices, precision, checkpoints, resume."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, WeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from wg.config import Experiment, TrainConfig
from wg.data.dump import Dump
from wg.data.tars import Tars
from wg.errors import InputError, stage_label
from wg.files import write_bytes
from wg.processes.devices import Devices
from wg.processes.launch import place
from wg.processes.threads import spinning
from wg.training.callbacks import ProgressLines, SampleWriter, StopOnDivergence
from wg.training.data import SegmentData
from wg.training.loggers import RankedByLoss, make_loggers
from wg.training.resume import newest_intact
from wg.training.saving import LAST, AtomicCheckpointIO, StopInTime

Tensors = tuple[Tensor, ...] | list[Tensor]
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def warming_average(decay: float) -> Callable[[Tensors, Tensors, Tensor], None]:
    """a <- d a + (1 - d) w with d = min(decay, (1 + n) / (10 + n)), after n weights w.

    The warm-up of TensorFlow's ExponentialMovingAverage. n is stored with the average, so that a
    resumed run goes on as it would have.
    """

    def average(averaged: Tensors, weights: Tensors, n: Tensor) -> None:
        share = (9 / (10 + n)).clamp(min=1 - decay)
        for mean, now in zip(averaged, weights, strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, share.to(mean))
            else:  # a count
                mean.copy_(now)

    return average


def make_callbacks(experiment: Experiment, valid: Dump, folder: Path) -> list[Callback]:
    """Progress, divergence, checkpoints by validation loss, samples, EMA."""
    train = experiment.train
    checkpoint = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="step-{step:07d}-loss-{valid/loss:.4f}",
        auto_insert_metric_name=False,
        monitor="valid/loss",
        save_top_k=train.keep,
        save_last=True,
        enable_version_counter=False,
    )
    callbacks: list[Callback] = [
        StopOnDivergence(experiment),
        ProgressLines(experiment),
        RankedByLoss(),
        SampleWriter(experiment, valid, folder / "samples"),
    ]
    if train.ema:
        # After the sample writer: at the end of a validation it takes the average out again.
        warmed = train.ema_warmup is not False
        callbacks.append(
            WeightAveraging(
                multi_avg_fn=(warming_average if warmed else get_ema_multi_avg_fn)(train.ema)
            )
        )
    return [*callbacks, LearningRateMonitor("step"), checkpoint]


def check_divisible(experiment: Experiment, world: int) -> None:
    """InputError unless every process gets the same number of segments."""
    size = experiment.train.batch_size
    if size % world:
        raise InputError(
            f"train.batch_size {size} does not divide by {world} processes; "
            f"the nearest is {max(1, round(size / world)) * world}"
        )


def strategy_of(train: TrainConfig, world: int) -> str | DDPStrategy:
    """Lightning's, in which no process waits longer than `train.timeout` for another."""
    if world == 1:
        return "auto"
    unused = train.strategy == "ddp_find_unused_parameters_true"
    return DDPStrategy(find_unused_parameters=unused, timeout=timedelta(seconds=train.timeout))


@contextmanager
def answering(train: TrainConfig) -> Iterator[None]:
    """InputError where another process no longer answers, or one that loads data has found one."""
    try:
        yield
    except InputError as error:
        message = str(error).strip()
        if not message.startswith("Caught "):  # as DataLoader tells of its processes' exceptions
            raise
        raise InputError(message.splitlines()[-1].partition(": ")[2]) from None
    except RuntimeError as error:
        if not re.search("timed out|timeout|connection|peer", str(error), re.IGNORECASE):
            raise
        raise InputError(
            f"another process of this run ended, or did not answer for {train.timeout} s "
            f"(train.timeout): {str(error).splitlines()[0][:200]}; run {stage_label('train')} "
            "again: it goes on from the last checkpoint"
        ) from None


def fit(
    experiment: Experiment,
    module: LightningModule,
    dumps: tuple[Dump | Tars, Dump],
    folder: Path,
    devices: Devices,
) -> None:
    """Trains to `train.max_steps`, from the newest sound checkpoint in `folder` if there is one."""
    # Lightning's own notices (no GPU found, products to install) are not about this run.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning", category=FutureWarning)
    for notice in ("Checkpoint directory .* exists", ".*does not have many workers"):
        warnings.filterwarnings("ignore", notice)
    train = experiment.train
    per_node = devices.gpus or train.processes
    check_divisible(experiment, per_node * devices.nodes)
    files = AtomicCheckpointIO(folder)
    trainer = Trainer(
        accelerator="gpu" if devices.gpus else "cpu",
        devices=per_node,
        num_nodes=devices.nodes,
        strategy=strategy_of(train, per_node * devices.nodes),
        precision=PRECISIONS[train.precision],
        max_steps=train.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=train.accumulate,
        gradient_clip_val=train.clip_norm or None,
        val_check_interval=min(train.valid_every, train.max_steps) * train.accumulate,
        check_val_every_n_epoch=None,
        log_every_n_steps=min(train.log_every, train.max_steps),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=make_loggers(experiment, folder),
        callbacks=[
            *make_callbacks(experiment, dumps[1], folder),
            StopInTime(folder / "checkpoints", devices.until),
        ],
        # Alone, whatever SLURM says of the job that this process is the script of.
        plugins=[files, *([LightningEnvironment()] if place().world == 1 else [])],
    )
    found = newest_intact(folder / "checkpoints")
    if found is not None:
        found.check_fits(module)
        if trainer.is_global_zero:
            print(found.line(), flush=True)
            if found.path.name != LAST:  # of two files, a run was ended before the second
                write_bytes(folder / "checkpoints" / LAST, found.path.read_bytes())
    if trainer.is_global_zero and not devices.gpus:
        notice = spinning(torch.get_num_threads())
        if notice is not None:
            print(notice, flush=True)
    data = SegmentData(experiment, *dumps)
    path = found.path if found else None
    with answering(train):
        try:
            trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
        except FileNotFoundError:
            files.check_place()  # a logger may be the first to miss a folder that was moved
            raise
