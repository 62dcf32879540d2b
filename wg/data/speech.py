"""The dump of a split with what is spoken in it: symbols, their durations, the speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wg.data.dump import Dump
from wg.data.index import Utterance, Utterances
from wg.data.phonemes import Phonemes
from wg.errors import InputError, stage_label
from wg.mel.spec import MelSpec
from wg.metrics.pitch import FRAME_MS, f0
from wg.models.network import TextConfig
from wg.text.symbols import to_ids


class SpokenDump(Dump):
    """Utterances with phonemes: tells of each what its network's `condition` asks for."""

    def __init__(self, folder: Path, phonemes: Mapping[str, Phonemes], model: TextConfig) -> None:
        super().__init__(folder)
        # Stage phonemes may have left out what cannot be aligned.
        kept = [index for index, entry in enumerate(self.utterances) if entry.id in phonemes]
        if not kept:
            raise InputError(f"{folder}: no utterance has phonemes; run {stage_label('phonemes')}")
        self.utterances = Utterances(self._table, np.array(kept, np.int64))
        self.phonemes, self.model = phonemes, model
        self._pitches: dict[int, Tensor] = {}  # found once: 4 bytes a frame
        for entry in self.utterances:
            self._tell(entry)

    def labels(self, index: int) -> dict[str, Tensor]:
        """symbols [N], symbol_lengths [], durations [N] in frames.

        Also speaker [], utterance_mel [F, M] and pitch [F], see `pitch_of`, if they matter.
        """
        labels = self._tell(self.utterances[index])
        if self.model.mel_blocks:
            labels["utterance_mel"] = self.mel(index).T
        if self.model.pitch_weight:
            if index not in self._pitches:
                self._pitches[index] = pitch_of(self.audio(index), self.spec)
            labels["pitch"] = self._pitches[index]
        return labels

    def _tell(self, entry: Utterance) -> dict[str, Tensor]:
        model = self.model
        spoken = self.phonemes[entry.id]
        if sum(spoken.durations) != entry.frames:
            raise InputError(
                f"{self.folder}, {entry.id}: durations sum to {sum(spoken.durations)} frames, but "
                f"it has {entry.frames}; run {stage_label('phonemes')} again"
            )
        try:
            ids = to_ids(spoken.symbols, model.symbols)
            speaker = model.speaker_index(entry.speaker) if model.speaker_channels else None
        except InputError as error:
            raise InputError(f"{self.folder}, {entry.id}: {error}") from None
        labels = {
            "symbols": torch.tensor(ids),
            "symbol_lengths": torch.tensor(len(ids)),
            "durations": torch.tensor(spoken.durations),
        }
        return labels if speaker is None else {**labels, "speaker": torch.tensor(speaker)}


def pitch_of(wave: Tensor, spec: MelSpec) -> Tensor:
    """F0 in Hz [F] in the middle of each frame of a waveform [T], 0 where unvoiced."""
    track = f0(wave.double().numpy(), spec.sample_rate)
    middle = 0.0 if spec.framing == "centre" else 0.5
    seconds = (np.arange(spec.frames(len(wave))) + middle) * spec.hop_length / spec.sample_rate
    places = (seconds * 1000 / FRAME_MS).round().astype(int).clip(max=len(track) - 1)
    return torch.from_numpy(track[places]).float()


def speakers_of(dump: Dump) -> tuple[str, ...]:
    """Names of the speakers of a dump, sorted; InputError for an utterance without one."""
    for entry in dump.utterances:
        if not entry.speaker:
            raise InputError(
                f"{dump.folder}, {entry.id}: no speaker is known, but model.speaker_channels asks "
                "for one; name it in the corpus's metadata, or set model.speaker_channels=0"
            )
    return tuple(sorted({entry.speaker for entry in dump.utterances}))


def check_speakers(dumps: Mapping[str, Dump], known: Sequence[str]) -> None:
    """InputError for an utterance of any split whose speaker is not known.

    `known`: speakers that the model is told; none: those of the training split.
    """
    learned = set(known or speakers_of(dumps["train"]))
    for split, dump in dumps.items():
        for entry in dump.utterances:
            if entry.speaker not in learned:
                raise InputError(
                    f"{dump.folder}, {entry.id}: speaker {entry.speaker!r} is not of the "
                    f"{len(learned)} that the model learns; give corpus.{split} speakers of the "
                    "training split, or let corpus.hold_out make all splits of that one"
                )
