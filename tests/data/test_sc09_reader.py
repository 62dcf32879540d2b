"""The reader of recipes/sc09 on a corpus of its shape, and on the real clips."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import wg

from wg.config import CorpusConfig
from wg.errors import InputError
from wg.stages.prepare import recipe_reader

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT / ".." / "shared" / "data" / "speech_commands"
CORPUS = CorpusConfig(name="sc09", sample_rate=16000, samples=16000)
READER = recipe_reader(ROOT / "recipes" / "sc09")


def clip(path: Path, samples: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(samples).standard_normal(samples)
    soundfile.write(path, noise, 16000)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for word in READER.DIGITS:
        for speaker in ("aa", "bb", "cc"):
            clip(tmp_path / word / f"{speaker}_nohash_0.wav")
    clip(tmp_path / "marvin" / "aa_nohash_0.wav")
    clip(tmp_path / "_background_noise_" / "tap.wav", 40_000)
    words = ("marvin", *READER.DIGITS)
    (tmp_path / "validation_list.txt").write_text("".join(f"{w}/bb_nohash_0.wav\n" for w in words))
    (tmp_path / "testing_list.txt").write_text("".join(f"{w}/cc_nohash_0.wav\n" for w in words))
    return tmp_path


def test_the_corpus_own_lists_make_the_splits(corpus: Path) -> None:
    splits = READER.read(corpus, CORPUS)
    assert {name: len(cuts) for name, cuts in splits.items()} == dict.fromkeys(splits, 10)
    assert {cut.id.partition("-")[2][:2] for cut in splits["test"]} == {"cc"}


def test_a_clip_has_its_word_as_text_and_its_speaker(corpus: Path) -> None:
    cut = next(cut for cut in READER.read(corpus, CORPUS)["train"] if cut.id.startswith("seven"))
    spoken = cut.supervisions[0]
    assert (cut.id, spoken.text, spoken.speaker) == ("seven-aa_nohash_0", "seven", "aa")


def test_other_words_of_the_corpus_are_left_out(corpus: Path) -> None:
    cuts = [cut for part in READER.read(corpus, CORPUS).values() for cut in part]
    assert {cut.supervisions[0].text for cut in cuts} == set(READER.DIGITS)


def test_short_clips_are_counted_and_named(corpus: Path, caplog) -> None:
    clip(corpus / "two" / "aa_nohash_0.wav", 15_000)
    with caplog.at_level(logging.WARNING):
        READER.read(corpus, CORPUS)
    assert "1 of 30 clips are shorter than 16000 samples" in caplog.text
    assert "two-aa_nohash_0" in caplog.text


def test_a_long_clip_is_an_error_or_left_out(corpus: Path) -> None:
    clip(corpus / "two" / "aa_nohash_0.wav", 17_000)
    with pytest.raises(InputError, match="1 clips are longer than .* two-aa_nohash_0"):
        READER.read(corpus, CORPUS)
    left = READER.read(corpus, CorpusConfig("sc09", samples=16000, skip_bad=True))
    assert len(left["train"]) == 9


def test_a_folder_of_an_unknown_word_is_an_error(corpus: Path) -> None:
    clip(corpus / "sevn" / "aa_nohash_0.wav")
    with pytest.raises(InputError, match="'sevn' is no word of Speech Commands.*'seven'"):
        READER.read(corpus, CORPUS)


@pytest.mark.parametrize("file", ["validation_list.txt", "testing_list.txt"])
def test_a_missing_list_is_an_error(corpus: Path, file: str) -> None:
    (corpus / file).unlink()
    with pytest.raises(InputError, match=file):
        READER.read(corpus, CORPUS)


def test_a_folder_above_the_corpus_is_pointed_down(corpus: Path, tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    (above / "speech_commands").symlink_to(corpus)
    with pytest.raises(InputError, match="'speech_commands' is no word|give --corpus-dir"):
        READER.read(above, CORPUS)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"needs the real clips in {REAL}")
def test_the_real_clips_split_as_their_lists_say(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        splits = READER.read(REAL, CORPUS)
    assert {name: len(cuts) for name, cuts in splits.items()} == {
        "train": 173,
        "valid": 16,
        "test": 148,
    }
    assert "5 of 337 clips are shorter" in caplog.text


def test_a_corrupted_clip_is_named_and_can_be_left_out(corpus: Path, tmp_path_factory) -> None:
    bad = corpus / "five" / "aa_nohash_0.wav"
    bad.write_bytes(bad.read_bytes()[:1000])
    asked = ("--model", "diffwave_class_small", "--corpus-dir", str(corpus))
    asked += ("--work-dir", str(tmp_path_factory.mktemp("work")), "--stop-stage", "prepare")
    recipe = ("recipe", str(ROOT / "recipes" / "sc09"))
    line = wg(*recipe, *asked).complaint()
    assert f"{bad}: truncated" in line and "--skip-bad leaves such clips out" in line
    outcome = wg(*recipe, *asked, "--skip-bad")
    assert outcome.code == 0, outcome
    assert f"left out 1 bad clips (--skip-bad):\n  {bad}: truncated" in outcome.out
    assert "train: 9 utterances" in outcome.out
