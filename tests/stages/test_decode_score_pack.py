"""Stages 5 to 7: the test set as audio, its scores, the vocoder folder and the page."""

from __future__ import annotations

import json
import math
import os
import socket
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import RATE, Outcome, TinyRecipe, tone

from wg.data.audio import FULL_SCALE, protect_peak
from wg.data.dump import Dump
from wg.errors import InputError
from wg.inference.vocoder import Vocoder
from wg.report.table import cell
from wg.tasks.waveforms import baseline

IDS = ["tone-09", "tone-10", "tone-11"]
# One step of a barely trained network divides by a noise level: far beyond full scale.
LOUD = ("decode.schedule=1", "decode.clip=null")


@pytest.fixture
def ran(finished: tuple[TinyRecipe, Outcome]) -> TinyRecipe:
    """The finished recipe, only to be read."""
    return finished[0]


def made(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def decoded(folder: Path) -> dict[str, np.ndarray]:
    return {name: soundfile.read(folder / f"{name}.wav")[0] for name in IDS}


def test_every_test_clip_becomes_a_16_bit_wav_of_its_length(ran: TinyRecipe) -> None:
    dump = Dump(ran.dump / "test")
    assert [entry.id for entry in dump.utterances] == IDS
    for entry in dump.utterances:
        found = soundfile.info(ran.decoded / f"{entry.id}.wav")
        assert (found.subtype, found.channels, found.samplerate) == ("PCM_16", 1, RATE)
        # A recording's last part of a hop has no frame to be made from.
        assert 0 <= entry.samples - found.frames < 64


def test_each_wav_says_how_it_was_made(ran: TinyRecipe) -> None:
    seeds = set()
    for name in IDS:
        content = made(ran.decoded, name)
        assert content["id"] == name and content["sampler"] == "ancestral"
        assert len(content["levels"]) == 3 and content["levels"][0] == 1.0
        assert content["checkpoint"].startswith("step-") and content["gain"] == 1
        assert content["rtf"] == pytest.approx(content["seconds"] / content["duration"])
        seeds.add(content["seed"])
    assert len(seeds) == 3


def test_a_recipe_decodes_with_the_chosen_sampler_and_levels(
    ran: TinyRecipe, tmp_path: Path
) -> None:
    copy = ran.copy(tmp_path)
    chosen = ("decode.sampler=dpm++2m", "decode.schedule=quantiles-3", "decode.limit=1")
    assert copy.run(*chosen, "--stop-stage", "decode").code == 0
    content = made(copy.exp / "decode" / "quantiles-3-dpm++2m", IDS[0])
    assert (content["sampler"], content["clip"]) == ("dpm++2m", 0.5)
    vocoder = Vocoder.from_pretrained(ran.exp / "vocoder")
    assert content["levels"] == vocoder.diffusion.levels()[[0, 333, 667, 1000]].tolist()


@pytest.mark.parametrize("size", [2, 3])
def test_the_batch_makes_no_difference(ran: TinyRecipe, tmp_path: Path, size: int) -> None:
    copy = ran.copy(tmp_path)
    batched = ("--stage", "decode", "--stop-stage", "decode", f"decode.batch_size={size}")
    assert copy.run(*batched).code == 0
    for alone, together in zip(
        decoded(ran.decoded).values(), decoded(copy.decoded).values(), strict=True
    ):
        assert np.abs(alone).max() > 0.1 and np.abs(alone - together).max() < 1e-4


def test_an_utterance_sounds_the_same_wherever_it_stands(ran: TinyRecipe, tmp_path: Path) -> None:
    copy = ran.copy(tmp_path)
    fewer = ("corpus.test=[tone-11]", "corpus.train=[tone-01..tone-06]")
    assert copy.run(*fewer, "--stop-stage", "features").code == 0
    assert copy.run(*fewer, "--stage", "decode", "--stop-stage", "decode").code == 0
    first = (ran.decoded / "tone-11.wav").read_bytes()
    assert (copy.decoded / "tone-11.wav").read_bytes() == first


def test_two_tasks_of_srun_share_the_decoding(ran: TinyRecipe, tmp_path: Path) -> None:
    tasks = ran.copy(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slurm = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}
    slurm |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    options = ("--stage", "decode", "--stop-stage", "decode", "decode.clip=0.9")
    started = [
        tasks.start(
            *options,
            env={**os.environ, **slurm, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
        )
        for rank in (0, 1)
    ]
    printed = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], printed
    alone = ran.copy(tmp_path / "alone")
    assert alone.run(*options).code == 0
    for name in IDS:
        np.testing.assert_array_equal(decoded(tasks.decoded)[name], decoded(alone.decoded)[name])
    outcome = tasks.run(*options)
    assert outcome.decisions() == {"decode": "skipped: up to date"}


def test_another_seed_is_another_waveform(ran: TinyRecipe, tmp_path: Path) -> None:
    copy = ran.copy(tmp_path)
    assert copy.run("decode.seed=1", "decode.limit=1", "--stop-stage", "decode").code == 0
    assert made(copy.decoded, "tone-09")["seed"] != made(ran.decoded, "tone-09")["seed"]
    first, second = (soundfile.read(r.decoded / "tone-09.wav")[0] for r in (ran, copy))
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize(("peak", "gain"), [(0.5, 1.0), (FULL_SCALE, 1.0), (2.0, FULL_SCALE / 2)])
def test_a_peak_is_turned_down_only_beyond_full_scale(peak: float, gain: float) -> None:
    wave = torch.tensor([0.0, -peak, peak / 3])
    safe, found = protect_peak(wave)
    assert found == pytest.approx(gain)
    assert torch.allclose(safe, wave * gain) and float(safe.abs().max()) <= FULL_SCALE


def test_output_that_is_not_finite_is_an_error() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match="output is not finite"):
            protect_peak(torch.tensor([0.0, value]))


