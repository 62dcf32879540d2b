"""Training segments: frame-exact random crops whose order depends on seed and step alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from wg.data.dump import Dump, fit
from wg.data.index import Utterance
from wg.diffusion.noise import mix_seed
from wg.mel.spec import MelSpec


class Draw(NamedTuple):
    """Which utterance, and the seed of the crop; -1: the middle of the utterance."""

    utterance: int
    seed: int
    row: int = 0  # in its batch, of all processes


class Segment(NamedTuple):
    """A crop; `frames` of it are not padding."""

    id: str
    audio: Tensor  # [T]
    mel: Tensor  # [M, F]
    frames: int
    text: str = ""
    start: int = 0  # its first frame in the utterance
    labels: Mapping[str, Tensor] = {}  # of the whole utterance, see Dump.labels
    draw: Draw = Draw(0, -1)


class Segments(Dataset[Segment]):
    """Crops of a fixed number of frames; a shorter clip is padded with silence at its end."""

    def __init__(self, dump: Dump, frames: int) -> None:
        self.dump, self.frames = dump, frames

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.dump)

    def __getitem__(self, draw: Draw) -> Segment:
        """The crop that a draw names: its place comes from the draw's seed, the middle below 0."""
        index, seed = draw.utterance, draw.seed
        entry = self.dump.utterances[index]
        spare = max(0, entry.frames - self.frames)
        # A crop needs one number: a hash is as good as a generator and far cheaper.
        start = spare // 2 if seed < 0 else mix_seed(seed, index) % (spare + 1)
        length = min(self.frames, entry.frames)
        parts = self.dump.audio(index, start, length), self.dump.mel(index, start, length)
        found = crop(entry, start, parts, self.frames, self.dump.spec)
        return found._replace(labels=self.dump.labels(index), draw=draw)


def crop(
    entry: Utterance, start: int, parts: tuple[Tensor, Tensor], frames: int, spec: MelSpec
) -> Segment:
    """A segment of audio [T] and mel [M, F] from frame `start` on, padded to that many frames."""
    audio, mel = parts
    length = mel.shape[1]
    if length < frames:
        audio = fit(audio, frames * spec.hop_length)
        mel = torch.cat([mel, spec.silence[:, None].expand(-1, frames - length)], 1)
    return Segment(entry.id, audio, mel, length, entry.text, start)


def whole(dump: Dump, index: int) -> Segment:
    """An utterance from its first frame to its last."""
    return Segments(dump, dump.utterances[index].frames)[Draw(index, -1)]


def collate(segments: list[Segment]) -> dict[str, object]:
    """Batch: ids, texts, audio [B, T], mel [B, M, F], and frames [B] where some are padding.

    Lists, which stay on the CPU: seeds and rows of the draws. With what the dump tells of the
    utterances [B] or [B, longest], and window_start [B].
    """
    batch: dict[str, object] = {
        "ids": [segment.id for segment in segments],
        "texts": [segment.text for segment in segments],
        "seeds": [segment.draw.seed for segment in segments],
        "rows": [segment.draw.row for segment in segments],
        "audio": torch.stack([segment.audio for segment in segments]),
        "mel": torch.stack([segment.mel for segment in segments]),
    }
    if any(segment.frames < segment.mel.shape[1] for segment in segments):
        batch["frames"] = torch.tensor([segment.frames for segment in segments])
    for name in segments[0].labels:
        values = [segment.labels[name] for segment in segments]
        batch[name] = pad_sequence(values, True) if values[0].ndim else torch.stack(values)
    if segments[0].labels:
        batch["window_start"] = torch.tensor([segment.start for segment in segments])
    return batch


@dataclass(frozen=True)
class Share:
    """Which part of each batch this process takes."""

    rank: int = 0
    world: int = 1


class EndlessBatches(Sampler[list[Draw]]):
    """Batches without end: pass p over the corpus is a permutation seeded by (seed, p).

    Batch k is a function of (seed, k), so training resumes at batch k exactly, and any number
    of processes together see the batches that one would.
    """

    def __init__(
        self, utterances: int, batch_size: int, seed: int, share: Share, first: int
    ) -> None:
        assert batch_size % share.world == 0
        self.utterances, self.batch_size, self.seed = utterances, batch_size, seed
        self.share, self.first = share, first

    def __iter__(self) -> Iterator[list[Draw]]:
        """The part of batch `first`, and of all that follow, that falls to one process."""
        size = self.batch_size // self.share.world
        step, order, current = self.first, torch.empty(0), -1
        while True:
            start = step * self.batch_size + self.share.rank * size
            batch = []
            for counter in range(start, start + size):
                number, place = divmod(counter, self.utterances)
                if number != current:
                    generator = torch.Generator().manual_seed(mix_seed(self.seed, number))
                    order = torch.randperm(self.utterances, generator=generator)
                    current = number
                seed = mix_seed(self.seed, counter)
                batch.append(Draw(int(order[place]), seed, counter - step * self.batch_size))
            yield batch
            step += 1


def training_loader(segments: Segments, batches: EndlessBatches, workers: int) -> DataLoader:
    """Batches without end, in an order that `batches` alone decides, whatever the workers."""
    return DataLoader(
        segments,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def validation_loader(
    segments: Segments, utterances: int, batch_size: int, share: Share
) -> DataLoader:
    """The middle segment of evenly spread utterances, always the same, shared by the processes.

    All have as many batches, as they wait for each other at each; where there are fewer
    utterances than processes, all have all of them.
    """
    count = min(utterances, len(segments))
    chosen = [Draw(i * len(segments) // count, -1) for i in range(count)]
    least = max(1, batch_size // share.world)
    if count >= share.world:
        chosen, count = chosen[share.rank :: share.world], count // share.world
    parts = -(-count // least)
    bounds = [i * len(chosen) // parts for i in range(parts + 1)]
    batches = [chosen[first:last] for first, last in pairwise(bounds)]
    return DataLoader(segments, batch_sampler=batches, collate_fn=collate)
