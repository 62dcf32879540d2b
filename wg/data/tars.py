"""Features as tars in WebDataset's form, read from the first byte to the last.

Object stores serve a few long reads well and many short ones badly. A tar has what a shard of the
dump has: `__wg__` (JSON: MelSpec, fingerprint), and of each utterance NUMBER.json,
NUMBER.audio.npy [samples] and NUMBER.mel.npy [frames, M]. `index.json` beside them is written last.

fsspec, which torch brings, opens a folder as well as s3://, gs:// or https://. The webdataset
package reads the same tars, but takes one that is cut off between two files for a whole one, and
does not go on in the middle of a pass; so tarfile reads them here.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wg.data.dump import Dump, shard_fingerprint
from wg.data.index import Utterance
from wg.errors import InputError
from wg.files import check_name, write_bytes
from wg.mel.spec import MelSpec

INDEX = "index.json"
HEAD = "__wg__"  # webdataset passes over names of this form
REMEDY = "copy it there again, or write it again by wg tars"
BLOCK = 1 << 20  # bytes read at once
HEARD = 25  # tars from which `Tars.clips` takes its clips


@dataclass(frozen=True)
class Tar:
    """An entry of the index."""

    name: str
    utterances: int
    fingerprint: str  # of the shard that it was made of

    def __post_init__(self) -> None:
        check_name(self.name, "tar")


@dataclass(frozen=True)
class TarJob:
    """One tar to write: rows first .. last of a split, which are a shard of it."""

    split: Path
    shard: str
    first: int
    last: int
    target: Path


class TarRecording(NamedTuple):
    """An utterance as a tar has it."""

    entry: Utterance
    audio: Tensor  # [frames * hop]
    mel: Tensor  # [M, frames]


def plan_tars(dump: Dump, target: Path) -> list[TarJob]:
    """A tar for each shard of a split."""
    jobs: list[TarJob] = []
    for row in range(len(dump)):
        shard = dump.shard_of(row)
        if jobs and jobs[-1].shard == shard:
            jobs[-1] = TarJob(dump.folder, shard, jobs[-1].first, row + 1, jobs[-1].target)
        else:
            path = (target / shard).with_suffix(".tar")
            jobs.append(TarJob(dump.folder, shard, row, row + 1, path))
    return jobs


def write_tar(job: TarJob) -> Tar:
    """Writes a tar, unless one of the same shard is there, and gives its entry of the index."""
    fingerprint = shard_fingerprint(job.split / job.shard) or ""
    entry = Tar(job.target.name, job.last - job.first, fingerprint)
    dump = Dump(job.split)
    head = {"spec": dump.spec.to_dict(), "fingerprint": fingerprint}
    if not (fingerprint and job.target.is_file() and _head(job.target) == head):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            _add(tar, HEAD, json.dumps(head).encode())
            for row in range(job.first, job.last):
                audio, mel = _npy(dump.audio(row)), _npy(dump.mel(row).T)
                about = {**asdict(dump.utterances[row]), "crc32": _sum(audio, mel)}
                name = f"{row:09d}"
                _add(tar, f"{name}.json", json.dumps(about).encode())
                _add(tar, f"{name}.audio.npy", audio)
                _add(tar, f"{name}.mel.npy", mel)
        write_bytes(job.target, content.getbuffer())
    return entry


def write_index(target: Path, spec: MelSpec, tars: Sequence[Tar], features: str) -> None:
    """What makes tars whole: `features` is the digest of the stage that made the dump."""
    content = {
        "spec": spec.to_dict(),
        "features": features,
        "tars": [asdict(tar) for tar in tars],
    }
    write_bytes(target / INDEX, (json.dumps(content, indent=1) + "\n").encode())


class Tars:
    """The tars of a folder or URL, as their index lists them."""

    def __init__(self, place: str) -> None:
        self.place = place
        path = f"{place.rstrip('/')}/{INDEX}"
        with _reading(path, "write the tars by wg tars"), _opened(path) as file:
            content = json.loads(file.read())
            self.spec = MelSpec.from_dict(content["spec"])
            self.features = str(content["features"])
            self.tars = tuple(Tar(**tar) for tar in content["tars"])
            self.sizes = [int(tar.utterances) for tar in self.tars]
        if not self.tars or min(self.sizes) < 1:
            raise InputError(f"{path}: lists no utterances; write the tars by wg tars")
        self.firsts = [0, *accumulate(self.sizes)]

    def __len__(self) -> int:
        """Number of utterances."""
        return self.firsts[-1]

    def read(
        self, number: int, wanted: Callable[[int], bool]
    ) -> Iterator[tuple[int, TarRecording]]:
        """The place in its tar of each wanted utterance, and what is there, in order.

        InputError naming a tar that cannot be opened, is cut off, altered, or not the index's.
        """
        tar = self.tars[number]
        path = f"{self.place.rstrip('/')}/{tar.name}"
        with _reading(path, REMEDY), _opened(path) as file:
            files = _files(file)
            head = json.loads(next(files))
            if head["fingerprint"] != tar.fingerprint or head["spec"] != self.spec.to_dict():
                raise ValueError("not of the shard that index.json says")
            place = 0
            for about, audio, mel in zip(files, files, files, strict=False):
                if wanted(place):
                    yield place, self._recording(json.loads(about), audio, mel)
                place += 1
            if place != tar.utterances:
                raise ValueError(f"{place} of {tar.utterances} utterances are there")

    def clips(self, most: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(audio [T], mel [M, F]) of so many utterances or of all, from few tars, evenly spread."""
        left, opened = min(most, len(self)), min(HEARD, len(self.tars))
        chosen = [i * len(self.tars) // opened for i in range(opened)]
        if sum(self.sizes[number] for number in chosen) < left:
            chosen = list(range(len(self.tars)))
        for opened, number in enumerate(chosen):
            share = min(-(-left // (len(chosen) - opened)), self.sizes[number])
            for _, found in islice(self.read(number, lambda _: True), share):
                yield found.audio, found.mel
            left -= share

    def _recording(self, about: dict[str, Any], audio: bytes, mel: bytes) -> TarRecording:
        if about.pop("crc32") != _sum(audio, mel):
            raise ValueError(f"altered: {about['id']} is not what was written")
        entry = Utterance(**about)
        return TarRecording(entry, _tensor(audio), _tensor(mel).T)


def _head(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            return json.loads(next(_files(file)))
    except (OSError, tarfile.TarError, ValueError, StopIteration):
        return None


def _files(file: IO[bytes]) -> Iterator[bytes]:
    """The contents of a tar, a file at a time."""
    with tarfile.open(fileobj=file, mode="r|", bufsize=BLOCK) as tar:
        for member in tar:
            if (content := tar.extractfile(member)) is not None:
                yield content.read()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    tar.addfile(about, io.BytesIO(content))


def _npy(tensor: Tensor) -> bytes:
    content = io.BytesIO()
    np.save(content, tensor.contiguous().numpy(), allow_pickle=False)
    return content.getvalue()


def _tensor(content: bytes) -> Tensor:
    return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))


def _sum(audio: bytes, mel: bytes) -> int:
    return zlib.crc32(mel, zlib.crc32(audio))


def _opened(path: str) -> Any:  # noqa: ANN401
    import fsspec

    return fsspec.open(path, "rb")


@contextmanager
def _reading(path: str, remedy: str) -> Iterator[None]:
    """InputError for whatever a store, a tar or JSON has against being read."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # stores have their own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: cannot be read to its end ({reason}); {remedy}") from None
