"""The mini corpus: the same bytes every time, in any order, and all of it usable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wg.config import CorpusConfig, read_yaml
from wg.data.audio import check_audio, load_audio, summary
from wg.errors import InputError
from wg.stages.prepare import recipe_reader

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "mini"
MINI = recipe_reader(RECIPE)
SECTION = read_yaml(RECIPE / "corpus.yaml")["corpus"]
CORPUS = CorpusConfig(
    name=SECTION["name"],
    sample_rate=SECTION["sample_rate"],
    valid=tuple(SECTION["valid"]),
    test=tuple(SECTION["test"]),
)


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory) -> Path:
    return MINI.download(tmp_path_factory.mktemp("mini"), CORPUS)


def speak(sentences: str, folder: Path, jobs: int) -> Path:
    listed = folder.parent / f"{folder.name}.txt"
    listed.write_text(sentences)
    subprocess.run([sys.executable, RECIPE / "voices.py", listed, folder, str(jobs)], check=True)
    return folder


def wavs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "wavs").iterdir())}


def test_a_sentence_is_the_same_bytes_whatever_is_spoken_around_it(corpus_dir, tmp_path):
    lines = (RECIPE / "sentences.txt").read_text().splitlines(keepends=True)
    # The first ten keep their numbers, hence their voices; the others change places or go.
    some = speak("".join(lines[:10] + lines[30:20:-1]), tmp_path / "some", jobs=1)
    whole, part = wavs(corpus_dir), wavs(some)
    assert len(part) == 20
    for number in range(1, 11):
        name = f"mini-{number:04d}.wav"
        assert part[name] == whole[name], name
    assert part["mini-0011.wav"] != whole["mini-0011.wav"]


def test_two_renderings_are_equal_however_many_processes_speak(tmp_path):
    lines = (RECIPE / "sentences.txt").read_text().splitlines(keepends=True)[100:112]
    one, three = (speak("".join(lines), tmp_path / f"by{jobs}", jobs) for jobs in (1, 3))
    assert wavs(one) == wavs(three)
    assert (one / "metadata.csv").read_bytes() == (three / "metadata.csv").read_bytes()


def test_it_is_24_minutes_with_every_voice_in_every_split(corpus_dir):
    splits = MINI.read(corpus_dir, CORPUS)
    found = {split: summary(cuts) for split, cuts in splits.items()}
    assert {split: s.utterances for split, s in found.items()} == {
        "train": 420,
        "valid": 10,
        "test": 20,
    }
    assert all(s.speakers == 5 for s in found.values())
    assert 23 < sum(s.hours for s in found.values()) * 60 < 26


def test_every_clip_is_usable_speech_without_long_silence_around_it(corpus_dir):
    for cuts in MINI.read(corpus_dir, CORPUS).values():
        check_audio(cuts, 2, CORPUS.sample_rate)
        for cut in cuts:
            wave = load_audio(Path(cut.recording.sources[0].source))
            loud = np.flatnonzero(np.abs(wave) > 0.005)
            assert loud[0] < 0.2 * cut.sampling_rate, cut.id
            assert len(wave) - loud[-1] < 0.2 * cut.sampling_rate, cut.id
            assert 0.2 < np.abs(wave).max() < 0.99, cut.id


def test_numbers_are_written_out_in_the_normalised_text(corpus_dir):
    lines = [line.split("|") for line in (corpus_dir / "metadata.csv").read_text().splitlines()]
    assert len({text for _, text, _, _ in lines}) == 450
    assert not any(char.isdigit() for _, _, normalised, _ in lines for char in normalised)
    assert sum(any(char.isdigit() for char in text) for _, text, _, _ in lines) >= 5


def test_a_finished_corpus_is_not_rendered_again(corpus_dir):
    before = (corpus_dir / "metadata.csv").stat().st_mtime_ns
    assert MINI.download(corpus_dir.parent, CORPUS) == corpus_dir
    assert (corpus_dir / "metadata.csv").stat().st_mtime_ns == before


def test_a_failure_leaves_nothing_behind_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(MINI, "_SENTENCES", tmp_path / "gone.txt")
    monkeypatch.setattr(MINI, "_recipe", lambda: "x")
    with pytest.raises(InputError, match=r"cannot speak the mini corpus .*gone\.txt"):
        MINI.download(tmp_path / "target", CORPUS)
    assert list((tmp_path / "target").iterdir()) == []


def test_a_folder_of_somebody_elses_is_not_touched(tmp_path):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "thesis.txt").write_text("only copy")
    with pytest.raises(InputError, match="not made by this recipe"):
        MINI.download(tmp_path, CORPUS)
    assert (tmp_path / "mini" / "thesis.txt").read_text() == "only copy"
