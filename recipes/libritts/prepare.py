"""LibriTTS and LibriTTS-R: 2,456 English speakers, 585 hours at 24 kHz, split by corpus part."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.audio import recordings_of
from wg.data.download import check_own, explained
from wg.data.layout import Line, cut_of
from wg.data.splits import check_disjoint, wanted
from wg.errors import InputError, nearest

if TYPE_CHECKING:
    from lhotse import CutSet, Recording, SupervisionSegment
    from lhotse.cut import Cut

log = logging.getLogger(__name__)

# What Lhotse leaves out too: files that macOS added, and one that LibriTTS-R ships broken.
_NOT_SPEECH = re.compile(r"\._.*|1092_134562_000013_000004\.wav")
_DOWNLOADED = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean"),
)
_MANY_FILES = 5000  # for which Lhotse's processes are worth their start


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test, each ordered by part and id.

    `corpus.train`, `.valid` and `.test` name parts (`dev-clean`); an empty `train` means every
    train part that no other split has. An absent part is skipped with a notice; InputError when
    that leaves a split empty. With `corpus.hold_out`, which makes the other splits of the training
    utterances, `train` is all that is read. Recordings without transcript stay, with text None:
    a vocoder needs no text.
    """
    from lhotse import CutSet

    present = _present(corpus_dir)
    splits = _parts(corpus)
    if corpus.hold_out is not None:
        splits = {"train": splits["train"]}
    if corpus_dir.name == "LibriTTS_R" and corpus.name == "libritts":
        log.warning("%s: this is LibriTTS-R; set corpus.name=libritts_r to say so", corpus_dir)
    absent = [part for parts in splits.values() for part in parts if part not in present]
    if absent:
        log.warning("%s: parts skipped because absent: %s", corpus_dir, ", ".join(absent))
    for split, parts in splits.items():
        if not set(parts) & set(present):
            raise InputError(
                f"{corpus_dir}: corpus.{split} names no part that is there; "
                f"set corpus.{split}=[PART] to one of {', '.join(present)}"
            )
    return {
        split: CutSet.from_cuts(
            cut
            for part in parts
            if part in present
            for cut in _part_cuts(corpus_dir, part, corpus.language)
        )
        for split, parts in splits.items()
    }


def download(target: Path, corpus: CorpusConfig) -> Path:
    """Fetch 82 GB with Lhotse, part by part; LibriTTS-R for corpus.name=libritts_r."""
    from lhotse.recipes import download_libritts

    restored = corpus.name == "libritts_r"
    name, page = ("LibriTTS_R", "141") if restored else ("LibriTTS", "60")
    for part in _DOWNLOADED:
        check_own(target / name / part, f"{part}.tar.gz")
    with explained(name, f"https://www.openslr.org/{page}", target):
        download_libritts(target, use_librittsr=restored, dataset_parts=_DOWNLOADED)
    return target / name


def _present(corpus_dir: Path) -> list[str]:
    """The corpus's parts that the folder holds."""
    from lhotse.recipes.libritts import LIBRITTS

    if not corpus_dir.is_dir():
        raise InputError(f"{corpus_dir}: no such folder; give the corpus with --corpus-dir")
    present = [part for part in LIBRITTS if (corpus_dir / part).is_dir()]
    if present:
        return present
    below = sorted(path.parent for part in LIBRITTS for path in corpus_dir.glob(f"*/{part}"))
    hint = f"give --corpus-dir {below[0]}" if below else "check --corpus-dir"
    raise InputError(f"{corpus_dir}: no part of LibriTTS ({', '.join(LIBRITTS)}); {hint}")


def _parts(corpus: CorpusConfig) -> dict[str, tuple[str, ...]]:
    """The parts of each split, present or not."""
    from lhotse.recipes.libritts import LIBRITTS

    splits = wanted(corpus)
    for split, parts in splits.items():
        for part in parts:
            if part not in LIBRITTS:
                raise InputError(f"corpus.{split}: no part {part!r}; {nearest(part, LIBRITTS)}")
    check_disjoint(splits)
    if not corpus.train:
        held_out = corpus.valid + corpus.test
        left = (part for part in LIBRITTS if part.startswith("train-") and part not in held_out)
        splits["train"] = tuple(left)
    return splits


def _part_cuts(corpus_dir: Path, part: str, language: str) -> list[Cut]:
    """A cut for every WAV file of a part, ordered by id."""
    wavs = sorted(
        path for path in (corpus_dir / part).rglob("*.wav") if not _NOT_SPEECH.fullmatch(path.name)
    )
    recordings, spoken = _transcribed(corpus_dir, part, wavs)
    known = {recording.id for recording in recordings}
    rest = recordings_of([path for path in wavs if path.stem not in known])
    if rest:
        log.warning("%s: %d of %d recordings have no transcript", part, len(rest), len(wavs))
    lines = {r.id: Line(r.id, None, None, speaker=r.id.split("_")[0]) for r in rest}
    for said in spoken:
        orig_text = (said.custom or {})["orig_text"]
        lines[said.id] = Line(said.id, said.text, orig_text, said.speaker or "")
    return [
        cut_of(recording, lines[recording.id], language)
        for recording in sorted(recordings + rest, key=lambda recording: recording.id)
    ]


def _transcribed(
    corpus_dir: Path, part: str, wavs: list[Path]
) -> tuple[list[Recording], list[SupervisionSegment]]:
    """The transcribed recordings of a part, without those whose header cannot be read.

    Lhotse stops at the first such file. It then gets a folder of links without them, and
    `check_audio` reports them later with everything else.
    """
    try:
        return _prepare(corpus_dir, part, len(wavs))
    except Exception as error:  # Lhotse raises its own, soundfile's, AssertionError, ValueError
        good = [
            path
            for path, recording in zip(wavs, recordings_of(wavs), strict=True)
            if recording.num_samples > 0
        ]
        if len(good) == len(wavs):
            reason = " ".join(str(error).split())
            raise InputError(
                f"{corpus_dir / part}: {reason}; extract the part's archive again"
            ) from None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / part
        folder.mkdir()
        for path in (*good, *(corpus_dir / part).rglob("*.tsv")):
            (folder / path.name).symlink_to(path.absolute())
        recordings, spoken = _prepare(Path(scratch), part, len(good))
        for recording in recordings:
            source = recording.sources[0]
            source.source = os.readlink(str(source.source))
    return recordings, spoken


def _prepare(
    corpus_dir: Path, part: str, files: int
) -> tuple[list[Recording], list[SupervisionSegment]]:
    from lhotse.recipes import prepare_libritts

    if not any((corpus_dir / part).rglob("*.trans.tsv")):
        return [], []
    jobs = min(8, os.cpu_count() or 1) if files > _MANY_FILES else 1
    with _quiet() as messages:
        manifests = prepare_libritts(corpus_dir.absolute(), [part], num_jobs=jobs)[part]
    lost = [text for text in messages if text.startswith("No recording exists")]
    if lost:
        log.warning("%s: %d transcripts have no recording: %s, ...", part, len(lost), lost[0])
    return list(manifests["recordings"]), list(manifests["supervisions"])


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Lhotse without its progress bars; its log messages come as a list instead."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    root = logging.getLogger()
    # Lhotse logs to the root, where a first message would also install a handler for ever.
    handlers = root.handlers[:]
    root.handlers[:] = [Collector()]
    try:
        with redirect_stderr(StringIO()):
            yield messages
    finally:
        root.handlers[:] = handlers
