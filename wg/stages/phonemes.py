"""Stage 3, phonemes: text to phonemes and durations, for models that read text."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from wg.data.dump import Dump
from wg.data.index import Utterance
from wg.data.speech import check_speakers
from wg.data.splits import SPLITS
from wg.errors import InputError
from wg.files import write_bytes
from wg.processes.launch import part, place, wait_for_all
from wg.processes.pool import as_they_come
from wg.stages.durations import Pronounced, find_durations, textgrids_folder
from wg.stages.stage import Stage
from wg.tasks.context import Context, features_of
from wg.tasks.registry import task_of
from wg.text import tagger
from wg.text.frontend import Word, words_of
from wg.text.lexicon import read_lexicon
from wg.text.pronounce import Lexicon

_TEXTS = 1000  # a job: starting a process takes as long as some thousand texts
_NAMED = 5  # utterances spelt out in a message


@dataclass(frozen=True)
class TextJob:
    """Texts that one process pronounces, with the lexicon to use."""

    utterances: tuple[Utterance, ...]
    lexicon: Lexicon
    closed: bool = False  # the lexicon has to have every word: the dictionary is of English


def pronounce_texts(job: TextJob) -> list[list[Word] | str]:
    """The words of each text, or what is wrong with it."""
    if multiprocessing.parent_process() is not None:
        logging.getLogger("wg.text").setLevel(logging.ERROR)  # the parent has said it
    found: list[list[Word] | str] = []
    for utterance in job.utterances:
        try:
            words = words_of(utterance.text, job.lexicon)
            if job.closed:
                check_listed(words, job.lexicon)
            found.append(words)
        except InputError as error:
            found.append(f"{utterance.id}: {error}")
    return found


def check_listed(words: Sequence[Word], lexicon: Lexicon) -> None:
    """InputError for words that would be spoken as English ones; phonemes in braces are not."""
    spelt = dict.fromkeys(word.text for word in words if not word.text.startswith("{"))
    if absent := [word for word in spelt if word not in lexicon]:
        raise InputError(
            f"{', '.join(absent)}: not in phonemes.lexicon, and corpus.language is not English; "
            "add every word"
        )


def is_english(context: Context) -> bool:
    """Whether the dictionary is of the corpus's language."""
    return context.experiment.corpus.language.lower().startswith("en")


def reads_text(context: Context) -> bool:
    """Whether the model needs this stage."""
    return STAGE.name in task_of(context).needs


def lexicon_path(context: Context) -> Path | None:
    """The user's lexicon; a relative path is below the recipe."""
    name = context.experiment.phonemes.lexicon
    return context.recipe / name if name else None


def check(context: Context) -> None:
    """InputError for a lexicon or TextGrids that cannot be read."""
    if not reads_text(context):
        return
    language, path = context.experiment.corpus.language, lexicon_path(context)
    if not is_english(context) and path is None:
        raise InputError(
            f"corpus.language {language!r}: pronunciations are known for English (en) only; give a "
            "phonemes.lexicon with every word, or train a model that reads no text"
        )
    if path:
        read_lexicon(path)
    folder = textgrids_folder(context)
    if folder and not any(folder.glob("**/*.TextGrid")):
        raise InputError(f"phonemes.textgrids {folder}: no .TextGrid files there")


def run(context: Context) -> Mapping[str, Any]:
    """Writes the symbols and durations of each split, and the words that no dictionary has."""
    if not reads_text(context):
        print(f"{context.experiment.model.name} reads no text: nothing to do")
        return {}
    result: Mapping[str, Any] = {}
    if place().rank == 0:
        result = make(context)
    wait_for_all()
    return result


