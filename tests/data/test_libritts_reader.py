"""LibriTTS: parts become splits, missing pieces are counted, broken ones are named."""

from __future__ import annotations

import logging
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import soundfile

from wg.config import CorpusConfig
from wg.data.audio import check_audio, summary
from wg.errors import InputError
from wg.stages.prepare import recipe_reader

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / ".." / "shared" / "data"
LIBRITTS = recipe_reader(REPOSITORY / "recipes" / "libritts")
LJSPEECH = recipe_reader(REPOSITORY / "recipes" / "ljspeech")
KERSTIN = recipe_reader(REPOSITORY / "recipes" / "kerstin")
CORPUS = CorpusConfig(name="libritts", valid=("dev-clean",), test=("test-clean",))


def utterance(root: Path, part: str, name: str, text: str | None = "words") -> Path:
    """A WAV of the corpus's tree with its lines in both transcript files."""
    speaker, chapter, *_ = name.split("_")
    folder = root / part / speaker / chapter
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", 0.1 * np.sin(np.arange(2400)), 24000)
    if text is not None:
        for kind, line in (("trans", f"{name}\t{text}!\t{text}"), ("book", f"{name}\t{text}\t20")):
            with open(folder / f"{speaker}_{chapter}.{kind}.tsv", "a") as file:
                file.write(line + "\n")
    return folder / f"{name}.wav"


@pytest.fixture
def corpus_dir(tmp_path) -> Path:
    root = tmp_path / "LibriTTS"
    utterance(root, "train-clean-100", "19_198_000000_000000", "one")
    utterance(root, "train-other-500", "20_205_000001_000000", "two")
    utterance(root, "train-other-500", "20_205_000000_000000", None)
    utterance(root, "dev-clean", "84_121_000000_000000", "three")
    utterance(root, "test-clean", "121_127_000000_000000", "four")
    utterance(root, "test-other", "122_128_000000_000000", "five")
    return root


def ids(splits) -> dict[str, list[str]]:
    return {split: [cut.id for cut in cuts] for split, cuts in splits.items()}


def test_parts_become_splits_and_untranscribed_clips_stay(corpus_dir, caplog):
    with caplog.at_level(logging.WARNING):
        splits = LIBRITTS.read(corpus_dir, CORPUS)
    assert ids(splits) == {
        "train": ["19_198_000000_000000", "20_205_000000_000000", "20_205_000001_000000"],
        "valid": ["84_121_000000_000000"],
        "test": ["121_127_000000_000000"],
    }
    assert [cut.supervisions[0].text for cut in splits["train"]] == ["one", None, "two"]
    assert [cut.supervisions[0].speaker for cut in splits["train"]] == ["19", "20", "20"]
    assert list(splits["test"])[0].supervisions[0].custom["orig_text"] == "four!"
    assert summary(splits["train"]).untranscribed == 1
    assert "train-other-500: 1 of 2 recordings have no transcript" in caplog.messages
    assert any("absent: train-clean-360" in message for message in caplog.messages)


def test_lhotse_prints_no_bars_and_leaves_logging_as_it_was(corpus_dir, capfd):
    before = logging.getLogger().handlers[:]
    LIBRITTS.read(corpus_dir, CORPUS)
    assert logging.getLogger().handlers == before
    captured = capfd.readouterr()
    assert "Preparing" not in captured.err and "Scanning" not in captured.err


def test_a_transcript_without_recording_is_counted(corpus_dir, caplog):
    utterance(corpus_dir, "dev-clean", "84_121_000009_000000").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(LIBRITTS.read(corpus_dir, CORPUS)["valid"]) == 1
    assert any("dev-clean: 1 transcripts have no recording" in text for text in caplog.messages)


def test_a_part_without_any_transcript_is_read(corpus_dir):
    for path in (corpus_dir / "dev-clean").rglob("*.tsv"):
        path.unlink()
    cut = list(LIBRITTS.read(corpus_dir, CORPUS)["valid"])[0]
    assert cut.supervisions[0].text is None and cut.recording.num_samples == 2400


def test_unreadable_files_stop_the_check_not_the_reader(corpus_dir):
    for name, content in (("84_121_000003_000000", b"not audio"), ("84_121_000004_000000", b"")):
        utterance(corpus_dir, "dev-clean", name).write_bytes(content)
    valid = LIBRITTS.read(corpus_dir, CORPUS)["valid"]
    assert len(valid) == 3
    with pytest.raises(InputError, match="2 of 3 audio files cannot be used"):
        check_audio(valid, 1, 24000)
    good, problems = check_audio(valid, 1, 24000, skip_bad=True)
    assert [cut.id for cut in list(good)] == ["84_121_000000_000000"]
    assert "84_121_000003_000000.wav: not audio" in problems[0]
    source = Path(list(good)[0].recording.sources[0].source)
    assert source == corpus_dir / "dev-clean/84/121/84_121_000000_000000.wav"
    assert list(good)[0].supervisions[0].text == "three"


def test_a_damaged_transcript_names_its_part(corpus_dir):
    path = corpus_dir / "dev-clean/84/121/84_121.trans.tsv"
    path.write_text("84_121_000000_000000 no tabs\n")
    with pytest.raises(InputError, match=r"dev-clean: .*extract the part's archive again"):
        LIBRITTS.read(corpus_dir, CORPUS)


