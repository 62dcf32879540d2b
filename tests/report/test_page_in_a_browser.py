"""The listening page in a real browser: it loads from disk, plays, sorts, and tests blindly."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wg.report.listening import read_ratings
from wg.report.page import PageRow, write_page

RATE = 8000
NAMES = ("one", "two", "three")
LS_MSE = {"one": 3.0, "two": None, "three": 9.0}

binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
if binary is None or driver is None:
    pytest.skip("no browser: chromium and chromedriver are not installed", allow_module_level=True)
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome, ChromeOptions  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

PATIENCE_S = 120


def tone(name: str) -> tuple[np.ndarray, int]:
    time = np.arange(20 * RATE) / RATE
    return (0.1 * np.sin(2 * np.pi * 300 * len(name) * time)).astype(np.float32), RATE


def statistics(mean: float | None) -> dict[str, Any]:
    return {"mean": mean, "low": None, "high": None, "undefined": 0}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three utterances, three systems."""
    folder = tmp_path_factory.mktemp("page, with a space")
    rows = [PageRow(name, "", {"wg": {"ls_mse": LS_MSE[name]}}) for name in NAMES]
    systems = {"recording": tone, "wg": tone, "griffin-lim": tone}
    values = {"wg": 20.0, "griffin-lim": 100.0, "noise": None}
    means = {name: {"ls_mse": statistics(value)} for name, value in values.items()}
    return write_page(folder, "A page", rows, systems, means)


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Chrome]:
    """Chromium without a window."""
    options = ChromeOptions()
    options.binary_location = str(binary)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--autoplay-policy=no-user-gesture-required",
        "--mute-audio",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = Chrome(options=options, service=Service(driver))
    made.set_page_load_timeout(PATIENCE_S)
    made.set_script_timeout(PATIENCE_S)
    yield made
    made.quit()


@pytest.fixture
def opened(browser: Chrome, page: Path) -> Chrome:
    """The page, freshly loaded from disk."""
    browser.get(page.as_uri())
    return browser


def texts(browser: Chrome, selector: str) -> list[str]:
    return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def press(browser: Chrome, text: str) -> None:
    browser.find_element(By.XPATH, f"//button[normalize-space()='{text}']").click()


def wait(browser: Chrome, script: str) -> None:
    WebDriverWait(browser, PATIENCE_S, 0.1).until(lambda b: b.execute_script(f"return {script}"))


def start(browser: Chrome, test: str, listener: str) -> None:
    press(browser, test)
    browser.find_element(By.ID, "listener").clear()
    browser.find_element(By.ID, "listener").send_keys(listener)
    press(browser, "Start")


def ratings(browser: Chrome) -> str:
    return browser.execute_script("return document.querySelector('#csv').value")


