"""What a recogniser hears in files whose texts are known: error rates of words and characters."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from wg.bench.folders import listed, read_at
from wg.data.layout import read_metadata
from wg.errors import InputError
from wg.metrics.recogniser import choose_recogniser, load_recogniser, spoken_letters
from wg.metrics.spoken import error_rates
from wg.processes.pool import in_processes

RATES = ("wer", "cer")


class Transcribed(NamedTuple):
    """A file and the text that was read in it."""

    audio: Path
    text: str


def read_texts(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Texts by id, of a file of lines `id|text` as metadata.csv; an id may be a path's last part.

    InputError where the text of an id lacks.
    """
    lines = read_metadata(path, "")
    found: dict[str, str] = {}
    for name in ids:
        line = lines.get(name) or lines.get(Path(name).name)
        if line is not None and line.text:
            found[name] = line.text
    if lacking := [name for name in ids if name not in found]:
        raise InputError(f"{path}: no text of {listed(lacking)}; add `id|text` for each")
    return found


def error_rates_of(transcribed: Transcribed, recogniser: str) -> dict[str, float]:
    """The error rates of one file."""
    wave, rate = read_at(transcribed.audio, None)
    return error_rates(spoken_letters(transcribed.text), load_recogniser(recogniser)(wave, rate))


def error_rates_by_id(
    audio: Mapping[str, Path], texts: Path, recogniser: str, jobs: int
) -> dict[str, dict[str, float]]:
    """Error rates by id, over processes; empty rows where no recogniser can run here.

    The values do not depend on how many processes there are.
    """
    chosen, _ = choose_recogniser(recogniser)
    if chosen is None:
        return {name: {} for name in audio}
    known = read_texts(texts, list(audio))
    wanted = [Transcribed(path, known[name]) for name, path in audio.items()]
    rates = in_processes(partial(error_rates_of, recogniser=chosen), wanted, jobs, "listen")
    return dict(zip(audio, rates, strict=True))


def check_texts(texts: Path, ids: Sequence[str], recogniser: str, where: str) -> None:
    """InputError for a text that lacks, or an unknown recogniser; says why a known one lacks."""
    try:
        _, notices = choose_recogniser(recogniser)
        read_texts(texts, ids)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    for line in notices:
        print(f"{where}: {line}", file=sys.stderr)
