"""The listening page is whole, valid HTML that works from disk; score tables say what they know."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import soundfile

from wg.report.page import PageRow, render, write_page
from wg.report.table import cell, heading, markdown, score_rows

RATE = 8000
ALONE = {"meta", "br", "img", "link", "hr", "input"}
TEXTS = {
    "clip-1": "<b>not bold</b> & \"quoted\" <script>alert('x')</script>",
    "half #2? 50%": "An id that no URL takes as it is.",
    "ümlaut": "",
}
SCORES = {"ls_mse": 3990.123, "f0_rmse_cents": None}


class Reader(HTMLParser):
    """Elements, links and text of a page; complains of tags that do not match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def statistics(mean: float | None, half: float = 0.5, undefined: int = 0) -> dict[str, object]:
    low, high = (None, None) if mean is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "undefined": undefined}


MEANS = {
    "wg": {"ls_mse": statistics(123.4, 12), "f0_rmse_cents": statistics(30, 2, 1)},
    "noise": {"ls_mse": statistics(2223.4, 12), "f0_rmse_cents": statistics(None, 0, 3)},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three utterances and two systems."""
    names = list(TEXTS)

    def tone(name: str) -> tuple[np.ndarray, int]:
        time = np.arange(RATE // 2 + 100 * names.index(name)) / RATE
        return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), RATE

    rows = [PageRow(name, text, {"wg": SCORES}) for name, text in TEXTS.items()]
    folder = tmp_path_factory.mktemp("page")
    return write_page(folder, "A <title>", rows, {"recording": tone, "wg": tone}, MEANS)


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text("utf-8"))
    reader.close()
    return reader


def test_every_tag_is_closed_in_order(page: Path, read: Reader) -> None:
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert read.open == []
    assert [read.all(tag)[0] for tag in ("html", "meta")] == [{"lang": "en"}, {"charset": "utf-8"}]
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_every_row_of_a_table_has_the_columns_of_its_head(page: Path) -> None:
    tables = page.read_text("utf-8").split("<table")[1:]
    for table in tables:
        rows = table.split("</table>")[0].split("<tr")[1:]
        assert len({row.count("<th scope") + row.count("<td") for row in rows}) == 1


def test_text_is_shown_and_never_run(page: Path, read: Reader) -> None:
    shown = "".join(read.text)
    assert all(text in shown for text in TEXTS.values())
    assert "A <title>" in shown
    assert read.all("b") == []
    assert len(read.all("script")) == 1, "the page's own"
    assert "alert" not in page.read_text("utf-8").split("<script>")[1]


def test_links_are_relative_and_lead_to_files(page: Path, read: Reader) -> None:
    links = [
        value
        for _, attributes in read.elements
        for key, value in attributes.items()
        if key in ("src", "href")
    ]
    assert len(links) == 3 * (2 * 2 + 1), "audio and spectrogram of both, one difference"
    for link in links:
        assert link is not None
        parts = urlsplit(link)
        assert not parts.scheme and not parts.netloc and not parts.query and not parts.fragment
        assert not parts.path.startswith("/")
        assert (page.parent / unquote(parts.path)).is_file(), link


def test_pictures_and_players_say_what_they_are(read: Reader) -> None:
    assert read.all("img")[0]["alt"] == "spectrogram of clip-1, recording"
    assert read.all("img")[2]["alt"] == "spectrogram of clip-1, wg less recording"
    assert read.all("audio")[1]["aria-label"] == "clip-1, wg"


def test_audio_beside_the_page_is_what_was_given(page: Path) -> None:
    audio, rate = soundfile.read(page.parent / "wg" / "clip-1.wav")
    assert (rate, len(audio)) == (RATE, RATE // 2)
    assert abs(np.abs(audio).max() - 0.5) < 1e-3


def test_scores_of_an_utterance_stand_under_its_system(read: Reader) -> None:
    words = [text.strip() for text in read.text if text.strip()]
    at = words.index("ls_mse")
    assert words[at : at + 4] == ["ls_mse", "3990", "f0_rmse_cents", "undefined"]
    assert words.count("ls_mse") == len(TEXTS)


def test_the_synthesised_system_stands_out_in_the_table(page: Path) -> None:
    text = page.read_text("utf-8")
    assert '<tr class="ours"><th scope="row">wg</th><td class="best">123 ± 12</td>' in text
    assert text.count('class="ours"') == 1
    assert '<td class="worse">2223 ± 12</td>' in text


def test_markdown_of_the_model_card_is_not_escaped() -> None:
    with pytest.raises(Exception, match="undefined"):
        render("card.md", {})
    assert markdown(["a", "b"], [["x|y", "<z>"]]).splitlines()[2] == "| x\\|y | <z> |"


@pytest.mark.parametrize(
    ("mean", "half", "undefined", "expected"),
    [
        (123.4, 12.0, 0, "123 ± 12"),
        (0.0512, 0.0098, 0, "0.0512 ± 0.0098"),
        (4.1, 0.2, 0, "4.10 ± 0.20"),
        (2223.4, 120.0, 0, "2223 ± 120"),
        (30.0, 2.0, 1, "30.0 ± 2.0 (1 undefined)"),
        (1234.56, 0.0, 0, "1235"),
        (0.5, 0.0, 0, "0.5"),
        (999.7, 0.0, 0, "1000"),
        (3990.0, 0.0, 0, "3990"),
        (0.00001234, 0.0, 0, "0.0000123"),
        (-3.5527e-14, 0.0, 0, "0"),  # roundoff of an FID
        (1234.56, 1e-9, 0, "1235"),
        (None, 0.0, 3, "undefined"),
    ],
)
def test_a_cell_has_the_decimals_that_its_interval_allows(
    mean: float | None, half: float, undefined: int, expected: str
) -> None:
    assert cell(statistics(mean, half, undefined)) == expected


def test_a_single_utterance_has_no_interval() -> None:
    assert cell({"mean": 2.0, "low": None, "high": None, "undefined": 0}) == "2"


def test_headings_point_to_better() -> None:
    assert heading("ls_mse") == "ls_mse (Np²) ↓"
    assert heading("stoi") == "stoi ↑"
    assert heading("delay_ms") == "delay_ms (ms) →0"
    header, rows = score_rows(MEANS)
    assert header == ["system", "ls_mse (Np²) ↓", "f0_rmse_cents (cents) ↓"]
    assert rows[1] == ["noise", "2223 ± 12", "undefined"]