def test_files_that_macos_adds_are_no_utterances(corpus_dir):
    (corpus_dir / "dev-clean/84/121/._84_121_000000_000000.wav").write_bytes(b"\0" * 100)
    assert len(LIBRITTS.read(corpus_dir, CORPUS)["valid"]) == 1


def test_a_split_without_any_present_part_says_which_there_are(corpus_dir):
    chosen = CorpusConfig(name="libritts", valid=("dev-other",), test=("test-clean",))
    with pytest.raises(InputError, match=r"corpus\.valid names no part.*test-other"):
        LIBRITTS.read(corpus_dir, chosen)


def test_where_splits_are_held_out_only_the_training_parts_are_needed(corpus_dir, caplog):
    shutil.rmtree(corpus_dir / "dev-clean")
    chosen = replace(CORPUS, hold_out=100)
    with caplog.at_level(logging.WARNING):
        splits = LIBRITTS.read(corpus_dir, chosen)
    assert set(splits) == {"train"} and len(splits["train"]) == 3
    assert not any("dev-clean" in message for message in caplog.messages)


def test_unknown_and_doubled_parts_are_refused(corpus_dir):
    chosen = CorpusConfig(name="libritts", valid=("dev-claen",), test=("test-clean",))
    with pytest.raises(InputError, match=r"corpus\.valid: no part 'dev-claen'; did you mean 'dev"):
        LIBRITTS.read(corpus_dir, chosen)
    chosen = CorpusConfig(name="libritts", valid=("dev-clean",), test=("dev-clean",))
    with pytest.raises(InputError, match=r"dev-clean is in corpus\.valid and in corpus\.test"):
        LIBRITTS.read(corpus_dir, chosen)


def test_a_wrong_folder_gets_a_hint(corpus_dir):
    with pytest.raises(InputError, match=r"give --corpus-dir .*LibriTTS$"):
        LIBRITTS.read(corpus_dir.parent, CORPUS)
    with pytest.raises(InputError, match="no such folder"):
        LIBRITTS.read(corpus_dir / "nowhere", CORPUS)


def test_libritts_r_is_recognised_by_its_folder(corpus_dir, caplog):
    restored = corpus_dir.rename(corpus_dir.parent / "LibriTTS_R")
    with caplog.at_level(logging.WARNING):
        assert len(LIBRITTS.read(restored, CORPUS)["train"]) == 3
    assert any("set corpus.name=libritts_r" in text for text in caplog.messages)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (URLError("Temporary failure in name resolution"), "no network: download .* by hand from"),
        (TimeoutError("timed out"), "no network"),
        (ConnectionResetError(104, "reset"), "no network"),
        (HTTPError("http://x/y.tar", 404, "", None, None), "server answers 404"),  # pyright: ignore[reportArgumentType]
        (tarfile.ReadError("bad checksum"), "archive of .* is damaged"),
        (OSError("Invalid data stream"), "archive of .* is damaged"),
        (OSError(28, "No space left on device"), r"No space left on device.*free space"),
    ],
)
def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch, error, words):
    def fail(root, **_kwargs):
        (root / "part.tar.gz").touch()
        raise error

    monkeypatch.setattr("lhotse.recipes.download_ljspeech", fail)
    monkeypatch.setattr("lhotse.recipes.download_libritts", fail)
    for recipe, name in ((LJSPEECH, "LJSpeech-1.1"), (LIBRITTS, "LibriTTS")):
        with pytest.raises(InputError, match=words) as caught:
            recipe.download(tmp_path, CORPUS)
        assert name in str(caught.value)
        assert list(tmp_path.iterdir()) == []
    if "free space" not in words:
        assert "--corpus-dir" in str(caught.value)


def test_lhotse_is_asked_for_the_right_corpus(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "lhotse.recipes.download_libritts",
        lambda root, use_librittsr, dataset_parts: calls.append((root, use_librittsr)),
    )
    restored = CorpusConfig(name="libritts_r")
    assert LIBRITTS.download(tmp_path, CORPUS) == tmp_path / "LibriTTS"
    assert LIBRITTS.download(tmp_path, restored) == tmp_path / "LibriTTS_R"
    assert calls == [(tmp_path, False), (tmp_path, True)]


def test_a_corpus_that_cannot_be_downloaded_says_where_it_is(tmp_path):
    mine = CorpusConfig("myvoice", url="https://example.org")
    with pytest.raises(InputError, match=r"myvoice is not downl.*example\.org, .*--corpus-dir"):
        KERSTIN.download(tmp_path, mine)
    with pytest.raises(InputError, match=r"get it, convert its audio"):
        KERSTIN.download(tmp_path, replace(mine, url=""))


def test_the_real_clips_are_read_with_and_without_transcript():
    folder = DATA / "libritts" / "LibriTTS"
    if not folder.is_dir():
        pytest.skip(f"real speech is not at {folder}")
    chosen = CorpusConfig(name="libritts", valid=("train-other-500",), test=("test-clean",))
    splits = LIBRITTS.read(folder, chosen)
    found = {split: summary(cuts) for split, cuts in splits.items()}
    assert {split: s.utterances for split, s in found.items()} == {
        "train": 6,
        "valid": 2,
        "test": 15,
    }
    assert sum(s.untranscribed for s in found.values()) == 7
    files = list(folder.rglob("*.wav"))
    seconds = sum(soundfile.info(path).duration for path in files)
    assert len(files) == 23
    assert sum(s.hours for s in found.values()) * 3600 == pytest.approx(seconds)
    for cuts in splits.values():
        check_audio(cuts, 1, 24000)
