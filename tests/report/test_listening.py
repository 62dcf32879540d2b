"""What listeners said is read strictly, screened as BS.1534 says, and summarised with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tiny_recipe import wg

from wg.errors import InputError
from wg.report.listening import Rating, preferences, read_ratings, screened, summary

HEAD = "test,listener,utterance,system,other,rating\n"


def scale(listener: str, ratings: Mapping[str, Sequence[float]]) -> list[Rating]:
    return [
        Rating("mushra", listener, f"u{n}", system, "", value)
        for system, values in ratings.items()
        for n, value in enumerate(values)
    ]


def test_a_listener_who_does_not_hear_the_reference_is_left_out() -> None:
    good = scale("ann", {"recording": [95] * 6 + [80], "wg": [50] * 7})  # 1 of 7 is 14%
    bad = scale("bo", {"recording": [95] * 5 + [80] * 2, "wg": [60] * 7})  # 2 of 7 are 29%
    kept, left_out = screened(good + bad)
    assert kept == good
    assert left_out == {"bo": pytest.approx(2 / 7)}
    text = summary(good + bad)
    assert "bo is left out: rated the hidden recording below 90 in 29% of" in text
    assert "| wg | 50 | 50 |" in text
    assert "1 listeners, 7 utterances, 14 ratings" in text


def test_systems_are_ranked_and_compared_within_trials() -> None:
    ratings = scale("ann", {"recording": [100, 100], "a": [10, 60], "b": [20, 70], "c": [20, 70]})
    text = summary(ratings)
    order = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert order[1:6] == ["| ---", "| recording", "| b", "| c", "| a"]
    assert "| b - a | 10 * (n=2) |" in text, "ten points in every trial"
    assert "| b - c | 0 (n=2) |" in text


def test_preferences_count_a_pair_once_whichever_came_first() -> None:
    ratings = [
        Rating("ab", "ann", "u1", "x", "y", 1.0),
        Rating("ab", "ann", "u2", "y", "x", 0.0),
        Rating("ab", "ann", "u3", "x", "y", 0.5),
        Rating("ab", "bo", "u1", "y", "x", 1.0),
    ]
    (found,) = preferences(ratings)
    assert (found.system, found.other) == ("x", "y")
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert found.share.mean == pytest.approx(2.5 / 4)
    assert found.p == 1.0, "2 against 1 says nothing"
    eight = [Rating("ab", "ann", f"u{n}", "x", "y", 1.0) for n in range(8)]
    assert preferences(eight)[0].p == pytest.approx(2 * 0.5**8)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mushra,ann,u1,wg,,101", r"line 2: rating '101'; mushra has 0..100"),
        ("ab,ann,u1,wg,gl,0.7", r"line 2: rating '0.7'; .* ab has 0, 0.5 or 1"),
        ("abx,ann,u1,wg,gl,1", "test 'abx'"),
        ("mushra,ann,u1,wg,,nan", "rating 'nan'"),
        ("mushra,ann,u1,wg,,good", "rating 'good'"),
        ("mushra,ann,u1,wg", "line 2: not 6 values"),
        ("mushra,ann,u1,wg,,5,6", "line 2: not 6 values"),
        ("mushra,ann,u1,wg,,5\nmushra,ann,u1,wg,,6", "ann rated 'wg' twice on 'u1'"),
        ("ab,ann,u1,wg,gl,1\nab,ann,u1,gl,wg,0", "twice"),
        ("mushra,ann,u1,wg,,inf", "rating 'inf'"),
        ("mushra,ann,u1,wg,,-0.1", "rating '-0.1'"),
        ("mushra,ann,u1,wg,,1e400", "rating '1e400'"),
        ("mushra,ann,u1,wg,,", "rating ''"),
        ("ab,ann,u1,wg,gl,true", "rating 'true'"),
        (f"mushra,{'a' * 200_000},u1,wg,,5", "not a readable CSV"),
        ("", "hold no rating"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(f"{HEAD}{line}\n")
    with pytest.raises(InputError, match=message):
        read_ratings([path])


def test_ratings_of_another_page_are_one_line(tmp_path: Path) -> None:
    pages = {
        "a": "mushra,ann,u1,wg,,50\nmushra,ann,u1,gl,,5",
        "b": "mushra,bo,u1,wg,,50\nmushra,bo,u1,world,,5",
        "c": "ab,cy,u1,vocos,hifigan,1",
        "d": "ab,di,u1,wg,gl,1",
    }
    for name, lines in pages.items():
        (tmp_path / f"{name}.csv").write_text(f"{HEAD}{lines}\n")
    a, b, c, d = (str(tmp_path / f"{name}.csv") for name in pages)
    line = wg("listen", "summarize", a, b).complaint()
    assert "b.csv: mushra of wg, world, but the files before are of gl, wg" in line
    assert "of another page; give the files of one page" in line
    line = wg("listen", "summarize", d, c).complaint()
    assert "c.csv: ab of hifigan, vocos, but the files before are of gl, wg" in line
    assert wg("listen", "summarize", a, d).code == 0


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("listener,rating\nann,5\n")
    with pytest.raises(InputError, match=r"a.csv: columns are not test,listener"):
        read_ratings([tmp_path / "a.csv"])
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"b.csv: not a readable CSV"):
        read_ratings([tmp_path / "b.csv"])
    assert "none.csv" in wg("listen", "summarize", str(tmp_path / "none.csv")).complaint()


def test_the_command_prints_and_writes_the_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEAD}ab,ann,u1,wg,gl,1\nab,ann,u2,wg,gl,0.5\n")
    done = wg("listen", "summarize", str(tmp_path / "a.csv"), "-o", str(tmp_path / "out.md"))
    assert done.code == 0 and "## A/B: 1 listeners, 2 utterances, 2 ratings" in done.out
    assert (tmp_path / "out.md").read_text() == done.out
