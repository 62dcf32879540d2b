"""The LJSpeech layout: its quirks are read, its mistakes are named."""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wg.config import CorpusConfig, read_yaml
from wg.data.audio import check_audio
from wg.data.layout import read_layout, read_metadata
from wg.data.splits import by_split
from wg.errors import InputError
from wg.stages.prepare import recipe_reader

CORPUS = CorpusConfig(name="own", language="de")
REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / ".." / "shared" / "data"


def corpus(folder: Path, metadata: str | bytes, files=("a.wav", "b.wav", "c.wav")) -> Path:
    (folder / "wavs").mkdir()
    for name in files:
        soundfile.write(folder / "wavs" / name, np.linspace(-0.1, 0.1, 800), 8000)
    content = metadata if isinstance(metadata, bytes) else metadata.encode()
    (folder / "metadata.csv").write_bytes(content)
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {cut.id: cut.supervisions[0].text for cut in list(read_layout(folder, CORPUS))}


PLAIN = "a|eins\nb|zwei\nc|drei\n"
WORDS = {"a": "eins", "b": "zwei", "c": "drei"}


@pytest.mark.parametrize(
    "metadata",
    [
        PLAIN,
        PLAIN.rstrip(),
        "id|text\n" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        b"\xef\xbb\xbfID|transcript\r\n" + PLAIN.replace("\n", "\r\n\r\n").encode(),
        "c|3|drei\na|1|eins\nb|zwei|\n",
        "a|1|eins|x\nb|2|zwei|y\nc|3|drei|x\n",
        " a | eins \nb|zwei\nc|drei",
    ],
    ids=["lf", "no_end", "header", "crlf", "bom", "all", "three", "four", "spaces"],
)
def test_the_quirks_of_metadata_files_make_no_difference(tmp_path, metadata):
    assert texts(corpus(tmp_path, metadata)) == WORDS


def test_the_text_is_the_normalised_one_and_the_original_is_kept(tmp_path):
    cuts = list(read_layout(corpus(tmp_path, "a|1 Uhr|ein Uhr\nb|zwei\nc|drei"), CORPUS))
    spoken = cuts[0].supervisions[0]
    assert (spoken.text, spoken.custom["orig_text"]) == ("ein Uhr", "1 Uhr")
    assert (spoken.language, spoken.speaker) == ("de", "own")
    assert cuts[0].recording.num_samples == 800 and cuts[0].recording.sampling_rate == 8000


def test_a_fourth_column_is_the_speaker(tmp_path):
    cuts = read_layout(corpus(tmp_path, "a|x|x|anna\nb|x|x|\nc|x|x|carl\n"), CORPUS)
    assert [cut.supervisions[0].speaker for cut in list(cuts)] == ["anna", "own", "carl"]


def test_quotes_and_unusual_line_separators_belong_to_the_text(tmp_path):
    odd = 'a|"Halt!\u2028rief er\nb|er sagte "ja"|\nc|\x1cdrei\n'
    assert texts(corpus(tmp_path, odd))["a"] == '"Halt!\u2028rief er'


def test_flac_and_wav_stand_side_by_side(tmp_path):
    folder = corpus(tmp_path, PLAIN, ["a.flac", "b.WAV", "c.wav", "._c.wav"])
    assert texts(folder) == WORDS


def test_a_partial_corpus_gives_one_notice_with_both_counts(tmp_path, caplog):
    metadata = PLAIN + "d|vier\ne|fünf\n"
    folder = corpus(tmp_path, metadata, ["b.wav", "c.wav", "x.wav"])
    with caplog.at_level(logging.WARNING):
        assert list(texts(folder)) == ["b", "c"]
    (notice,) = caplog.messages
    assert "2 utterances used" in notice
    assert "without audio: 3 (a, d, e)" in notice and "without metadata line: 1 (x)" in notice


def test_a_whole_corpus_gives_no_notice(tmp_path, caplog):
    texts(corpus(tmp_path, PLAIN))
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("a|eins\nb|zwei\na|drei\n", r"id a is on line 1 and on line 3"),
        ("a|eins\njust words\nc|drei", r"line 2: 'just words' is not"),
        ("a|eins\nb|1|2|3|4\nc|drei", "line 2"),
        ("a|eins\n|zwei\nc|drei", "line 2"),
        ("a|eins\nb|für\n".encode("latin-1"), r"line 2: not UTF-8; convert.*iconv"),
        ("a|eins\nb|zwei\n".encode("utf-16"), r"line 1: not UTF-8"),
        (b"a|eins\nb|zw\0ei\n", r"line 2: has a zero byte, as UTF-16 has"),
        ("", "no lines"),
        ("x|eins\ny|zwei\n", r"no file in wavs/ belongs .*3 files, 2 lines.*x\.wav"),
    ],
)
def test_a_mistake_in_the_metadata_names_its_line(tmp_path, metadata, words):
    with pytest.raises(InputError, match=words):
        read_layout(corpus(tmp_path, metadata), CORPUS)


def test_two_files_of_one_id_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.wav: a\.flac has the same id"):
        read_layout(corpus(tmp_path, PLAIN, ["a.wav", "a.flac"]), CORPUS)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder.*--corpus-dir"):
        read_layout(tmp_path / "nowhere", CORPUS)
    with pytest.raises(InputError, match="an empty folder"):
        read_layout(tmp_path, CORPUS)
    (tmp_path / "metadata.csv").write_text(PLAIN)
    with pytest.raises(InputError, match="wavs: no such folder"):
        read_layout(tmp_path, CORPUS)
    (tmp_path / "wavs").mkdir()
    with pytest.raises(InputError, match="wavs: no WAV or FLAC file; put them there"):
        read_layout(tmp_path, CORPUS)
    (tmp_path / "wavs" / "1").mkdir()
    (tmp_path / "wavs" / "1" / "a.wav").touch()
    with pytest.raises(InputError, match="no WAV or FLAC file; move those of .*wavs/1 there"):
        read_layout(tmp_path, CORPUS)