def test_turned_down_files_are_counted_with_the_worst(ran: TinyRecipe, tmp_path: Path) -> None:
    copy = ran.copy(tmp_path)
    outcome = copy.run(*LOUD, "--stop-stage", "decode")
    folder = copy.exp / "decode" / "1-steps"
    gains = [made(folder, name)["gain"] for name in IDS]
    assert max(gains) < 1
    worst = -20 * math.log10(min(gains))
    assert f"3 of 3 files exceeded full scale and were turned down, by up to {worst:.1f} dB" in (
        outcome.out
    )
    peaks = [np.abs(soundfile.read(folder / f"{name}.wav")[0]).max() for name in IDS]
    assert min(peaks) > 0.999


def test_decoding_needs_a_checkpoint_of_this_model(ran: TinyRecipe, tmp_path: Path) -> None:
    copy = ran.copy(tmp_path)
    decode = ("--stage", "decode", "--stop-stage", "decode")
    before = {path: path.read_bytes() for path in copy.decoded.glob("*.wav")}
    line = copy.run(*decode, "model.dilations=lmnt").complaint()
    assert "checkpoint of another model (model.dilations: paper there, lmnt here)" in line
    line = copy.run(*decode, "mel.fmax=3000").complaint()
    assert "checkpoint of another mel (mel.fmax: None there, 3000.0 here)" in line
    line = copy.run(*decode, "decode.checkpoint=no.ckpt").complaint()
    assert "decode.checkpoint 'no.ckpt': none in" in line and "run stage 4 (train) first" in line
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes((ran.exp / "checkpoints" / "last.ckpt").read_bytes()[:5000])
    line = copy.run(*decode, f"decode.checkpoint={broken}").complaint()
    assert f"{broken}: not a readable checkpoint" in line
    for path in (copy.exp / "checkpoints").iterdir():
        path.unlink()
    line = copy.run(*decode, "decode.seed=3").complaint()
    assert "decode.checkpoint 'best': none in" in line and "run stage 4 (train) first" in line
    assert {path: path.read_bytes() for path in copy.decoded.glob("*.wav")} == before


def test_scores_have_means_with_intervals_and_every_utterance(ran: TinyRecipe) -> None:
    text = (ran.decoded / "scores.json").read_text()
    assert "NaN" not in text
    content = json.loads(text)
    systems = ["wg", "griffin-lim-1", "noise"]
    assert list(content["means"]) == systems and list(content["utterances"]) == systems
    for system in systems:
        assert list(content["utterances"][system]) == IDS
        values = [content["utterances"][system][name]["ls_mse"] for name in IDS]
        mean = content["means"][system]["ls_mse"]
        assert mean["mean"] == pytest.approx(np.mean(values))
        ordered = [min(values), mean["low"], mean["mean"], mean["high"], max(values)]
        assert np.diff(ordered).min() > -1e-9  # a resample of one utterance alone rounds
        assert (mean["count"], mean["undefined"]) == (3, 0)
    # Wide-band PESQ of 8 kHz audio does not exist: null, not a number.
    assert content["utterances"]["wg"]["tone-09"]["pesq_wb"] is None
    undefined = content["means"]["wg"]["pesq_wb"]
    assert undefined["mean"] is None and undefined["undefined"] == 3


