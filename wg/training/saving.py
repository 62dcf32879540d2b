"""How training keeps its checkpoints, and how it ends before it is done."""

from __future__ import annotations

import io
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from wg.errors import InputError, Stopped
from wg.files import write_bytes

LAST = "last.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, on the disk that they are for.

    Lightning's own go through the system's temporary folder. `folder` is the run's: one that was
    moved away while training writes to it is not made again.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.known = folder, folder.stat().st_ino

    def check_place(self) -> None:
        """InputError where the run's folder was moved or replaced."""
        if not self.folder.is_dir() or self.folder.stat().st_ino != self.known:
            raise InputError(
                f"{self.folder}: was moved or replaced while training wrote to it; the checkpoints "
                "are where it was moved to: move it back and run again"
            )

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None):  # noqa: ANN201
        """Writes a checkpoint as one file; InputError where the run's folder was moved away."""
        self.check_place()
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())


class StopInTime(Callback):
    """Ends training with a checkpoint when it is asked to by SIGTERM, or its time is over.

    Between two steps, where any process of the run was asked: SIGTERM is how clusters announce
    the end of a job, often to one process of it.
    """

    def __init__(self, folder: Path, until: float | None) -> None:
        self.folder, self.until = folder, until
        self.asked = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the signal over; Lightning's handler would wait for other processes inside it."""
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: Any) -> None:
        self.asked = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before the first batch of a step: what is saved is whole steps."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        over = self.asked or (self.until is not None and time.time() >= self.until)
        if not trainer.strategy.reduce_boolean_decision(over, all=False):
            return
        step, path = trainer.global_step, self.folder / LAST
        if step:
            # The batch that was just begun does not count: it comes again.
            progress = trainer.fit_loop.epoch_loop.batch_progress
            progress.total.ready -= 1
            progress.current.ready -= 1
            trainer.save_checkpoint(path)
        why = "asked to end" if self.asked else "its time is over"
        raise Stopped(
            f"training stopped at step {step} of {trainer.max_steps} ({why}); run the same command "
            "to go on"
        )
