"""The dump: audio at the target rate and mels in shards that are read by slices, not whole.

A shard is one safetensors file: `audio` [samples of all its utterances], `mel` [frames of all,
M], and in its header the `MelSpec`, the utterances and a fingerprint of what made it. Audio is
fitted to frames * hop samples: zeros are added where framing yields a frame more, and less than
one hop is left out where it yields less.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wg.config import Experiment
from wg.data.index import (
    Record,
    Table,
    Utterance,
    Utterances,
    read_header,
    read_index,
    table_of,
    write_index,
)
from wg.data.slices import Rows, Slices, packed
from wg.errors import InputError, stage_label
from wg.files import write_bytes
from wg.mel.spec import MelSpec


def fit(audio: Tensor, samples: int) -> Tensor:
    """Audio [T] with zeros added or its end left out, [samples]."""
    missing = samples - len(audio)
    return torch.nn.functional.pad(audio, (0, missing)) if missing > 0 else audio[:samples]


def write_shard(
    path: Path,
    utterances: list[tuple[Utterance, Tensor, Tensor]],
    spec: MelSpec,
    fingerprint: str,
) -> None:
    """One shard of (utterance, audio [T], mel [M, F])."""
    hop = spec.hop_length
    tensors = {
        "audio": torch.cat([fit(audio, entry.frames * hop) for entry, audio, _ in utterances]),
        "mel": torch.cat([mel.T for _, _, mel in utterances]).contiguous(),
    }
    header = {
        "spec": json.dumps(spec.to_dict()),
        "utterances": json.dumps([asdict(entry) for entry, _, _ in utterances]),
        "fingerprint": fingerprint,
    }
    header["checksum"] = _checksum(header, tensors)
    write_bytes(path, packed(tensors, header))


def _checksum(header: dict[str, str], tensors: dict[str, Tensor]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for key in ("spec", "utterances", "fingerprint"):
        found.update(header[key].encode())
    for key in ("audio", "mel"):
        found.update(tensors[key].contiguous().numpy().data.cast("B"))
    return found.hexdigest()


def shard_fingerprint(path: Path) -> str | None:
    """What made this shard; None where there is none, or one that is cut off."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("fingerprint")
    except (OSError, SafetensorError):
        return None


def damage(path: Path, record: Record) -> str | None:
    """What is wrong with a shard beside what was noted of it; None: nothing.

    Every byte is looked at only where its time differs.
    """
    try:
        status = path.stat()
        if status.st_size != record.size:
            return f"{status.st_size} bytes, {record.size} were written"
        if status.st_mtime_ns == record.time or not record.checksum:
            return None
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in ("audio", "mel")}
        return None if _checksum(header, tensors) == record.checksum else "altered"
    except FileNotFoundError:
        return "missing"
    except (OSError, SafetensorError, KeyError):
        return "damaged"


def damaged(folder: Path) -> dict[str, str]:
    """The shards of a split that are not what its index says, and why; none without an index."""
    table = read_index(folder)
    records = table.records() if table else {}
    found = {name: damage(folder / name, record) for name, record in records.items()}
    return {name: reason for name, reason in found.items() if reason}


