"""Audio files: their headers, whether they can be trained on, their samples."""

from __future__ import annotations

import io
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import soundfile
from torch import Tensor

from wg.data.containers import CONTAINERS, LOSSLESS, LOSSY, truncated
from wg.data.packed import cut_set
from wg.data.state import content_of
from wg.errors import InputError
from wg.files import write_bytes
from wg.processes.kept import Kept
from wg.processes.launch import part

if TYPE_CHECKING:
    from lhotse import CutSet, Recording

log = logging.getLogger(__name__)

_EIGHT_BIT = {"PCM_S8", "PCM_U8", "ULAW", "ALAW"}
FULL_SCALE = 32767 / 32768  # of 16 bits
_SILENT = 2 / 32768  # from the mean: the last bit of 16
CONTENT = "content"  # of a cut: the digest of its file
_LISTED = 5  # problems spelt out in one message
_CHUNK = 1024  # files that threads are given at a time


class Finding(NamedTuple):
    """Of a file: why it cannot be trained on, or None; and the digest of its bytes."""

    problem: str | None
    content: str


def recordings_of(paths: list[Path]) -> list[Recording]:
    """The files' headers; the id is the name without its ending.

    A file without a readable header becomes an empty recording (no samples), so that every
    file reaches `check_audio`, which says what is wrong with it.
    """
    return list(each_recording(paths))


def each_recording(paths: Iterable[Path]) -> Iterator[Recording]:
    """The same, one after the other."""
    remaining = iter(paths)
    with ThreadPoolExecutor(8) as pool:  # threads: on a cluster's file system opening is slow
        while chunk := list(islice(remaining, _CHUNK)):
            yield from pool.map(_recording, chunk)


def _recording(path: Path) -> Recording:
    from lhotse import Recording
    from lhotse.audio import AudioSource

    try:
        header = soundfile.info(str(path))
        rate, samples, channels = header.samplerate, header.frames, header.channels
    except (soundfile.SoundFileError, OSError):
        rate, samples, channels = 1, 0, 1
    source = AudioSource(type="file", channels=list(range(channels)), source=str(path.absolute()))
    return Recording(path.stem, [source], rate, samples, duration=samples / rate)


def load_audio(path: Path, start: int = 0, num_samples: int | None = None) -> np.ndarray:
    """Samples [T] of a mono file as float32 in [-1, 1), from `start` on; None: to the end.

    16-bit, 24-bit and float samples are exact. InputError for a file that cannot be read, is
    not mono or ends before `start + num_samples`.
    """
    with _readable(path, str(path)), soundfile.SoundFile(str(path)) as file:
        if file.channels != 1:
            raise InputError(f"{path}: {_stereo(file.channels)}")
        file.seek(min(start, file.frames))
        audio = file.read(-1 if num_samples is None else num_samples, dtype="float32")
    if num_samples is not None and len(audio) < num_samples:
        ends = start + len(audio)
        raise InputError(
            f"{path}: ends at sample {ends}, {start + num_samples} are needed; "
            "the file changed or is truncated: run the prepare stage again"
        )
    return audio


def read_channels(
    path: Path,
    name: str = "",
    longest: float | None = None,
    dtype: Literal["float32", "float64"] = "float32",
) -> tuple[np.ndarray, int]:
    """Samples [T, C] and the rate in Hz of a file that holds any; `longest`: in s.

    InputError, which calls the file `name`, for one that is absent, empty or cannot be decoded.
    """
    name = name or str(path)
    if not path.is_file():
        raise InputError(f"{name}: no such file")
    with _readable(path, name), soundfile.SoundFile(str(path)) as file:
        rate = file.samplerate
        frames = -1 if longest is None else int(longest * rate)
        audio = file.read(frames, dtype, always_2d=True)
    if not len(audio):
        raise InputError(f"{name}: holds no samples; replace it")
    return audio, rate


def read_mono(
    path: Path, dtype: Literal["float32", "float64"] = "float32"
) -> tuple[np.ndarray, int]:
    """The same of a file of one channel, [T]; InputError for any other."""
    audio, rate = read_channels(path, dtype=dtype)
    if audio.shape[1] != 1:
        raise InputError(f"{path}: {_stereo(audio.shape[1])}")
    return audio[:, 0], rate


def rate_of(path: Path) -> int:
    """Hz of a file; InputError for one that cannot be read."""
    with _readable(path, str(path)):
        return soundfile.info(str(path)).samplerate


