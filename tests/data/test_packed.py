"""A large corpus is held small while stage 1 reads, splits and checks it."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import soundfile

from wg.config import CorpusConfig
from wg.data.audio import check_audio
from wg.data.layout import read_layout
from wg.data.packed import BLOCK, Chosen, Packed
from wg.data.splits import by_split, natural
from wg.processes.kept import Kept

CLIPS = 1000
CORPUS = CorpusConfig(name="many", valid=("clip-1",), test=("clip-2",))


def test_what_is_packed_comes_back_in_any_order() -> None:
    words = [f"word {number}" for number in range(2 * BLOCK + 3)]
    packed = Packed(words)
    assert list(packed) == list(packed) == words and len(packed) == len(words)
    assert packed[BLOCK] == words[BLOCK] and packed[0] == words[0]
    some = Chosen(packed, [2 * BLOCK, 3, BLOCK, 3])
    assert list(some) == [words[place] for place in (2 * BLOCK, 3, BLOCK, 3)] and len(some) == 4
    assert list(Packed([])) == []


def test_numbers_in_ids_are_in_order() -> None:
    ids = ["b", "a-10", "a-2", "a", "a-02b", "ab-1", "a-0", "a-2b", "10", "9", "a1c", "aä"]
    told = ["9", "10", "a", "a1c", "a-0", "a-2", "a-02b", "a-2b", "a-10", "ab-1", "aä", "b"]
    assert sorted(ids, key=natural) == told


def held(folder: Path, kept: Kept) -> float:
    """Bytes a clip that are there at the end of reading, splitting and checking a corpus."""
    gc.collect()
    tracemalloc.start()
    splits = by_split(read_layout(folder, CORPUS), CORPUS)
    checked = {name: check_audio(splits.pop(name), 2, 8000, kept=kept)[0] for name in [*splits]}
    gc.collect()
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(cuts) for cuts in checked.values()) == CLIPS
    return now / CLIPS


def test_a_clip_takes_some_tens_of_bytes_and_as_many_where_a_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "clip.wav", 0.1 * np.sin(np.arange(400)), 8000, subtype="PCM_16")
    content = (tmp_path / "clip.wav").read_bytes()
    for number in range(CLIPS):
        (tmp_path / "wavs" / f"clip-{number}.wav").write_bytes(content)
    lines = "".join(f"clip-{number}|These are the words of {number}.\n" for number in range(CLIPS))
    (tmp_path / "metadata.csv").write_text(lines)
    kept = Kept(tmp_path / ".data.prepare", "key")
    held(tmp_path, Kept())  # what is imported is no clip's
    assert held(tmp_path, kept) < 200
    assert held(tmp_path, kept) < 200
