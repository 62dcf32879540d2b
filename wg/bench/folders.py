"""Pairs of files from two folders of audio, whoever made them: found, checked, scored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from wg.data.audio import read_mono
from wg.errors import InputError
from wg.metrics import METRICS, score, score_aligned
from wg.metrics.pairs import LOWEST_RATE, TOLERANCE_S
from wg.metrics.perceptual import resample
from wg.processes.pool import in_processes

# What libsndfile names otherwise than its formats; RAW says nothing of its rate.
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"} | {
    *(".aif", ".aifc", ".oga", ".opus", ".sph", ".wave"),
}
LISTED = 5  # names spelt out in one message
LEAST_DELAY_MS = 0.05  # that is worth a word

Scores = Mapping[str, Mapping[str, float]]  # utterance -> metric


@dataclass(frozen=True)
class Pair:
    """A recording and a synthesis of it."""

    id: str
    reference: Path
    synthesis: Path


@dataclass(frozen=True)
class Scoring:
    """How a pair is scored."""

    metrics: tuple[str, ...]
    align: bool = True  # by the constant delay, which is reported
    rate: int | None = None  # both are resampled to it first; None: their own

    @property
    def warped(self) -> bool:
        """Whether every metric takes speech of any timing, which has no constant delay."""
        return bool(self.metrics) and all(METRICS[name].warped for name in self.metrics)


def audio_files(folder: Path, match: str = "stem") -> dict[str, Path]:
    """The audio files below a folder by id.

    `match`: "stem", the path without its ending; or a regular expression, whose first group (or
    whole match) in the path is the id; files without one are passed over. InputError for no
    folder, no file, a bad expression, and an id that two files have.
    """
    if not folder.is_dir():
        kind = "a file; give the folder it is in" if folder.is_file() else "no such folder"
        raise InputError(f"{folder}: {kind}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    found: dict[str, Path] = {}
    for path in paths:
        name = identity(path.relative_to(folder), match)
        if name in found:
            remedy = "remove one, or write a --match that tells them apart"
            raise InputError(f"{found[name]} and {path} have the same id {name!r}; {remedy}")
        if name is not None:
            found[name] = path
    if not found:
        why = f"none of its {len(paths)} audio files matches {match!r}" if paths else "it has none"
        raise InputError(f"{folder}: no audio files ({why}); give a folder of WAV, FLAC, MP3 ...")
    return found


def identity(path: Path, match: str) -> str | None:
    """The id of a file by its path in the folder; None where an expression does not match."""
    if match == "stem":
        return path.with_suffix("").as_posix()
    try:
        found = re.search(match, path.as_posix())
    except re.error as error:
        raise InputError(f"--match {match!r}: not a regular expression ({error})") from None
    return found and found[1 if found.re.groups else 0]


def pairs(reference: Path, synthesis: Path, match: str = "stem") -> tuple[list[Pair], list[str]]:
    """The pairs of two folders, by id, and a line for each file without a partner."""
    left, right = audio_files(reference, match), audio_files(synthesis, match)
    together = [Pair(name, left[name], right[name]) for name in sorted(left.keys() & right.keys())]
    alone = [f"{left[name]}: no partner in {synthesis}" for name in sorted(left.keys() - right)]
    alone += [f"{right[name]}: no partner in {reference}" for name in sorted(right.keys() - left)]
    if not together:
        raise InputError(
            f"{reference} and {synthesis}: no ids in common, such as {min(left)!r} and "
            f"{min(right)!r}; write a --match whose group is what their names share"
        )
    return together, alone


def size(path: Path) -> tuple[int, int]:
    """Samples and rate in Hz of a mono file that can be decoded; InputError for any other."""
    wave, rate = read_mono(path)
    if bad := int((~np.isfinite(wave)).sum()):
        raise InputError(f"{path}: {bad} NaN or infinite samples; replace it")
    return len(wave), rate


def find_problem(pair: Pair, scoring: Scoring) -> str | None:
    """Why a pair cannot be scored, with the remedy, or None. Decodes both files."""
    try:
        (samples, rate), (made, other) = (size(path) for path in (pair.reference, pair.synthesis))
    except InputError as error:
        return str(error)
    if rate != other and scoring.rate is None:
        return (
            f"{pair.synthesis}: {other} Hz, but {pair.reference} has {rate} Hz; "
            f"give --rate {min(rate, other)} to resample both"
        )
    if scoring.metrics and (scoring.rate or rate) < LOWEST_RATE:
        return f"{pair.reference}: {rate} Hz; metrics need at least {LOWEST_RATE}: leave it out"
    if not scoring.warped and abs(samples / rate - made / other) > TOLERANCE_S:
        return (
            f"{pair.synthesis}: {made / other:.3f} s, but {pair.reference} has "
            f"{samples / rate:.3f} s; they may differ by {TOLERANCE_S} s: cut one, or choose "
            "metrics whose names end in _dtw"
        )
    return None


def problems(wanted: Sequence[Pair], scoring: Scoring, jobs: int) -> dict[str, str]:
    """Id -> problem, of the pairs that cannot be scored."""
    with ThreadPoolExecutor(max(1, jobs)) as pool:  # decoding runs outside Python's lock
        found = list(pool.map(partial(find_problem, scoring=scoring), wanted))
    return {pair.id: line for pair, line in zip(wanted, found, strict=True) if line}


def listed(lines: Sequence[str]) -> str:
    """The first lines of many, and how many more there are."""
    more = f"; and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return "; ".join(lines[:LISTED]) + more


def usable(
    reference: Path, synthesis: Path, match: str, scoring: Scoring, jobs: int
) -> tuple[list[Pair], list[str]]:
    """The pairs of two folders that can be scored, and a line for everything that cannot."""
    together, lines = pairs(reference, synthesis, match)
    bad = problems(together, scoring, jobs)
    return [pair for pair in together if pair.id not in bad], [*lines, *bad.values()]


def read_at(path: Path, rate: int | None) -> tuple[np.ndarray, int]:
    """A mono file as float64 [T] at a rate in Hz; None: its own."""
    wave, own = read_mono(path, "float64")
    return (wave, own) if rate is None else (resample(wave, own, rate), rate)


def score_pair(pair: Pair, scoring: Scoring) -> dict[str, float]:
    """The scores of one pair; InputError names its id."""
    reference, rate = read_at(pair.reference, scoring.rate)
    synthesis, _ = read_at(pair.synthesis, scoring.rate)
    compare = score_aligned if scoring.align and not scoring.warped else score
    try:
        return compare(reference, synthesis, rate, scoring.metrics)
    except InputError as error:
        raise InputError(f"{pair.id}: {error}") from None


def score_pairs(wanted: Sequence[Pair], scoring: Scoring, jobs: int) -> dict[str, dict[str, float]]:
    """Scores by id, over processes; the values do not depend on how many."""
    rows = in_processes(partial(score_pair, scoring=scoring), wanted, jobs, "score")
    return {pair.id: row for pair, row in zip(wanted, rows, strict=True)}


def delayed(scores: Scores) -> list[float]:
    """Delays in ms of the pairs that have one of at least `LEAST_DELAY_MS`, either way."""
    late = [row["delay_ms"] for row in scores.values() if "delay_ms" in row]
    return [value for value in late if abs(value) >= LEAST_DELAY_MS]
