"""Train, valid and test as lists of ids: nothing random, the same for everybody."""

from __future__ import annotations

import difflib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.packed import Chosen, Packed, cut_set
from wg.errors import InputError

if TYPE_CHECKING:
    from lhotse import CutSet

SPLITS = ("train", "valid", "test")


def by_split(cuts: CutSet, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of each split, ordered by id, as `corpus.train`, `.valid` and `.test` say."""
    packed = Packed(cuts)
    places = {cut.id: place for place, cut in enumerate(packed)}
    chosen = resolve(places, wanted(corpus))
    return {
        split: cut_set(Chosen(packed, [places[name] for name in chosen[split]])) for split in SPLITS
    }


def wanted(corpus: CorpusConfig) -> dict[str, tuple[str, ...]]:
    """What the configuration asks for in each split."""
    listed = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
    return {
        split: tuple(unicodedata.normalize("NFC", item) for item in items)
        for split, items in listed.items()
    }


def resolve(ids: Iterable[str], items: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Sorted ids of each split from items that are ids or inclusive ranges `FIRST..LAST`.

    A range covers the ids between its ends, in natural order (2 before 10); the ends need not
    exist themselves: a partial corpus keeps its splits. An item that is an id is that id, even if
    it has dots. An empty `train` takes every id that no other split has. InputError
    for an unknown id, a range without any id, an empty split, or an id in two splits.
    """
    order = sorted(ids, key=natural)
    known = set(order)
    chosen = {
        split: tuple(
            sorted(
                {
                    i
                    for item in listed
                    for i in ([item] if item in known else _select(f"corpus.{split}", item, order))
                }
            )
        )
        for split, listed in items.items()
    }
    check_disjoint(chosen)
    if not items["train"]:
        held_out = {i for split in chosen for i in chosen[split]}
        chosen["train"] = tuple(sorted(known - held_out))
    for split in SPLITS:
        if not chosen[split]:
            raise InputError(
                f"corpus.{split} selects none of {len(order)} utterances; "
                "give ids or ranges FIRST..LAST"
            )
    return chosen


def hold_out(cuts: CutSet, every: int) -> dict[str, CutSet]:
    """Splits of one set: of every n-th cut on, the first is for validation, the next for testing.

    Ids begin with the speaker in most corpora, so that a speaker with n utterances is in all.
    """
    packed, held = Packed(cuts), {0: "valid", 1: "test"}
    chosen: dict[str, list[int]] = {split: [] for split in SPLITS}
    for place in range(len(packed)):
        number = place % every
        chosen[held[number] if number in held else "train"].append(place)
    return {split: cut_set(Chosen(packed, places)) for split, places in chosen.items()}


def check_disjoint(chosen: Mapping[str, Iterable[str]]) -> None:
    """Nothing stands in two splits, or an InputError says what and where."""
    seen: dict[str, str] = {}
    for split, names in chosen.items():
        for name in names:
            if seen.setdefault(name, split) != split:
                raise InputError(
                    f"{name} is in corpus.{seen[name]} and in corpus.{split}; "
                    "take it out of one of them"
                )


def natural(text: str) -> str:
    """A key that orders numbers within ids by their value: 2 before 10, and 02 as 2.

    Each number has its length before it, and comes before what is none.
    """
    parts = re.split("([0-9]+)", text)
    return "".join(
        f"\1{chr(len(digits))}{digits}"
        if (digits := part.lstrip("0")).isdigit() or part[:1] == "0"
        else f"\2{part}"
        for part in parts
        if part
    )


def _select(key: str, item: str, order: list[str]) -> list[str]:
    """The ids, out of the sorted `order`, that one item of the configuration names."""
    first, dots, last = item.partition("..")
    if not dots:
        last = first
    elif not first or not last:
        raise InputError(f"{key}: {item!r} is no range; write FIRST..LAST")
    low, high = natural(first), natural(last)
    if low > high:
        raise InputError(f"{key}: range {item} runs backwards; write {last}..{first}")
    if dots:
        found = order[bisect_left(order, low, key=natural) : bisect_right(order, high, key=natural)]
        if found:
            return found
    if dots:
        raise InputError(
            f"{key}: no utterance lies in {item}; the corpus has {order[0]}..{order[-1]}"
            if order
            else f"{key}: no utterance lies in {item}; the corpus is empty"
        )
    close = difflib.get_close_matches(item, order, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else "ids stand in the metadata's first column"
    raise InputError(f"{key}: no utterance {item!r}; {hint}")
