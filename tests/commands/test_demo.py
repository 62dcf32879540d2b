"""The page of `wg demo`: its answer, and a real browser that uses it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from tiny_recipe import wg
from tiny_speech import VOICES, tiny_speech
from tiny_vocoder import tiny_vocoder

from wg.commands import demo as commands_demo
from wg.commands.demo import loaded, speak
from wg.commands.demo_text import say
from wg.errors import InputError
from wg.inference.text_to_speech import TextToSpeech, Voice
from wg.inference.vocoder import Vocoder


def recording(path: Path, rate: int = 11025) -> Path:
    """Half a second, two channels, at a rate that is not the vocoder's."""
    time_axis = np.arange(rate // 2) / rate
    soundfile.write(path, 0.3 * np.sin(np.outer(time_axis, [900.0, 1800.0])), rate)
    return path


def test_an_answer_has_audio_picture_and_real_time_factor(tmp_path: Path) -> None:
    vocoder = tiny_vocoder()
    source = recording(tmp_path / "in.wav")
    before, after, floor, picture, said = speak(vocoder, str(source), 3, "ancestral", 0, tmp_path)
    assert before[0] == after[0] == floor[0] == 8000
    assert len(before[1]) == 4000 and len(after[1]) == len(floor[1]) == 4000 // 64 * 64
    assert after[1].dtype == np.int16 and np.abs(after[1]).max() > 100
    assert Path(picture).stat().st_size > 5000
    assert re.search(r"0.50 s of audio in .* real-time factor [\d.]+ with 3 steps", said)


def test_a_recording_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.wav").write_text("words")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "short.wav", np.zeros(40), 8000)
    for name, message in (
        (None, "no recording yet"),
        ("words.wav", "words.wav: not readable as audio"),
        ("empty.wav", "empty.wav: holds no samples"),
        ("short.wav", "waveform of 40 samples"),
    ):
        path = name and str(tmp_path / name)
        with pytest.raises(InputError, match=message):
            speak(tiny_vocoder(), path, 3, "ancestral", 0, tmp_path)


def test_an_upload_of_odd_rate_or_many_channels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "odd.wav", np.zeros(400), 99_999_999)
    soundfile.write(tmp_path / "many.wav", np.zeros((400, 100)), 8000)
    monkeypatch.setattr(commands_demo, "read_channels", lambda *_: pytest.fail("was decoded"))
    for name, message in (
        ("odd.wav", "99999999|99,999,999"),
        ("many.wav", "100 channels; give at m"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*({message})"):
            speak(tiny_vocoder(), str(tmp_path / name), 3, "ancestral", 0, tmp_path)


def test_of_a_long_upload_the_first_seconds_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 3600), 8000, subtype="PCM_U8")
    wave = commands_demo.at_rate(tmp_path / "long.wav", 8000)
    assert len(wave) == 8000 * commands_demo.LONGEST


def test_the_page_is_served_to_this_machine_alone_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: dict[str, Any] = {}

    class Page:
        def launch(self, **options: Any) -> None:
            folder = Path(os.environ["GRADIO_TEMP_DIR"])
            (folder / "upload.wav").write_text("what a visitor gave")
            launched.update(options, folder=folder)

    monkeypatch.setattr(commands_demo, "require_gradio", lambda: None)
    monkeypatch.setattr(commands_demo, "check_port", lambda host, port: None)
    monkeypatch.setattr(commands_demo, "page_of", lambda *_: Page())
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    tiny_vocoder().save_pretrained(tmp_path / "vocoder")
    assert wg("demo", "--vocoder", str(tmp_path / "vocoder")).code == 0
    assert launched["server_name"] == "127.0.0.1" and launched["max_file_size"] == "50mb"
    assert launched["allowed_paths"] == [] and not launched["folder"].exists()


def test_without_gradio_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    line = wg("demo", "--vocoder", str(tmp_path)).complaint()
    assert "the page needs gradio: pip install 'wg[demo]'" in line
    assert "--port 0: give 1 to 65535" in wg("demo", "--vocoder", "x", "--port", "0").complaint()


def test_a_text_is_answered_with_speech_picture_and_real_time_factor(tmp_path: Path) -> None:
    model = tiny_speech(VOICES)
    options = model.synthesis.override(3, None, "ancestral")
    (rate, slow), picture, said = say(model, "Hello.", Voice("bert", 0.5), options, tmp_path)
    assert rate == 8000 and slow.dtype == np.int16 and np.abs(slow).max() > 100
    assert Path(picture).stat().st_size > 3000
    seconds = f"{len(slow) / 8000:.2f}"
    assert re.search(rf"{seconds} s of audio in .* real-time factor [\d.]+ with 3 steps", said)
    (_, quick), _, _ = say(model, "Hello.", Voice("bert", 2.0), options, tmp_path)
    assert len(quick) < 0.5 * len(slow)
    for text, message in (
        (" ", "no text yet"),
        ("a " * 600, "a text of 1200 characters; at most 1000 here, for more use wg speak"),
        ("...", "has no word to speak"),
    ):
        with pytest.raises(InputError, match=message):
            say(model, text, Voice("anna"), options, tmp_path)


def test_the_folder_says_which_page_there_is(tmp_path: Path) -> None:
    tiny_vocoder().save_pretrained(tmp_path / "voc")
    tiny_speech().save_pretrained(tmp_path / "tts")
    assert isinstance(loaded(str(tmp_path / "voc")), Vocoder)
    assert isinstance(loaded(str(tmp_path / "tts")), TextToSpeech)
    config = tmp_path / "tts" / "config.json"
    config.write_text(config.read_text().replace('"wavegrad2"', '"wavegrad3"'))
    with pytest.raises(InputError, match="config.json: model.name 'wavegrad3' is unknown"):
        loaded(str(tmp_path / "tts"))


