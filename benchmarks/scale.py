"""A corpus of 375,000 utterances beside one of 1,000: opening, memory, segments, order, prepare.

`python benchmarks/scale.py [FOLDER]` makes dumps whose shards are sparse files with true headers
(no disk is read for their samples, so that what is measured is wg's own work), and prints a table.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import struct
import tempfile
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from wg.data.dump import Dump, make_index
from wg.data.index import Utterance
from wg.data.segments import EndlessBatches, Segments, Share, training_loader
from wg.mel.hub import named
from wg.report.table import markdown

SIZES = (1000, 375_000)
SHARD = 256  # utterances
FRAMES = 500  # of an utterance: 5.8 s
WINDOW = 28  # frames of a segment
BATCH, BATCHES, WORKERS = 32, 60, 2


def sparse_shard(path: Path, entries: list[Utterance], spec: Any) -> None:
    """A shard as `write_shard` makes it, of silence that takes no room on the disk."""
    frames = sum(entry.frames for entry in entries)
    audio, mel = 4 * frames * spec.hop_length, 4 * frames * spec.n_mels
    tensors = {
        "audio": {"dtype": "F32", "shape": [frames * spec.hop_length], "data_offsets": [0, audio]},
        "mel": {
            "dtype": "F32",
            "shape": [frames, spec.n_mels],
            "data_offsets": [audio, audio + mel],
        },
    }
    told = {
        "spec": json.dumps(spec.to_dict()),
        "utterances": json.dumps([asdict(entry) for entry in entries]),
        "fingerprint": "sparse",
    }
    header = json.dumps({"__metadata__": told, **tensors}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + audio + mel)


def make(folder: Path, count: int) -> float:
    """The dump of so many utterances; seconds that its index took."""
    folder.mkdir()
    spec = named("hifigan")
    for number, first in enumerate(range(0, count, SHARD)):
        entries = [
            Utterance(
                f"speaker{i % 247:04d}_{i:07d}",
                FRAMES * spec.hop_length,
                FRAMES,
                "He was a man of some fifty years, and of a quiet temper, as far as was known.",
                f"speaker{i % 247:04d}",
            )
            for i in range(first, min(first + SHARD, count))
        ]
        sparse_shard(folder / f"shard-{number:05d}.safetensors", entries, spec)
    started = time.perf_counter()
    make_index(folder)
    return time.perf_counter() - started


def memory(pid: int, *keys: str) -> float:
    """MB of a process, of these lines of its smaps."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in rollup if line.split(":")[0] in keys) / 1024


def child(folder: Path, result: Path) -> None:
    """What a training process sees, in one that has done nothing before."""
    Dump(folder.with_name("warm"))  # imports and first calls
    gc.collect()
    before = memory(os.getpid(), "Rss")
    started = time.perf_counter()
    dump = Dump(folder)
    opened = time.perf_counter() - started
    grown = memory(os.getpid(), "Rss") - before
    started = time.perf_counter()
    order = EndlessBatches(len(dump), BATCH, 1, Share(), 0)
    next(iter(order))
    first = time.perf_counter() - started
    loader = iter(training_loader(Segments(dump, WINDOW), order, WORKERS))
    for _ in islice(loader, BATCHES // 3):
        pass
    started = time.perf_counter()
    for _ in islice(loader, BATCHES):
        pass
    rate = BATCHES * BATCH / (time.perf_counter() - started)
    workers = [process.pid for process in loader._workers]  # pyright: ignore
    private = max(memory(pid, "Private_Dirty") for pid in workers)
    found = {
        "open": f"{opened:.3f} s",
        "memory": f"{grown:.1f} MB",
        "worker": f"{private:.0f} MB",
        "order": f"{first:.3f} s",
        "segments": f"{rate:.0f} /s",
    }
    result.write_text(json.dumps(found))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        make(Path(root) / "warm", 10)
        for count in SIZES:
            folder = Path(root) / str(count)
            found = {"index": f"{make(folder, count):.1f} s"}
            result = Path(root) / f"{count}.json"
            context = torch.multiprocessing.get_context("spawn")
            process = context.Process(target=child, args=(folder, result))
            process.start()
            process.join()
            found |= json.loads(result.read_text())
            for key, value in found.items():
                rows.setdefault(key, []).append(value)
    words = {
        "index": "index made, once, in stage 2",
        "open": "dump opened",
        "memory": "memory that this takes",
        "worker": "private memory of a loading process",
        "order": "order of an epoch",
        "segments": f"segments of {WINDOW} frames, {WORKERS} processes",
    }
    header = ["", *(f"{count:,} utterances" for count in SIZES)]
    print(markdown(header, [[words[key], *values] for key, values in rows.items()]))


if __name__ == "__main__":
    main()
