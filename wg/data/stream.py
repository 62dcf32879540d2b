"""Training segments of tars that are read one after the other, in an order that can be known.

The tars of each pass over the corpus are dealt to lanes. A lane reads its tars in turn, cuts a
segment from every utterance, and draws from a buffer of segments; each lane gives the same rows of
every batch. All of that follows from the seed and the numbers of utterances, so that training goes
on at any batch, and any number of processes that share the lanes see the batches of one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from wg.data.segments import Draw, Segment, Share, collate, crop
from wg.data.tars import TarRecording, Tars
from wg.diffusion.noise import mix_seed
from wg.errors import InputError

LANES = 8  # at most, unless there are more processes: as many tars are open at once


def lanes_of(batch_size: int, processes: int) -> int:
    """Lanes of a training: the same number for 1, 2, 4 or 8 processes, where batches allow."""
    return math.lcm(math.gcd(batch_size, LANES), processes)


def deals(sizes: Sequence[int], lanes: int, seed: int) -> Iterator[list[list[int]]]:
    """The tars that each lane reads in each pass; a pass has all, each once.

    The next tar goes to the lane that has had the fewest utterances: none is ever more than the
    largest tar ahead.
    """
    had = [(0, lane) for lane in range(lanes)]
    for number in count():
        generator = torch.Generator().manual_seed(mix_seed(seed, number))
        dealt: list[list[int]] = [[] for _ in range(lanes)]
        for tar in torch.randperm(len(sizes), generator=generator).tolist():
            total, lane = had[0]
            heapq.heapreplace(had, (total + sizes[tar], lane))
            dealt[lane].append(tar)
        yield dealt


def mixed(size: int, buffer: int, seed: int) -> list[int]:
    """An order of 0 .. size in which none comes before `buffer` further ones could be read."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(size, generator=generator, dtype=torch.float64).tolist()
    held: list[int] = []
    order: list[int] = []
    for arriving in range(size + buffer):
        if arriving < size:
            held.append(arriving)
        if arriving >= buffer and held:
            place = int(places[len(order)] * len(held))
            held[place], held[-1] = held[-1], held[place]
            order.append(held.pop())
    return order


@dataclass(frozen=True)
class SegmentStream:
    """How the segments of tars are drawn."""

    tars: Tars
    frames: int  # of a segment
    buffer: int  # segments, of all lanes
    batch_size: int  # of all processes
    seed: int

    def lane(self, lane: int, lanes: int, first: int) -> Iterator[Segment]:
        """The segments of a lane without end, from its `first` on."""
        for number, dealt in enumerate(deals(self.tars.sizes, lanes, self.seed)):
            mine = dealt[lane]
            size = sum(self.tars.sizes[tar] for tar in mine)
            if first < size:
                seed = mix_seed(self.seed, number, lane)
                order = mixed(size, max(1, self.buffer // lanes), seed)
                yield from self._in_order(mine, order, first, mix_seed(self.seed, number))
            first = max(0, first - size)

    def _in_order(
        self, tars: Sequence[int], order: Sequence[int], first: int, seed: int
    ) -> Iterator[Segment]:
        """Segments of some tars in this order, but for the `first` ones."""
        arriving, held = self._arriving(tars, set(order[first:]), seed), {}
        for place in order[first:]:
            while place not in held:
                at, segment = next(arriving)
                held[at] = segment
            yield held.pop(place)
        next(arriving, None)  # a tar has to have its end

    def _arriving(
        self, tars: Sequence[int], wanted: set[int], seed: int
    ) -> Iterator[tuple[int, Segment]]:
        """A segment of each wanted utterance of some tars, with its place among theirs."""
        start = 0
        for tar in tars:
            size, before = self.tars.sizes[tar], start
            start += size
            if wanted.isdisjoint(range(before, start)):
                continue  # a run that goes on is past it
            found = self.tars.read(tar, lambda at, before=before: before + at in wanted)
            for at, recording in found:
                yield before + at, self._cut(recording, mix_seed(seed, self.tars.firsts[tar] + at))

    def _cut(self, recording: TarRecording, seed: int) -> Segment:
        entry, audio, mel = recording
        start = seed % (max(0, entry.frames - self.frames) + 1)
        stop, hop = min(entry.frames, start + self.frames), self.tars.spec.hop_length
        # Copies: a slice would hold the whole utterance in memory.
        parts = audio[start * hop : stop * hop].clone(), mel[:, start:stop].clone()
        return crop(entry, start, parts, self.frames, self.tars.spec)


class LaneBatches(IterableDataset[dict[str, object]]):
    """What one loading process makes of each batch: the rows of its lanes."""

    def __init__(self, stream: SegmentStream, share: Share, first: int) -> None:
        self.stream, self.first = stream, first
        self.lanes = lanes_of(stream.batch_size, share.world)
        each = self.lanes // share.world
        self.mine = range(share.rank * each, (share.rank + 1) * each)

    def __iter__(self) -> Iterator[dict[str, object]]:
        """Parts of batch `first` and of all that follow."""
        stream, rows, worker = self.stream, self.stream.batch_size // self.lanes, get_worker_info()
        mine = self.mine if worker is None else self.mine[worker.id :: worker.num_workers]
        lanes = {lane: stream.lane(lane, self.lanes, self.first * rows) for lane in mine}
        for step in count(self.first):
            part = []
            for lane, segments in lanes.items():
                for row in range(lane * rows, (lane + 1) * rows):
                    seed = mix_seed(stream.seed, step * stream.batch_size + row)
                    part.append(next(segments)._replace(draw=Draw(-1, seed, row)))
            yield collate(part)


class StreamLoader:
    """Endless batches of a stream: this process's share, put together from its workers' parts."""

    def __init__(self, stream: SegmentStream, share: Share, first: int, workers: int) -> None:
        batches = LaneBatches(stream, share, first)
        if len(stream.tars.tars) < batches.lanes:
            raise InputError(
                f"features.stream: {len(stream.tars.tars)} tars in {stream.tars.place}, but "
                f"{batches.lanes} are read at once; make smaller shards (features.shard), and the "
                "tars again"
            )
        self.workers = min(workers, len(batches.mine))
        self.parts = DataLoader(batches, batch_size=None, num_workers=self.workers)

    def __iter__(self) -> Iterator[dict[str, object]]:
        """From the first batch on."""
        parts = iter(self.parts)
        while True:
            yield joined([next(parts) for _ in range(max(1, self.workers))])


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """One batch of several, its rows in order."""
    rows = [row for part in parts for row in part["rows"]]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    padded = any("frames" in part for part in parts)
    batch: dict[str, object] = {}
    for name in {**parts[0], **({"frames": None} if padded else {})}:
        values = [part[name] if name in part else all_frames(part["mel"]) for part in parts]
        if isinstance(values[0], Tensor):
            batch[name] = torch.cat(values)[order]
        else:
            together = [value for part in values for value in part]
            batch[name] = [together[place] for place in order]
    return batch


def all_frames(mel: Tensor) -> Tensor:
    """[B] of mels [B, M, F] none of which is padded."""
    return torch.full((len(mel),), mel.shape[2])