@pytest.fixture(params=["vocoder", "text"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a page that `wg demo` serves."""
    pytest.importorskip("gradio", reason="pip install 'wg[demo]'")
    made = tiny_vocoder() if request.param == "vocoder" else tiny_speech(VOICES)
    made.save_pretrained(tmp_path / "voc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "examples").mkdir()
    recording(tmp_path / "examples" / "one.wav")
    command = [sys.executable, "-m", "wg", "demo", "--vocoder", str(tmp_path / "voc")]
    command += ["--examples", str(tmp_path / "examples")]
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen([*command, "--port", str(port)], env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, "the page's server ended"
            try:
                urlopen(address, timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    pytest.importorskip("selenium", reason="pip install selenium")
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if not driver or not chromium:
        pytest.skip("no Chromium: apt install chromium chromium-driver")
    from selenium import webdriver  # pyright: ignore[reportMissingImports]

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,1500")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def said_on(wait: Any) -> str:
    """The sentence below the button, once it is there."""

    def sentence(driver: Any) -> str:
        text = driver.find_element("id", "said").text
        return text if "real-time factor" in text else ""

    return wait.until(sentence)


@pytest.mark.parametrize("page", ["text"], indirect=True)
def test_a_browser_writes_a_text_and_hears_it(page: str, browser: Any) -> None:
    from selenium.webdriver.common.by import By  # pyright: ignore[reportMissingImports]
    from selenium.webdriver.support.ui import WebDriverWait  # pyright: ignore[reportMissingImports]

    wait = WebDriverWait(browser, 300)
    browser.get(page)
    box = wait.until(lambda d: d.find_element(By.CSS_SELECTOR, "#text textarea"))
    box.send_keys("Hello, you.")
    assert browser.find_element(By.CSS_SELECTOR, "#speaker input").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, "#pace input").is_displayed()
    browser.find_element(By.ID, "speak").click()
    said = said_on(wait)
    assert re.search(r"s of audio in [\d.]+ s: real-time factor [\d.]+ with 3 steps", said)
    picture = wait.until(lambda d: d.find_element(By.CSS_SELECTOR, "#picture img"))
    wait.until(lambda d: int(picture.get_property("naturalWidth")) > 400)
    assert durations(browser, "speech")[0] > 0.5
    assert_shared_with_nobody(browser)
    if "WG_DEMO_PICTURE" in os.environ:
        browser.save_screenshot(os.environ["WG_DEMO_PICTURE"])


@pytest.mark.parametrize("page", ["vocoder"], indirect=True)
def test_a_browser_uploads_a_recording_and_hears_it_again(
    page: str, browser: Any, tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By  # pyright: ignore[reportMissingImports]
    from selenium.webdriver.support.ui import WebDriverWait  # pyright: ignore[reportMissingImports]

    wait = WebDriverWait(browser, 300)
    browser.get(page)
    wait.until(lambda d: d.title == d.find_element(By.TAG_NAME, "h1").text != "")
    assert browser.title.endswith("/voc")
    find = "#recording input[type=file]"
    chooser = wait.until(lambda d: d.find_element(By.CSS_SELECTOR, find))
    chooser.send_keys(str(recording(tmp_path / "in.wav")))
    spoken_again(browser, wait)


@pytest.mark.parametrize("page", ["vocoder"], indirect=True)
def test_a_browser_chooses_an_example_and_has_three_players(page: str, browser: Any) -> None:
    from selenium.webdriver.common.by import By  # pyright: ignore[reportMissingImports]
    from selenium.webdriver.support.ui import WebDriverWait  # pyright: ignore[reportMissingImports]

    wait = WebDriverWait(browser, 300)
    browser.get(page)
    example = "//button[normalize-space()='one.wav']"
    wait.until(lambda d: d.find_element(By.XPATH, example)).click()
    spoken_again(browser, wait)
    assert_shared_with_nobody(browser)


def spoken_again(browser: Any, wait: Any) -> None:
    """Presses the button once a recording is there, and looks at what is answered."""
    from selenium.webdriver.common.by import By  # pyright: ignore[reportMissingImports]

    wait.until(lambda d: durations(d, "recording"))
    button = browser.find_element(By.ID, "speak")
    wait.until(lambda d: button.is_enabled())
    button.click()
    said = said_on(wait)
    assert re.search(r"0.50 s of audio in [\d.]+ s: real-time factor [\d.]+ with 6 steps", said)
    picture = wait.until(lambda d: d.find_element(By.CSS_SELECTOR, "#picture img"))
    wait.until(lambda d: int(picture.get_property("naturalWidth")) > 500)
    for player in ("before", "after", "floor"):
        (seconds,) = wait.until(lambda d, player=player: durations(d, player))
        assert seconds == pytest.approx(0.5, abs=0.05), player
    if "WG_DEMO_PICTURE" in os.environ:  # for whoever wants to look
        browser.save_screenshot(os.environ["WG_DEMO_PICTURE"])


def durations(browser: Any, player: str) -> list[float]:
    """Seconds of the sounds that a player has loaded; they lie in shadow trees."""
    script = """
        const sounds = (root) => [...root.querySelectorAll('*')].flatMap((found) => [
            ...(found.tagName === 'AUDIO' && found.duration ? [found.duration] : []),
            ...(found.shadowRoot ? sounds(found.shadowRoot) : [])]);
        return sounds(document.getElementById(arguments[0]))"""
    return browser.execute_script(script, player)


def assert_shared_with_nobody(browser: Any) -> None:
    """No button sends a visitor's sound elsewhere, and nothing went wrong in the page."""
    script = "return [...document.querySelectorAll('button')].map((button) => button.title)"
    assert "Share" not in browser.execute_script(script)
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
