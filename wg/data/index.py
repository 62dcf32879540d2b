"""The index of a split: its utterances as columns in one file that is mapped, not read.

Opening it costs the same for a thousand utterances and for millions, and processes share its
pages. It stands for its shards while they have the sizes and times that they had; a dump without
one, or whose shards were copied or changed since, is known by the shards' headers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, from_numpy

from wg.data.slices import header_of
from wg.diffusion.noise import seed_of
from wg.errors import InputError, stage_label
from wg.files import check_name, write_bytes

INDEX = "index.table"
_FORMAT = "2"
_REMEDY = f"delete it, run {stage_label('features')}"


@dataclass(frozen=True)
class Utterance:
    """An entry of a shard's header."""

    id: str
    samples: int  # of the recording at the target rate
    frames: int
    text: str = ""
    speaker: str = ""

    def __post_init__(self) -> None:
        check_name(self.id, "utterance id")


@dataclass(frozen=True)
class Shard:
    """A file of the dump as its header and the file system tell of it."""

    name: str
    size: int  # bytes
    time: int  # of its last change, in ns
    utterances: tuple[Utterance, ...]
    checksum: str  # of what it holds; "": of a wg that wrote none
    fingerprint: str
    spec: str  # JSON
    audio: int  # the byte where all audio begins
    mel: int  # and all mels


@dataclass(frozen=True)
class Record:
    """What an index notes of a shard."""

    size: int
    time: int
    checksum: str


class Texts(Sequence[str]):
    """Strings in one array of bytes, with the places where they end."""

    def __init__(self, ends: np.ndarray, content: np.ndarray) -> None:
        self.ends, self.content = ends, content

    @staticmethod
    def columns(name: str, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """The two arrays of some strings."""
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        return {f"{name}.ends": ends, f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8)}

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        """The string at a place."""
        first = self.ends[index - 1] if index else 0
        return self.content[first : self.ends[index]].tobytes().decode()


class Table:
    """The columns of an index; of `rows` alone, where those are given."""

    def __init__(self, columns: dict[str, np.ndarray], spec: str) -> None:
        self.spec, self.columns = spec, columns
        names = ("id", "text", "speaker", "shard.name", "shard.checksum")
        self.texts = {
            name: Texts(columns[f"{name}.ends"], columns[f"{name}.bytes"]) for name in names
        }

    def __len__(self) -> int:
        return len(self.columns["frames"])

    def entry(self, row: int) -> Utterance:
        """The utterance of a row, without its audio and mel."""
        return Utterance(
            self.texts["id"][row],
            int(self.columns["samples"][row]),
            int(self.columns["frames"][row]),
            self.texts["text"][row],
            self.texts["speaker"][int(self.columns["voice"][row])],
        )

    def shard(self, row: int) -> tuple[str, int, int]:
        """The name of an utterance's shard, and the bytes where all audio and all mels begin."""
        shard = int(self.columns["shard"][row])
        audio, mel = (int(self.columns[f"shard.{name}"][shard]) for name in ("audio", "mel"))
        return self.texts["shard.name"][shard], audio, mel

    def row_of(self, name: str) -> int | None:
        """Where an utterance stands, by its id."""
        hashes = self.columns["hash"]
        wanted = np.int64(seed_of(name, 0))
        at = int(np.searchsorted(hashes, wanted))
        while at < len(hashes) and hashes[at] == wanted:
            row = int(self.columns["hashed"][at])
            if self.texts["id"][row] == name:
                return row
            at += 1
        return None

    def records(self) -> dict[str, Record]:
        """What it notes of each shard."""
        sizes, times = self.columns["shard.size"], self.columns["shard.time"]
        names, sums = self.texts["shard.name"], self.texts["shard.checksum"]
        return {names[i]: Record(int(sizes[i]), int(times[i]), sums[i]) for i in range(len(names))}


class Utterances(Sequence[Utterance]):
    """The utterances of a table, made when they are asked for."""

    def __init__(self, table: Table, rows: np.ndarray | None = None) -> None:
        self.table, self.rows = table, rows

    def row(self, index: int) -> int:
        """The row of an utterance."""
        return index if self.rows is None else int(self.rows[index])

    def __len__(self) -> int:
        return len(self.table) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...

    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        places = range(len(self))
        if isinstance(index, slice):
            return [self.table.entry(self.row(place)) for place in places[index]]
        return self.table.entry(self.row(places[index]))

    def __iter__(self) -> Iterator[Utterance]:
        return (self.table.entry(self.row(place)) for place in range(len(self)))


def table_of(shards: Iterable[Shard]) -> Table:
    """The table of some shards; InputError for an id that comes twice."""
    ids: list[str] = []
    numbers: dict[str, list[int]] = {"samples": [], "frames": [], "first": [], "shard": []}
    texts: list[str] = []
    spoken: list[str] = []
    found: list[Shard] = []
    for number, shard in enumerate(shards):
        first = 0
        for entry in shard.utterances:
            ids.append(entry.id)
            texts.append(entry.text)
            spoken.append(entry.speaker)
            row = (entry.samples, entry.frames, first, number)
            for values, value in zip(numbers.values(), row, strict=True):
                values.append(value)
            first += entry.frames
        found.append(replace(shard, utterances=()))
    voices = sorted(set(spoken))
    places = {name: place for place, name in enumerate(voices)}
    hashes = np.array([seed_of(name, 0) for name in ids], np.int64)
    order = np.argsort(hashes, kind="stable")
    columns = {
        **{name: np.array(values, np.int64) for name, values in numbers.items()},
        "voice": np.array([places[name] for name in spoken], np.int64),
        "hash": hashes[order],
        "hashed": order.astype(np.int64),
        **Texts.columns("id", ids),
        **Texts.columns("text", texts),
        **Texts.columns("speaker", voices),
        **Texts.columns("shard.name", [shard.name for shard in found]),
        **Texts.columns("shard.checksum", [shard.checksum for shard in found]),
        "shard.size": np.array([shard.size for shard in found], np.int64),
        "shard.time": np.array([shard.time for shard in found], np.int64),
        "shard.audio": np.array([shard.audio for shard in found], np.int64),
        "shard.mel": np.array([shard.mel for shard in found], np.int64),
    }
    return Table(columns, found[0].spec)


def write_index(folder: Path, table: Table) -> None:
    """Writes a split's index, whole or not at all, for `Table` to be read from."""
    tensors = {name: from_numpy(np.array(column)) for name, column in table.columns.items()}
    write_bytes(folder / INDEX, save(tensors, {"format": _FORMAT, "spec": table.spec}))


def read_index(folder: Path) -> Table | None:
    """A split's index; None where there is none that this wg reads."""
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT:
                return None
            # Tensors of a mapped file: pages are read when they are looked at.
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}
        return Table({name: tensor.numpy() for name, tensor in tensors.items()}, header["spec"])
    except (OSError, SafetensorError, KeyError):
        return None


def read_header(path: Path) -> Shard:
    """What a shard's header holds; InputError for a file that is none."""
    try:
        status = path.stat()
        header, places = header_of(path)
        entries = tuple(Utterance(**entry) for entry in json.loads(header["utterances"]))
        return Shard(
            path.name,
            status.st_size,
            status.st_mtime_ns,
            entries,
            header.get("checksum", ""),
            header.get("fingerprint", ""),
            header["spec"],
            places["audio"].first,
            places["mel"].first,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}; {_REMEDY}") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a shard ({error}); {_REMEDY}") from None
