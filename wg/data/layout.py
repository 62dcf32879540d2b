"""Corpora in the LJSpeech layout: `metadata.csv` beside a folder `wavs` of WAV or FLAC files.

A line is `id|text`, `id|text|normalised text` or `id|text|normalised text|speaker`, or what
`corpus.columns` says; a first line that starts with `id|` is a header. The id may be a file's name
or path. Ids are in Unicode's form NFC, whatever form names on disk have.
"""

from __future__ import annotations

import csv
import logging
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wg.config import CorpusConfig
from wg.data.audio import each_recording
from wg.data.packed import Packed, cut_set
from wg.errors import InputError, nearest
from wg.moved import renamed

if TYPE_CHECKING:
    from lhotse import CutSet, Recording
    from lhotse.cut.data import DataCut

log = logging.getLogger(__name__)

_NAMED = 3  # ids spelt out in a notice
_LONGEST = 200  # bytes of an id, which becomes a file's name with further endings
_ENDINGS = (".wav", ".flac")
_COLUMNS = ("id", "text", "normalised", "speaker")


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a corpus says of one utterance besides its audio."""

    id: str
    text: str | None  # as it is spoken: normalised where the corpus has it; None: not known
    orig_text: str | None  # as it was written
    speaker: str


class Transcripts(Mapping[str, Transcript]):
    """Transcripts by id, in the order of their lines."""

    def __init__(self, places: Mapping[str, int], packed: Packed[Transcript]) -> None:
        self._places, self._packed = places, packed

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> Transcript:
        return self._packed[self._places[name]]


def read_layout(corpus_dir: Path, corpus: CorpusConfig) -> CutSet:
    """A cut for each utterance that has both a line and a file, ordered by id.

    The cut's id is the utterance's; its supervision has the text, the speaker (the corpus's
    name where no column says it) and custom `orig_text`. A partial corpus is accepted with one
    notice. InputError for everything else that is wrong with the folder or the metadata.
    """
    lines = read_metadata(_metadata(corpus_dir), corpus.name, corpus.columns)
    folder = corpus_dir / "wavs"
    files = _audio_files(folder)
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
    recordings = each_recording(folder / files[name] for name in both)
    return cut_set(
        cut_of(replace(recording, id=name), lines[name], corpus.language)
        for name, recording in zip(both, recordings, strict=True)
    )


def cut_of(recording: Recording, transcript: Transcript, language: str) -> DataCut:
    """The whole recording with its transcript as the only supervision."""
    from lhotse import SupervisionSegment

    cut = recording.to_cut()
    cut.supervisions = [
        SupervisionSegment(
            id=transcript.id,
            recording_id=recording.id,
            start=0.0,
            duration=recording.duration,
            channel=0,
            text=transcript.text,
            language=language,
            speaker=transcript.speaker,
            custom={"orig_text": transcript.orig_text},
        )
    ]
    return cut


def read_metadata(path: Path, speaker: str, columns: str | None = None) -> Transcripts:
    """The transcripts of a `metadata.csv` by id; `speaker` stands where no column names one.

    `columns` names them, as in `id|speaker|text`; None: as in the LJSpeech layout. Accepts a byte
    order mark, CRLF, blank lines, a header, and columns that are in quotes throughout. InputError,
    with the line's number, for text that is not UTF-8, a wrong number of columns, or an id that
    comes twice; and where the second column looks like a speaker.
    """
    named = _names(columns)
    if columns is None:
        _ask_for_speakers(path)
    places: dict[str, int] = {}
    packed = Packed(_transcripts(path, speaker, columns, named, places))
    if not places:
        raise InputError(f"{path}: no lines; write `id|text` for each file of wavs/")
    return Transcripts(places, packed)


def _transcripts(
    path: Path, speaker: str, columns: str | None, named: tuple[str, ...], places: dict[str, int]
) -> Iterator[Transcript]:
    """A transcript for each line, whose place is noted."""
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        if not 2 <= len(row) <= len(named) or (columns is not None and len(row) != len(named)):
            form = columns or "id|text`, `id|text|normalised` or `id|text|normalised|speaker"
            remedy = "separate columns by |" if len(row) == 1 else "correct it"
            raise InputError(f"{where}: {'|'.join(row)[:60]!r} is not `{form}`; {remedy}")
        said = {name: "" for name in _COLUMNS} | dict(zip(named, row, strict=False))
        name, text = id_of(said["id"]), said["text"]
        if not 1 <= len(name.encode()) <= _LONGEST:
            size = len(name.encode())
            raise InputError(f"{where}: an id of {size} bytes; give one of 1 to {_LONGEST}")
        if name in places:
            at = named.index("id")
            first = next(n for n, other in _rows(path) if id_of(other[at]) == name)
            raise InputError(
                f"{path}: id {name} is on line {first} and on line {number}; remove one"
            )
        places[name] = len(places)
        spoken = said["normalised"] or text or None
        yield Transcript(name, spoken, text or None, said["speaker"] or speaker)


def id_of(column: str) -> str:
    """The id in a first column that may be a path or have a file's ending."""
    name = unicodedata.normalize("NFC", column).replace("\\", "/").rsplit("/", 1)[-1]
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _names(columns: str | None) -> tuple[str, ...]:
    """What `corpus.columns` says; - is a column that is not used."""
    if columns is None:
        return _COLUMNS
    names = tuple(name.strip() for name in columns.split("|"))
    for name in names:
        if name not in (*_COLUMNS, "-"):
            raise InputError(f"corpus.columns: {name!r} is unknown; {nearest(name, _COLUMNS)}")
        if names.count(name) > 1 and name != "-":
            raise InputError(f"corpus.columns: {columns!r} has {name!r} twice; write - for one")
    if not {"id", "text"} <= set(names):
        raise InputError(f"corpus.columns: {columns!r} lacks id or text; write id|speaker|text")
    return names


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The columns of each line that is neither blank nor the header, with the line's number."""
    quoted = all(_is_quoted(line) for _, line in _lines(path))
    split = _unquoted if quoted else lambda line: line.split("|")
    for number, line in _lines(path):
        yield number, [column.strip() for column in split(line)]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Those lines, with their numbers."""
    first = True
    # Latin-1, in which each byte is a character: UTF-8 is decoded a line at a time, and a text's
    # U+2028 and its like end no line.
    with path.open(encoding="latin-1", newline=None) as file:
        for number, line in enumerate(file, 1):
            raw = line.encode("latin-1")
            raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            text = _decode(raw, f"{path}, line {number}").strip()
            header = first and text.split("|")[0].strip(' "').lower() == "id"
            first = first and not text
            if text and not header:
                yield number, text


def _is_quoted(line: str) -> bool:
    """Whether a line's id, or all that follows it, is in quotes; a text may be, but not all."""
    first, _, rest = line.partition("|")
    return any(
        len(part) > 1 and part[0] == part[-1] == '"' for part in (first.strip(), rest.strip())
    )


