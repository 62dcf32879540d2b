"""`wg listen page` writes a listening page of any folders of audio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import RATE, tone, wg


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
        (("--scores", "{root}/none.json"), "not as wg score -o NAME.json writes it"),
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
