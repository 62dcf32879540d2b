"""Safetensors files whose bytes depend on their content alone, and rows of their tensors.

They are read, not mapped: the first look at each page of a mapping costs a fault that fetches 32
pages, of which a segment needs a few, and a file that is cut off kills the process that looks.
"""

from __future__ import annotations

import json
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from wg.errors import InputError, stage_label

OPEN = 256  # files that are kept open
REMEDY = f"run {stage_label('features')} again"


def packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of float32 tensors; the library's own has its metadata in random order."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        assert tensor.dtype == torch.float32
        first, end = end, end + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [first, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    values = [tensor.contiguous().numpy().tobytes() for tensor in tensors.values()]
    return b"".join([len(text).to_bytes(8, "little"), text, *values])


class Rows(NamedTuple):
    """Where a float32 tensor lies in its file."""

    first: int  # byte
    shape: tuple[int, ...]  # of a row

    @property
    def size(self) -> int:
        """Bytes of a row, in float32."""
        return 4 * torch.Size(self.shape).numel()


class Slices:
    """The tensors of a folder's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: OrderedDict[str, BinaryIO] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        """Open files stay behind: each data loading process opens its own."""
        return {**vars(self), "_open": OrderedDict()}

    def read(self, name: str, place: Rows, first: int, last: int) -> Tensor:
        """Rows first .. last of a tensor; InputError where its file is cut off, or gone."""
        found = torch.empty(last - first, *place.shape)
        if found.numel():
            buffer = found.numpy().data.cast("B")
            at = place.first + first * place.size
            if os.preadv(self._file(name).fileno(), [buffer], at) < len(buffer):
                raise InputError(f"{self.folder / name}: cut off; {REMEDY}")
        return found

    def _file(self, name: str) -> BinaryIO:
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        path = self.folder / name
        try:
            file = path.open("rb", buffering=0)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; {REMEDY}") from None
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        if len(self._open) >= OPEN:
            self._open.popitem(last=False)[1].close()
        self._open[name] = file
        return file


def header_of(path: Path) -> tuple[dict[str, str], dict[str, Rows]]:
    """A file's metadata, and where its tensors lie; ValueError for one that is cut off."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        length = os.fstat(file.fileno()).st_size - 8
        if not 2 <= size <= length:
            raise ValueError("cut off, or not a safetensors file")
        header = json.loads(file.read(size))
    metadata, found = header.pop("__metadata__"), {}
    for name, entry in header.items():
        count, *shape = entry["shape"]
        first, last = entry["data_offsets"]
        place = Rows(8 + size + first, tuple(shape))
        if entry["dtype"] != "F32" or count * place.size != last - first or size + last > length:
            raise ValueError(f"{name} is cut off, or not float32")
        found[name] = place
    return metadata, found
