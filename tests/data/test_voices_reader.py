"""Voices: several corpora become one, whichever are there, and nothing held back is trained on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import wg

from wg.config import CorpusConfig, load_experiment
from wg.data.dump import Dump
from wg.data.splits import SPLITS
from wg.errors import InputError
from wg.models import config_class
from wg.stages.prepare import recipe_reader

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
RECIPE = RECIPES / "voices"
DATA = RECIPES.parent / ".." / "shared" / "data"
VOICES = recipe_reader(RECIPE)
SHIPPED = load_experiment(RECIPE, "spectral", (), config_class)
CORPUS = SHIPPED.corpus
LJSPEECH = {"train": ["LJ001-0041"], "valid": ["LJ001-0021"], "test": ["LJ001-0001"]}
KATHLEEN = {"train": ["kathleen-a0001"], "valid": ["kathleen-b0390"], "test": ["kathleen-b0420"]}
KERSTIN = {
    "train": ["de_rhasspy-0071", "de_rhasspy-0489"],
    "valid": ["de_rhasspy-0036"],
    "test": ["de_rhasspy-0490"],
    "nowhere": ["de_rhasspy-0035", "de_rhasspy-0553"],
}
LIBRITTS = {
    "train-clean-100": "19_198_000000_000000",
    "dev-clean": "84_121_000000_000000",
    "test-clean": "121_127_000000_000000",
    "test-other": "122_128_000000_000000",  # in no split
}
EXPECTED = {
    "train": [
        "kathleen-a0001",
        *("kerstin-de_rhasspy-0071", "kerstin-de_rhasspy-0489"),
        *("libritts-19_198_000000_000000", "ljspeech-LJ001-0041"),
    ],
    "valid": [
        *("kathleen-b0390", "kerstin-de_rhasspy-0036"),
        *("libritts-84_121_000000_000000", "ljspeech-LJ001-0021"),
    ],
    "test": [
        *("kathleen-b0420", "kerstin-de_rhasspy-0490"),
        *("libritts-121_127_000000_000000", "ljspeech-LJ001-0001"),
    ],
}


def tone(path: Path, rate: int) -> None:
    """A tone of 440 Hz and 0.4 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(0.4 * rate) / rate), rate)


def layout(folder: Path, ids: Sequence[str], rate: int, ending: str) -> None:
    for name in ids:
        tone(folder / "wavs" / f"{name}{ending}", rate)
    (folder / "metadata.csv").write_text("".join(f"{name}|Words.\n" for name in ids))


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """All four, two of them one folder below, as in the shared data."""
    root = tmp_path / "corpora"
    layout(root / "lj" / "LJSpeech-1.1", sum(LJSPEECH.values(), []), 22050, ".wav")
    layout(root / "kathleen", sum(KATHLEEN.values(), []), 24000, ".flac")
    layout(root / "kerstin", sum(KERSTIN.values(), []), 22050, ".flac")
    for part, name in LIBRITTS.items():
        speaker, chapter, *_ = name.split("_")
        tone(root / "libri" / "LibriTTS" / part / speaker / chapter / f"{name}.wav", 24000)
    return root


def ids(root: Path, corpus: CorpusConfig = CORPUS) -> dict[str, list[str]]:
    return {split: [cut.id for cut in cuts] for split, cuts in VOICES.read(root, corpus).items()}


def of(name: str) -> dict[str, list[str]]:
    """What is expected where one corpus is absent."""
    return {split: [i for i in EXPECTED[split] if not i.startswith(name)] for split in SPLITS}


def test_the_mel_is_that_of_ljspeech_and_any_rate_is_taken():
    assert SHIPPED.mel == load_experiment(RECIPES / "ljspeech", "spectral", (), config_class).mel
    assert CORPUS.sample_rate is None


def test_each_corpus_falls_into_its_splits_with_its_name_before_its_ids(corpora, capsys):
    assert ids(corpora) == EXPECTED
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"ljspeech: 3 utterances of 22050 Hz in {corpora / 'lj' / 'LJSpeech-1.1'}",
        f"kathleen: 3 utterances of 24000 Hz in {corpora / 'kathleen'}",
        f"libritts: 4 utterances of 24000 Hz in {corpora / 'libri' / 'LibriTTS'}",
        f"kerstin: 6 utterances of 22050 Hz in {corpora / 'kerstin'}",
    ]


def test_speakers_are_named_by_corpus_and_languages_are_their_own(corpora):
    said = [cut.supervisions[0] for cut in VOICES.read(corpora, CORPUS)["test"]]
    assert [line.speaker for line in said] == ["kathleen", "kerstin", "libritts-121", "ljspeech"]
    assert [line.language for line in said] == ["en", "de", "en", "en"]
    assert [line.text for line in said] == ["Words.", "Words.", None, "Words."]
    assert [line.id for line in said] == EXPECTED["test"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lj", "ljspeech"),
        ("kathleen", "kathleen"),
        ("libri", "libritts"),
        ("kerstin/metadata.csv", "kerstin"),
    ],
)
def test_an_absent_corpus_is_a_notice(corpora, caplog, folder, name):
    (corpora / folder).rename(corpora.parent / "elsewhere")
    with caplog.at_level(logging.WARNING):
        assert ids(corpora) == of(name)
    notices = [text for text in caplog.messages if "corpora skipped" in text]
    assert len(notices) == 1 and notices[0].endswith(f"parts: {name}")


