"""Training segments a second: slices of the dump against whole files, in one run.

`python benchmarks/data_loading.py DUMP [--segment SAMPLES]` with a dump's train folder, e.g.
recipes/ljspeech/dump/22050hz-80mel-hop256/train. The other side is what the common ports do:
read an utterance's whole wav and whole mel (.npy), then crop both. Each has one worker, the same
utterances, crops and batches, and warm file caches.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from wg.data.dump import Dump, fit
from wg.data.segments import Draw, EndlessBatches, Segment, Segments, Share, collate
from wg.diffusion.noise import mix_seed

BATCH = 32
BATCHES = 60
ROUNDS = 5


class WholeFiles(Dataset[Segment]):
    """Whole wav, whole mel, then a crop."""

    def __init__(self, dump: Dump, frames: int, folder: Path) -> None:
        self.frames, self.hop, self.folder = frames, dump.spec.hop_length, folder
        self.names = [entry.id for entry in dump.utterances]
        for index, entry in enumerate(dump.utterances):
            audio = dump.recording(index).numpy()
            soundfile.write(folder / f"{entry.id}.wav", audio, dump.spec.sample_rate, "PCM_16")
            np.save(folder / f"{entry.id}.npy", dump.mel(index).numpy())

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.names)

    def __getitem__(self, draw: Draw) -> Segment:
        """One crop."""
        name = self.names[draw.utterance]
        audio, _ = soundfile.read(self.folder / f"{name}.wav", dtype="float32")
        mel = np.load(self.folder / f"{name}.npy")
        start = mix_seed(draw.seed, draw.utterance) % max(1, mel.shape[1] - self.frames + 1)
        samples = torch.from_numpy(audio[start * self.hop : (start + self.frames) * self.hop])
        bands = torch.from_numpy(mel[:, start : start + self.frames])
        return Segment(name, fit(samples, self.frames * self.hop), bands, self.frames)


def batches(dataset: Dataset, count: int) -> Iterator[object]:
    """Batches of one worker."""
    order = EndlessBatches(count, BATCH, 1, Share(), 0)
    return iter(DataLoader(dataset, batch_sampler=order, collate_fn=collate, num_workers=1))


def rate(stream: Iterator[object]) -> float:
    """Segments a second over the next batches."""
    started = time.perf_counter()
    for _ in islice(stream, BATCHES):
        pass
    return BATCH * BATCHES / (time.perf_counter() - started)


def main() -> None:
    """Prints both rates, alternating, and the ratio of their medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dump", type=Path)
    parser.add_argument("--segment", type=int, default=7168)
    options = parser.parse_args()
    dump = Dump(options.dump)
    frames = options.segment // dump.spec.hop_length
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "slices of the dump": Segments(dump, frames),
            "whole files": WholeFiles(dump, frames, Path(folder)),
        }
        streams = {name: batches(side, len(dump)) for name, side in sides.items()}
        for stream in streams.values():
            rate(stream)  # warms caches and workers
        rates = {name: [] for name in streams}
        for _ in range(ROUNDS):
            for name, stream in streams.items():
                rates[name].append(rate(stream))
        medians = {name: float(np.median(values)) for name, values in rates.items()}
    for name, value in medians.items():
        print(f"{name:20} {value:8.0f} segments/s (rounds: {[round(v) for v in rates[name]]})")
    print(f"ratio {medians['slices of the dump'] / medians['whole files']:.2f}")


if __name__ == "__main__":
    main()
