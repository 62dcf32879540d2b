"""Stages 4 to 7 of a model that reads text, and what `wg speak` does with their result."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from text_recipe import SYMBOLS, TextRecipe, make_text_recipe
from tiny_recipe import Outcome, wg

from wg.data.phonemes import Phonemes, read_phonemes, write_phonemes
from wg.inference.checkpoint import read_checkpoint
from wg.metrics import recogniser
from wg.metrics.recogniser import Ctc
from wg.tasks import speech_scores, text_to_speech
from wg.text.symbols import SYMBOLS as TABLE
from wg.text.symbols import VERSION

TRAIN = ("--stage", "train", "--stop-stage", "train")
LONGER = (*TRAIN, "train.max_steps=12")
DECODE = ("--stage", "decode", "--stop-stage", "decode")
SCORE = ("--stage", "score", "--stop-stage", "score")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[TextRecipe, Outcome]:
    """A recipe all of whose stages have run: read it, or copy it."""
    made = make_text_recipe(tmp_path_factory.mktemp("spoken"))
    assert made.run_text("--stop-stage", "features").code == 0
    made.make_up_durations()
    outcome = made.run_text("--stage", "train")
    assert outcome.code == 0, outcome
    return made, outcome


@pytest.fixture
def done(spoken: tuple[TextRecipe, Outcome], tmp_path: Path) -> TextRecipe:
    """A copy of the finished recipe, to change."""
    made = spoken[0].copy(tmp_path)
    return TextRecipe(made.root, made.corpus)


@pytest.fixture(scope="module")
def speech(spoken: tuple[TextRecipe, Outcome]) -> Path:
    """The packed model."""
    return spoken[0].exp / "speech"


def test_the_checkpoint_stores_symbols_and_the_speakers_of_training(
    spoken: tuple[TextRecipe, Outcome],
) -> None:
    stored = read_checkpoint(spoken[0].exp / "checkpoints" / "last.ckpt")["experiment"]["model"]
    assert tuple(stored["symbols"]) == TABLE and stored["symbols_version"] == VERSION
    assert stored["speakers"] == ["anna", "bert"]


def test_both_losses_are_logged_and_samples_are_written(
    spoken: tuple[TextRecipe, Outcome],
) -> None:
    (path,) = (spoken[0].exp / "log" / "csv").glob("*/metrics.csv")
    header = path.read_text().splitlines()[0].split(",")
    assert {"train/noise", "train/duration", "valid/noise", "valid/duration"} <= set(header)
    assert len(list((spoken[0].exp / "samples").glob("*/*.wav"))) == 4


def test_what_is_decoded_says_its_symbols_and_lasts_as_long_as_they_do(
    spoken: tuple[TextRecipe, Outcome],
) -> None:
    for path in spoken[0].decoded.glob("tone-*.json"):
        made = json.loads(path.read_text())
        assert made["symbols"] == list(SYMBOLS) and made["speaker"] in ("anna", "bert")
        frames = soundfile.info(path.with_suffix(".wav")).frames / 64
        assert frames == pytest.approx(sum(made["durations"]), abs=0.51)


def test_scores_have_durations_beside_those_of_the_phonemes_mean(
    spoken: tuple[TextRecipe, Outcome],
) -> None:
    recipe, outcome = spoken
    scores = json.loads((recipe.decoded / "scores.json").read_text())
    heard = {"wer", "cer"}  # where a recogniser is installed
    means = {
        name: {k: v for k, v in row.items() if k not in heard}
        for name, row in scores["means"].items()
    }
    assert set(means["wg"]) == {"mcd_dtw", "vde_dtw", "duration_mae", "phone_duration_mae"}
    assert set(means[speech_scores.MEAN]) == {"duration_mae", "phone_duration_mae"}
    assert set(means["noise"]) == {"mcd_dtw", "vde_dtw"}
    train = read_phonemes(recipe.phonemes, "train").values()
    average = {n: np.mean([one.durations[n] for one in train]) for n in range(len(SYMBOLS))}
    test = read_phonemes(recipe.phonemes, "test").values()
    error = np.mean([[abs(one.durations[n] - average[n]) for n in average] for one in test])
    assert means[speech_scores.MEAN]["duration_mae"]["mean"] == pytest.approx(
        error * 8
    )  # 8 ms a frame
    assert set(scores["durations"]) == set(SYMBOLS)
    assert scores["durations"]["OW1"]["count"] == 3
    absent = "the weights of WAV2VEC2_ASR_BASE_960H are not"
    said = (
        "no error rates of words and characters: ",
        "heard by moonshine, since ",
        "heard by pocketsphinx, since ",
    )
    assert any(start + absent in outcome.out for start in said)


def test_the_page_and_the_card_are_there(spoken: tuple[TextRecipe, Outcome], speech: Path) -> None:
    recipe, outcome = spoken
    card = (speech / "README.md").read_text()
    assert "--speaker anna" in card and "Speakers: anna, bert." in card
    page = (recipe.exp / "page" / "index.html").read_text()
    assert "phoneme&#39;s mean" in page and "Tone." in page
    assert str(speech) in outcome.out


def test_with_reference_durations_any_metric_is_taken(done: TextRecipe) -> None:
    keys = ("decode.durations=reference", "score.metrics=[ls_mse,mcd]")
    outcome = done.run_text("--stage", "decode", "--stop-stage", "score", *keys)
    assert outcome.code == 0, outcome
    folder = done.exp / "decode" / "2-steps-reference-durations"
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["means"]["wg"]["duration_mae"]["mean"] == 0
    assert scores["means"]["wg"]["ls_mse"]["undefined"] == 0


def test_metrics_of_one_timing_are_refused_for_predicted_durations(done: TextRecipe) -> None:
    line = done.run_text(*SCORE, "score.metrics=[mcd]").complaint()
    assert "score.metrics: 'mcd' compares speech of one timing; choose from mcd_dtw" in line


def test_a_recogniser_on_disk_adds_the_character_error_rate(
    done: TextRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Always(torch.nn.Module):
        """Hears "TON" in everything."""

        def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, None]:
            return torch.eye(5)[[0, 1, 1, 2, 0, 3, 4]][None], None

    always = Ctc(Always(), ("-", "T", "O", "N", "|"), 16_000)
    monkeypatch.setattr(recogniser, "load_recogniser", lambda name: always)
    monkeypatch.setattr(text_to_speech, "load_recogniser", lambda name: always)
    outcome = done.run_text(*SCORE, "score.recogniser=WAV2VEC2_ASR_BASE_10M")
    assert outcome.code == 0, outcome
    means = json.loads((done.decoded / "scores.json").read_text())["means"]
    assert means["wg"]["cer"]["mean"] == means["recording"]["cer"]["mean"] == 0.25  # TONE, TON
    assert means["wg"]["wer"]["mean"] == 1
    assert json.loads((done.decoded / "scores.json").read_text())["recogniser"].startswith("WAV2")
    whole = (done.decoded / "scores.json").read_bytes()
    for count in (1, 3):
        (done.decoded / "scores.json").unlink()
        (done.decoded / "stage-score.json").unlink()
        asked = (*SCORE, "score.recogniser=WAV2VEC2_ASR_BASE_10M")
        for number in range(count, 0, -1):
            assert done.run_text(*asked, "--part", f"{number}/{count}").code == 0
        assert not (done.decoded / "scores.json").exists()
        assert done.run_text(*asked).code == 0
        assert (done.decoded / "scores.json").read_bytes() == whole


def test_numbers_are_heard_as_words(done: TextRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = next((done.dump / "test").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes().replace(b"Tone.", b"$ 2. "))
    for module in (recogniser, text_to_speech):
        hears: Any = lambda name: lambda wave, rate: "TWO DOLLARS"  # noqa: E731
        monkeypatch.setattr(module, "load_recogniser", hears)
    outcome = done.run_text(*SCORE, "score.recogniser=WAV2VEC2_ASR_BASE_10M")
    assert outcome.code == 0, outcome
    means = json.loads((done.decoded / "scores.json").read_text())["means"]
    assert means["wg"]["cer"]["mean"] == means["recording"]["cer"]["mean"] == 0


def test_an_unknown_recogniser_is_named(done: TextRecipe) -> None:
    outcome = done.run_text(*SCORE, "score.recogniser=WAV2VEC2_ASR_BASE_960")
    assert "did you mean 'WAV2VEC2_ASR_BASE_960H'" in outcome.complaint()


def test_other_durations_start_a_new_training(done: TextRecipe) -> None:
    folder = done.phonemes
    stamp = folder / "stage-phonemes.json"
    stamp.write_text(stamp.read_text().replace("made up", "made up again"))
    outcome = done.run_text(*TRAIN)
    assert outcome.code == 0 and "the run before is kept in" in outcome.out


def test_training_needs_stage_3(done: TextRecipe) -> None:
    shutil.rmtree(done.work / "data" / "phonemes")
    assert "stage train needs stage 3 (phonemes)" in done.run_text(*TRAIN).complaint()


def test_a_speaker_of_the_test_split_alone_is_named_before_training(done: TextRecipe) -> None:
    shard = next((done.dump / "test").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes().replace(b"anna", b"emma"))
    for stage in ((*DECODE, "decode.seed=1"), LONGER):
        line = done.run_text(*stage).complaint()
        assert re.search(r"tone-\d\d: speaker 'emma' is unknown", line)
    # Stage 3 looks before it trains its aligner.
    (done.phonemes / "stage-phonemes.json").unlink()
    line = done.run_text("--stage", "3", "--stop-stage", "3").complaint()
    assert re.search(r"tone-\d\d: speaker 'emma' is not of the 2 that the model learns", line)
    assert not (done.phonemes / "aligner").exists()


def test_an_utterance_without_speaker_is_named_before_training(done: TextRecipe) -> None:
    shard = next((done.dump / "train").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes().replace(b'"anna\\"', b'"\\"    '))
    assert "no speaker is known" in done.run_text(*LONGER).complaint()


def test_what_the_paper_varies_is_trained_and_spoken(done: TextRecipe) -> None:
    changed = (
        *("model.encoder_channels=12", "model.up_repeats=2", "model.dilations=large"),
        *("model.mask_frames=4", "model.mask_channels=4", "model.mel_weight=1.0"),
        *("train.segment_samples=4096", "train.max_steps=4", "train.sample_every=0"),
    )
    outcome = done.run_text("--stage", "train", "--stop-stage", "decode", *changed)
    assert outcome.code == 0, outcome
    (path,) = (done.exp / "log" / "csv").glob("*/metrics.csv")
    assert "train/mel" in path.read_text().splitlines()[0].split(",")
    assert len(list(done.decoded.glob("*.wav"))) == 3


def test_one_voice_needs_no_speakers(done: TextRecipe) -> None:
    outcome = done.run_text(*TRAIN, "model.speaker_channels=0", "train.sample_every=0")
    assert outcome.code == 0, outcome


def test_an_unknown_symbol_in_stage_3s_files_is_named(done: TextRecipe) -> None:
    folder = done.phonemes
    made = list(read_phonemes(folder, "train").values())
    odd = Phonemes(made[0].id, "", "anna", ("T9",), (sum(made[0].durations),))
    write_phonemes(folder, "train", [odd, *made[1:]])
    assert "symbol 'T9' is unknown" in done.run_text(*LONGER).complaint()


def test_wg_speak_writes_a_wav(speech: Path, tmp_path: Path) -> None:
    voice = ("--model", str(speech), "--speaker", "bert")
    texts = {"slow": ("A tone.", "0.5"), "fast": ("A tone.", "2")}
    frames = {}
    for name, (text, pace) in texts.items():
        output = tmp_path / f"{name}.wav"
        outcome = wg("speak", text, *voice, "--pace", pace, "--steps", "3", "-o", str(output))
        assert outcome.code == 0, outcome
        frames[name] = soundfile.info(output).frames
    assert frames["slow"] > 3 * frames["fast"]


def test_wg_speak_reads_a_file_line_by_line(speech: Path, tmp_path: Path) -> None:
    lines, out, one = tmp_path / "lines.txt", tmp_path / "out", tmp_path / "one.wav"
    lines.write_bytes("\ufeffA tone.\x0cAnd a tone.\r\n \t\r\n{T OW1 N}!\r\n\r\n".encode())
    voice = ("--model", str(speech), "--speaker", "anna", "--steps", "2")
    outcome = wg("speak", "--file", str(lines), *voice, "-o", str(out))
    assert outcome.code == 0, outcome
    made = sorted(path.name for path in out.glob("*.wav"))
    assert made == ["line-00001.wav", "line-00003.wav"]
    assert f"{lines}: blank lines skipped: 2, 4\n" in outcome.out
    assert wg("speak", "{T OW1 N}!", *voice, "-o", str(one)).code == 0
    alone, within = soundfile.read(one)[0], soundfile.read(out / made[1])[0]
    np.testing.assert_allclose(alone, within, atol=2e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["Hello."], "the model needs a speaker; choose from: anna, bert"),
        (["Hello.", "--speaker", "ana"], "speaker 'ana' is unknown; did you mean 'anna'"),
        (["", "--speaker", "anna"], "has no word to speak"),
        (["{HH ZZ}", "--speaker", "anna"], "ZZ"),
        (["Hello.", "--speaker", "anna", "--pace", "0"], "pace 0"),
        (["Hello.", "--speaker", "anna", "--steps", "none"], "--steps"),
        (["Hello.", "--speaker", "anna", "--sampler", "dimm"], "--sampler: sampler 'dimm' is unk"),
        (["Hello.", "--speaker", "anna", "--clip", "0"], "--clip 0: give a positive number"),
        (["Hello.", "--speaker", "anna", "--batch-size", "0"], "--batch-size 0"),
        (["Hello.", "--speaker", "anna", "--device", "abacus"], "--device abacus: give cpu"),
        (["Hello.", "--speaker", "anna", "--seed", str(2**63)], "seed 9223372036854775808: give"),
        (["Hello.", "--speaker", "anna", "-o", "."], "-o .: a folder; name a file in it"),
        (["Hello.", "--speaker", "anna", "--lexicon", "missing"], "lexicon missing"),
        ([], "give either a text or --file"),
        (["--file", "lines.txt", "--speaker", "anna"], "lines.txt:2: text '?!' has no word"),
        (["--file", "none.txt", "--speaker", "anna"], "--file none.txt: not readable"),
        (["--file", "blank.txt", "--speaker", "anna"], "--file blank.txt: is empty"),
    ],
)
def test_wg_speak_refuses_what_cannot_be_spoken(
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.txt").write_text("Hello.\n?!\nAgain.\n")
    Path("blank.txt").write_text("\n \n")
    outcome = wg("speak", "-o", "out.wav", "--model", str(speech), *arguments)
    assert message in outcome.complaint()
    assert not Path("out.wav").exists()
