"""Vocoders: the mels of the test set, and their waveforms against the recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wg.config import Experiment
from wg.data.dump import Dump
from wg.diffusion.consistency import check_invertible
from wg.diffusion.noise import seed_of
from wg.inference.vocoder import Vocoder
from wg.report.page import PageContent
from wg.tasks.context import Context, stream_of
from wg.tasks.task import WARM_UP, Piece, Task
from wg.tasks.waveforms import content_of, score_waves, shown


@dataclass(frozen=True)
class Mel:
    """An utterance of a dump."""

    id: str
    seed: int
    dump: Dump
    index: int


class VocoderTask(Task[Vocoder, Mel]):
    """Waveforms from the mels of recordings."""

    model = Vocoder
    folder = "vocoder"
    card = "card.md"

    def check_stream(self, context: Context) -> None:
        """InputError for tars that are not there, or of other mels."""
        stream_of(context)

    def check_consistency(self, experiment: Experiment) -> None:
        """InputError for features that no waveform can be made to agree with."""
        check_invertible(experiment.mel)

    def items(self, context: Context) -> list[Mel]:
        """The utterances of the split."""
        decode = context.experiment.decode
        dump = self.dump(context, decode.split)
        return [
            Mel(entry.id, seed_of(entry.id, decode.seed), dump, index)
            for index, entry in enumerate(dump.utterances[: decode.limit])
        ]

    def prepare(self, model: Vocoder, items: Sequence[Mel]) -> Callable[[], list[Piece]]:
        """Each utterance as long as its recording, less what is no whole frame."""
        mel, frames = padded(items)
        seeds = [item.seed for item in items]

        def synthesise() -> list[Piece]:
            waves = model(mel, seed=seeds, lengths=frames)
            return [Piece(wave[: length(item)]) for wave, item in zip(waves, items, strict=True)]

        return synthesise

    def warm_up(self, model: Vocoder, items: Sequence[Mel]) -> None:
        """The beginning of a batch."""
        mel, frames = padded(items)
        seeds = [item.seed for item in items]
        model(mel[..., :WARM_UP], seed=seeds, lengths=frames.clamp(max=WARM_UP))

    def measure(self, context: Context, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Metrics of each utterance, beside floors."""
        return score_waves(context, names)

    def score(self, context: Context, rows: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Content of scores.json: each utterance's metrics, and their means by system."""
        return content_of(rows)

    def page(self, context: Context, scores: Mapping[str, Any]) -> PageContent:
        """The first utterances, beside their recordings."""
        return shown(context, scores)


def padded(items: Sequence[Mel]) -> tuple[Tensor, Tensor]:
    """Mels [B, M, F] padded with silence, and their frames [B]."""
    mels = [item.dump.mel(item.index) for item in items]
    frames = torch.tensor([mel.shape[1] for mel in mels])
    batch = items[0].dump.spec.silence[None, :, None].repeat(len(mels), 1, int(frames.max()))
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.shape[1]] = mel
    return batch, frames


def length(item: Mel) -> int:
    """Samples that the recording and the mel both have."""
    entry = item.dump.utterances[item.index]
    return min(entry.samples, entry.frames * item.dump.spec.hop_length)