def _unquoted(line: str) -> list[str]:
    return next(csv.reader([line], delimiter="|", skipinitialspace=True))


def _ask_for_speakers(path: Path) -> None:
    """InputError where column 2 of several has few values: texts differ, speakers come again."""
    count, values = sum(1 for _ in _lines(path)), set[str]()
    for _, row in _rows(path):
        if len(row) != 3 or 2 * len(values) > count:
            return
        values |= {row[1]} - {""}
    if values and 2 * len(values) <= count:
        shown = ", ".join(sorted(values)[:_NAMED]) + (", ..." if len(values) > _NAMED else "")
        raise InputError(
            f"{path}: column 2 has {len(values)} values in {count} lines ({shown[:80]}); "
            "are they speakers? then set 'corpus.columns=id|speaker|text', "
            "else 'corpus.columns=id|text|normalised'"
        )


def _decode(raw: bytes, where: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{where}: not UTF-8; convert the file (iconv -f ENCODING -t UTF-8)"
        ) from None
    if "\0" in text:
        raise InputError(
            f"{where}: has a zero byte, as UTF-16 has; convert the file (iconv -f UTF-16 -t UTF-8) "
            "or take it out"
        )
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


def _audio_files(folder: Path) -> dict[str, str]:
    """The names of the WAV and FLAC files of a folder by what they are without their ending."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; put the WAV or FLAC files there")
    files: dict[str, str] = {}
    for file in sorted(os.listdir(folder)):
        stem, ending = os.path.splitext(file)
        # macOS leaves ._NAME.wav beside the files it copies.
        if ending.lower() not in _ENDINGS or file.startswith("."):
            continue
        name = unicodedata.normalize("NFC", stem)
        if name in files:
            raise InputError(f"{folder / file}: {files[name]} has the same id; remove one")
        files[name] = file
    if not files:
        inner = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in _ENDINGS)
        remedy = f"move those of {inner[0].parent} there" if inner else "put them there"
        raise InputError(f"{folder}: no WAV or FLAC file; {remedy}")
    return files


def _count(names: set[str]) -> str:
    if not names:
        return "0"
    listed = ", ".join(sorted(names)[:_NAMED])
    return f"{len(names)} ({listed}{', ...' if len(names) > _NAMED else ''})"


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed(__name__, name)
