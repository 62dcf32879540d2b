"""Callbacks: progress lines, a stop on divergence, generated audio and pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from wg.config import Experiment
from wg.data.dump import Dump
from wg.data.segments import collate, whole
from wg.diffusion.noise import PositionalNoise, seed_of
from wg.diffusion.plan import sampling_levels
from wg.diffusion.sampling import correction
from wg.errors import InputError, stage_label
from wg.pictures import pixels_of, spectrogram_pair
from wg.processes.progress import Bar, bar, clock
from wg.training.diffusion import Diffusion


class TrainingDiverged(InputError):
    """The loss is not a number, or above `train.max_loss`."""


class ProgressLines(Callback):
    """A bar, and a line every `train.log_every` steps: loss, best validation loss, speed."""

    def __init__(self, experiment: Experiment) -> None:
        self.train = experiment.train
        segment_s = self.train.segment_samples / experiment.mel.sample_rate
        self.hours_a_step = self.train.batch_size * self.train.accumulate * segment_s / 3600
        self.started, self.first, self.last, self.best = 0.0, 0, -1, math.inf
        self.shown: Bar | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock, and says what the speed means."""
        self.started, self.first = time.monotonic(), trainer.global_step
        kept = trainer.checkpoint_callback
        if isinstance(kept, ModelCheckpoint) and kept.best_model_score is not None:  # resumed
            self.best = float(kept.best_model_score)
        if trainer.is_global_zero:
            if self.first < self.train.max_steps:
                print("audio-h/h: hours of audio trained on in an hour; best: validation loss")
            self.shown = bar("train", self.train.max_steps, self.first)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar; prints after the first step and then at the interval."""
        step, train = trainer.global_step, self.train
        if self.shown is None or step in (self.first, self.last):
            return
        due = step == self.first + 1 or step % train.log_every == 0 or step == train.max_steps
        if not due:
            self.shown.advance(step - self.shown.done)
            return
        self.last = step
        elapsed = time.monotonic() - self.started
        speed = (step - self.first) / elapsed
        best = f"  best {self.best:.4f}" if self.best < math.inf else ""
        loss = f"loss {float(outputs['loss']):.4f}{best}"
        self.shown.advance(step - self.shown.done, loss)
        self.shown.line(
            f"step {step}/{train.max_steps}  {loss}  {speed:.2f} steps/s  "
            f"{speed * self.hours_a_step * 3600:.1f} audio-h/h  "
            f"left {clock((train.max_steps - step) / speed)}"
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the validation loss, and whether it is the best so far."""
        if self.shown is not None and not trainer.sanity_checking:
            loss = float(trainer.callback_metrics["valid/loss"])
            better = " (best so far)" if loss < self.best < math.inf else ""
            self.best = min(self.best, loss)
            self.shown.line(f"step {trainer.global_step}  validation loss {loss:.4f}{better}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the bar, as training has."""
        self.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Ends the bar where training broke off."""
        self.close()

    def close(self) -> None:
        """Ends the bar, once, whatever ended training."""
        if self.shown is not None:
            self.shown.close()
            self.shown = None


class StopOnDivergence(Callback):
    """Stops with step, utterances and learning rate when the loss diverges.

    A loss is looked at one batch late, so that a GPU is never waited for.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.limit = experiment.train.max_loss
        self.pending: tuple[torch.Tensor, int, list[str], float] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the loss of the batch before."""
        self._look()
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.pending = (outputs["loss"].detach(), trainer.global_step, batch["ids"], rate)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks before a checkpoint is written."""
        self._look()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the last batch."""
        self._look()

    def _look(self) -> None:
        if self.pending is None:
            return
        (value, step, ids, rate), self.pending = self.pending, None
        loss = float(value)
        if not loss <= self.limit:
            shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
            raise TrainingDiverged(
                f"training diverged at step {step}: loss {loss:g} (train.max_loss {self.limit:g}), "
                f"learning rate {rate:g}, utterances {shown}; lower train.learning_rate or look at "
                f"these files, then run {stage_label('train')} again: it goes on from the last "
                "checkpoint"
            )


class SampleWriter(Callback):
    """Generated audio and spectrograms of a few validation utterances every K steps."""

    def __init__(self, experiment: Experiment, dump: Dump, folder: Path) -> None:
        self.experiment, self.dump, self.folder = experiment, dump, folder
        decode = experiment.decode
        self.levels = sampling_levels(decode.schedule, decode.sampler, experiment.diffusion)
        self.written = -1

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes after a validation once K more steps are done, with the averaged weights."""
        every, step = self.experiment.train.sample_every, trainer.global_step
        due = every and step // every > max(self.written, 0) // every
        if trainer.sanity_checking or not due or not trainer.is_global_zero:
            return
        self.written = step
        for index in range(min(self.experiment.train.sample_utterances, len(self.dump))):
            self._write(trainer, pl_module, index, self.folder / f"step-{step:07d}")

    def _write(self, trainer: Trainer, module: LightningModule, index: int, folder: Path) -> None:
        name, rate = self.dump.utterances[index].id, self.dump.spec.sample_rate
        batch = module.transfer_batch_to_device(
            collate([whole(self.dump, index)]), module.device, 0
        )
        assert isinstance(module, Diffusion)
        audio = synthesise(module, batch, self.experiment, self.levels)[0]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", audio.numpy(), rate, subtype="FLOAT")
        picture = folder / f"{name}.png"
        spectrogram_pair(self.dump.recording(index), audio, rate, picture)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_audio(name, audio, trainer.global_step, rate)
                pixels = pixels_of(picture)
                logger.experiment.add_image(name, pixels, trainer.global_step, dataformats="HWC")
            if isinstance(logger, WandbLogger):
                logger.log_audio(f"audio/{name}", [str(folder / f"{name}.wav")])
                logger.log_image(f"spectrogram/{name}", [str(picture)])


@torch.inference_mode()
def synthesise(
    module: Diffusion, batch: Mapping[str, Any], experiment: Experiment, levels: torch.Tensor
) -> torch.Tensor:
    """Audio [B, T] of a module in training, by the experiment's sampler and seed."""
    seeds = [seed_of(name, experiment.decode.seed) for name in batch["ids"]]
    source, decode = PositionalNoise(seeds, module.device), experiment.decode
    length = batch["mel"].shape[-1] * experiment.mel.hop_length
    condition = module.sampling_condition(batch)
    wave = module.denoiser.sample(
        condition,
        levels,
        lambda k: source(k, length),
        decode.sampler,
        decode.clip,
        correction(decode.consistency, condition.mel, experiment.mel, condition.real),
    )
    return wave.cpu()