def test_an_absent_part_is_a_notice(corpora, caplog):
    shutil.rmtree(corpora / "libri" / "LibriTTS" / "dev-clean")
    with caplog.at_level(logging.WARNING):
        assert ids(corpora) == EXPECTED | {"valid": of("libritts")["valid"]}
    assert "corpus.valid: libritts-dev-clean skipped because absent" in caplog.messages


def test_no_corpus_at_all_is_one_mistake(corpora):
    words = "none of LJSpeech-1.1, kathleen, LibriTTS or LibriTTS_R, kerstin is in it"
    with pytest.raises(InputError, match=f"{words}.*give the folder that holds them"):
        VOICES.read(corpora / "kathleen", CORPUS)
    with pytest.raises(InputError, match="no such folder"):
        VOICES.read(corpora / "nothing", CORPUS)
    with pytest.raises(InputError, match="voices is not downloaded; put LJSpeech.*--corpus-dir"):
        VOICES.download(corpora, CORPUS)


def test_a_split_that_loses_all_it_names_is_refused_not_filled_with_what_is_held_back(corpora):
    chosen = replace(CORPUS, train=("kathleen",), valid=("ljspeech",), test=("libritts",))
    assert ids(corpora, chosen)["train"] == ["kathleen-a0001", "kathleen-b0390", "kathleen-b0420"]
    shutil.rmtree(corpora / "kathleen")
    with pytest.raises(InputError, match=r"corpus\.train: nothing of it is there.*libritts-dev"):
        ids(corpora, chosen)


def test_mistakes_in_the_choice_are_named(corpora):
    with pytest.raises(InputError, match=r"corpus\.test: no utterance 'kathlen-a0001'; did you"):
        ids(corpora, replace(CORPUS, test=("kathlen-a0001",)))
    with pytest.raises(InputError, match=r"-0036 is in corpus\.valid and in corpus\.test"):
        ids(corpora, replace(CORPUS, test=("kerstin",)))


def test_ids_that_the_prefix_makes_alike_and_corpora_there_twice_are_refused(corpora):
    layout(corpora / "kathleen", ["a0001", "kathleen-a0001"], 24000, ".flac")
    with pytest.raises(InputError, match="two utterances have the id kathleen-a0001"):
        VOICES.read(corpora, CORPUS)
    shutil.copytree(corpora / "kerstin", corpora / "copy" / "kerstin")
    with pytest.raises(InputError, match="kerstin and .*kerstin are both kerstin; remove one"):
        VOICES.read(corpora, CORPUS)


def test_every_corpus_is_resampled_to_the_rate_of_the_mel(corpora, tmp_path):
    places = ("--corpus-dir", str(corpora), "--work-dir", str(tmp_path / "work"), "--jobs", "1")
    options = ("--model", "spectral", "--stop-stage", "features")
    done = wg("recipe", str(RECIPE), *places, *options)
    assert done.code == 0, done
    assert "resampling 6 of 13 clips from 24000 to 22050 Hz\n" in done.out
    rate = SHIPPED.mel.sample_rate
    for split in SPLITS:
        dump = Dump(tmp_path / "work" / "dump" / SHIPPED.features_name / split)
        assert [entry.id for entry in dump.utterances] == EXPECTED[split]
        for index, entry in enumerate(dump.utterances):
            audio = dump.recording(index).numpy()
            expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(audio)) / rate)
            assert entry.samples == round(0.4 * rate)
            assert np.abs(audio - expected)[500:-500].max() < 2e-3, entry.id


def test_the_shared_corpora_are_split_without_what_their_own_recipes_hold_back():
    if not (DATA / "kathleen").is_dir():
        pytest.skip(f"real speech is not at {DATA}")
    found = ids(DATA)
    assert {split: len(names) for split, names in found.items()} == {
        "train": 327 + 225 + 8 + 345,
        "valid": 10 + 18 + 20,
        "test": 40 + 40 + 15 + 20,
    }
    lines = (DATA / "kathleen" / "metadata.csv").read_text("utf-8").splitlines()
    last = [line.split("|")[0] for line in lines[-40:]]
    assert [name for name in found["test"] if name.startswith("kathleen")] == last
    for name in ("ljspeech", "kerstin"):
        own = load_experiment(RECIPES / name, "wavegrad", (), config_class).corpus
        folder = DATA / {"ljspeech": "ljspeech/LJSpeech-1.1"}.get(name, name)
        splits = recipe_reader(RECIPES / name).read(folder, own)
        held = {f"{name}-{cut.id}" for split in ("valid", "test") for cut in splits[split]}
        assert held and not held & set(found["train"])
