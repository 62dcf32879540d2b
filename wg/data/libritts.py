"""LibriTTS and LibriTTS-R on disk: the parts that are there, and the cuts of one part."""

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

from wg.data.audio import recordings_of
from wg.data.layout import Transcript, cut_of
from wg.errors import InputError
from wg.processes.threads import usable_cores

if TYPE_CHECKING:
    from lhotse import Recording, SupervisionSegment
    from lhotse.cut.data import DataCut

log = logging.getLogger(__name__)

# What Lhotse leaves out too: files that macOS added, and one that LibriTTS-R ships broken.
_NOT_SPEECH = re.compile(r"\._.*|1092_134562_000013_000004\.wav")
_MANY_FILES = 5000  # for which Lhotse's processes are worth their start


def parts_in(corpus_dir: Path) -> list[str]:
    """The corpus's parts that a folder holds, in the corpus's order."""
    from lhotse.recipes.libritts import LIBRITTS

    return [part for part in LIBRITTS if (corpus_dir / part).is_dir()]


def part_cuts(corpus_dir: Path, part: str, language: str) -> Iterator[DataCut]:
    """A cut for every WAV file of a part, ordered by id.

    Recordings without transcript stay, with text None.
    """
    wavs = sorted(
        path for path in (corpus_dir / part).rglob("*.wav") if not _NOT_SPEECH.fullmatch(path.name)
    )
    recordings, spoken = _transcribed(corpus_dir, part, wavs)
    known = {recording.id for recording in recordings}
    rest = recordings_of([path for path in wavs if path.stem not in known])
    if rest:
        log.warning("%s: %d of %d recordings have no transcript", part, len(rest), len(wavs))
    transcripts = {r.id: Transcript(r.id, None, None, speaker=r.id.split("_")[0]) for r in rest}
    for said in spoken:
        orig_text = (said.custom or {})["orig_text"]
        transcripts[said.id] = Transcript(said.id, said.text, orig_text, said.speaker or "")
    for recording in sorted(recordings + rest, key=lambda recording: recording.id):
        yield cut_of(recording, transcripts[recording.id], language)


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
    jobs = min(8, usable_cores()) if files > _MANY_FILES else 1
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
