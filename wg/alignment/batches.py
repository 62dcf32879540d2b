"""Whole utterances with the symbols spoken in them, in batches for the aligner.

Shapes: B utterances, N symbols, F frames, D features of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from wg.alignment.features import frame_features
from wg.alignment.prior import beta_binomial
from wg.data.dump import Dump
from wg.data.segments import Draw
from wg.text.symbols import BOUNDARIES, to_ids


class AlignerBatch(TypedDict):
    """Utterances padded to the longest."""

    symbols: Tensor  # ids [B, N]
    features: Tensor  # [B, D, F]
    prior: Tensor  # log-probability [B, F, N]
    frames: Tensor  # [B]
    optional: list[np.ndarray]  # of each utterance, which of its symbols may have no frame


@dataclass(frozen=True)
class AlignerItem:
    """One utterance as the aligner is trained on it; `collate_aligner` makes a batch of several."""

    symbols: Tensor  # ids [N]
    features: Tensor  # [D, F]
    optional: np.ndarray  # [N]


class AlignerUtterances(Dataset[AlignerItem]):
    """Those utterances of a dump whose symbols are given, by their index in it."""

    def __init__(self, dump: Dump, symbols: Mapping[int, Sequence[str]]) -> None:
        self.dump, self.symbols = dump, list(symbols.items())

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.symbols)

    def __getitem__(self, draw: Draw) -> AlignerItem:
        """An utterance's mel with its symbols, as `aligner_item` pairs them."""
        index, names = self.symbols[draw.utterance]
        return aligner_item(self.dump.mel(index), names)


def aligner_item(mel: Tensor, names: Sequence[str]) -> AlignerItem:
    """An utterance of a log-mel [M, F] and symbols by their names."""
    optional = np.array([name in BOUNDARIES for name in names])
    return AlignerItem(torch.tensor(to_ids(names)), frame_features(mel), optional)


def collate_aligner(utterances: list[AlignerItem], scale: float) -> AlignerBatch:
    """A batch, with the prior of this scale."""
    frames = [one.features.shape[1] for one in utterances]
    prior = torch.zeros(len(utterances), max(frames), max(len(one.symbols) for one in utterances))
    for row, one in enumerate(utterances):
        found = beta_binomial(frames[row], len(one.symbols), scale)
        prior[row, : frames[row], : len(one.symbols)] = found
    padded = pad_sequence([one.features.T for one in utterances], batch_first=True)
    return {
        "symbols": pad_sequence([one.symbols for one in utterances], batch_first=True),
        "features": padded.transpose(1, 2),
        "prior": prior,
        "frames": torch.tensor(frames),
        "optional": [one.optional for one in utterances],
    }
