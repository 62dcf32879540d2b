"""Durations from the Montreal Forced Aligner's TextGrids."""

from __future__ import annotations

from pathlib import Path

import pytest

from wg.data.textgrids import import_textgrid
from wg.errors import InputError
from wg.text.frontend import words_of
from wg.text.symbols import BOUNDARIES

FRAME_S = 0.0125
WORDS = [(0.1, 0.3, "see"), (0.3, 0.6, "two"), (0.8, 1.0, "men")]
PHONES = [
    *((0.0, 0.1, ""), (0.1, 0.2, "S"), (0.2, 0.3, "IY1"), (0.3, 0.4, "T"), (0.4, 0.6, "UW1")),
    *((0.6, 0.8, "sp"), (0.8, 0.85, "M"), (0.85, 0.95, "EH1"), (0.95, 1.0, "N"), (1.0, 1.2, "sil")),
]
Tier = list[tuple[float, float, str]]


def write(path: Path, tiers: dict[str, Tier], end: float = 1.2) -> Path:
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end}\n'
    body = [f"tiers? <exists>\nsize = {len(tiers)}\nitem []:\n"]
    for number, (name, rows) in enumerate(tiers.items(), 1):
        body.append(f'item [{number}]:\nclass = "IntervalTier"\nname = "{name}"\n')
        body.append(f"xmin = 0\nxmax = {end}\nintervals: size = {len(rows)}\n")
        for place, (start, stop, label) in enumerate(rows, 1):
            body.append(f'intervals [{place}]:\nxmin = {start}\nxmax = {stop}\ntext = "{label}"\n')
    path.write_text(head + "".join(body))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.TextGrid"


def durations(path: Path, text: str, frames: int = 96) -> dict[str, int]:
    symbols, found = import_textgrid(path, words_of(text, {}), frames, FRAME_S)
    assert found.sum() == frames
    return dict(zip(symbols, found.tolist(), strict=True))


def test_phones_pauses_and_the_marks_of_the_text_fill_the_frames(path: Path) -> None:
    write(path, {"words": WORDS, "phones": PHONES})
    assert durations(path, "See two, men.") == {
        **{"sil": 8, "S": 8, "IY1": 8, "wb": 0, "T": 8, "UW1": 16, ",": 16},
        **{"M": 4, "EH1": 8, "N": 4, ".": 0, "eos": 16},
    }


def test_times_between_frames_do_not_add_up(path: Path) -> None:
    write(path, {"words": WORDS, "phones": PHONES})
    symbols, found = import_textgrid(path, words_of("See two, men", {}), 100, 0.012)
    ends = [0.1, 0.2, 0.3, 0.3, 0.4, 0.6, 0.8, 0.85, 0.95, 1.0, 1.2]
    assert found.cumsum().tolist() == [round(end / 0.012) for end in ends]
    assert symbols == "sil S IY1 wb T UW1 , M EH1 N eos".split()


def test_an_unknown_word_gets_its_own_phonemes_in_equal_parts(path: Path) -> None:
    phones = [*PHONES[:3], (0.3, 0.6, "spn"), *PHONES[5:]]
    words = [WORDS[0], (0.3, 0.6, "<unk>"), WORDS[2]]
    write(path, {"words": words, "phones": phones})
    assert durations(path, "See cats men")["AE1"] == 6  # K AE1 T S: 0.3 s are 24 frames


def test_a_dash_taken_for_a_word_is_a_pause(path: Path) -> None:
    phones = [*PHONES[:5], (0.6, 0.8, "spn"), *PHONES[6:]]
    words = [*WORDS[:2], (0.6, 0.8, "<unk>"), WORDS[2]]
    write(path, {"words": words, "phones": phones})
    assert durations(path, "See two -- men")["-"] == 16


def test_phones_shorter_than_a_frame_keep_one(path: Path) -> None:
    write(path, {"words": WORDS, "phones": PHONES})
    symbols, found = import_textgrid(path, words_of("See two, men", {}), 10, 0.12)
    assert found.sum() == 10
    assert all(n > 0 for s, n in zip(symbols, found, strict=True) if s not in BOUNDARIES)


OVERLAPPING = [(0.0, 0.5, "S"), (0.4, 0.6, "IY1"), (0.6, 1.2, "")]


@pytest.mark.parametrize(
    ("tiers", "reason"),
    [
        ({"words": WORDS}, r"no tier 'phones' \(it has words\)"),
        ({"words": WORDS, "phones": OVERLAPPING}, "overlap"),
        ({"words": WORDS, "phones": [(0.0, 1.2, "")]}, "nothing is spoken"),
        ({"words": WORDS, "phones": [(0.1, 0.3, "i\u02d0"), (0.3, 1.2, "")]}, "not of ARPAbet"),
        ({"words": [(0.1, 2.0, "see")], "phones": [(0.1, 2.0, "S")]}, "of another recording"),
        ({"words": WORDS[:1], "phones": [(0.1, 0.3, "S")]}, "of another recording"),
        ({"words": WORDS, "phones": [*PHONES, (1.2, 2.5, "sil")]}, "of another recording"),
    ],
)
def test_a_wrong_textgrid_is_refused_by_name(
    path: Path, tiers: dict[str, Tier], reason: str
) -> None:
    write(path, tiers, end=max(row[1] for rows in tiers.values() for row in rows))
    with pytest.raises(InputError, match=reason) as caught:
        durations(path, "See two, men.")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "hello", 'File type = "ooTextFile"\nxmin = 0\n'])
def test_a_file_that_is_no_textgrid_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(InputError, match="not a sound TextGrid"):
        durations(path, "See")


def test_a_last_pause_may_reach_a_little_beyond_the_recording(path: Path) -> None:
    phones = [*PHONES[:-1], (1.0, 2.0, "sil")]
    write(path, {"words": WORDS, "phones": phones}, end=2.0)
    assert durations(path, "See two, men.")["eos"] == 16


def test_more_phones_than_frames_are_refused(path: Path) -> None:
    write(path, {"words": WORDS, "phones": PHONES})
    with pytest.raises(InputError, match="7 phonemes do not fit in 6 frames"):
        import_textgrid(path, words_of("See two, men", {}), 6, 0.2)


@pytest.mark.parametrize("gap", range(2))
def test_a_phone_of_no_word_or_of_two_is_named(tmp_path: Path, gap: int) -> None:
    words: Tier = [(0.1, 0.4, "one"), (0.4, 0.8, "two")]
    phones: Tier = [(0.1, 0.2, "W"), (0.2, 0.4, "AH1"), (0.4, 0.6, "T"), (0.6, 0.8, "UW1")]
    lost = [word for number, word in enumerate(words) if number != gap]
    path = write(tmp_path / "lost.TextGrid", {"words": lost, "phones": phones})
    with pytest.raises(InputError, match=rf"phone '{'WT'[gap]}' at .* is of no word"):
        durations(path, "One two.")
