"""Weights under our names, from a table of whose layer is whose."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from wg.errors import InputError

# What weight normalisation calls the length and the direction of a weight, old and new.
NORMED = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


AFFINE = ("weight", "bias")
BATCH_NORM = (*AFFINE, "running_mean", "running_var", "num_batches_tracked")


def lstm(layers: int) -> tuple[str, ...]:
    """Tensors of a bidirectional `nn.LSTM`."""
    return tuple(
        f"{kind}_{whose}_l{number}{way}"
        for kind in AFFINE
        for whose in ("ih", "hh")
        for number in range(layers)
        for way in ("", "_reverse")
    )


class Layer(NamedTuple):
    """One of their layers, or several that are one of ours, stacked along the output."""

    theirs: tuple[str, ...]
    swap: bool = False  # whether our first half of the outputs is their second
    tensors: tuple[str, ...] = AFFINE


def layer(*theirs: str, swap: bool = False, tensors: tuple[str, ...] = AFFINE) -> Layer:
    """A row of a table."""
    return Layer(theirs, swap, tensors)


class Translated(NamedTuple):
    """Weights by our names, and what was left over."""

    weights: dict[str, Tensor]
    unmapped: list[str]


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """w = g v / ||v||, the norm over all dimensions but the first."""
    folded = dict(state)
    for length, direction in NORMED:
        for name in [name for name in state if name.endswith(f".{direction}")]:
            base = name[: -len(direction)]
            if f"{base}{length}" not in state:
                raise InputError(f"{name} has no {base}{length} beside it; the file is incomplete")
            v, g = folded.pop(name), folded.pop(f"{base}{length}")
            norm = v.flatten(1).norm(dim=1).reshape(-1, *[1] * (v.ndim - 1))
            folded[f"{base}weight"] = v * (g / norm)
    return folded


def count(state: Mapping[str, Tensor], pattern: str, first: int = 0) -> int:
    """How many layers of a kind numbered from `first` there are; `{}` stands for the number."""
    number = first
    while pattern.format(number) in state:
        number += 1
    return number - first


def translate(
    state: Mapping[str, Tensor], table: Mapping[str, Layer], buffers: Collection[str] = ()
) -> Translated:
    """The tensors of each layer of the table; InputError lists those that are missing.

    `buffers` names what is no weight and is left out without a word.
    """
    weights, used, missing = {}, set(buffers), []
    for ours, row in table.items():
        for kind in row.tensors:
            names = [f"{name}.{kind}" for name in row.theirs]
            absent = [name for name in names if name not in state]
            missing += absent
            if absent:
                continue
            used.update(names)
            found = [state[name] for name in names]
            value = found[0] if len(found) == 1 else torch.cat(found)
            if row.swap:
                value = torch.cat(value.chunk(2)[::-1])
            weights[f"{ours}.{kind}"] = value
    unmapped = sorted(set(state) - used)
    if missing:
        left = f"; it has {', '.join(unmapped[:5])}, which have no place here" if unmapped else ""
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"weights {', '.join(missing[:5])}{more} are missing{left}")
    return Translated(weights, unmapped)
