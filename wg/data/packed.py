"""Sequences kept small: 375,000 cuts as objects are a gigabyte, packed some tens of megabytes."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from lhotse import CutSet

BLOCK = 256  # items that are packed together

Item = TypeVar("Item")


class Packed(Generic[Item]):
    """Items in compressed blocks, made anew whenever they are asked for; in order, cheaply so."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._blocks: list[bytes] = []
        self._size, self._open = 0, (-1, list[Item]())
        remaining = iter(items)
        while block := list(islice(remaining, BLOCK)):
            self._blocks.append(zlib.compress(pickle.dumps(block, pickle.HIGHEST_PROTOCOL), 1))
            self._size += len(block)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int) -> Item:
        """An item; one after the other, a block is unpacked once."""
        number, within = divmod(place, BLOCK)
        if self._open[0] != number:
            self._open = number, self._block(number)
        return self._open[1][within]

    def __iter__(self) -> Iterator[Item]:
        for number in range(len(self._blocks)):
            yield from self._block(number)

    def _block(self, number: int) -> list[Item]:
        return pickle.loads(zlib.decompress(self._blocks[number]))


class Chosen(Generic[Item]):
    """Some of the items, in an order of their own."""

    def __init__(self, items: Packed[Item], places: Sequence[int]) -> None:
        self._items, self._places = items, np.array(places, np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Item]:
        return (self._items[int(place)] for place in self._places)


def cut_set(cuts: Packed[Any] | Chosen[Any] | Iterable[Any]) -> CutSet:
    """A set of cuts that are packed, or will be."""
    from lhotse import CutSet

    small: Any = cuts if isinstance(cuts, Packed | Chosen) else Packed(cuts)
    return CutSet(small)
