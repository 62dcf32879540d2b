"""Recognisers by name: what they hear, and what is said of one that cannot run here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from wg.errors import InputError
from wg.metrics import recogniser
from wg.metrics.recogniser import (
    DEFAULT,
    RecogniserMissing,
    choose_recogniser,
    letters,
    load_recogniser,
    spoken_letters,
)
from wg.metrics.spoken import error_rates

CLIPS = Path(__file__).resolve().parents[2] / "../shared/data/ljspeech/LJSpeech-1.1/wavs"
SAID = {
    "LJ001-0002": "in being comparatively modern.",
    "LJ001-0008": "has never been surpassed.",
}
PACKAGES = {"moonshine": "moonshine_voice", "pocketsphinx": "pocketsphinx"}
offline = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                importlib.util.find_spec(package) is None, reason=f"the package {package} is absent"
            ),
        )
        for name, package in PACKAGES.items()
    ],
)
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason="the LJSpeech clips are absent")


@pytest.fixture(autouse=True)
def loaded_anew() -> None:
    load_recogniser.cache_clear()


@offline
@needs_clips
def test_most_words_are_heard_whatever_was_heard_before(name: str) -> None:
    hear = load_recogniser(name)
    clips = {name: soundfile.read(CLIPS / f"{name}.wav") for name in SAID}
    for name in (*SAID, *reversed(SAID)):
        heard = hear(*clips[name])
        assert error_rates(spoken_letters(SAID[name]), heard)["cer"] < 0.2, heard


@offline
def test_nothing_is_heard_in_nothing(name: str) -> None:
    hear = load_recogniser(name)
    assert hear(np.zeros(100), 8000) == ""
    assert len(hear(np.random.default_rng(0).standard_normal(8000), 8000)) < 40


def test_a_package_that_lacks_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecogniserMissing, match=r"pip install 'wg\[recognise\]'"):
        load_recogniser("pocketsphinx")
    chosen, (line,) = choose_recogniser("faster-whisper:/models/base")
    assert chosen is None and "the package faster-whisper is not installed" in line
    assert "pip install 'wg[whisper]'" in line


def test_a_folder_without_a_model_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    chosen, (line,) = choose_recogniser(f"faster-whisper:{tmp_path}")
    assert chosen is None and f"{tmp_path / 'model.bin'}: no such file" in line


def test_the_best_that_is_installed_stands_in_for_the_default_without_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    for name in ("Moonshine", "Sphinx"):
        monkeypatch.setattr(recogniser, name, lambda: lambda wave, rate: "")
    chosen, (line,) = choose_recogniser(DEFAULT)
    assert chosen == "moonshine"
    assert line.startswith("heard by moonshine, since the weights of WAV2VEC2_ASR_BASE_960H")

    def absent() -> None:
        raise RecogniserMissing("the package moonshine-voice is not installed")

    load_recogniser.cache_clear()
    monkeypatch.setattr(recogniser, "Moonshine", absent)
    chosen, (line,) = choose_recogniser(DEFAULT)
    assert chosen == "pocketsphinx" and "moonshine-voice is not installed" in line
    load_recogniser.cache_clear()
    assert choose_recogniser("WAV2VEC2_ASR_BASE_10M")[0] is None, "and for no other"


def test_an_unknown_name_is_a_mistake() -> None:
    with pytest.raises(InputError, match="did you mean 'pocketsphinx'"):
        choose_recogniser("pocketsphynx")


def test_texts_become_what_a_recogniser_writes() -> None:
    assert letters(" It's  a: test—no? ") == "IT'S A TEST NO"
    assert spoken_letters("Chapter 2.") == "CHAPTER TWO"


@pytest.mark.parametrize(
    "heard, wer, cer",
    [
        ("THE CAT SAT", 0, 0),
        ("THE CATS AT", 2 / 3, 2 / 11),
        ("", 1, 1),
        ("A THE CAT SAT", 1 / 3, 2 / 11),
    ],
)
def test_words_and_characters_are_counted_by_edits(heard: str, wer: float, cer: float) -> None:
    rates = error_rates("THE CAT SAT", heard)
    assert rates == {"wer": pytest.approx(wer), "cer": pytest.approx(cer)}
