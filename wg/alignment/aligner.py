"""The learned aligner: its LightningModule, its training, and the durations that it finds.

Shapes: B utterances, N symbols, F frames.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from wg.alignment.batches import AlignerBatch, AlignerUtterances, aligner_item, collate_aligner
from wg.alignment.losses import binarisation, forward_sum, posteriors
from wg.alignment.monotonic import monotonic_search
from wg.alignment.network import AlignerConfig, AlignerNetwork
from wg.data.segments import EndlessBatches, Share
from wg.processes.devices import Devices
from wg.processes.progress import Bar, progress
from wg.text.symbols import SYMBOLS

CHECKPOINT = "aligner.ckpt"
_NEVER = -1e4  # score of symbols that an utterance does not have
_KEEP_EVERY = 100  # steps between checkpoints
_LINES = 10  # of progress


class Aligner(LightningModule):
    """The aligner of 2108.10447: beta-binomial prior, forward-sum and binarisation losses."""

    def __init__(self, config: AlignerConfig, utterances: AlignerUtterances) -> None:
        super().__init__()
        self.config, self.utterances = config, utterances
        bands = utterances.dump.spec.n_mels
        self.network = AlignerNetwork(config, len(SYMBOLS), 2 * bands)
        self.shown = Bar("aligner", config.steps)  # silent until training begins

    def scores(self, batch: AlignerBatch) -> Tensor:
        """Log-likelihood and log-prior [B, F, N] of each symbol in each frame."""
        scores = self.network(batch["symbols"], batch["features"]) + batch["prior"]
        counts = torch.tensor([len(mask) for mask in batch["optional"]], device=scores.device)
        beyond = torch.arange(scores.shape[-1], device=scores.device) >= counts[:, None, None]
        return scores.masked_fill(beyond, _NEVER)

    def training_step(self, batch: AlignerBatch, batch_idx: int) -> Tensor:
        """Loss []: forward-sum, and binarisation with a weight that rises to 1."""
        scores = self.scores(batch)
        loss = forward_sum(scores, batch["frames"], batch["optional"])
        weight = self._binarise_weight()
        if weight > 0:
            hard = hard_alignment(scores, batch)
            loss = loss + weight * binarisation(scores.log_softmax(-1), hard)
        step = self.global_step + 1
        if step % max(1, self.config.steps // _LINES) == 0:
            self.shown.line(f"aligner step {step}/{self.config.steps}  loss {loss.item():.3f}")
        self.shown.advance(step - self.shown.done)
        return loss

    def _binarise_weight(self) -> float:
        start = self.config.binarise * self.config.steps
        return max(0.0, self.global_step - start) / max(1.0, self.config.steps - start)

    def train_dataloader(self) -> DataLoader:
        """Endless batches; batch k depends on k alone, so that training resumes exactly."""
        config = self.config
        batches = EndlessBatches(
            len(self.utterances), config.batch_size, 0, Share(), self.global_step
        )
        collate = partial(collate_aligner, scale=config.prior)
        return DataLoader(self.utterances, batch_sampler=batches, collate_fn=collate)

    def configure_optimizers(self) -> Any:
        """Adam, its rate falling to a twentieth along a cosine."""
        optimizer = torch.optim.Adam(self.parameters(), self.config.learning_rate)

        def share(step: int) -> float:
            done = min(1.0, step / self.config.steps)
            return 0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * done))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def hard_alignment(scores: Tensor, batch: AlignerBatch) -> Tensor:
    """The best monotonic alignment of each utterance as ones, [B, F, N]."""
    values = scores.detach().cpu().numpy()
    hard = torch.zeros_like(scores)
    for row, (frames, optional) in enumerate(
        zip(batch["frames"].tolist(), batch["optional"], strict=True)
    ):
        durations = monotonic_search(values[row, :frames, : len(optional)], optional)
        path = np.repeat(np.arange(len(durations)), durations)
        hard[row, torch.arange(frames), torch.from_numpy(path)] = 1
    return hard


def train_aligner(aligner: Aligner, folder: Path, devices: Devices) -> None:
    """Trains `aligner.steps`, from the checkpoint in the folder where there is one."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning", category=FutureWarning)
    for notice in ("Checkpoint directory .* exists", ".*does not have many workers"):
        warnings.filterwarnings("ignore", notice)
    last = folder / CHECKPOINT
    checkpoint = ModelCheckpoint(
        dirpath=folder,
        filename=last.stem,
        every_n_train_steps=min(_KEEP_EVERY, aligner.config.steps),
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = Trainer(
        accelerator="gpu" if devices.gpus else "cpu",
        devices=1,
        max_steps=aligner.config.steps,
        max_epochs=-1,
        gradient_clip_val=1.0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        callbacks=[checkpoint],
    )
    if last.exists():
        print(f"resuming from {last}", flush=True)
    with progress("aligner", aligner.config.steps) as aligner.shown:
        trainer.fit(aligner, ckpt_path=last if last.exists() else None, weights_only=True)


@torch.inference_mode()
def align(aligner: Aligner, mel: Tensor, symbols: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Durations [N] of symbols in a log-mel [M, F], which sum to F, and their posteriors [F, N].

    InputError where there are fewer frames than phonemes.
    """
    one = aligner_item(mel, symbols)
    batch = collate_aligner([one], aligner.config.prior)
    batch = aligner.transfer_batch_to_device(batch, aligner.device, 0)
    scores = aligner.scores(batch)[0].cpu().numpy()
    return monotonic_search(scores, one.optional), posteriors(scores, one.optional)[1]
