"""SC09: the ten digits of Speech Commands v0.02, one second each at 16 kHz."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.audio import recordings_of
from wg.data.download import check_own, explained
from wg.data.layout import Transcript, cut_of
from wg.data.packed import cut_set
from wg.data.splits import by_split
from wg.errors import InputError, nearest

if TYPE_CHECKING:
    from lhotse import CutSet, Recording

log = logging.getLogger(__name__)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# The corpus's other words, which SC09 leaves out.
OTHERS = (
    *("backward", "bed", "bird", "cat", "dog", "down", "follow", "forward", "go", "happy"),
    *("house", "learn", "left", "marvin", "no", "off", "on", "right", "sheila", "stop"),
    *("tree", "up", "visual", "wow", "yes", "_background_noise_"),
)
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
_NAMED = 5


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test; an utterance's id is WORD-FILE, its text the word.

    Splits are the corpus's own lists unless `corpus.valid` or `corpus.test` name ids. Clips
    shorter than `corpus.samples` are named here and padded by the features stage; longer ones
    are an InputError, or left out with `corpus.skip_bad`.
    """
    recordings = _fitting(_recordings(corpus_dir), corpus)
    cuts = cut_set(
        cut_of(recording, _transcript(recording.id), corpus.language) for recording in recordings
    )
    known = {recording.id for recording in recordings}
    listed = {
        split: tuple(name for name in _listed(corpus_dir / file) if name in known)
        for split, file in LISTS.items()
    }
    return by_split(
        cuts,
        replace(corpus, valid=corpus.valid or listed["valid"], test=corpus.test or listed["test"]),
    )


def download(target: Path, corpus: CorpusConfig) -> Path:
    """Fetch 2.4 GB with Lhotse, resuming what an earlier try left; returns the corpus folder."""
    from lhotse.recipes import download_speechcommands

    for folder in target.glob("**/speech_commands_v0.02"):
        check_own(folder, "speech_commands_v0.02.tar.gz")
    with explained("Speech Commands v0.02", corpus.url, target):
        return Path(download_speechcommands("2", target)) / "speech_commands_v0.02"


def _recordings(corpus_dir: Path) -> list[Recording]:
    """A recording for each file of the digits' folders, ordered by word and name."""
    if not corpus_dir.is_dir():
        raise InputError(f"{corpus_dir}: no such folder; give the corpus with --corpus-dir")
    folders = sorted(path for path in corpus_dir.iterdir() if path.is_dir())
    for folder in folders:
        if folder.name not in (*DIGITS, *OTHERS) and not folder.name.startswith("."):
            raise InputError(
                f"{folder}: {folder.name!r} is no word of Speech Commands; rename or remove it "
                f"({nearest(folder.name, DIGITS)})"
            )
    paths = [
        path
        for folder in folders
        if folder.name in DIGITS
        for path in sorted(folder.glob("*.wav"))
        if not path.name.startswith(".")
    ]
    if not paths:
        below = sorted(path.parent for path in corpus_dir.glob("*/*/*.wav"))
        hint = f"give --corpus-dir {below[0].parent}" if below else "check --corpus-dir"
        raise InputError(f"{corpus_dir}: no folder of a digit with WAV files; {hint}")
    absent = [word for word in DIGITS if not any(path.parent.name == word for path in paths)]
    if absent:
        log.warning("%s: no clips of %s", corpus_dir, ", ".join(absent))
    return [
        replace(recording, id=f"{path.parent.name}-{path.stem}")
        for path, recording in zip(paths, recordings_of(paths), strict=True)
    ]


def _fitting(recordings: list[Recording], corpus: CorpusConfig) -> list[Recording]:
    """Those that are not too long; names the short ones."""
    wanted = corpus.samples
    if wanted is None:
        return recordings
    # Without samples the header is unreadable: the audio check says so.
    short = [item.id for item in recordings if 0 < item.num_samples < wanted]
    long = [item.id for item in recordings if item.num_samples > wanted]
    if short:
        log.warning(
            "%d of %d clips are shorter than %d samples and get zeros at their end: %s",
            *(len(short), len(recordings), wanted, _names(short)),
        )
    if long and not corpus.skip_bad:
        raise InputError(
            f"{len(long)} clips are longer than corpus.samples {wanted}: {_names(long)}; cut them "
            "(--skip-bad leaves them out)"
        )
    if long:
        log.warning("left out %d clips longer than %d: %s", len(long), wanted, _names(long))
    return [item for item in recordings if item.id not in set(long)]


def _names(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _transcript(name: str) -> Transcript:
    """Word and speaker of an id such as seven-37e8db82_nohash_1."""
    word, _, file = name.partition("-")
    return Transcript(name, word, word, file.split("_")[0])


def _listed(path: Path) -> list[str]:
    """The ids in one of the corpus's own lists, of digits only."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; it comes with the corpus and says which clips")
    pairs = [line.strip().partition("/") for line in path.read_text("utf-8").splitlines()]
    return [f"{word}-{Path(file).stem}" for word, _, file in pairs if word in DIGITS]
