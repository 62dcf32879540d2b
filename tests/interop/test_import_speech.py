"""Weights of WaveGrad 2's ports give, imported, the same numbers as the ports' forward passes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from foreign import State
from foreign_speech import (
    KEONLEE,
    KEONLEE_SEVERAL,
    MINDSLAB,
    MINDSLAB_LARGE,
    Spoken,
    TextPort,
    speech,
    speech_state,
)
from omegaconf import OmegaConf
from tiny_recipe import wg
from torch import Tensor

from wg import TextToSpeech
from wg.errors import InputError
from wg.inference.text_to_speech import Sentence, Voice
from wg.interop import keonlee_wavegrad2, mindslab_wavegrad2
from wg.interop.imported import Imported, read_foreign
from wg.text.symbols import PHONEMES

AGREEMENT = 1e-5
LEVEL = 0.7
WORDS = ("HH", "AH0", "L", "OW1", "sp", "DH", "EH1", "R")
FORMATS = {
    "mindslab-wavegrad2": (MINDSLAB, 1),
    "mindslab-wavegrad2, Large": (MINDSLAB_LARGE, 2),
    "keonlee-wavegrad2": (KEONLEE, 1),
    "keonlee-wavegrad2, several speakers": (KEONLEE_SEVERAL, 3),
}


def table(port: TextPort) -> tuple[str, ...]:
    return (mindslab_wavegrad2 if port.joined else keonlee_wavegrad2).SYMBOLS


def saved(folder: Path, port: TextPort, state: State, **further: Any) -> Path:
    key = "state_dict" if port.joined else "model"
    torch.save({key: state, **further}, folder / "their.ckpt")
    return folder / "their.ckpt"


def imported(folder: Path, name: str, seed: int = 0) -> tuple[TextPort, State, Imported]:
    port, speakers = FORMATS[name]
    state = speech_state(port, len(table(port)), speakers, seed)
    return port, state, read_foreign(name.split(",")[0], saved(folder, port, state))


def ours(found: Imported, names: tuple[str, ...], speaker: int) -> Spoken:
    """The same parts of our network."""
    made = found.build()
    assert isinstance(made, TextToSpeech)
    network: Any = made.network
    ids = torch.tensor([[found.model.symbols.index(name) for name in names]])
    lengths, real = torch.tensor([len(names)]), torch.ones_like(ids, dtype=torch.bool)
    told = {"symbols": ids, "symbol_lengths": lengths, "speaker": torch.tensor([speaker])}
    cond = network.condition({**told, "pace": torch.ones(1)})
    x = network.encoder(ids, lengths, real)
    if found.model.speaker_channels:
        voice = network.speaker.weight[speaker].expand(1, len(names), -1)
        x = torch.cat([x, voice], -1)
    raw = network.range(torch.cat([x, cond.durations[..., None]], -1), lengths)
    ranges = F.softplus(raw) + network.convention.least_range
    samples = cond.features.shape[-1] * found.mel.hop_length
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(5))
    eps = network.denoise(noise[None], torch.tensor([LEVEL]), cond)
    parts = (x, cond.predicted, cond.durations, ranges, cond.features, eps)
    return Spoken(*(part[0] for part in parts))


def their_ids(port: TextPort) -> Tensor:
    return torch.tensor([table(port).index(f"@{name}") for name in WORDS])


@pytest.mark.parametrize("name", FORMATS)
@torch.inference_mode()
def test_each_part_agrees_with_the_ports(tmp_path: Path, name: str) -> None:
    port, state, found = imported(tmp_path, name)
    speaker = FORMATS[name][1] - 1
    expected = speech(state, port, their_ids(port), speaker, LEVEL)
    got = ours(found, WORDS, speaker)._asdict()
    if not port.joined and port.speaker:  # theirs is a sum, ours stands beside it
        got["encoded"] = sum(got["encoded"].chunk(2, -1))
        got["features"] = sum(got["features"].chunk(2, 0))
    for part, wanted in expected._asdict().items():
        error = float((wanted - got[part]).abs().max())
        print(f"{name}, {part}: agrees to {error:.1e} (up to {float(wanted.abs().max()):.2f})")
        assert wanted.abs().max() > 0.05 and error < AGREEMENT, part
    assert 8 <= expected.durations.sum() <= 200 and len(set(expected.durations.tolist())) > 1
    assert found.unmapped == []
    assert (found.mel.sample_rate, found.mel.hop_length) == (22050, 300)


@pytest.mark.parametrize("name", ["mindslab-wavegrad2", "keonlee-wavegrad2"])
@torch.inference_mode()
def test_with_our_own_upsampling_their_features_would_be_wrong(tmp_path: Path, name: str) -> None:
    port, state, found = imported(tmp_path, name)
    expected = speech(state, port, their_ids(port), 0, LEVEL)
    wrong = ours(replace(found, model=replace(found.model, upsampling="middle")), WORDS, 0)
    assert abs(wrong.features.shape[1] - expected.features.shape[1]) < 6
    frames = min(wrong.features.shape[1], expected.features.shape[1])
    error = (wrong.features[:, :frames] - expected.features[:, :frames]).abs().max()
    assert float(error) > 0.05


@pytest.mark.parametrize("name", FORMATS)
def test_phonemes_are_found_by_name_and_marks_are_pauses(tmp_path: Path, name: str) -> None:
    port, _, found = imported(tmp_path, name)
    for place, theirs in enumerate(table(port)):
        assert not theirs.startswith("@") or found.model.symbols[place] == theirs[1:]
    assert set(PHONEMES) <= set(found.model.symbols)
    model: Any = found.build()
    voice = Voice(found.model.speakers[0] if len(found.model.speakers) > 1 else None)
    (utterance,) = model.sentences("Hello, you!", voice)
    assert utterance.symbols == ["HH", "AH0", "L", "OW1", "sp", "Y", "UW1"]


def test_an_utterance_sounds_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    _, _, found = imported(tmp_path, "mindslab-wavegrad2")
    model: Any = found.build()
    both = [Sentence(WORDS, Voice(seed=1)), Sentence(WORDS[:3], Voice(seed=2))]
    options = model.synthesis.with_schedule("2")
    for utterance, spoken in zip(both, model.utter(both, options), strict=True):
        (alone,) = model.utter([utterance], options)
        torch.testing.assert_close(alone.wave, spoken.wave, atol=1e-4, rtol=0)


SETTINGS = """
train: {loss_rate: {dur: 2.0}}
data:
  speakers: ['anna']
