"""Text to symbols: pronunciation, boundaries, lexicon, bad input, sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wg.errors import InputError
from wg.text import tagger
from wg.text.frontend import text_to_symbols, words_of
from wg.text.lexicon import read_lexicon
from wg.text.pronounce import predict
from wg.text.sentences import sentences
from wg.text.symbols import BOUNDARIES, PHONEMES, SYMBOLS, to_ids

needs_tagger = pytest.mark.skipif(not tagger.available(), reason="no NLTK tagger on this machine")


def spoken(text: str) -> str:
    return " ".join(text_to_symbols(text))


def test_a_sentence_is_silence_words_with_a_boundary_each_and_an_end() -> None:
    assert spoken("Hello, old world!") == "sil HH AH0 L OW1 , OW1 L D wb W ER1 L D ! eos"
    assert spoken("(Hello) world") == "sil HH AH0 L OW1 ) W ER1 L D eos"


def test_the_loudest_of_several_marks_counts() -> None:
    assert spoken('"Hello," ...(world)?!') == "sil HH AH0 L OW1 . W ER1 L D ! eos"


def test_phonemes_in_braces_are_taken_as_they_are() -> None:
    assert spoken("{hh ah0 l ow1}, {W ER1 L D}") == "sil HH AH0 L OW1 , W ER1 L D eos"


def test_unknown_capitals_are_spelt_and_unknown_words_predicted() -> None:
    (word,) = words_of("FPCC", {})
    assert word.predicted and word.phonemes == tuple("EH1 F P IY1 S IY1 S IY1".split())
    (word,) = words_of("flurbish", {})
    assert word.predicted and word.phonemes == predict("flurbish")
    assert set(word.phonemes) <= set(PHONEMES)


@pytest.mark.parametrize(
    ("text", "word", "phonemes"),
    [
        ("an AI model", 1, "EY1 AY1"),
        ("the ER", 1, "IY1 AA1 R"),
        ("two EVs", 1, "IY1 V IY1 Z"),
        ("the UN's IT staff", 1, "Y UW1 EH1 N Z"),
        ("the UN's IT staff", 2, "AY1 T IY1"),
        ("the WHO and NASA", 3, "N AE1 S AH0"),
        ("many GPUs", 1, "JH IY1 P IY1 Y UW1 Z"),
        ("WHO IS IT?", 0, "HH UW1"),
        ("He said: DO IT NOW", 3, "IH1 T"),
        ("UN AND AI", 2, "EY1 AY1"),
    ],
)
def test_acronyms_are_spelt_and_shouted_words_are_not(text: str, word: int, phonemes: str) -> None:
    assert words_of(text, {})[word].phonemes == tuple(phonemes.split())


def test_possessives_and_plurals_follow_their_word() -> None:
    lexicon = {"blick": ("B", "L", "IH1", "K"), "flurb": ("F", "L", "ER1", "B")}
    made = {w.text: w.phonemes[-2:] for w in words_of("blick's flurbs flurb's boss's", lexicon)}
    assert made == {
        "blick's": ("K", "S"),
        "flurbs": ("B", "Z"),
        "flurb's": ("B", "Z"),
        "boss's": ("IH0", "Z"),
    }


@needs_tagger
def test_homographs_follow_their_part_of_speech() -> None:
    assert words_of("They refuse to collect the refuse.", {})[1].phonemes[:2] == ("R", "IH0")
    assert words_of("They refuse to collect the refuse.", {})[5].phonemes[:2] == ("R", "EH1")
    assert words_of("She will read what he had read.", {})[2].phonemes == ("R", "IY1", "D")
    assert words_of("She will read what he had read.", {})[6].phonemes == ("R", "EH1", "D")


def test_without_nltk_data_the_first_pronunciation_is_taken_and_one_line_says_so() -> None:
    code = (
        "from wg.text import tagger\n"
        "from wg.text.frontend import text_to_symbols as f\n"
        "tagger.fetch()\n"
        "print(*f('They refuse the refuse.')); print(*f('Objects that flurbish record.'))"
    )
    nowhere = {"NLTK_DATA": "/nowhere", "HOME": "/nowhere"}
    nowhere |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **nowhere}
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.count("R AH0 F Y UW1 Z") == 2
    assert second.endswith(". eos")
    (line,) = done.stderr.splitlines()
    assert "averaged_perceptron_tagger_eng is missing" in line and "NLTK_DATA" in line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no word"),
        (" ?!... ", "no word"),
        ("😀🎉", "no word"),
        ("a\0b", "control character"),
        ("Привет hello", "letters"),
        ("{HH AH L}", "unknown phoneme 'AH'; vowels end in their stress"),
        ("{HH QQ}", "unknown phoneme 'QQ'"),
        ("{HH", "brace without its other"),
        ("{}", "empty braces"),
    ],
)
def test_text_that_cannot_be_spoken_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        text_to_symbols(text)


def test_long_texts_and_words_are_spoken_whole() -> None:
    text = "One, and more words. " * 250
    assert len(text) > 5000
    assert text_to_symbols(text).count(".") == 250
    (word,) = words_of("zq" * 30, {})
    assert len(word.phonemes) > 20  # at which g2p-en's network stops


def test_ids_go_by_name_in_any_table() -> None:
    table = tuple(reversed(SYMBOLS))
    names = text_to_symbols("Hello.")
    assert [table[i] for i in to_ids(names, table)] == names
    assert to_ids(["pad"]) == [0]
    assert len(set(SYMBOLS)) == len(SYMBOLS) and set(BOUNDARIES) | set(PHONEMES) < set(SYMBOLS)
    with pytest.raises(InputError, match="'QQ' is unknown"):
        to_ids(["QQ"])


def test_a_lexicon_goes_before_everything(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("# ours\nHello  HH EH1 L\n\nflurbish f l er1 # as heard\n")
    lexicon = read_lexicon(path)
    assert lexicon == {"hello": ("HH", "EH1", "L"), "flurbish": ("F", "L", "ER1")}
    assert text_to_symbols("HELLO flurbish", lexicon) == "sil HH EH1 L wb F L ER1 eos".split()
    assert not any(word.predicted for word in words_of("flurbish", lexicon))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello HH AH0\nworld\n", "line 2: 'world' is not `word PHONEME"),
        (b"2nd S EH1\n", "line 1"),
        (b"hello HH AH\n", "unknown phoneme 'AH'; vowels end in"),
        (b"a EY1\na AH0\n", "line 2: 'a' stands there before"),
        (b"caf\xe9 K\n", "not UTF-8"),
    ],
)
def test_a_malformed_lexicon_names_the_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_lexicon(path)
    assert str(path) in str(caught.value)


def test_a_lexicon_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt: No such file"):
        read_lexicon(tmp_path / "none.txt")


def test_sentences_end_where_a_reader_would_end_them() -> None:
    text = (
        'Mr. Smith saw J. F. Kennedy in Washington D.C. on Jan. 5. He left! "Really?" she asked. '
        "It cost 3.5. {HH AH0 L OW1}. See No. 5\nA new line"
    )
    assert sentences(text) == [
        "Mr. Smith saw J. F. Kennedy in Washington D.C. on Jan. 5.",
        "He left!",
        '"Really?" she asked.',
        "It cost 3.5.",
        "{HH AH0 L OW1}.",
        "See No. 5",
        "A new line",
    ]
    assert sentences(" \n ") == []
    one = "He is 6 ft. 2 in. tall, has a Ph.D. Thesis to write on Mon. 5 in St. Ives."
    assert sentences(one) == [one]
    assert sentences("It is 6 ft. He is not.") == ["It is 6 ft.", "He is not."]


def test_long_sentences_are_cut_and_nothing_is_lost() -> None:
    text = "word, and {W ER1 D} more " * 240
    parts = sentences(text)
    assert max(map(len, parts)) <= 400
    assert " ".join(parts).split() == text.split()
    assert all(part.count("{") == part.count("}") for part in parts)