def test_the_folder_above_the_corpus_gets_a_hint(tmp_path):
    (tmp_path / "LJSpeech-1.1").mkdir()
    corpus(tmp_path / "LJSpeech-1.1", PLAIN)
    with pytest.raises(InputError, match=r"give --corpus-dir .*LJSpeech-1\.1"):
        read_layout(tmp_path, CORPUS)


def test_a_file_without_a_header_still_becomes_a_cut_for_the_check(tmp_path):
    folder = corpus(tmp_path, PLAIN)
    (folder / "wavs" / "b.wav").write_text("not audio")
    samples = {cut.id: cut.recording.num_samples for cut in list(read_layout(folder, CORPUS))}
    assert samples == {"a": 800, "b": 0, "c": 800}


def test_cuts_survive_a_manifest_on_disk_and_lead_back_to_the_files(tmp_path, monkeypatch):
    from lhotse import CutSet

    monkeypatch.chdir(corpus(tmp_path, PLAIN))
    read_layout(Path("."), CORPUS).to_file("cuts.jsonl.gz")
    monkeypatch.chdir("/")
    again = list(CutSet.from_file(tmp_path / "cuts.jsonl.gz"))
    assert [cut.id for cut in again] == ["a", "b", "c"]
    assert again[1].load_audio().shape == (1, 800)


def test_cuts_fall_into_their_splits(tmp_path):
    chosen = CorpusConfig(name="own", valid=("a",), test=("b..bz",))
    splits = by_split(read_layout(corpus(tmp_path, PLAIN), chosen), chosen)
    ids = {split: [cut.id for cut in list(cuts)] for split, cuts in splits.items()}
    assert ids == {"train": ["c"], "valid": ["a"], "test": ["b"]}


@pytest.mark.parametrize(
    ("recipe", "folder", "counts"),
    [
        ("ljspeech", DATA / "ljspeech/LJSpeech-1.1", {"train": 345, "valid": 20, "test": 20}),
        ("kerstin", DATA / "kerstin", {"train": 488, "valid": 18, "test": 20}),
    ],
)
def test_real_corpora_are_read_whole_by_their_recipes(recipe, folder, counts):
    if not folder.is_dir():
        pytest.skip(f"real speech is not at {folder}")
    path = REPOSITORY / "recipes" / recipe
    section = read_yaml(path / "corpus.yaml")["corpus"]
    shipped = CorpusConfig(**{**section, **{key: tuple(section[key]) for key in ("valid", "test")}})
    splits = recipe_reader(path).read(folder, shipped)
    assert {split: len(cuts) for split, cuts in splits.items()} == counts
    for cuts in splits.values():
        check_audio(cuts, 2, shipped.sample_rate)  # every clip is usable, or this raises


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize(
    "column", ["{}", "{}.wav", "wavs/{}.wav", "wavs/{}", "C:\\x\\{}.WAV", '"{}"', "/a/b/{}.flac"]
)
def test_an_id_is_found_however_it_is_written(tmp_path, form, on_disk, column) -> None:
    names = ["\u00fc1", "\u1ea54", "\uac00b"]
    (tmp_path / "wavs").mkdir()
    lines = ""
    for name in names:
        stem = unicodedata.normalize(on_disk, name)
        (tmp_path / "wavs" / f"{stem}.wav").write_bytes(b"")
        lines += column.format(unicodedata.normalize(form, name)) + "|Text.\n"
    (tmp_path / "metadata.csv").write_text(lines)
    cuts = read_layout(tmp_path, CorpusConfig("x"))
    assert sorted(cut.id for cut in cuts) == sorted(names)  # pyright: ignore[reportGeneralTypeIssues]
    assert {cut.supervisions[0].text for cut in cuts} == {"Text."}  # pyright: ignore[reportGeneralTypeIssues]


def test_columns_in_quotes_are_taken_out_of_them(tmp_path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text('"a"|"One | ""two"""\n"b"|"Three"\n')
    lines = read_metadata(path, "x")
    assert lines["a"].text == 'One | "two"' and lines["b"].text == "Three"
    path.write_text('a|"One"\nb|"Two" and three\n')  # quotation marks of the text
    assert read_metadata(path, "x")["a"].text == '"One"'


def test_few_values_in_column_two_are_asked_about(tmp_path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("".join(f"{n}|{'ab'[n % 2]}|Text {n}.\n" for n in range(6)))
    with pytest.raises(InputError, match=r"2 values in 6 lines \(a, b\).*corpus\.columns=id"):
        read_metadata(path, "x")
    lines = read_metadata(path, "x", "id|speaker|text")
    assert (lines["1"].speaker, lines["1"].text) == ("b", "Text 1.")
    assert read_metadata(path, "x", "id|text|normalised")["1"].orig_text == "b"
    assert read_metadata(path, "x", "id|-|text")["1"].speaker == "x"


@pytest.mark.parametrize("columns", ["id", "id|txet", "id|text|text", "", "speaker|text"])
def test_columns_that_cannot_be_are_named(tmp_path, columns: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("1|a\n")
    with pytest.raises(InputError, match="corpus.columns"):
        read_metadata(path, "x", columns)
