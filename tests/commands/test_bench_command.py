"""`wg bench latency`, `wg bench` of clips, and `wg vocode --chunk`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import Outcome, TinyRecipe, wg

from wg.mel.recognise import speech_like


@pytest.fixture(scope="module")
def ran(finished: tuple[TinyRecipe, Outcome]) -> TinyRecipe:
    return finished[0]


def bench(ran: TinyRecipe, *options: str) -> Outcome:
    return wg("bench", "latency", "--vocoder", str(ran.exp / "vocoder"), *options)


def test_the_table_states_latency_and_overhead(ran: TinyRecipe) -> None:
    outcome = bench(ran, "--steps", "3", "--seconds", "2", "--chunk", "25")
    assert outcome.code == 0, outcome
    cells = [line.strip("| ").split(" | ") for line in outcome.out.splitlines()]
    rows = {row[0].strip(): row[1].strip() for row in cells if len(row) == 2}
    ahead = int(rows["reach of the network"].split(", ")[1].split()[0])
    assert rows["look-ahead"] == f"{3 * ahead} frames, {3 * ahead * 64 / 8:.0f} ms"
    assert rows["chunk"] == "25 frames, 200 ms"
    assert float(rows["overhead of streaming"].split()[0]) > 0
    assert float(rows["largest difference from one call"]) < 1e-4


def test_with_a_context_the_table_states_what_it_costs(ran: TinyRecipe) -> None:
    outcome = bench(ran, "--steps", "3", "--seconds", "2", "--chunk", "25", "--context", "10")
    assert outcome.code == 0, outcome
    said = " ".join(outcome.out.split())
    assert "| look-ahead | 10 frames, 80 ms |" in said and "difference" not in said
    none = bench(ran, "--steps", "3", "--seconds", "2", "--chunk", "25", "--consistency", "0")
    assert none.code == 0 and "difference from one call" in none.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--context", "0"), "--context 0: give at least 1 frame"),
        (("--chunk", "0"), "--chunk 0: give at least 1 frame"),
        (("--seconds", "0.01"), "--seconds 0.01: give at least a chunk"),
        (("--seconds", "nan"), "--seconds nan: give at least a chunk"),
        (("--steps", "0"), "--steps: steps is 0"),
        (("--sampler", "x"), "--sampler: sampler 'x' is unknown"),
    ],
)
def test_a_measurement_that_cannot_be_is_one_line(
    ran: TinyRecipe, options: tuple[str, ...], message: str
) -> None:
    assert message in bench(ran, *options).complaint()


def test_the_latency_of_streaming_needs_a_vocoder_that_there_is() -> None:
    complaint = wg("bench", "latency", "--vocoder", "ljspeach").complaint()
    assert "ljspeach: no such folder" in complaint and "did you mean 'ljspeech'" in complaint


def test_vocoding_in_chunks_gives_the_same_file(ran: TinyRecipe, tmp_path: Path) -> None:
    np.save(tmp_path / "mel.npy", np.random.default_rng(0).normal(-4, 1, (10, 300)))
    made = {}
    for name, options in {"whole": (), "chunks": ("--chunk", "70")}.items():
        path = tmp_path / f"{name}.wav"
        arguments = (str(tmp_path / "mel.npy"), "-o", str(path))
        outcome = wg("vocode", *arguments, "--vocoder", str(ran.exp / "vocoder"), *options)
        assert outcome.code == 0 and f"{path}: 2.40 s" in outcome.out
        assert soundfile.info(path).subtype == "PCM_16"
        made[name] = soundfile.read(path)[0]
    assert np.abs(made["whole"]).max() > 0.05
    assert np.abs(made["whole"] - made["chunks"]).max() < 1e-4


def test_vocoding_by_context_is_written_down(ran: TinyRecipe, tmp_path: Path) -> None:
    np.save(tmp_path / "mel.npy", np.random.default_rng(0).normal(-4, 1, (10, 300)))
    given = str(tmp_path / "mel.npy"), "-o", str(tmp_path / "out.wav")
    given = *given, "--vocoder", str(ran.exp / "vocoder"), "--context", "9"
    complaint = wg("vocode", *given).complaint()
    assert "--context 9: for streaming alone; give --chunk too" in complaint
    assert wg("vocode", *given, "--chunk", "70").code == 0
    said = json.loads((tmp_path / "out.json").read_text())
    assert (said["chunk"], said["context"]) == (70, 9)
    assert soundfile.info(tmp_path / "out.wav").duration == 2.4


def test_a_chunked_input_that_is_no_mel_is_named(ran: TinyRecipe, tmp_path: Path) -> None:
    np.save(tmp_path / "turned.npy", np.zeros((30, 10)))
    arguments = (str(tmp_path / "turned.npy"), "-o", str(tmp_path / "out.wav"), "--chunk", "8")
    line = wg("vocode", *arguments, "--vocoder", str(ran.exp / "vocoder")).complaint()
    assert "turned.npy: mel of shape [30, 10]; this vocoder takes [10, frames]; it looks t" in line
    arrays = {"bands": np.zeros((9, 20)), "flat": np.zeros(20), "nan": np.full((10, 20), np.nan)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        arguments = (str(tmp_path / f"{name}.npy"), "-o", str(tmp_path / "out.wav"), "--chunk", "8")
        line = wg("vocode", *arguments, "--vocoder", str(ran.exp / "vocoder")).complaint()
        assert f"{name}.npy: chunk 1: " in line
    arguments = (str(tmp_path / "nan.npy"), "-o", str(tmp_path / "out.wav"), "--chunk", "0")
    line = wg("vocode", *arguments, "--vocoder", str(ran.exp / "vocoder")).complaint()
    assert "--chunk 0: give at least 1 frame" in line
    assert not list(tmp_path.glob("out*"))


def test_one_clip_in_forty_columns_has_tables_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    soundfile.write(tmp_path / "a.wav", speech_like(22050, 1.0).float().numpy(), 22050)
    asked = ("bench", str(tmp_path / "a.wav"), "-o", str(tmp_path / "out"))
    done = wg(*asked, "--only", "griffin-lim,recording", "--jobs", "1")
    assert done.code == 0, done.err
    _, table = done.out.split("clips, 1 clip:\n")
    assert "griffin-lim" in table and "pesq_wb" in table
    listed = wg(*asked, "--list").out
    assert listed.count("done") == 2 and "clips/world" in listed
    lines = [line for line in (table + listed).splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 40
    assert "nan" not in (tmp_path / "out" / "results.md").read_text()
    assert (tmp_path / "out" / "page" / "index.html").is_file()
