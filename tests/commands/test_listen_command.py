"""`wg listen page` writes a listening page of any folders of audio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import RATE, tone, wg

from wg.errors import InputError
from wg.report.page import PageRow, write_page


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Recordings `ref` and syntheses `a` and `b` of two clips."""
    for folder, gain in (("ref", 0.4), ("a", 0.3), ("b", 0.2)):
        (tmp_path / folder).mkdir()
        for number in (1, 2):
            soundfile.write(tmp_path / folder / f"clip-{number}.wav", gain * tone(number), RATE)
    return tmp_path


def page(folders: Path, *more: str):
    given = ["--ref", str(folders / "ref"), "--syn", f"first={folders / 'a'}"]
    return wg("listen", "page", *given, "-o", str(folders / "page"), *more)


def test_a_page_of_folders_stands_on_its_own(folders: Path) -> None:
    done = page(folders, "--syn", str(folders / "b"), "--rows", "1", "--title", "Two & one")
    assert done.code == 0, done
    text = (folders / "page" / "index.html").read_text()
    assert "Two &amp; one" in text and "clip-1" in text and "clip-2" not in text
    files = {str(path.relative_to(folders / "page")) for path in (folders / "page").rglob("*.*")}
    assert files - {".wg.json"} == {
        "index.html",
        "recording/clip-1.wav",
        "recording/clip-1.png",
    } | {
        f"{system}/clip-1.{ending}"
        for system in ("first", "b")
        for ending in ("wav", "png", "difference.png")
    }
    audio, rate = soundfile.read(folders / "page" / "b" / "clip-1.wav")
    assert rate == RATE
    np.testing.assert_allclose(audio, 0.2 * tone(1), atol=1e-4)


def test_scores_of_wg_score_stand_on_the_page(folders: Path) -> None:
    values = {"lsd": 2.5}
    means = {"lsd": {"mean": 2.5, "low": None, "high": None, "undefined": 0}}
    scores = {"means": {"first": means}, "utterances": {"first": {"clip-1": values}}}
    (folders / "scores.json").write_text(json.dumps(scores))
    assert page(folders, "--scores", str(folders / "scores.json")).code == 0
    text = (folders / "page" / "index.html").read_text()
    assert '<th scope="row">first</th><td>2.5</td>' in text
    assert '<dd data-metric="lsd">2.5</dd>' in text
    assert "worst lsd of first first" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--rows", "0"), "--rows 0"),
        (("--rate", "0"), "--rate 0: give at least 8000, in Hz"),
        (("--syn", "recording={root}/b"), "the page calls --ref 'recording'; write NAME="),
        (("--syn", "{root}/none"), "no such folder"),
        (("--syn", "first={root}/b"), "'first' is given twice"),
        (("--scores", "{root}/none.json"), "give --scores what wg score -o NAME.json writes"),
        (("--syn", "../out={root}/b"), "the name is '../out'; give a name that a file can have"),
        (("--syn", "/etc/x={root}/b"), "the name is '/etc/x'"),
        (("--syn", "a\0b={root}/b"), "holds a NUL character"),
        (("--syn", f"{'x' * 300}={{root}}/b"), "1 to 200 bytes"),
        (("--syn", "={root}/b"), "the name is ''"),
    ],
)
def test_a_mistake_leaves_no_page(folders: Path, more: tuple[str, ...], message: str) -> None:
    told = [word.format(root=folders) for word in more]
    assert message in page(folders, *told).complaint()
    assert not (folders / "page").exists()


def test_a_missing_partner_is_named(folders: Path) -> None:
    (folders / "a" / "clip-2.wav").unlink()
    assert "clip-2.wav: no partner in" in page(folders).complaint()
    assert "is unknown; did you mean 'page'" in wg("listen", "pages").complaint()


GOOD = {"mean": 2.5, "low": None, "high": None, "undefined": 0}


@pytest.mark.parametrize(
    "content",
    [
        *(
            "[]",
            "3",
            "",
            "{",
            "[" * 100_000,
            '{"means": {}}',
            '{"means": [1]}',
            '{"means": {"a": 1}}',
        ),
        json.dumps({"means": {"first": {"lsd": 3}}}),
        json.dumps({"means": {"first": {"lsd": {**GOOD, "mean": "2"}}}}),
        json.dumps({"means": {"first": {"lsd": {**GOOD, "mean": [2]}}}}),
        json.dumps({"means": {"first": {"lsd": {"mean": 2}}}}),
        json.dumps({"means": {"first": {"lsd": {**GOOD, "mean": float("nan")}}}}),
        json.dumps({"means": {"first": {"no such score": GOOD}}}),
        json.dumps({"means": {"first": {"lsd": GOOD}}, "utterances": [1]}),
        json.dumps({"means": {"first": {"lsd": GOOD}}, "utterances": {"first": {"clip-1": 3}}}),
        json.dumps({"means": {"first": {"lsd": GOOD}}, "utterances": {"first": {"c": {"x": 3}}}}),
    ],
)
def test_scores_of_odd_content_are_one_line(folders: Path, content: str) -> None:
    (folders / "scores.json").write_text(content)
    line = page(folders, "--scores", str(folders / "scores.json")).complaint()
    assert f"{folders / 'scores.json'}: " in line and "wg score -o NAME.json" in line
    assert not (folders / "page").exists()


def test_no_id_leads_out_of_a_page(tmp_path: Path) -> None:
    audio = {"recording": lambda name: (np.zeros(4000, np.float32), RATE)}
    for name in ("../../out", str(tmp_path / "out"), "a/../../../out"):
        with pytest.raises(InputError, match="leads out of the page's folder"):
            write_page(tmp_path / "page", "A page", [PageRow(name, "", {})], audio, {})
    assert not list(tmp_path.rglob("*.wav"))
