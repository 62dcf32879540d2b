"""Stages of models that take no mel, on a corpus of two words: low tones and high ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import RATE, REPOSITORY, Outcome, TinyRecipe, wg

from wg.inference.generator import Generator

CORPUS = """
corpus:
  name: tiny
  sample_rate: 8000
  samples: 4096
  valid: [low-00..low-01, high-00..high-01]
  test: [low-02..low-05, high-02..high-05]
mel: {sample_rate: 8000, n_fft: 256, win_length: 256, hop_length: 64, framing: hop, n_mels: 32}
"""
MODEL = """
model: {name: diffwave, channels: 4, layers: 3, dilation_cycle: 3, CONDITIONS}
diffusion: {start: 1.0e-4, end: 0.05, steps: 20, conditioning: discrete}
train: {segment_samples: 4096, batch_size: 4, max_steps: 4, valid_every: 2, valid_levels: 2,
        loss: l2, learning_rate: 1.0e-3, ema: 0.9, workers: 0, log_every: 2, sample_every: 4,
        sample_utterances: 1}
decode: {schedule: "3", generate: 6, batch_size: 4, clip: 1.0}
score: {classifier_steps: 60}
"""
MODELS = {"free": "conditions: none", "words": "conditions: class, classes: [high, low]"}


def word(kind: str, number: int) -> np.ndarray:
    """Half a second or a little less of a tone at 300 Hz or 1500 Hz, in noise."""
    generator = np.random.default_rng(number + 100 * len(kind))
    samples = 4096 - 40 * (number % 3)
    pitch = {"low": 300, "high": 1500}[kind] * (1 + 0.02 * generator.standard_normal())
    wave = 0.2 * np.sin(2 * np.pi * pitch * np.arange(samples) / RATE)
    return wave + 0.01 * generator.standard_normal(samples)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyRecipe, dict[str, Outcome]]:
    """All stages of both models."""
    root = tmp_path_factory.mktemp("sets")
    recipe = TinyRecipe(root, root / "corpus")
    (recipe.folder / "conf").mkdir(parents=True)
    (recipe.folder / "corpus.yaml").write_text(CORPUS)
    shutil.copy(REPOSITORY / "recipes" / "kerstin" / "prepare.py", recipe.folder)
    for name, conditions in MODELS.items():
        text = MODEL.replace("CONDITIONS", conditions)
        (recipe.folder / "conf" / f"{name}.yaml").write_text(text)
    (recipe.corpus / "wavs").mkdir(parents=True)
    lines = ""
    for kind in ("low", "high"):
        for number in range(16):
            name = f"{kind}-{number:02d}"
            soundfile.write(recipe.corpus / "wavs" / f"{name}.wav", word(kind, number), RATE)
            lines += f"{name}|{kind}\n"
    (recipe.corpus / "metadata.csv").write_text(lines)
    outcomes = {name: recipe.run("--model", name) for name in MODELS}
    for outcome in outcomes.values():
        assert outcome.code == 0, outcome
    return recipe, outcomes


def decoded(recipe: TinyRecipe, model: str) -> Path:
    return recipe.work / "exp" / f"tiny-{model}" / "decode" / "3-steps"


def test_every_clip_has_the_corpus_length(made) -> None:
    recipe, _ = made
    for model in MODELS:
        wavs = sorted(decoded(recipe, model).glob("*.wav"))
        assert len(wavs) == 6
        assert {soundfile.info(wav).frames for wav in wavs} == {4096}


def test_classes_share_the_samples_evenly(made) -> None:
    recipe, _ = made
    names = {path.stem for path in decoded(recipe, "words").glob("*.wav")}
    assert names == {f"{kind}-{n:05d}" for kind in ("high", "low") for n in (1, 2, 3)}


def test_a_sample_does_not_depend_on_the_batch(made) -> None:
    recipe, _ = made
    path = decoded(recipe, "free") / "sample-00005.wav"
    before = path.read_bytes()
    outcome = recipe.run("--model", "free", "--stop-stage", "decode", "decode.batch_size=3")
    assert outcome.code == 0, outcome
    after, _ = soundfile.read(path, dtype="int16")
    path.write_bytes(before)
    assert np.abs(after - soundfile.read(path, dtype="int16")[0]).max() <= 1


def test_the_classifier_tells_the_words_apart_and_is_trained_once(made) -> None:
    recipe, outcomes = made
    assert "classifier: 100.0% right on 20 training clips, 100.0% on 8" in outcomes["free"].out
    assert "classifier step" in outcomes["free"].out
    assert "classifier step" not in outcomes["words"].out


def test_recordings_score_better_than_untrained_samples(made) -> None:
    recipe, _ = made
    for model in MODELS:
        means = json.loads((decoded(recipe, model) / "scores.json").read_text())["means"]
        values = {s: {m: v["mean"] for m, v in scores.items()} for s, scores in means.items()}
        assert values["train"]["fid"] == pytest.approx(0, abs=1e-6)
        assert values["test"]["fid"] < values["wg"]["fid"]
        assert 1.5 < values["test"]["is"] <= 2.0001
        if model == "words":
            assert values["train"]["accuracy"] == 1 and values["noise"]["accuracy"] is None
            assert 0 <= values["wg"]["accuracy"] <= 1
        else:
            assert "accuracy" not in values["wg"]


JUDGE = """
import torch

