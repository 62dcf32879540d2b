"""The batches of a training, as Lightning asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from wg.config import Experiment
from wg.data.dump import Dump
from wg.data.segments import (
    EndlessBatches,
    Segments,
    Share,
    training_loader,
    validation_loader,
)
from wg.data.stream import SegmentStream, StreamLoader
from wg.data.tars import Tars


class SegmentData(LightningDataModule):
    """Segments of two dumps, or of tars and a dump.

    A process's share of each batch, from the batch that is reached.
    """

    def __init__(self, experiment: Experiment, train: Dump | Tars, valid: Dump) -> None:
        super().__init__()
        self.experiment, self.train, self.valid = experiment, train, valid
        self.frames = experiment.train.segment_samples // experiment.mel.hop_length

    def training(self, share: Share, first_batch: int) -> Iterable[Any]:
        """Endless batches; accumulated ones follow each other."""
        config = self.experiment.train
        if isinstance(self.train, Tars):
            buffer = self.experiment.features.buffer
            stream = SegmentStream(self.train, self.frames, buffer, config.batch_size, config.seed)
            return StreamLoader(stream, share, first_batch, config.workers)
        batches = EndlessBatches(
            len(self.train), config.batch_size, config.seed, share, first_batch
        )
        return training_loader(Segments(self.train, self.frames), batches, config.workers)

    def train_dataloader(self) -> Iterable[Any]:
        """Asked for once ranks and progress are known: a resumed run goes on where it stopped."""
        assert self.trainer is not None
        reached = self.trainer.global_step * self.experiment.train.accumulate
        return self.training(self._share(), reached)

    def val_dataloader(self) -> DataLoader:
        """Fixed segments, shared by the processes."""
        config, segments = self.experiment.train, Segments(self.valid, self.frames)
        share = self._share()
        return validation_loader(segments, config.valid_utterances, config.batch_size, share)

    def _share(self) -> Share:
        trainer = self.trainer
        assert trainer is not None
        return Share(trainer.global_rank, trainer.world_size)
