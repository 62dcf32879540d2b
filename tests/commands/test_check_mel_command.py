"""`wg check-mel`: what it says of mels that fit, that fit after conversion, and that do not."""

from __future__ import annotations

import warnings
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
from wg.mel.hub import changed, named, squared
from wg.mel.recognise import speech_like
from wg.mel.spec import MelSpec
from wg.metrics.perceptual import resample

RATE = 22050
CLIPS = ("LJ001-0002", "LJ001-0021", "LJ001-0030", "kerstin", "kathleen", "libritts")
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
KINDS = {"kerstin": "*.flac", "kathleen": "*.flac", "libritts": "*.wav"}


def speech_clip(name: str) -> np.ndarray:
    """Two seconds of real speech at 22,050 Hz, float32 [T], each of another voice or text."""
    folder = SHARED / (name if name in KINDS else "ljspeech")
    found = sorted(folder.rglob(KINDS.get(name, f"{name}.wav")))
    if not found:
        pytest.skip(f"real speech is not at {folder}")
    audio, rate = soundfile.read(found[0], dtype="float32")
    return resample(audio, rate, RATE)[RATE // 4 : RATE // 4 + 2 * RATE]


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
    assert outcome.code == 0 and "measured: this vocoder's own (tacotron2)" in outcome.out
    assert outcome.out.endswith("it fits as it is\n")
    outcome = check(folder, named("tacotron2"))
    assert "it fits as it is, if its bands and frames are" in outcome.out
    assert outcome.out.endswith("only the audio of this clip can tell that: give --wav\n")


def test_another_log_fits_after_conversion_and_vocode_converts_it(folder: Path) -> None:
    spec = replace(named("tacotron2"), log="log10", floor=1e-10)
    saved = folder / "spec.json"
    outcome = check(folder, spec, "--wav", str(folder / "ref.wav"), "--save", str(saved))
    assert f"--mel {saved} --vocoder" in outcome.out, outcome
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
    saved = folder / "no.json"
    audio = ("--wav", str(folder / "ref.wav"), "--save", str(saved))
    assert check(folder, named("parallel-wavegan"), *audio).code == 2
    assert not saved.exists()  # wg vocode would not take it


def test_vocode_bears_only_what_is_accepted(folder: Path) -> None:
    np.save(folder / "mel.npy", log_mel(wave(), named("hifigan")).numpy())
    begin = ("vocode", str(folder / "mel.npy"), "--vocoder", str(folder / "voc"), "--steps", "2")
    begin += ("-o", str(folder / "out.wav"), "--mel", "hifigan")
    assert "framing, magnitude_eps differ" in wg(*begin).err
    assert wg(*begin, "--accept", "framing", "magnitude_eps").code == 0


MELS: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "bands": (lambda: np.zeros((64, 30)), "64 bands, the vocoder takes 80; no conversion changes"),
    "one frame": (lambda: np.zeros((80, 1)), "1 frames; of fewer than 16 nothing can be told"),
    "constant": (lambda: np.full((80, 30), -4.0), "every value is -4; look at what computed it"),
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
    assert "no analysis of" in line and "of another clip, or was the audio changed" in line
    long = torch.cat([wave(), wave()])
    soundfile.write(folder / "long.wav", long.numpy(), RATE)
    line = check(folder, named("tacotron2"), "--wav", str(folder / "long.wav")).complaint()
    assert "of it would have 259 frames, this one has 130: of another clip, trimmed" in line
    line = check(folder, named("tacotron2"), "--wav", str(folder / "no.wav")).complaint()
    assert "no.wav: no such file" in line
    line = check(folder, named("tacotron2"), "--save", "spec.json").complaint()
    assert "--save: only audio tells the whole spec" in line


OWN = named("hifigan")
STATISTICS = np.linspace(-4, -7, 80)[:, None], np.linspace(1.6, 2.4, 80)[:, None]
NORMALISED = "by its values: normalised"
UNKNOWN_STATISTICS = "normalised with statistics that the values do not tell"
LN, LOG10 = "by its values: this vocoder's own (hifigan)", "by its values: log10, of this vocoder's"

# What is made of a clip; what is said without the clip, and with it. A refusal is in the errors.
CONVENTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, str]] = {
    "own": (lambda w: log_mel(w, OWN), LN, "it fits as it is"),
    "symmetric window": (lambda w: log_mel(w, named("nemo-hifigan")), LN, "it fits as it is"),
    "log10": (lambda w: log_mel(w, changed(OWN, "log=log10")), LOG10, "--mel log=log10"),
    "dB": (lambda w: log_mel(w, changed(OWN, "log=db")), "values: dB, of this", "--mel log=db"),
    "linear": (
        lambda w: log_mel(w, changed(OWN, "log=none")),
        "by its values: linear",
        "--mel log=none",
    ),
    "half precision": (lambda w: log_mel(w, OWN).astype(np.float16), LN, "it fits as it is"),
    "power": (
        lambda w: log_mel(w, squared(changed(named("tacotron2"), "log=none"))),
        "by its values: linear power|power differ; compute it again",
        "measured: tacotron2, but for power, log|framing, power, magnitude_eps differ",
    ),
    "power in dB": (  # librosa's power_to_db
        lambda w: log_mel(w, squared(changed(OWN, "log=ln,gain=4.342945"))),
        "values: dB, of this",
        "but for power, |no exact conversion of this mel: power",
    ),
    "normalised": (
        lambda w: (log_mel(w, OWN) + 5) / 2,
        f"{NORMALISED}|{UNKNOWN_STATISTICS}",
        "--mel log=ln,gain=0.5,offset=2.5",
    ),
    "normalised by band": (
        lambda w: (log_mel(w, OWN) - STATISTICS[0]) / STATISTICS[1],
        f"{NORMALISED}|{UNKNOWN_STATISTICS}",
        "this vocoder's bands, normalised band by band",
    ),
    "transposed": (lambda w: log_mel(w, OWN).T, "transposed, [frames, bands]", "it fits as it is"),
    "tacotron2": (
        lambda w: log_mel(w, named("tacotron2")),
        LN,
        "measured: tacotron2|framing, magnitude_eps differ",
    ),
    "parallel-wavegan": (
        lambda w: log_mel(w, named("parallel-wavegan")),
        LOG10,
        "measured: parallel-wavegan|fmin, fmax differ",
    ),
    "lmnt-diffwave": (
        lambda w: log_mel(w, named("lmnt-diffwave")),
        "by its values: dB, scaled to 0..1",
        "measured: lmnt-diffwave|mel_scale differ",
    ),
    "ivanvovk-wavegrad": (
        lambda w: log_mel(w[: len(w) // 300 * 300], named("ivanvovk-wavegrad")),
        "by its values: ivanvovk-wavegrad|if it is ivanvovk-wavegrad, no exact conversion",
        "measured: ivanvovk-wavegrad|hop_length, framing, power",
    ),
}


@pytest.fixture(scope="module")
def hifigan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hifigan")
    tiny_vocoder(mel=OWN).save_pretrained(made / "voc")
    return made


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("clip", CLIPS)
def test_a_convention_is_named_and_never_refused_wrongly(
    hifigan: Path, clip: str, convention: str
) -> None:
    """90 mels, each without and with its audio."""
    wave = speech_clip(clip)
    soundfile.write(hifigan / "clip.wav", wave, RATE, subtype="FLOAT")
    make, unheard, heard = CONVENTIONS[convention]
    np.save(hifigan / "mel.npy", make(wave))
    command = ("check-mel", str(hifigan / "mel.npy"), "--vocoder", str(hifigan / "voc"))
    for words, audio in ((unheard, ()), (heard, ("--wav", str(hifigan / "clip.wav")))):
        outcome = wg(*command, *audio)
        said, _, refused = words.partition("|")
        assert said in outcome.out and outcome.code == (2 if refused else 0), outcome
        assert refused in outcome.err and (refused or not outcome.err), outcome


def test_a_vocoder_warns_once_of_a_mel_that_it_was_not_trained_on(hifigan: Path) -> None:
    from wg.inference.vocoder import UnlikelyMel, Vocoder

    vocoder = Vocoder.from_pretrained(hifigan / "voc")
    mel = log_mel(wave().float(), changed(OWN, "log=log10"))
    with pytest.warns(UnlikelyMel, match="look like log10 mels, .* wg check-mel says what"):
        vocoder(mel, steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vocoder(mel, steps=1)
        Vocoder.from_pretrained(hifigan / "voc")(log_mel(wave().float(), OWN), steps=1)
    np.save(hifigan / "mel.npy", mel.numpy())
    arguments = ("vocode", str(hifigan / "mel.npy"), "-o", str(hifigan / "out.wav"))
    outcome = wg(*arguments, "--vocoder", str(hifigan / "voc"), "--steps", "1")
    assert outcome.code == 0 and outcome.err.startswith("wg: warning: ") and "log10" in outcome.err
    assert wg(*arguments, "--vocoder", str(hifigan / "voc"), "--steps=1", "--chunk=9").err == (
        outcome.err
    )
    (hifigan / "many").mkdir()
    for name in ("a.npy", "b.npy"):
        np.save(hifigan / "many" / name, mel.numpy())
    many = ("vocode", str(hifigan / "many"), "-o", str(hifigan / "spoken"), "--steps=1")
    told = wg(*many, "--vocoder", str(hifigan / "voc")).err.splitlines()
    assert [line.split(": ")[2] for line in told] == [
        str(hifigan / "many" / name) for name in ("a.npy", "b.npy")
    ]
    outcome = wg(*arguments, "--vocoder", str(hifigan / "voc"), "--mel", "log=log10", "--steps=1")
    assert outcome.code == 0 and not outcome.err
    line = wg(*arguments, "--vocoder", str(hifigan / "voc"), "--mel", "log=log11").complaint()
    assert "--mel log=log11: mel.log is 'log11'; did you mean 'log10'" in line
