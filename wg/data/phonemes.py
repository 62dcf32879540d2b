"""What stage phonemes leaves: the symbols of each utterance and how many frames each lasts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from wg.errors import InputError, stage_label
from wg.files import write_bytes


@dataclass(frozen=True)
class Phonemes:
    """What an utterance's text is read as, and how long each phoneme of it lasts."""

    id: str
    text: str
    speaker: str
    symbols: tuple[str, ...]
    durations: tuple[int, ...]  # of each symbol in frames of the dump; their sum is the utterance's


def write_phonemes(folder: Path, split: str, utterances: Iterable[Phonemes]) -> None:
    """`<split>.jsonl`, a line an utterance; the file appears whole or not at all."""
    lines = [json.dumps(asdict(utterance), ensure_ascii=False) + "\n" for utterance in utterances]
    write_bytes(folder / f"{split}.jsonl", "".join(lines).encode())


def read_phonemes(folder: Path, split: str) -> dict[str, Phonemes]:
    """The utterances of a split by their id; InputError where stage phonemes left none."""
    path = folder / f"{split}.jsonl"
    try:
        lines = path.read_text("utf-8").splitlines()
        made = [Phonemes(**json.loads(line)) for line in lines]
    except OSError:
        raise InputError(f"{path}: no such file; run {stage_label('phonemes')} first") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged ({error}); delete it and run {stage_label('phonemes')}"
        ) from None
    for one in made:
        whole = all(isinstance(n, int) and n >= 0 for n in one.durations)
        if not whole or not all(isinstance(name, str) for name in (one.id, *one.symbols)):
            raise InputError(
                f"{path}, {one.id!r}: damaged; delete it and run {stage_label('phonemes')}"
            )
    return {
        one.id: Phonemes(one.id, one.text, one.speaker, tuple(one.symbols), tuple(one.durations))
        for one in made
    }