def bands(classes, sample_rate):
    split = 1 + int(2048 * 800 / (sample_rate / 2))

    def listen(audio):
        power = torch.fft.rfft(audio).abs()
        low, high = power[:, :split].mean(1), power[:, split:].mean(1)
        return torch.stack([low, high], 1), torch.stack([high, low], 1).log()

    return listen
"""


def test_another_classifier_can_judge(made, tmp_path: Path, monkeypatch) -> None:
    recipe = made[0].copy(tmp_path)
    (tmp_path / "my_judge.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(tmp_path)
    outcome = recipe.run("--model", "words", "score.classifier=my_judge:bands")
    assert outcome.code == 0, outcome
    assert outcome.decisions()["decode"] == "skipped: up to date"
    scores = json.loads((decoded(recipe, "words") / "scores.json").read_text())
    assert scores["classifier"] == {"supplied": "my_judge:bands", "train": 1.0, "test": 1.0}
    line = recipe.run("--model", "words", "score.classifier=my_judge:bnds").complaint()
    assert "score.classifier 'my_judge:bnds': my_judge has no such function; did you mean" in line
    line = recipe.run("--model", "words", "score.classifier=nowhere:f").complaint()
    assert "cannot import 'nowhere'" in line and "PYTHONPATH" in line


def test_the_page_and_the_card_show_the_set(made) -> None:
    recipe, _ = made
    exp = recipe.work / "exp" / "tiny-words"
    page = (exp / "page" / "index.html").read_text()
    assert page.count("heard as") == 12 and "fid_class" in page
    card = (exp / "generator" / "README.md").read_text()
    assert "--class high" in card and "100.0% of" in card


def test_finished_stages_are_skipped(made) -> None:
    recipe, _ = made
    outcome = recipe.run("--model", "words")
    assert set(outcome.decisions().values()) == {"skipped: up to date"}


@pytest.mark.parametrize(
    ("model", "override", "message"),
    [
        ("words", "decode.generate=7", "decode.generate 7 does not divide by 2 classes; use 8"),
        ("words", "decode.generate=2", "one sample of each of 2 classes, too few for fid_class"),
        ("words", "model.classes=[high,lo]", "text 'low' is none of the classes high, lo; take"),
        ("words", "model.classes=[high,low,mid]", "model.classes: no training clips of mid"),
        ("free", "decode.generate=1", "decode.generate is 1; give at least 2"),
        ("free", "decode.schedule=diffwave-fast-base", "0.613014 lies outside the trained range"),
        ("free", "diffusion.conditioning=continuous", "set diffusion.conditioning=discrete"),
        ("free", "corpus.samples=4000", "4096 samples, corpus.samples is 4000; cut it"),
    ],
)
def test_a_mistake_is_one_line(made, model: str, override: str, message: str) -> None:
    recipe, _ = made
    assert message in recipe.run("--model", model, override).complaint()


def test_a_bad_number_of_samples_stops_before_training(made) -> None:
    recipe, _ = made
    outcome = recipe.run("--model", "words", "train.max_steps=8", "decode.generate=7")
    assert "does not divide by 2 classes" in outcome.complaint()
    assert outcome.decisions() == {}


@pytest.fixture
def generator(made) -> Path:
    return made[0].work / "exp" / "tiny-words" / "generator"


def test_sampling_is_seeded_and_the_recipes_own(made, generator: Path, tmp_path: Path) -> None:
    asked = ("sample", "--model", str(generator), "-n", "3", "--class", "low", "--batch-size", "2")
    for folder in ("a", "b"):
        assert wg(*asked, "-o", str(tmp_path / folder)).code == 0
    names = [f"low-{n:05d}.wav" for n in (1, 2, 3)]
    assert sorted(path.name for path in (tmp_path / "a").glob("*.wav")) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        own = soundfile.read(decoded(made[0], "words") / name, dtype="int16")[0]
        got = soundfile.read(tmp_path / "a" / name, dtype="int16")[0]
        assert np.abs(own.astype(int) - got).max() <= 1
    assert wg(*asked, "--seed", "1", "-o", str(tmp_path / "c")).code == 0
    assert (tmp_path / "a" / names[0]).read_bytes() != (tmp_path / "c" / names[0]).read_bytes()


def test_clips_are_denoised_and_interpolated(made, generator: Path, tmp_path: Path) -> None:
    clips = [str(made[0].corpus / "wavs" / f"{name}.wav") for name in ("low-00", "high-00")]
    model = ("--model", str(generator), "--class", "low")
    for command in (("denoise", clips[0]), ("interpolate", *clips)):
        path = tmp_path / f"{command[0]}.wav"
        outcome = wg(*command, *model, "-o", str(path))
        assert outcome.code == 0, outcome
        assert soundfile.info(path).frames == 4096


def test_another_sampler_makes_another_sample(made, generator: Path, tmp_path: Path) -> None:
    asked = ("sample", "--model", str(generator), "--class", "low")
    for name in ("ancestral", "ddim-0.5"):
        assert wg(*asked, "--sampler", name, "-o", str(tmp_path / name)).code == 0
    first, second = (tmp_path / name / "low-00001.wav" for name in ("ancestral", "ddim-0.5"))
    own = decoded(made[0], "words") / "low-00001.wav"
    assert np.abs(soundfile.read(first)[0] - soundfile.read(own)[0]).max() <= 1 / 32768
    assert np.abs(soundfile.read(first)[0] - soundfile.read(second)[0]).max() > 0.01


def test_records_say_how_a_sample_was_made(made) -> None:
    recipe, outcomes = made
    for model in MODELS:
        wavs = sorted(decoded(recipe, model).glob("*.wav"))
        for path in wavs:
            record = json.loads(path.with_suffix(".json").read_text())
            said = (record["sampler"], record["clip"], record["consistency"])
            assert said == ("ancestral", 1.0, None)
        assert len(wavs) == 6 and ": 6 utterances, 3 steps" in outcomes[model].out


def test_a_short_call_goes_before_the_ones_that_are_timed(made, tmp_path, monkeypatch) -> None:
    recipe, samples = made[0].copy(tmp_path), []
    plain = Generator.__call__

    def spy(model, seeds, classes=None, synthesis=None):
        samples.append((synthesis or model.synthesis).samples)
        return plain(model, seeds, classes, synthesis)

    monkeypatch.setattr(Generator, "__call__", spy)
    decode = ("--stage", "decode", "--stop-stage", "decode", "decode.seed=1")
    assert recipe.run("--model", "free", *decode).code == 0
    assert samples == [50 * 64, 4096, 4096]


MISTAKES = {
    "sampler": (["sample", "--class", "low", "--sampler", "dimm"], "--sampler: sampler 'dimm' is"),
    "class unknown": (["sample", "--class", "loow"], "class 'loow' is unknown; did you mean 'low'"),
    "class missing": (["sample"], "the model needs a class; choose from: high, low"),
    "no clips": (["sample", "--class", "low", "-n", "0"], "--count 0: give at least 1"),
    "no length": (["sample", "--class", "low", "--samples", "0"], "--samples 0: give at least 1"),
    "schedule": (
        ["sample", "--class", "low", "--steps", "diffwave-fast-base"],
        "lies outside the trained range",
    ),
    "step": (["denoise", "CLIP", "--class", "low", "--step", "21"], "trained on steps 1 to 20"),
    "share": (["interpolate", "CLIP", "CLIP", "--class", "low", "--share", "2"], "share 2; give 0"),
    "lengths": (["interpolate", "CLIP", "SHORT", "--class", "low"], "has 4096 samples and"),
    "no file": (["denoise", "nowhere.wav", "--class", "low"], "nowhere.wav: no such file"),
}


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_mistake_on_the_command_line_is_one_line(made, generator, tmp_path, name: str) -> None:
    arguments, message = MISTAKES[name]
    wavs = made[0].corpus / "wavs"
    places = {"CLIP": wavs / "low-00.wav", "SHORT": wavs / "low-01.wav"}
    filled = [str(places[a]) if a in places else a for a in arguments]
    # Samples go into a folder, a clip into a file.
    output = tmp_path / ("out" if "sample" in filled else "out.wav")
    outcome = wg(*filled, "--model", str(generator), "-o", str(output))
    assert message in outcome.complaint()


def test_samples_go_into_a_folder_and_not_over_a_file(generator, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    asked = ("sample", "--class", "low", "--model", str(generator), "-o", str(tmp_path / "out"))
    assert f"-o {tmp_path / 'out'}: a file; give a folder" in wg(*asked).complaint()
    assert (tmp_path / "out").read_text() == "mine"


def test_one_clip_is_not_written_to_a_folder(made, generator, tmp_path: Path) -> None:
    clip = str(made[0].corpus / "wavs" / "low-00.wav")
    asked = ("denoise", clip, "--class", "low", "--model", str(generator), "-o", str(tmp_path))
    assert f"-o {tmp_path}: a folder; name a file in it" in wg(*asked).complaint()


def test_a_class_for_an_unconditional_model_is_refused(made, tmp_path: Path) -> None:
    model = made[0].work / "exp" / "tiny-free" / "generator"
    asked = ("sample", "--model", str(model), "--class", "low", "-o", str(tmp_path / "out"))
    assert "class 'low' given, but the model is unconditional" in wg(*asked).complaint()


def test_a_vocoder_command_with_an_unconditional_model_is_refused(made, tmp_path: Path) -> None:
    model = made[0].work / "exp" / "tiny-free" / "generator"
    np.save(tmp_path / "mel.npy", np.zeros((32, 9), np.float32))
    asked = ("vocode", str(tmp_path / "mel.npy"), "--vocoder", str(model), "-o", "out.wav")
    assert "unconditional and takes no mel: use wg sample" in wg(*asked).complaint()