def test_noise_scores_worse_than_griffin_lim(ran: TinyRecipe) -> None:
    means = json.loads((ran.decoded / "scores.json").read_text())["means"]
    assert means["griffin-lim-1"]["ls_mse"]["mean"] < 0.8 * means["noise"]["ls_mse"]["mean"]


def test_floors_are_scored_as_16_bit_files_like_the_synthesis(ran: TinyRecipe) -> None:
    folder = ran.dump / "test"
    for name in ("griffin-lim-1", "noise"):
        steps = baseline(name, Dump(folder), 0) * 32768
        assert np.array_equal(steps, np.rint(steps)) and np.abs(steps).max() > 100


def test_the_number_of_processes_changes_no_score(ran: TinyRecipe, tmp_path: Path) -> None:
    copy = ran.copy(tmp_path)
    (copy.decoded / "stage-score.json").unlink()
    outcome = copy.run("--stage", "score", "--stop-stage", "score", "--jobs", "2")
    assert outcome.code == 0
    first = (ran.decoded / "scores.json").read_bytes()
    assert (copy.decoded / "scores.json").read_bytes() == first


def test_short_clips_go_through_every_stage(recipe: TinyRecipe) -> None:
    for number in (5, 8, 9):  # in train, valid and test: shorter than a segment of 512
        short = tone(number)[2500:2800]
        soundfile.write(recipe.corpus / "wavs" / f"tone-{number:02d}.wav", short, RATE)
    outcome = recipe.run("train.max_steps=4", "score.metrics=[ls_mse,stoi,level_difference]")
    assert outcome.code == 0 and "nan" not in outcome.out
    assert soundfile.info(recipe.decoded / "tone-09.wav").frames == 256
    means = json.loads((recipe.decoded / "scores.json").read_text())["means"]["wg"]
    assert [scores["undefined"] for scores in means.values()] == [1, 1, 0]


def test_the_vocoder_folder_makes_the_same_audio_as_decode(ran: TinyRecipe) -> None:
    vocoder = Vocoder.from_pretrained(ran.exp / "vocoder")
    dump = Dump(ran.dump / "test")
    for index, name in enumerate(IDS):
        content = made(ran.decoded, name)
        expected, _ = soundfile.read(ran.decoded / f"{name}.wav")
        wave = vocoder(dump.mel(index), seed=content["seed"]).numpy()[: len(expected)]
        assert np.abs(wave * content["gain"] - expected).max() <= 1 / 32768


class Sources(HTMLParser):
    """What a page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_lists_every_row_and_brings_its_files(ran: TinyRecipe, tmp_path: Path) -> None:
    page = (ran.exp / "page" / "index.html").read_text()
    sources = Sources(page).found
    expected = {
        f"{system}/{name}.{ending}"
        for system in ("recording", "wg")
        for name in IDS
        for ending in ("wav", "png")
    } | {f"wg/{name}.difference.png" for name in IDS}
    assert set(sources) == expected
    copy = ran.copy(tmp_path)  # a page that is moved still works
    for source in sources:
        assert (copy.exp / "page" / source).stat().st_size > 100
    for name in IDS:
        assert (ran.exp / "page" / "wg" / f"{name}.wav").read_bytes() == (
            ran.decoded / f"{name}.wav"
        ).read_bytes()
    assert "Tone &lt;09&gt; &amp; no words." in page and "<09>" not in page


def test_the_card_says_what_the_vocoder_takes_and_how_it_scored(ran: TinyRecipe) -> None:
    card = (ran.exp / "vocoder" / "README.md").read_text()
    means = json.loads((ran.decoded / "scores.json").read_text())["means"]
    row = f"| wg | {cell(means['wg']['ls_mse'])} |"
    for words in ("6,761 parameters", "| n_mels | 10 |", "3 test utterances", row):
        assert words in card


def test_features_of_another_kind_have_a_folder_of_their_own(
    ran: TinyRecipe, tmp_path: Path
) -> None:
    copy = ran.copy(tmp_path)
    assert copy.run("mel.fmin=50", "--stop-stage", "features").code == 0
    (copy.decoded / "stage-decode.json").unlink()
    for stage in ("decode", "train"):
        assert copy.run("--stage", stage, "--stop-stage", stage).code == 0


@pytest.mark.parametrize("content", ["", "[]", '{"means": {"wg": {"ls_mse": 3}}}', "[" * 100_000])
def test_scores_that_are_damaged_are_named(done: TinyRecipe, content: str) -> None:
    (done.decoded / "scores.json").write_text(content)
    (done.exp / "stage-pack.json").unlink()
    line = done.run("--stage", "pack").complaint()
    assert f"{done.decoded / 'scores.json'}: " in line and "run stage 6 (score) again" in line
