"""Durations of phonemes for stage phonemes: from TextGrids, or from an aligner trained here."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from wg.data.dump import Dump
from wg.data.phonemes import Phonemes, write_phonemes
from wg.data.textgrids import import_textgrid
from wg.errors import InputError
from wg.files import write_bytes
from wg.pictures import alignment
from wg.stages.stage import digest
from wg.tasks.context import STAMP, Context, read_stamp
from wg.text.frontend import Word, symbols_of
from wg.text.symbols import BOUNDARIES

PICTURES = 5  # of each split but train
HURRIED = 8  # phonemes in a row of one frame each that no one speaks
MADE_OF = "made-of.txt"  # beside the aligner's checkpoint
Alignment = tuple[Sequence[str], np.ndarray, np.ndarray | None]  # symbols, durations, posteriors


@dataclass(frozen=True)
class Pronounced:
    """An utterance of a dump and its words."""

    index: int
    words: list[Word]


def find_durations(
    context: Context,
    dumps: Mapping[str, Dump],
    spoken: Mapping[str, Sequence[Pronounced]],
    refuse: Callable[[list[str]], None],
) -> list[str]:
    """Writes each split's symbols, durations and pictures; what is wrong with those left out."""
    problems: list[str] = []
    finder = from_textgrids if textgrids_folder(context) else from_aligner
    find = finder(context, dumps, spoken)
    made: dict[str, list[Phonemes]] = {split: [] for split in dumps}
    pictures = context.phonemes / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    for split, utterances in spoken.items():
        dump = dumps[split]
        for one in utterances:
            entry = dump.utterances[one.index]
            try:
                symbols, durations, soft = find(dump, one)
            except InputError as error:
                problems.append(f"{entry.id}: {error}")
                continue
            assert durations.sum() == entry.frames
            if split != "train" and len(made[split]) < PICTURES:
                pictures.mkdir(parents=True, exist_ok=True)
                mel = dump.mel(one.index)
                alignment(mel, symbols, durations.tolist(), soft, pictures / f"{entry.id}.png")
            made[split].append(
                Phonemes(
                    entry.id, entry.text, entry.speaker, tuple(symbols), tuple(durations.tolist())
                )
            )
    refuse(problems)
    print(f"pictures of alignments: {pictures}")
    for split, phonemes in made.items():
        if not phonemes:
            raise InputError(f"{split}: no utterance could be aligned; {problems[0]}")
        write_phonemes(context.phonemes, split, phonemes)
    if doubtful := [one.id for phonemes in made.values() for one in phonemes if is_hurried(one)]:
        print(
            f"{HURRIED} phonemes or more of one frame each follow each other in {len(doubtful)} "
            f"utterances; see whether text and audio belong together: {', '.join(doubtful[:10])}"
        )
    return problems


def is_hurried(phonemes: Phonemes) -> bool:
    """Whether an alignment has a run of phonemes too short to be spoken."""
    run = 0
    for name, frames in zip(phonemes.symbols, phonemes.durations, strict=True):
        if name not in BOUNDARIES or frames:
            run = run + 1 if frames == 1 else 0
        if run >= HURRIED:
            return True
    return False


def textgrids_folder(context: Context) -> Path | None:
    """Where TextGrids are; a relative path is below the recipe."""
    name = context.experiment.phonemes.textgrids
    return context.recipe / name if name else None


def from_textgrids(
    context: Context, dumps: Mapping[str, Dump], spoken: Mapping[str, Sequence[Pronounced]]
) -> Callable[[Dump, Pronounced], Alignment]:
    """Reads the TextGrid of an utterance's id, at any depth of the folder."""
    folder = textgrids_folder(context)
    assert folder
    paths: dict[str, Path] = {}
    for path in sorted(folder.glob("**/*.TextGrid")):
        name = unicodedata.normalize("NFC", path.stem)
        if name in paths:
            raise InputError(f"phonemes.textgrids: {paths[name]} and {path}; remove one")
        paths[name] = path
    spec = context.experiment.mel

    def find(dump: Dump, one: Pronounced) -> Alignment:
        entry = dump.utterances[one.index]
        if entry.id not in paths:
            raise InputError(f"no {entry.id}.TextGrid in {folder}")
        frame_s = spec.hop_length / spec.sample_rate
        symbols, durations = import_textgrid(paths[entry.id], one.words, entry.frames, frame_s)
        return symbols, durations, None

    return find


def from_aligner(
    context: Context, dumps: Mapping[str, Dump], spoken: Mapping[str, Sequence[Pronounced]]
) -> Callable[[Dump, Pronounced], Alignment]:
    """Trains an aligner on the training set, or goes on with one; it then aligns any utterance."""
    from lightning import seed_everything

    from wg.alignment.aligner import CHECKPOINT, Aligner, align, train_aligner
    from wg.alignment.batches import AlignerUtterances

    fitting = [one for one in spoken["train"] if fits(dumps["train"], one)]
    if not fitting:
        raise InputError("train: no utterance has as many frames as phonemes; check the texts")
    folder = context.phonemes / "aligner"
    made_of = digest(
        {
            "aligner": asdict(context.experiment.aligner),
            "features": read_stamp(context.dump / STAMP.format(name="features")),
            "symbols": [(one.index, symbols_of(one.words)) for one in fitting],
        }
    )
    note = folder / MADE_OF
    if not note.is_file() or note.read_text("utf-8") != made_of:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        write_bytes(note, made_of.encode())
    seed_everything(0, verbose=False)
    utterances = AlignerUtterances(
        dumps["train"], {one.index: symbols_of(one.words) for one in fitting}
    )
    aligner = Aligner(context.experiment.aligner, utterances)
    train_aligner(aligner, folder, context.devices)
    aligner.eval()

    def find(dump: Dump, one: Pronounced) -> Alignment:
        symbols = symbols_of(one.words)
        durations, soft = align(aligner, dump.mel(one.index), symbols)
        return symbols, durations, soft

    return find


def fits(dump: Dump, one: Pronounced) -> bool:
    """Whether an utterance has a frame for each phoneme."""
    phonemes = sum(len(word.phonemes) for word in one.words)
    return dump.utterances[one.index].frames >= phonemes
