"""`wg vocode`: audio and mels through a packed vocoder, and one line for every mistake."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import RATE, Outcome, TinyRecipe, tone, wg
from tiny_vocoder import int8_of_any_size

from wg.data.dump import Dump
from wg.metrics.perceptual import resample
from wg.processes.devices import computes_in_int8


@pytest.fixture(scope="module")
def ran(finished: tuple[TinyRecipe, Outcome]) -> TinyRecipe:
    return finished[0]


def vocode(ran: TinyRecipe, *arguments: str | Path) -> Outcome:
    return wg("vocode", *map(str, arguments), "--vocoder", str(ran.exp / "vocoder"))


def samples(path: Path) -> np.ndarray:
    found = soundfile.info(path)
    assert (found.subtype, found.samplerate, found.channels) == ("PCM_16", RATE, 1)
    return soundfile.read(path)[0]


def test_a_recording_is_analysed_and_spoken_again(ran: TinyRecipe, tmp_path: Path) -> None:
    source, target = ran.corpus / "wavs" / "tone-09.wav", tmp_path / "out.wav"
    outcome = vocode(ran, source, "-o", target)
    assert outcome.code == 0 and outcome.err == ""
    frames = soundfile.info(source).frames // 64
    assert len(samples(target)) == frames * 64
    assert f"{target}: {frames * 64 / RATE:.2f} s" in outcome.out


def test_a_mel_file_gives_the_same_audio_as_its_recording(ran: TinyRecipe, tmp_path: Path) -> None:
    dump = Dump(ran.dump / "test")
    np.save(tmp_path / "mel.npy", dump.mel(0).numpy())
    source = ran.corpus / "wavs" / f"{dump.utterances[0].id}.wav"
    assert vocode(ran, source, "-o", tmp_path / "wav.wav").code == 0
    assert vocode(ran, tmp_path / "mel.npy", "-o", tmp_path / "mel.wav").code == 0
    assert (tmp_path / "wav.wav").read_bytes() == (tmp_path / "mel.wav").read_bytes()


def test_steps_and_seed_are_heard_and_repeat(ran: TinyRecipe, tmp_path: Path) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    variants = {"a": (), "again": (), "seed": ("--seed", "5"), "steps": ("--steps", "6")}
    made = {}
    for name, options in variants.items():
        assert vocode(ran, source, "-o", tmp_path / f"{name}.wav", *options).code == 0
        made[name] = (tmp_path / f"{name}.wav").read_bytes()
    assert made["a"] == made["again"]
    assert len({made["a"], made["seed"], made["steps"]}) == 3


def test_in_16_bits_it_sounds_nearly_the_same(
    ran: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    for module in ("wg.commands.sampling", "wg.inference.model"):
        monkeypatch.setattr(f"{module}.computes_in_bfloat16", lambda: True)
    for precision in ("fp32", "bf16"):
        target = tmp_path / f"{precision}.wav"
        assert vocode(ran, source, "-o", target, "--precision", precision).code == 0
        assert json.loads(target.with_suffix(".json").read_text())["precision"] == precision
    full, short = samples(tmp_path / "fp32.wav"), samples(tmp_path / "bf16.wav")
    monkeypatch.setattr("wg.commands.sampling.computes_in_bfloat16", lambda: False)
    outcome = vocode(ran, source, "-o", tmp_path / "no.wav", "--precision", "bf16")
    assert outcome.code == 2 and "--precision bf16: this CPU does not compute in it" in outcome.err
    assert 0 < np.abs(full - short).mean() < 0.1 * np.abs(full).mean()


def test_in_8_bits_it_sounds_nearly_the_same_or_says_why_it_cannot_be(
    ran: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, name = ran.corpus / "wavs" / "tone-09.wav", "wg.commands.sampling.computes_in_int8"
    there = computes_in_int8()
    monkeypatch.setattr(name, lambda: True)
    given = vocode(ran, source, "-o", tmp_path / "none.wav", "--precision", "int8")
    assert given.code == 2 and "no convolution of this wavegrad is large enough" in given.err
    monkeypatch.setattr(name, lambda: False)
    given = vocode(ran, source, "-o", tmp_path / "none.wav", "--precision", "int8")
    assert given.code == 2 and "--precision int8: this CPU does not compute in it" in given.err
    if not there:
        return
    monkeypatch.setattr(name, lambda: True)
    int8_of_any_size(monkeypatch)
    for precision in ("fp32", "int8"):
        target = tmp_path / f"{precision}.wav"
        assert vocode(ran, source, "-o", target, "--precision", precision).code == 0
    full, short = samples(tmp_path / "fp32.wav"), samples(tmp_path / "int8.wav")
    assert 0 < np.abs(full - short).mean() < 0.15 * np.abs(full).mean()


def test_the_noisy_state_can_be_bounded_instead_of_the_estimate(
    ran: TinyRecipe, tmp_path: Path
) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    made = {}
    for clip in ("state", "0.5"):
        assert vocode(ran, source, "-o", tmp_path / f"{clip}.wav", "--clip", clip).code == 0
        made[clip] = (tmp_path / f"{clip}.wav").read_bytes()
        told = json.loads((tmp_path / f"{clip}.json").read_text())["clip"]
        assert told == ("state" if clip == "state" else 0.5)
    assert made["state"] != made["0.5"]


def test_what_made_a_file_stands_beside_it_and_makes_it_again(
    ran: TinyRecipe, tmp_path: Path
) -> None:
    source, first = ran.corpus / "wavs" / "tone-09.wav", tmp_path / "first.wav"
    options = ("--sampler", "dpm++2m", "--steps", "quantiles-4", "--seed", "3")
    assert vocode(ran, source, "-o", first, *options).code == 0
    made = json.loads((tmp_path / "first.json").read_text())
    assert (made["sampler"], made["seed"], made["clip"]) == ("dpm++2m", 3, 0.5)
    assert len(made["levels"]) == 5 and made["levels"][0] == 1
    again = ("--sampler", made["sampler"], "--seed", str(made["seed"]))
    file = tmp_path / "first.json"
    assert vocode(ran, source, "-o", tmp_path / "b.wav", *again, "--steps", file).code == 0
    assert (tmp_path / "b.wav").read_bytes() == first.read_bytes()


def test_a_schedule_by_name_or_file(ran: TinyRecipe, tmp_path: Path) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    betas = tmp_path / "betas.json"
    betas.write_text("[1e-6, 1.8928729e-5, 1.1943213e-4, 1.0047548e-3, 1.10942535e-2, 6e-2]")
    for steps in ("ivanvovk-6", str(betas)):
        outcome = vocode(ran, source, "-o", tmp_path / f"{len(steps)}.wav", "--steps", steps)
        assert outcome.code == 0
    first, second = sorted(tmp_path.glob("*.wav"))
    assert first.read_bytes() == second.read_bytes()


def test_a_peak_beyond_full_scale_is_turned_down_and_said(ran: TinyRecipe, tmp_path: Path) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    shutil.copytree(ran.exp / "vocoder", tmp_path / "loud")
    config = (tmp_path / "loud" / "config.json").read_text()
    (tmp_path / "loud" / "config.json").write_text(config.replace('"clip": 0.5', '"clip": null'))
    arguments = ("vocode", str(source), "-o", str(tmp_path / "out.wav"), "--steps", "1")
    outcome = wg(*arguments, "--vocoder", str(tmp_path / "loud"))
    assert ", turned down by " in outcome.out and "dB (full scale)" in outcome.out
    assert 0.999 < np.abs(samples(tmp_path / "out.wav")).max() < 1


def wav(path: Path, audio: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, audio, rate)
    return path


def npy(path: Path, array: object) -> Path:
    np.save(path, np.asarray(array), allow_pickle=True)
    return path


INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda d: d / "no.wav", "no.wav: no such file"),
    "missing mel": (lambda d: d / "no.npy", "no.npy: no such file"),
    "folder": (lambda d: d, "no file that ends in .wav, .flac"),
    "short": (lambda d: wav(d / "a.wav", tone(1)[:50]), "a.wav: waveform of 50 samples"),
    "empty": (lambda d: wav(d / "a.wav", tone(1)[:0]), "a.wav: holds no samples"),
    "whole": (lambda d: npy(d / "a.npy", [[1, 2]]), "a.npy: holds int64; a mel holds float"),
    "bands": (
        lambda d: npy(d / "a.npy", np.zeros((80, 9))),
        r"a.npy: mel of shape \[80, 9\]; .*10",
    ),
    "turned": (lambda d: npy(d / "a.npy", np.zeros((9, 10))), r"a.npy: mel of shape \[9, 10\]"),
    "batch": (
        lambda d: npy(d / "a.npy", np.zeros((2, 10, 9))),
        r"a.npy: mel of shape \[2, 10, 9\]; save one mel a file",
    ),
    "flat": (lambda d: npy(d / "a.npy", np.zeros(10)), r"a.npy: mel of shape \[10\]"),
    "nan": (lambda d: npy(d / "a.npy", np.full((10, 9), np.nan)), "a.npy: mel holds NaN"),
    "pickled": (lambda d: npy(d / "a.npy", {"mel": 1}), "a.npy: not a plain .npy array"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_cannot_be_used_is_one_line(
    ran: TinyRecipe, tmp_path: Path, name: str
) -> None:
    make, message = INPUTS[name]
    outcome = vocode(ran, make(tmp_path), "-o", tmp_path / "out.wav")
    assert re.search(message, outcome.complaint()), outcome
    assert not list(tmp_path.glob("out*"))


def test_a_recording_of_another_rate_and_two_channels_is_brought_over(
    ran: TinyRecipe, tmp_path: Path
) -> None:
    slow = resample(tone(9), RATE, 2 * RATE)
    source = wav(tmp_path / "a.wav", np.stack([slow, slow], 1), 2 * RATE)
    outcome = vocode(ran, source, "-o", tmp_path / "out.wav")
    assert outcome.code == 0 and f"{source}: 2 channels, mixed down to one" in outcome.out
    assert f"{source}: resampled from 16000 to 8000 Hz" in outcome.out
    assert abs(len(samples(tmp_path / "out.wav")) - len(tone(9))) < 64


def test_of_a_folder_with_a_broken_file_the_rest_is_done(ran: TinyRecipe, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(ran.corpus / "wavs" / "tone-09.wav", folder / "a.wav")
    np.save(folder / "deeper" / "mel.npy", Dump(ran.dump / "test").mel(0).numpy())
    (folder / "broken.wav").write_text("words")
    (folder / "notes.txt").write_text("no audio")
    outcome = vocode(ran, folder, "-o", tmp_path / "out")
    assert outcome.code == 1
    broken, last = outcome.err.splitlines()
    assert broken.startswith(f"wg: error: {folder / 'broken.wav'}: not readable as audio")
    assert last == "wg: error: 1 of 3 files failed, named above"
    assert "2 files, " in outcome.out and "real-time factor" in outcome.out
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("out/**/*.*")
    )
    assert written == [".wg.json", "a.json", "a.wav", "deeper/mel.json", "deeper/mel.wav"]
    one = tmp_path / "one.wav"
    assert vocode(ran, folder / "a.wav", "-o", one).code == 0
    assert one.read_bytes() == (tmp_path / "out" / "a.wav").read_bytes()
    (folder / "broken.wav").unlink()
    assert vocode(ran, folder, "-o", tmp_path / "out").code == 0  # over its own


def test_many_files_are_not_written_into_what_looks_like_one(
    ran: TinyRecipe, tmp_path: Path
) -> None:
    line = vocode(ran, ran.corpus / "wavs", "-o", tmp_path / "out.wav").complaint()
    assert f"-o {tmp_path / 'out.wav'}: of several inputs or a folder; give a folder" in line
    assert not list(tmp_path.iterdir())


def test_what_would_be_lost_among_many_files_is_refused(ran: TinyRecipe, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(ran.corpus / "wavs" / "tone-09.wav", tmp_path / name / "a.wav")
    one, two = tmp_path / "one", tmp_path / "two"
    line = vocode(ran, one, two, "-o", tmp_path / "out").complaint()
    assert f"{one / 'a.wav'} and {two / 'a.wav'}: both would become a.wav" in line
    assert "a.wav that wg did not write" in vocode(ran, one, "-o", two).complaint()
    assert "would replace the input" in vocode(ran, one, "-o", one, "--force").complaint()


def test_a_file_that_is_neither_audio_nor_a_mel_is_named(ran: TinyRecipe, tmp_path: Path) -> None:
    array = "not a plain .npy array; save the mel by numpy.save"
    said = {"a.wav": "not readable as audio", "a.npy": array, "a.npz": array, "a.pt": array}
    for name, words in said.items():
        (tmp_path / name).write_text("words")
        line = vocode(ran, tmp_path / name, "-o", tmp_path / "out.wav").complaint()
        assert f"{tmp_path / name}: {words}" in line


OPTIONS = {
    "steps": (["--steps", "0"], "--steps: steps is 0; give 1 to 10000"),
    "name": (["--steps", "fast"], "--steps: schedule 'fast': not a step count"),
    "file": (["--steps", "no.json"], "--steps: schedule file no.json: No such file"),
    "sampler": (["--sampler", "dmp++2m"], "--sampler: sampler 'dmp++2m' is unknown; did you mean"),
    "start": (
        ["--sampler", "ddim", "--steps", "ivanvovk-6"],
        "--steps: schedule 'ivanvovk-6' starts at level 0.964",
    ),
    "clip": (["--clip", "stat"], "--clip stat: give a positive number, or state"),
    "no clip": (["--clip", "0"], "--clip 0: give a positive number, or state"),
    "seed": (["--seed", "x"], "--seed: invalid int value: 'x'; --help lists the options"),
    "device": (["--device", "gpu"], "--device gpu: give cpu, cuda or cuda:NUMBER"),
    "option": (["--stpes", "3"], "unrecognized arguments: --stpes 3; --help"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_cannot_be_used_is_one_line(
    ran: TinyRecipe, tmp_path: Path, name: str
) -> None:
    options, message = OPTIONS[name]
    source = ran.corpus / "wavs" / "tone-09.wav"
    assert message in vocode(ran, source, "-o", tmp_path / "out.wav", *options).complaint()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_a_device_that_is_not_there_is_named(ran: TinyRecipe, tmp_path: Path) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    for device in ("cuda", "cuda:1"):
        outcome = vocode(ran, source, "-o", tmp_path / "out.wav", "--device", device)
        assert f"--device {device}: this machine has 0 CUDA devices" in outcome.complaint()


def test_an_output_that_cannot_be_written_is_one_line(ran: TinyRecipe, tmp_path: Path) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    line = vocode(ran, source, "-o", tmp_path / "no" / "out.wav").complaint()
    assert f"no folder {tmp_path / 'no'}" in line
    (tmp_path / "taken.wav").mkdir()
    line = vocode(ran, source, "-o", tmp_path / "taken.wav").complaint()
    assert f"-o {tmp_path / 'taken.wav'}: a folder; name a file in it" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken.wav"]


def test_a_vocoder_that_is_none_is_named(ran: TinyRecipe, tmp_path: Path) -> None:
    source = ran.corpus / "wavs" / "tone-09.wav"
    arguments = ("vocode", str(source), "-o", str(tmp_path / "out.wav"))
    assert "config.json: no such file" in wg(*arguments, "--vocoder", str(tmp_path)).complaint()
    named = wg(*arguments, "--vocoder", "ljspech").complaint()
    assert "no vocoder of that name ships with wg; did you mean 'ljspeech'" in named
    assert wg("vocode", "--help").code == 0
