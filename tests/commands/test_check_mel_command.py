"""`wg check-mel`: what it says of mels that fit, that fit after conversion, and that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import Outcome, wg
from tiny_vocoder import tiny_vocoder

from wg.mel.extract import log_mel
from wg.mel.hub import named
from wg.mel.recognise import speech_like
from wg.mel.spec import MelSpec

RATE = 22050


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocoder of Tacotron 2's mels, and audio."""
    made = tmp_path_factory.mktemp("check")
    tiny_vocoder(mel=named("tacotron2")).save_pretrained(made / "voc")
    soundfile.write(made / "ref.wav", wave().numpy(), RATE, subtype="FLOAT")
    return made


def wave() -> torch.Tensor:
    return speech_like(RATE, 1.5)


def check(folder: Path, spec: MelSpec, *options: str) -> Outcome:
    np.save(folder / "mel.npy", log_mel(wave(), spec).numpy())
    arguments = ("check-mel", str(folder / "mel.npy"), "--vocoder", str(folder / "voc"))
    return wg(*arguments, *options)


def test_a_mel_that_fits_says_so(folder: Path) -> None:
    audio = ("--wav", str(folder / "ref.wav"))
    outcome = check(folder, named("tacotron2"), *audio)
    assert outcome.code == 0 and "measured: tacotron2 (residual" in outcome.out
    assert outcome.out.endswith("fits as it is\n")
    outcome = check(folder, named("tacotron2"))
    assert "only audio can tell bands and framing" in outcome.out


def test_another_log_fits_after_conversion_and_vocode_converts_it(folder: Path) -> None:
    spec = replace(named("tacotron2"), log="log10", floor=1e-10)
    saved = folder / "spec.json"
    outcome = check(folder, spec, "--wav", str(folder / "ref.wav"), "--save", str(saved))
    assert f"fits after conversion: wg vocode --mel {saved}" in outcome.out, outcome
    begin = ("vocode", "--vocoder", str(folder / "voc"), "--steps", "2")
    converted, direct = folder / "converted.wav", folder / "direct.wav"
    done = wg(*begin, str(folder / "mel.npy"), "-o", str(converted), "--mel", str(saved))
    assert done.code == 0, done
    assert wg(*begin, str(folder / "ref.wav"), "-o", str(direct)).code == 0
    difference = soundfile.read(converted)[0] - soundfile.read(direct)[0]
    assert np.abs(difference).max() < 2e-3


def test_what_no_conversion_undoes_is_shown_side_by_side(folder: Path) -> None:
    outcome = check(folder, named("parallel-wavegan"), "--wav", str(folder / "ref.wav"))
    assert outcome.code == 2 and "measured: parallel-wavegan" in outcome.out
    assert "no exact conversion of this mel: fmin, fmax differ" in outcome.err
    assert any(line.split() == [">", "fmin", "80.0", "0.0"] for line in outcome.err.splitlines())
    outcome = check(folder, named("lmnt-diffwave"))
    assert "if it is lmnt-diffwave, no exact conversion" in outcome.err


def test_vocode_bears_only_what_is_accepted(folder: Path) -> None:
    np.save(folder / "mel.npy", log_mel(wave(), named("hifigan")).numpy())
    begin = ("vocode", str(folder / "mel.npy"), "--vocoder", str(folder / "voc"), "--steps", "2")
    begin += ("-o", str(folder / "out.wav"), "--mel", "hifigan")
    assert "framing, magnitude_eps differ" in wg(*begin).err
    assert wg(*begin, "--accept", "framing", "magnitude_eps").code == 0


MELS: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "bands": (lambda: np.zeros((64, 30)), "64 bands, the vocoder takes 80; no conversion changes"),
    "transposed": (lambda: np.zeros((30, 80)), "30 bands, .*; it is transposed: save mel.T"),
    "nan": (lambda: np.full((80, 30), np.nan), "2400 values are NaN or infinite"),
    "empty": (lambda: np.zeros((80, 0)), r"mel of shape \[80, 0\]"),
    "flat": (lambda: np.zeros(80), r"mel of shape \[80\]; give \[80, frames\]"),
    "integer": (lambda: np.zeros((80, 30), np.int32), "holds int32; a mel holds floating-point"),
    "nothing": (lambda: np.random.default_rng(0).random((80, 99)) * 255, "no convention"),
}


@pytest.mark.parametrize("name", MELS)
def test_a_mel_that_is_none_is_one_line(folder: Path, name: str) -> None:
    import re

    make, message = MELS[name]
    np.save(folder / "bad.npy", make())
    line = wg("check-mel", str(folder / "bad.npy"), "--vocoder", str(folder / "voc")).complaint()
    assert re.search(message, line), line


def test_audio_that_is_not_the_mels_is_one_line(folder: Path) -> None:
    soundfile.write(folder / "other.wav", wave().flip(0).numpy(), RATE)
    line = check(folder, named("tacotron2"), "--wav", str(folder / "other.wav")).complaint()
    assert "no analysis of" in line
    line = check(folder, named("tacotron2"), "--wav", str(folder / "no.wav")).complaint()
    assert "not readable audio" in line
    line = check(folder, named("tacotron2"), "--save", "spec.json").complaint()
    assert "--save: only audio tells the whole spec" in line
