"""Corpora in the LJSpeech layout: `metadata.csv` beside a folder `wavs` of WAV or FLAC files.

A line is `id|text`, `id|text|normalised text` or `id|text|normalised text|speaker`, without
quoting; a first line that starts with `id|` is a header.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.audio import recordings_of
from wg.errors import InputError

if TYPE_CHECKING:
    from lhotse import CutSet, Recording
    from lhotse.cut import Cut

log = logging.getLogger(__name__)

_NAMED = 3  # ids spelt out in a notice


@dataclass(frozen=True)
class Line:
    """What the metadata says of one utterance."""

    id: str
    text: str | None  # as it is spoken: normalised where the corpus has it; None: not known
    orig_text: str | None  # as it was written
    speaker: str


def read_layout(corpus_dir: Path, corpus: CorpusConfig) -> CutSet:
    """A cut for each utterance that has both a line and a file, ordered by id.

    The cut's id is the utterance's; its supervision has the text, the speaker (the corpus's
    name where no column says it) and custom `orig_text`. A partial corpus is accepted with one
    notice. InputError for everything else that is wrong with the folder or the metadata.
    """
    from lhotse import CutSet

    lines = read_metadata(_metadata(corpus_dir), speaker=corpus.name)
    files = _audio_files(corpus_dir / "wavs")
    both = sorted(lines.keys() & files.keys())
    without_audio, without_line = lines.keys() - files.keys(), files.keys() - lines.keys()
    if not both:
        raise InputError(
            f"{corpus_dir}: no file in wavs/ belongs to a line of metadata.csv ({len(files)} "
            f"files, {len(lines)} lines; the first line names {min(lines)}.wav or .flac); "
            "check that both are of the same corpus"
        )
    if without_audio or without_line:
        log.warning(
            "%s: partial corpus, %d utterances used; metadata lines without audio: %s; "
            "audio without metadata line: %s",
            *(corpus_dir, len(both), _count(without_audio), _count(without_line)),
        )
    recordings = recordings_of([files[name] for name in both])
    return CutSet.from_cuts(
        cut_of(recording, lines[recording.id], corpus.language) for recording in recordings
    )


def cut_of(recording: Recording, line: Line, language: str) -> Cut:
    """The whole recording with its line as the only supervision."""
    from lhotse import SupervisionSegment

    cut = recording.to_cut()
    cut.supervisions = [
        SupervisionSegment(
            id=line.id,
            recording_id=recording.id,
            start=0.0,
            duration=recording.duration,
            channel=0,
            text=line.text,
            language=language,
            speaker=line.speaker,
            custom={"orig_text": line.orig_text},
        )
    ]
    return cut


def read_metadata(path: Path, speaker: str) -> dict[str, Line]:
    """The lines of a `metadata.csv` by id; `speaker` stands where no column names one.

    Accepts a byte order mark, CRLF, blank lines and a header. InputError, with the line's
    number, for text that is not UTF-8, a wrong number of columns, or an id that comes twice.
    """
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    lines: dict[str, Line] = {}
    numbers: dict[str, int] = {}
    # Bytes, not str: str.splitlines would also break at U+2028 and other characters of a text.
    for number, raw in enumerate(content.splitlines(), 1):
        where = f"{path}, line {number}"
        columns = [column.strip() for column in _decode(raw, where).split("|")]
        if columns == [""] or (number == 1 and columns[0].lower() == "id"):
            continue
        if not 2 <= len(columns) <= 4 or not columns[0]:
            raise InputError(
                f"{where}: {raw[:60]!r} is not `id|text`, `id|text|normalised` or "
                "`id|text|normalised|speaker`; correct it"
            )
        name, text, normalised, who = (*columns, "", "")[:4]
        if name in numbers:
            raise InputError(
                f"{path}: id {name} is on line {numbers[name]} and on line {number}; remove one"
            )
        numbers[name] = number
        lines[name] = Line(name, normalised or text or None, text or None, who or speaker)
    if not lines:
        raise InputError(f"{path}: no lines; write `id|text` for each file of wavs/")
    return lines


def _decode(raw: bytes, where: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # also what UTF-16 looks like
        raise InputError(f"{where}: not UTF-8; convert the file (iconv -f ENCODING -t UTF-8)")
    return text


def _metadata(corpus_dir: Path) -> Path:
    path = corpus_dir / "metadata.csv"
    if path.is_file():
        return path
    if not corpus_dir.is_dir():
        raise InputError(f"{corpus_dir}: no such folder; give the corpus with --corpus-dir")
    below = sorted(found.parent for found in corpus_dir.glob("*/metadata.csv"))
    hint = f"give --corpus-dir {below[0]}" if below else "check --corpus-dir"
    state = "no metadata.csv" if any(corpus_dir.iterdir()) else "an empty folder"
    raise InputError(f"{corpus_dir}: {state}; {hint}")


def _audio_files(folder: Path) -> dict[str, Path]:
    """The WAV and FLAC files of a folder by their name without its ending."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; put the WAV or FLAC files there")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        # macOS leaves ._NAME.wav beside the files it copies.
        if path.suffix.lower() not in (".wav", ".flac") or path.name.startswith("."):
            continue
        if path.stem in files:
            raise InputError(f"{path}: {files[path.stem].name} has the same id; remove one")
        files[path.stem] = path
    if not files:
        raise InputError(f"{folder}: no WAV or FLAC file; put them there")
    return files


def _count(names: set[str]) -> str:
    if not names:
        return "0"
    listed = ", ".join(sorted(names)[:_NAMED])
    return f"{len(names)} ({listed}{', ...' if len(names) > _NAMED else ''})"