def make(context: Context) -> Mapping[str, Any]:
    """The stage's work, which one process does."""
    tagger.fetch()
    path = lexicon_path(context)
    lexicon = read_lexicon(path) if path else {}
    dumps = {split: features_of(context, split) for split in SPLITS}
    model = vars(context.experiment.model)
    if model.get("speaker_channels"):  # said before the aligner, and days of training
        check_speakers(dumps, model["speakers"])
    spoken, problems = pronounce(context, dumps, lexicon)
    refuse(problems, context)
    if part():
        return {}
    unknown = report_unknown(spoken, context.phonemes / "oov.tsv")
    problems += find_durations(context, dumps, spoken, lambda found: refuse(found, context))
    if problems:
        print(f"left out {len(problems)} utterances (--skip-bad):")
        print("\n".join(f"  {problem}" for problem in problems))
    return {"unknown_words": unknown, "left_out": len(problems)}


def pronounce(
    context: Context, dumps: Mapping[str, Dump], lexicon: Lexicon
) -> tuple[dict[str, list[Pronounced]], list[str]]:
    """The words of all utterances by split, and what is wrong with those left out."""
    places = {
        f"{split}/{entry.id}": (split, index)
        for split, dump in dumps.items()
        for index, entry in enumerate(dump.utterances)
    }
    tagger.available()  # says here, once, what its absence means

    def make(entries: Sequence[tuple[str, int]]) -> Iterator[list[tuple[Any, ...]] | str]:
        texts = [dumps[split].utterances[index] for split, index in entries]
        jobs = [
            TextJob(tuple(texts[first : first + _TEXTS]), lexicon, closed=not is_english(context))
            for first in range(0, len(texts), _TEXTS)
        ]
        started = time.monotonic()
        for found in as_they_come(pronounce_texts, jobs, context.jobs, "phonemes"):
            for words in found:
                yield words if isinstance(words, str) else [astuple(word) for word in words]
        seconds = time.monotonic() - started
        rate = f"{len(texts) / seconds:.0f} a second"
        print(f"{len(texts)} texts to phonemes in {seconds:.1f} s, {rate}")

    spoken: dict[str, list[Pronounced]] = {split: [] for split in dumps}
    problems = []
    for name, words in context.kept.of(places, make).items():
        split, index = places[name]
        if isinstance(words, str):
            problems.append(words)
        else:
            spoken[split].append(Pronounced(index, [word_of(*word) for word in words]))
    return spoken, problems


def word_of(text: str, phonemes: Sequence[str], boundary: str, predicted: bool) -> Word:
    """A word that was kept."""
    return Word(text, tuple(phonemes), boundary, predicted)


def refuse(problems: Sequence[str], context: Context) -> None:
    """InputError that names the first utterances, unless bad ones are to be left out."""
    if problems and not context.experiment.corpus.skip_bad:
        further = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise InputError(
            f"{'; '.join(problems[:_NAMED])}{further} (--skip-bad leaves such utterances out)"
        )


def report_unknown(spoken: Mapping[str, Sequence[Pronounced]], path: Path) -> int:
    """Writes word, count and predicted phonemes of words that no dictionary has."""
    words = [word for found in spoken.values() for one in found for word in one.words]
    unknown = [word for word in words if word.predicted]
    counts = Counter(word.text for word in unknown)
    predicted = {word.text: " ".join(word.phonemes) for word in unknown}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"{word}\t{count}\t{predicted[word]}\n" for word, count in ordered]
    write_bytes(path, "".join(["word\tcount\tpredicted\n", *lines]).encode())
    if counts:
        print(
            f"{len(counts)} words, {100 * len(unknown) / len(words):.1f}% of the text, are in no "
            f"dictionary; their predicted pronunciations: {path}"
        )
    return len(counts)


STAGE = Stage(
    name="phonemes",
    summary="text to phonemes and durations (models that read text)",
    keys=("model.name", "phonemes", "aligner"),
    needs=("features",),
    output=lambda context: context.phonemes,
    run=run,
    check=check,
    parts=True,
    reads=lambda context: tuple(filter(None, [lexicon_path(context)])),
)