class Dump:
    """Read access to the shards of one split; slices are read from disk when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._table = _indexed(folder) or _headers(folder)
        self.utterances = Utterances(self._table)
        self._slices = Slices(folder)
        self.spec = MelSpec.from_dict(json.loads(self._table.spec))

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.utterances)

    def audio(self, index: int, frame: int = 0, frames: int | None = None) -> Tensor:
        """Samples of frames frame .. frame + frames, float32 [frames * hop]."""
        first, last = self._range(index, frame, frames)
        hop = self.spec.hop_length
        name, audio, _ = self._shard(index)
        return self._slices.read(name, audio, first * hop, last * hop)

    def mel(self, index: int, frame: int = 0, frames: int | None = None) -> Tensor:
        """Mel frames, float32 [M, frames]."""
        first, last = self._range(index, frame, frames)
        name, _, mel = self._shard(index)
        return self._slices.read(name, mel, first, last).T

    def labels(self, index: int) -> dict[str, Tensor]:
        """What a model is told of an utterance besides its mel: here nothing."""
        return {}

    def recording(self, index: int) -> Tensor:
        """The utterance's audio without added zeros, [samples]."""
        return self.audio(index)[: self.utterances[index].samples]

    def clips(self, most: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(audio [T], mel [M, F]) of so many utterances or of all, evenly spread."""
        count = min(most, len(self))
        for place in range(count):
            index = place * len(self) // count
            yield self.audio(index), self.mel(index)

    def shard_of(self, index: int) -> str:
        """The name of the file that has an utterance."""
        return self._shard(index)[0]

    def index_of(self, name: str) -> int:
        """The place of an utterance; InputError for an id that is not there."""
        row = self._table.row_of(name)
        rows = self.utterances.rows
        if row is not None and rows is not None:
            at = int(np.searchsorted(rows, row))
            row = at if at < len(rows) and rows[at] == row else None
        if row is None:
            raise InputError(f"{self.folder}: no utterance {name!r}; run {stage_label('features')}")
        return row

    def _range(self, index: int, frame: int, frames: int | None) -> tuple[int, int]:
        row = self.utterances.row(index)
        total = int(self._table.columns["frames"][row])
        last = total if frames is None else frame + frames
        assert 0 <= frame <= last <= total, f"frames {frame}..{last} of {total}"
        start = int(self._table.columns["first"][row])
        return start + frame, start + last

    def _shard(self, index: int) -> tuple[str, Rows, Rows]:
        """The name of an utterance's shard, and where audio and mels begin there."""
        name, audio, mel = self._table.shard(self.utterances.row(index))
        return name, Rows(audio, ()), Rows(mel, (self.spec.n_mels,))


def _indexed(folder: Path) -> Table | None:
    """The table of the index, if all its shards are as they were when it was made."""
    table = read_index(folder)
    if table is None:
        return None
    whole = True
    for name, record in table.records().items():
        try:
            status = (folder / name).stat()
        except OSError:
            raise InputError(
                f"{folder / name}: missing; run {stage_label('features')} again"
            ) from None
        if status.st_size != record.size:
            raise InputError(
                f"{folder / name}: {status.st_size} bytes, {record.size} were written; "
                f"run {stage_label('features')} again"
            )
        whole = whole and status.st_mtime_ns == record.time
    return table if whole else None


def _headers(folder: Path) -> Table:
    """The table of the headers."""
    paths = sorted(folder.glob("shard-*.safetensors"))
    if not paths:
        raise InputError(f"{folder}: no features there; run {stage_label('features')} first")
    shards = [read_header(path) for path in paths]
    if any(json.loads(shard.spec) != json.loads(shards[0].spec) for shard in shards):
        raise InputError(
            f"{folder}: shards of different MelSpecs; delete it and run {stage_label('features')}"
        )
    return table_of(shards)


def features_folder(work: Path, experiment: Experiment) -> Path:
    """Where a run's features are: a folder of this MelSpec and no other, unless it has a name.

    One from when the name was the spec's label alone is used, if it is of this spec.
    """
    folder = work / "dump" / experiment.features_name
    if experiment.features.name or experiment.features.mels or folder.is_dir():
        return folder
    plain = work / "dump" / experiment.mel.label
    shard = next(plain.glob("train/shard-*.safetensors"), None)
    try:
        if shard and MelSpec.from_dict(json.loads(read_header(shard).spec)) == experiment.mel:
            return plain
    except (InputError, ValueError):
        pass
    return folder


def make_index(folder: Path) -> None:
    """Writes the index of a split whose shards are all there."""
    write_index(folder, _headers(folder))