def test_the_page_loads_without_an_error_and_shows_its_pictures(opened: Chrome) -> None:
    assert opened.title == "A page"
    assert not opened.find_element(By.ID, "blind").is_displayed()
    opened.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    opened.execute_script("for (const i of document.images) i.loading = 'eager'")
    wait(opened, "[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert len(opened.find_elements(By.TAG_NAME, "img")) == 3 * 3 + 3 * 2
    assert [line for line in opened.get_log("browser") if line["level"] == "SEVERE"] == []


def test_a_second_player_goes_on_where_the_first_was_in_its_row_only(opened: Chrome) -> None:
    players = "document.querySelectorAll('#utterances audio')"
    opened.execute_script(f"{players}[0].play()")
    wait(opened, f"{players}[0].currentTime > 0.3")
    opened.execute_script(f"{players}[0].currentTime = 10")
    wait(opened, f"{players}[0].currentTime > 10")
    opened.execute_script(f"{players}[1].play()")
    wait(opened, f"{players}[0].paused && {players}[1].currentTime > 10")
    opened.execute_script(f"{players}[3].play()")
    wait(opened, f"{players}[1].paused && {players}[3].currentTime > 0")
    assert opened.execute_script(f"return {players}[3].currentTime") < 10, "another row"


def test_a_click_on_a_heading_sorts_and_leaves_undefined_last(opened: Chrome) -> None:
    names = ".scores tbody th"
    heading = opened.find_elements(By.CSS_SELECTOR, ".scores thead th")[1]
    heading.click()
    assert texts(opened, names) == ["wg", "griffin-lim", "noise"]
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.click()
    assert texts(opened, names) == ["griffin-lim", "wg", "noise"]
    opened.find_elements(By.CSS_SELECTOR, ".scores thead th")[0].click()
    assert texts(opened, names) == ["griffin-lim", "noise", "wg"]


def test_utterances_are_ordered_by_a_score_and_back(opened: Chrome) -> None:
    order = Select(opened.find_element(By.ID, "order"))
    order.select_by_visible_text("worst ls_mse of wg first")
    assert texts(opened, "#utterances tbody strong") == ["three", "one", "two"]
    order.select_by_visible_text("as given")
    assert texts(opened, "#utterances tbody strong") == list(NAMES)


def test_a_blind_pair_hides_the_systems_and_exports_preferences(
    opened: Chrome, tmp_path: Path
) -> None:
    start(opened, "Blind A/B", "Ann, B.")
    assert not opened.find_element(By.ID, "open").is_displayed()
    for number in (1, 2, 3):
        assert texts(opened, "#progress") == [f"{number} of 3"]
        assert texts(opened, "#trial strong") == ["A", "B"]
        assert "griffin" not in opened.find_element(By.TAG_NAME, "body").text
        press(opened, "A is better" if number < 3 else "no difference")
    assert "That was the last one" in texts(opened, "#trial")[0]
    (tmp_path / "ab.csv").write_text(ratings(opened))
    found = read_ratings([tmp_path / "ab.csv"])
    assert sorted(r.utterance for r in found) == sorted(NAMES)
    assert {(r.test, r.listener) for r in found} == {("ab", "Ann, B.")}
    assert all({r.system, r.other} == {"wg", "griffin-lim"} for r in found)
    assert [r.rating for r in found] == [1, 1, 0.5]


def test_ratings_survive_a_reload_and_are_gone_on_with(opened: Chrome) -> None:
    opened.execute_script("localStorage.clear()")
    start(opened, "Blind A/B", "Cy")
    press(opened, "A is better")
    before = ratings(opened)
    opened.refresh()
    press(opened, "Blind rating (MUSHRA)")
    assert "with what Cy rated before (1 trials)" in opened.find_element(By.ID, "resume").text
    press(opened, "Go on")
    assert ratings(opened) == before and texts(opened, "#progress") == ["2 of 3"]
    press(opened, "B is better")
    assert len(ratings(opened).splitlines()) == 3


def test_a_rating_has_words_and_repeats_and_a_page_without_storage_works(opened: Chrome) -> None:
    opened.execute_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    )
    start(opened, "Blind rating (MUSHRA)", "Di")
    assert texts(opened, ".scale span") == ["Bad", "Poor", "Fair", "Good", "Excellent"]
    opened.find_element(By.ID, "loop").click()
    loops = "return [...document.querySelectorAll('#trial audio')].map((player) => player.loop)"
    assert opened.execute_script(loops) == [True] * 4
    start(opened, "Blind A/B", "Di")
    press(opened, "no difference")
    assert len(ratings(opened).splitlines()) == 2


def test_a_blind_rating_wants_every_slider_and_is_the_same_for_the_same_listener(
    opened: Chrome,
) -> None:
    def rate(number: int) -> None:
        opened.execute_script(
            "document.querySelectorAll('#trial input[type=range]').forEach((slider, place) => {"
            " slider.value = arguments[0] + place; slider.dispatchEvent(new Event('input')); })",
            10 * number,
        )
        press(opened, "Next")

    tables = []
    for _ in range(2):
        start(opened, "Blind rating (MUSHRA)", "Bo")
        assert texts(opened, "#trial strong") == ["reference", "A", "B", "C"]
        press(opened, "Next")
        assert "Move every slider first." in texts(opened, "#trial")[0]
        for number in (1, 2, 3):
            rate(number)
        tables.append(ratings(opened))
    assert tables[0] == tables[1]
    lines = list(csv.DictReader(tables[0].splitlines()))
    assert len(lines) == 3 * 3 and {line["other"] for line in lines} == {""}
    assert sorted({line["system"] for line in lines}) == ["griffin-lim", "recording", "wg"]
    assert sorted(int(line["rating"]) for line in lines) == [10, 11, 12, 20, 21, 22, 30, 31, 32]
    orders = {n: [r["system"] for r in lines if r["utterance"] == n] for n in NAMES}
    start(opened, "Blind rating (MUSHRA)", "Somebody else")
    for number in (1, 2, 3):
        rate(number)
    others = list(csv.DictReader(ratings(opened).splitlines()))
    assert [r["system"] for r in others] != [r["system"] for r in lines], orders


def test_players_of_a_blind_trial_share_their_position(opened: Chrome) -> None:
    start(opened, "Blind A/B", "Cy")
    players = "document.querySelectorAll('#trial audio')"
    opened.execute_script(f"{players}[0].currentTime = 7; {players}[0].play()")
    wait(opened, f"{players}[0].currentTime > 7")
    opened.execute_script(f"{players}[1].play()")
    wait(opened, f"{players}[0].paused && {players}[1].currentTime > 7")