audio: {sampling_rate: 24000}
window:
  scale: 256
wavegrad:
  scale_factors: [4, 4, 4, 2, 2]
  upsample:
    dilations: [[1,2,1,2],[1,2,1,2],[1,2,4,8],[1,2,4,8],[1,2,4,8]]
ddpm:
  max_step: 500
  noise_schedule: "torch.linspace(1e-5, 0.02, hparams.ddpm.max_step)"
  pos_emb_scale: 50000
"""


def test_mindslabs_own_settings_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path, MINDSLAB, speech_state(MINDSLAB, 151))
    config = tmp_path / "hparameter.yaml"
    config.write_text(SETTINGS)
    found = read_foreign("mindslab-wavegrad2", path, config)
    model = found.model
    assert (model.factors, model.dilations) == ((4, 4, 4, 2, 2), "lmnt")
    assert (model.speakers, model.level_scale, model.duration_weight) == (("anna",), 50000, 2)
    assert (found.mel.sample_rate, found.mel.hop_length) == (24000, 256)
    schedule = found.diffusion
    assert (schedule.start, schedule.end, schedule.steps) == (1e-5, 0.02, 500)


def test_a_lightning_checkpoint_needs_trust_and_tells_its_settings(tmp_path: Path) -> None:
    settings = OmegaConf.create({"data": {"speakers": ["anna"]}, "window": {"scale": 300}})
    state = speech_state(MINDSLAB, 151)
    path = saved(tmp_path, MINDSLAB, state, hyper_parameters=settings)
    with pytest.raises(InputError, match="this pickle needs .*: give --trust only if"):
        read_foreign("mindslab-wavegrad2", path)
    assert read_foreign("mindslab-wavegrad2", path, trust=True).model.speakers == ("anna",)
    torch.save(state, tmp_path / "their_EMA")  # the average alone, which needs no trust
    assert read_foreign("mindslab-wavegrad2", tmp_path / "their_EMA").unmapped == []


def test_keonlees_schedule_is_kept_as_it_is(tmp_path: Path) -> None:
    state = speech_state(KEONLEE, 361)
    betas = torch.linspace(1e-6, 0.01, 1000) * torch.linspace(0.5, 1.0, 1000)
    betas[3] = -1.4e-7  # its file has one below zero
    buffers = {"decoder.betas": betas, "decoder.alphas": 1 - betas}
    found = read_foreign("keonlee-wavegrad2", saved(tmp_path, KEONLEE, state | buffers))
    levels = (1 - betas.double().clamp(min=1e-9)).cumprod(0).sqrt()
    torch.testing.assert_close(found.diffusion.levels()[1:], levels, rtol=0, atol=1e-12)
    assert found.unmapped == [] and "training betas" not in found.guessed
    assert found.synthesis.schedule == "quantiles-1000"


def test_a_short_schedule_of_keonlees_is_for_sampling_alone(tmp_path: Path) -> None:
    state = speech_state(KEONLEE, 361)
    short = {"decoder.betas": torch.tensor([1e-6, 1e-4, 1e-2, 0.05])}
    found = read_foreign("keonlee-wavegrad2", saved(tmp_path, KEONLEE, state | short))
    schedule = found.diffusion
    assert (schedule.start, schedule.end, schedule.steps) == (1e-6, 0.01, 1000)
    assert found.guessed["training betas"] == "1000 betas from 1e-06 to 0.01"
    levels = (1 - short["decoder.betas"].double()).cumprod(0).sqrt().tolist()
    assert found.synthesis.schedule == pytest.approx((1.0, *levels))
    noisy = {"decoder.betas": torch.full((50,), 0.5)}
    with pytest.raises(InputError, match="its last schedule, of 50 steps, goes beyond the train"):
        read_foreign("keonlee-wavegrad2", saved(tmp_path, KEONLEE, state | noisy))


def test_keonlees_speakers_are_named_by_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path, KEONLEE_SEVERAL, speech_state(KEONLEE_SEVERAL, 361, speakers=2))
    names = tmp_path / "speakers.json"
    names.write_text(json.dumps({"bert": 1, "anna": 0}))
    assert read_foreign("keonlee-wavegrad2", path, names).model.speakers == ("anna", "bert")
    names.write_text(json.dumps({"bert": 1}))
    with pytest.raises(InputError, match="it names 1 speakers, the model has 2"):
        read_foreign("keonlee-wavegrad2", path, names)
    assert read_foreign("keonlee-wavegrad2", path).model.speakers == ("0", "1")


def test_the_command_writes_a_folder_that_speaks(tmp_path: Path) -> None:
    state = speech_state(MINDSLAB, 151) | {"extra.weight": torch.ones(1)}
    path, folder = saved(tmp_path, MINDSLAB, state), tmp_path / "tts"
    outcome = wg("import", "mindslab-wavegrad2", str(path), "-o", str(folder))
    assert outcome.code == 0, outcome
    assert "22050 Hz, 151 symbols; speakers: LJSpeech" in outcome.out
    assert "not used, 1: extra.weight" in outcome.out
    assert "from wg import TextToSpeech" in (folder / "README.md").read_text()
    output = tmp_path / "out.wav"
    spoken = wg("speak", "Hello.", "--model", str(folder), "--steps", "2", "-o", str(output))
    assert spoken.code == 0 and output.stat().st_size > 1000, spoken


def other(port: TextPort, symbols: int, **changes: Tensor | None) -> State:
    state = {**speech_state(port, symbols), **changes}
    return {name: value for name, value in state.items() if value is not None}


BROKEN = {
    "early": (
        KEONLEE,
        other(KEONLEE, 361, **{keonlee_wavegrad2.EARLY: torch.zeros(1)}),
        "weights of an early version, whose encoder starts from random states",
    ),
    "symbols": (MINDSLAB, other(MINDSLAB, 150), r"150 symbols, the known table 151; name them"),
    "kernel": (
        MINDSLAB,
        other(MINDSLAB, 151, **{"encoder.cnn.0.0.weight": torch.zeros(8, 8, 3)}),
        r"3 convolutions .* of kernel 3; only 3 of kernel 5",
    ),
    "missing": (
        MINDSLAB,
        other(MINDSLAB, 151, **{"encoder.lstm.weight_hh_l0_reverse": None}),
        "weights encoder.lstm.weight_hh_l0_reverse are missing",
    ),
    "other project": (MINDSLAB, other(KEONLEE, 361), r"and \d+ more are missing; it has decoder"),
    "predictors": (
        KEONLEE,
        other(KEONLEE, 361, **{"duration_predictor.duration_lstm.weight_hh_l0": torch.ones(24, 6)}),
        "the duration predictor has 6 channels a direction and the range predictor 4",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_weights_that_cannot_be_imported_are_one_line(tmp_path: Path, name: str) -> None:
    port, state, message = BROKEN[name]
    kind = "mindslab-wavegrad2" if port.joined else "keonlee-wavegrad2"
    with pytest.raises(InputError, match=message) as caught:
        read_foreign(kind, saved(tmp_path, port, state))
    assert "their.ckpt: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_of_symbols_can_be_given(tmp_path: Path) -> None:
    names = ["_", *(f"@{name}" for name in PHONEMES), "@sp"]
    path = saved(tmp_path, MINDSLAB, speech_state(MINDSLAB, len(names)))
    config = tmp_path / "symbols.json"
    config.write_text(json.dumps({"symbols": names}))
    found = read_foreign("mindslab-wavegrad2", path, config)
    assert found.model.symbols == ("pad", *PHONEMES, "sp")


@pytest.mark.parametrize(
    "text, message",
    [
        ("ddpm: {noise_schedule: 'os.abort()'}", r"'os.abort\(\)' is no torch.linspace"),
        ("data: {speakers: [a, b]}", "data.speakers names 2 speakers, the model has 1"),
        ("wavegrad: {upsample: {dilations: [[1]]}}", "are none that wg has"),
        ("window: [", "not readable"),
        ("window", "holds a str"),
    ],
)
def test_settings_that_are_none_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = saved(tmp_path, MINDSLAB, speech_state(MINDSLAB, 151))
    config = tmp_path / "hparameter.yaml"
    config.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_foreign("mindslab-wavegrad2", path, config)
    assert "\n" not in str(caught.value)