@contextmanager
def _readable(path: Path, name: str) -> Iterator[None]:
    """InputError for what libsndfile cannot open or decode."""
    try:
        yield
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
        raise InputError(f"{name}: not readable as audio ({reason}); replace it") from None


def write_audio(path: Path, audio: np.ndarray, sample_rate: int) -> None:
    """A 16-bit WAV of samples [T] within full scale, which appears whole or not at all."""
    write_bytes(path, _encoded(audio, sample_rate))


def as_written(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples [T] as they come back, float32, from a file of `write_audio`."""
    return soundfile.read(io.BytesIO(_encoded(audio, sample_rate)), dtype="float32")[0]


def protect_peak(wave: Tensor) -> tuple[Tensor, float]:
    """The wave within 16-bit full scale, and the gain it took (1: untouched).

    InputError for a wave that is not finite.
    """
    peak = float(wave.abs().max())
    if not math.isfinite(peak):
        raise InputError(
            "the network's output is not finite; train it longer, or choose another schedule"
        )
    gain = 1.0 if peak <= FULL_SCALE else FULL_SCALE / peak
    return wave * gain, gain


def _encoded(audio: np.ndarray, sample_rate: int) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, audio, sample_rate, subtype="PCM_16", format="WAV")
    return content.getvalue()


def check_audio(
    cuts: Iterable[Any],
    jobs: int,
    sample_rate: int | None,
    skip_bad: bool = False,
    kept: Kept | None = None,
) -> tuple[CutSet, list[str]]:
    """The cuts whose file decodes to usable speech, and a line for each of the others.

    Every file is decoded once, over `jobs` threads. `sample_rate` is the rate in Hz that all
    must have; None: any. Without `skip_bad` the first problems are one InputError; with it the
    clips are left out, unless none is left. `kept`: what was found of them before; of a part of
    the stage, its share of them is looked at and returned.
    """
    problems: list[str] = []
    odd: list[str] = []
    looked = 0

    def usable() -> Iterator[Any]:
        nonlocal looked
        named = ((_name(cut, sample_rate), cut) for cut in cuts)
        found = (kept or Kept()).each(
            named, lambda some: over_threads(look, map(path_of, some), jobs)
        )
        for cut, (problem, content) in found:
            looked += 1
            if problem:
                problems.append(f"{path_of(cut)}: {problem}")
                continue
            if said := odd_format(path_of(cut)):
                odd.append(said)
            cut.custom = {**(cut.custom or {}), CONTENT: content}
            yield cut

    look = partial(_look, sample_rate)
    good = cut_set(usable())
    say_formats(odd)
    if problems and not (skip_bad and (len(good) or part())):
        remedy = "no clip would be left" if skip_bad else "--skip-bad leaves such clips out"
        raise InputError(_message(problems, looked, remedy))
    return good, problems


def path_of(cut: Any) -> str:
    """The file that a cut is from."""
    return str(cut.recording.sources[0].source)


def _name(cut: Any, asked: object) -> str:
    """Of a finding: the cut, its file as it is now, and what was asked."""
    path = path_of(cut)
    try:
        status = os.stat(path)
        return f"{cut.id} {path} {status.st_size} {status.st_mtime_ns} {asked}"
    except OSError:
        return f"{cut.id} {path} {asked}"


def over_threads(
    look: Callable[[str], Finding], paths: Iterable[str], jobs: int
) -> Iterator[Finding]:
    """What is found in each file.

    Threads, not processes: decoding runs outside Python's lock, and a spawned process takes
    longer to start (it imports its caller anew) than hundreds of files take to check.
    """
    paths = iter(paths)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        while chunk := list(islice(paths, _CHUNK)):
            yield from pool.map(look, chunk)


def _look(sample_rate: int | None, path: str) -> Finding:
    problem = find_problem(path, sample_rate)
    return Finding(problem, "" if problem else content_of(Path(path)))


def say_formats(odd: list[str]) -> None:
    """One notice of the files that are not what their names say, or lossy."""
    if odd:
        shown = ", ".join(odd[:_LISTED]) + (", ..." if len(odd) > _LISTED else "")
        log.warning("%d files are not what their names say, or lossy: %s", len(odd), shown)


def find_problem(path: str, sample_rate: int | None) -> str | None:
    """Why a file cannot be trained on, with the remedy, or None."""
    file = Path(path)
    if not file.is_file():
        return "missing; restore it or remove its line from the metadata"
    if file.stat().st_size == 0:
        return "an empty file; replace it"
    try:
        if missing := truncated(file):
            return missing
        header = soundfile.info(path)
        return _header_problem(header, sample_rate) or _sample_problem(path, header.frames)
    except OSError as error:
        return f"cannot be read ({error.strerror}); mend its permissions or replace it"
    except soundfile.SoundFileError as error:
        reason = str(error).removeprefix(f"Error opening {path!r}: ").rstrip(".")
        if "Format not recognised" in reason:
            return "not audio in a known format (WAV, FLAC); replace it"
        return f"truncated or damaged ({reason}); replace it"


def _header_problem(header: soundfile._SoundFileInfo, sample_rate: int | None) -> str | None:
    if header.format not in CONTAINERS:
        return (
            f"a {header.format} file, whose length cannot be checked; "
            "convert it to WAV or FLAC (sox IN OUT.wav)"
        )
    if header.frames == 0:
        return "holds no samples; replace it"
    if header.channels != 1:
        return _stereo(header.channels)
    if header.subtype in _EIGHT_BIT:
        return (
            "8-bit audio, whose noise (-48 dB) a vocoder would learn; "
            "make it again from a 16-bit source"
        )
    if header.subtype not in (*LOSSLESS, *LOSSY):
        return (
            f"coded as {header.subtype}, whose noise a vocoder would learn; "
            "make it again as 16-bit PCM from the source"
        )
    if sample_rate is not None and header.samplerate != sample_rate:
        return (
            f"{header.samplerate} Hz where corpus.sample_rate is {sample_rate}; set "
            f"corpus.sample_rate={header.samplerate} if all files have it, or convert this one "
            f"(sox IN OUT rate -v {sample_rate})"
        )
    return None


def _sample_problem(path: str, frames: int) -> str | None:
    audio, _ = soundfile.read(path, dtype="float32")
    if len(audio) < frames:
        return f"truncated: {len(audio)} of {frames} samples decode; replace it"
    if not np.isfinite(audio).all():
        bad = int(np.flatnonzero(~np.isfinite(audio))[0])
        return f"not a number at sample {bad}; replace it"
    peak = float(np.abs(audio).max())
    if peak > 1.0:
        return f"peak {peak:.3f} beyond full scale; lower it (sox -v {0.99 / peak:.3f} IN OUT)"
    if peak == 0.0:
        return "digital silence; replace it"
    middle = float(audio.mean(dtype=np.float64))
    if float(np.abs(audio - middle).max()) < _SILENT:
        return f"no speech, but a constant {middle:.3g}; replace it"
    return None


def odd_format(path: str) -> str | None:
    """What a sound file is, if its name says otherwise or it is lossy; None: nothing to say."""
    header = soundfile.info(path)
    lossy = ", lossy" if header.subtype in LOSSY else ""
    if Path(path).suffix.lower() not in CONTAINERS[header.format] or lossy:
        return f"{Path(path).name} is {header.format} ({header.subtype}{lossy})"
    return None


def _stereo(channels: int) -> str:
    return f"{channels} channels, one is needed; mix it down (sox IN OUT remix -)"


def _message(problems: list[str], total: int, remedy: str) -> str:
    if len(problems) == 1:
        return f"{problems[0]} ({remedy})"
    listed = "; ".join(f"({n}) {line}" for n, line in enumerate(problems[:_LISTED], 1))
    more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return f"{len(problems)} of {total} audio files cannot be used ({remedy}): {listed}{more}"


@dataclass(frozen=True)
class SplitSummary:
    """How much speech a split holds."""

    utterances: int
    hours: float
    speakers: int
    untranscribed: int

    def __str__(self) -> str:
        text = f"{self.utterances} utterances, {self.hours:.3g} h, {self.speakers} speaker"
        text += "" if self.speakers == 1 else "s"
        return text + (f", {self.untranscribed} without text" if self.untranscribed else "")


def summary(cuts: Iterable[Any]) -> SplitSummary:
    """Number of utterances, hours, number of speakers, utterances without text."""
    utterances, seconds, speakers, untranscribed = 0, 0.0, set(), 0
    for cut in cuts:
        utterances, seconds = utterances + 1, seconds + cut.duration
        speakers |= {line.speaker for line in cut.supervisions}
        untranscribed += sum(not line.text for line in cut.supervisions)
    return SplitSummary(utterances, seconds / 3600, len(speakers), untranscribed)
