"""Alignments of the Montreal Forced Aligner: TextGrids with the tiers `words` and `phones`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from wg.alignment.durations import quantise
from wg.errors import InputError
from wg.text.frontend import Word
from wg.text.symbols import BOUNDARIES, END, PHONEMES, SILENCE, WORD_BOUNDARY

_SILENT = ("", "sil", "sp", "<eps>", "<sil>")  # labels of pauses
_UNKNOWN = "spn"  # of a word that the aligner's dictionary had not
_TOLERANCE_S = 0.05  # between the ends of a TextGrid and its recording
_OVERHANG_S = 1.0  # of the last pause, which MFA sometimes makes longer than the recording


@dataclass(frozen=True)
class Interval:
    """A labelled stretch of a tier, in seconds."""

    start: float
    end: float
    label: str


def read_tiers(path: Path) -> tuple[list[Interval], list[Interval]]:
    """The tiers `words` and `phones`; InputError for anything that is wrong with the file."""
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    if not path.is_file():
        raise InputError(f"{path}: no such file; --textgrids needs one for each utterance")
    try:
        grid = textgrid.openTextgrid(str(path), True, reportingMode="silence")
    except (PraatioException, OSError, ValueError, IndexError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a sound TextGrid ({reason}); align it again") from None
    missing = [name for name in ("words", "phones") if name not in grid.tierNames]
    if missing:
        raise InputError(
            f"{path}: no tier {missing[0]!r} (it has {', '.join(grid.tierNames)}); export the "
            "Montreal Forced Aligner's words and phones"
        )
    words, phones = (_intervals(grid.getTier(name)) for name in ("words", "phones"))
    return words, phones


def _intervals(tier: Any) -> list[Interval]:
    return [Interval(entry.start, entry.end, entry.label.strip()) for entry in tier.entries]


def import_textgrid(
    path: Path, words: Sequence[Word], frames: int, frame_s: float
) -> tuple[list[str], np.ndarray]:
    """Symbols [N] and durations [N] in frames, which sum to `frames`, of an utterance.

    The phonemes are the TextGrid's; marks between words, and the phonemes of words that the
    aligner did not know, are those of the text's `words`. Pauses are kept as the duration of the
    boundary symbols. InputError for a TextGrid that is broken or of another recording.
    """
    spans, phones = read_tiers(path)
    spans = [span for span in spans if span.label.lower() not in _SILENT]
    spoken = [phone for phone in phones if phone.label not in _SILENT]
    if not spoken or not spans:
        raise InputError(f"{path}: nothing is spoken in it; align it again")
    _check_owners(path, spoken, spans)
    _check_length(path, spoken[-1].end, phones[-1].end, frames * frame_s)
    symbols, ends = [SILENCE], [0.0]
    for span, word in zip(spans, _matched(spans, words), strict=True):
        parts = _parts(path, span, word, spoken)
        if not parts:
            continue
        ends[-1] = parts[0].start  # of the pause before
        symbols += [*(part.label for part in parts), word.boundary]
        ends += [*(part.end for part in parts), parts[-1].end]
    if symbols[-1] == WORD_BOUNDARY:
        symbols.pop()
        ends.pop()
    symbols.append(END)
    ends.append(frames * frame_s)
    optional = np.array([symbol in BOUNDARIES for symbol in symbols])
    try:
        return symbols, quantise([end / frame_s for end in ends], optional, frames)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_length(path: Path, speech_s: float, grid_s: float, audio_s: float) -> None:
    """The aligner's last pause may reach a little beyond the recording; speech may not."""
    longest = audio_s + _OVERHANG_S
    if speech_s > audio_s + _TOLERANCE_S or not audio_s - _TOLERANCE_S <= grid_s <= longest:
        raise InputError(
            f"{path}: speech until {speech_s:.2f} s of {grid_s:.2f} s, but the recording has "
            f"{audio_s:.2f} s; it is of another recording"
        )


def _check_owners(path: Path, spoken: Sequence[Interval], spans: Sequence[Interval]) -> None:
    """Every spoken phone is of exactly one word, so that none is lost and none is used twice."""
    for phone in spoken:
        owners = [span for span in spans if _within(phone, span)]
        if len(owners) != 1:
            labels = " and ".join(repr(span.label) for span in owners)
            raise InputError(
                f"{path}: phone {phone.label!r} at {phone.start:.2f} s is of "
                f"{f'the words {labels}' if owners else 'no word'}; mend the tier words, or align "
                "it again"
            )


def _within(phone: Interval, span: Interval) -> bool:
    return span.start <= (phone.start + phone.end) / 2 < span.end


def _parts(path: Path, span: Interval, word: Word, spoken: Sequence[Interval]) -> list[Interval]:
    """The phonemes of a word; an unknown one's share its time evenly.

    None for what the aligner took for a word where the text has none: a dash.
    """
    parts = []
    for phone in spoken:
        if not _within(phone, span):
            continue
        if phone.label == _UNKNOWN:
            times = np.linspace(phone.start, phone.end, len(word.phonemes) + 1).tolist()
            parts += map(Interval, times[:-1], times[1:], word.phonemes)
        elif phone.label in PHONEMES:
            parts.append(phone)
        else:
            raise InputError(
                f"{path}: phone {phone.label!r} at {phone.start:.2f} s is not of ARPAbet with "
                "stress; align with an ARPAbet dictionary (english_us_arpa)"
            )
    return parts


def _matched(spans: Sequence[Interval], words: Sequence[Word]) -> list[Word]:
    """The word of the text that each span is; without phonemes and mark where that is unclear."""
    ours = [word.text for word in words]
    theirs = [span.label.lower() for span in spans]
    found = [Word(label, ()) for label in theirs]
    for kind, i, j, k, last in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and j - i == last - k):
            found[i:j] = words[k:last]
        elif kind == "replace":  # i.e. is one word of theirs and two of ours
            unknown = [place for place in range(i, j) if not theirs[place].isalpha()]
            phonemes = tuple(name for word in words[k:last] for name in word.phonemes)
            for place in unknown[:1]:
                found[place] = Word(theirs[place], phonemes, words[last - 1].boundary)
    return found
