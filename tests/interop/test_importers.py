"""Each foreign checkpoint gives, imported, the same numbers as its project's forward pass."""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import (
    COQUI,
    IVANVOVK,
    LMNT,
    Port,
    State,
    draw,
    encode,
    lmnt_diffwave,
    lmnt_diffwave_state,
    philsyn_diffwave,
    philsyn_state,
    speechbrain_diffwave,
    speechbrain_state,
    wavegrad,
    wavegrad_state,
)
from tiny_recipe import wg
from torch import Tensor

from wg import Generator, Vocoder
from wg.errors import InputError
from wg.interop.imported import Imported, read_foreign
from wg.interop.ivanvovk_wavegrad import BUFFERS
from wg.mel.extract import log_mel
from wg.mel.hub import named
from wg.models.wavegrad import LevelEncoding

AGREEMENT = 1e-5
STATE = wavegrad_state(COQUI, 80)


def saved(folder: Path, content: Any, name: str = "their.ckpt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def random(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def agreement(name: str, expected: Tensor, got: Tensor) -> None:
    """Prints and checks the greatest difference of two outputs of about unit size."""
    error = float((expected - got).abs().max())
    print(f"{name}: agrees to {error:.1e} (outputs up to {float(expected.abs().max()):.2f})")
    assert expected.abs().max() > 0.1 and error < AGREEMENT


def eps(found: Imported, x: Tensor, told: Tensor, mel: Tensor | None) -> Tensor:
    """What our network makes of it, through the folder on disk and back."""
    network: Any = found.build().network
    return network.denoise(x, told, network.condition({} if mel is None else {"mel": mel}))


def check_wavegrad(name: str, path: Path, port: Port, state: State, found: Imported) -> None:
    hop = found.mel.hop_length
    mel, x = random(2, found.mel.n_mels, 4), random(2, 4 * hop)
    level = torch.tensor([0.3, 0.92])
    agreement(name, wavegrad(state, port, x, mel, level), eps(found, x, level, mel))
    assert found.unmapped == []


def test_lmnt_wavegrad(tmp_path: Path) -> None:
    state = wavegrad_state(LMNT, 128)
    betas = torch.linspace(1e-6, 0.01, 1000, dtype=torch.float64).tolist()
    params = {"sample_rate": 24000, "hop_samples": 300, "noise_schedule": betas}
    content = {"step": 3, "model": state, "optimizer": {"state": {}}, "params": params}
    path = saved(tmp_path, content)
    found = read_foreign("lmnt-wavegrad", path)
    check_wavegrad("lmnt-wavegrad", path, LMNT, state, found)
    assert found.mel == named("lmnt-wavegrad")
    assert (found.diffusion.start, found.diffusion.end, found.diffusion.steps) == (1e-6, 0.01, 1000)
    assert found.guessed == {} and found.synthesis.schedule == "quantiles-1000"
    params["sample_rate"] = 22050
    found = read_foreign("lmnt-wavegrad", saved(tmp_path, content))
    assert found.mel.sample_rate == 22050 and found.mel.top == 11025


def test_what_lmnts_params_do_not_say_is_guessed_aloud(tmp_path: Path) -> None:
    state = {f"module.{k}" if "film" in k else k: v for k, v in wavegrad_state(LMNT, 128).items()}
    for params in ({"params": None}, {}, {"params": {}}):
        path = saved(tmp_path, {"model": state, **params})
        found = read_foreign("lmnt-wavegrad", path)
        assert list(found.guessed) == ["noise_schedule", "sample_rate", "hop_samples"]
    outcome = wg("import", "lmnt-wavegrad", str(path), "-o", str(tmp_path / "voc"))
    wanted = "noise_schedule 1000 betas from 1e-06 to 0.01; sample_rate 24000; hop_samples 300"
    assert f"guessed, as no file says it (--config FILE would): {wanted}" in outcome.out
    twice = {"model": state | {"film.0.input_conv.bias": torch.zeros(4)}}
    with pytest.raises(InputError, match="has weights twice"):
        read_foreign("lmnt-wavegrad", saved(tmp_path, twice))
    with pytest.raises(InputError, match="'params' in it is a list"):
        read_foreign("lmnt-wavegrad", saved(tmp_path, {"model": state, "params": [1]}))


@pytest.mark.parametrize("kind", ["lmnt-wavegrad", "lmnt-diffwave"])
def test_a_schedule_that_is_not_linear_is_kept(tmp_path: Path, kind: str) -> None:
    wave = kind == "lmnt-wavegrad"
    state = wavegrad_state(LMNT, 128) if wave else lmnt_diffwave_state(80, 6, 5)
    betas = np.geomspace(1e-4, 0.05, 40)  # numpy's own numbers, as params often hold them
    path = saved(tmp_path, {"model": state, "params": {"noise_schedule": betas}})
    found = read_foreign(kind, path)
    expected = np.cumprod(1 - betas) ** 0.5
    np.testing.assert_allclose(found.diffusion.levels()[1:].numpy(), expected, rtol=1e-12)
    assert found.synthesis.schedule == "quantiles-40"
    found.build().save_pretrained(tmp_path / "voc")
    again = Vocoder.from_pretrained(tmp_path / "voc")
    assert again.diffusion == found.diffusion
    assert torch.equal(again.levels(again.synthesis), found.diffusion.levels())


def test_numbers_of_numpy_need_no_trust_but_code_in_their_arrays_does(tmp_path: Path) -> None:
    model = wavegrad_state(COQUI, 80)
    about = {"model_loss": np.float32(0.2), "step": np.int64(3), "stats": np.ones(2)}
    assert read_foreign("coqui-wavegrad", saved(tmp_path, {"model": model, **about})).unmapped == []
    mark = tmp_path / "ran"
    hidden = np.array({"x": Code(mark)}, dtype=object)
    with pytest.raises(InputError, match="this pickle needs posix.mkdir"):
        read_foreign("coqui-wavegrad", saved(tmp_path, {"model": model, "hidden": hidden}))
    assert not mark.exists()


def test_ivanvovk_wavegrad_with_and_without_its_config(tmp_path: Path) -> None:
    state = wavegrad_state(IVANVOVK, 80)
    buffers = {name: torch.zeros(1000) for name in BUFFERS}
    path = saved(tmp_path, {"iteration": 9, "model": state | buffers})
    found = read_foreign("ivanvovk-wavegrad", path)
    check_wavegrad("ivanvovk-wavegrad", path, IVANVOVK, state, found)
    assert found.mel == named("ivanvovk-wavegrad")
    assert found.synthesis.schedule == "ivanvovk-linear-50"
    assert found.guessed["training_noise_schedule"] == "1000 betas from 1e-06 to 0.01"
    assert found.guessed["factors"] == "(5, 5, 3, 2, 2)"

    paper = tuple(reversed(IVANVOVK.dilations))
    port = Port(**{**vars(IVANVOVK), "factors": (4, 4, 4, 2, 2), "dilations": paper})
    settings = {
        "model_config": {"factors": port.factors, "upsampling_dilations": paper},
        "data_config": {"sample_rate": 16000, "hop_length": 256, "f_max": 7600},
        "training_config": {
            "training_noise_schedule": {"n_iter": 500, "betas_range": [1e-5, 0.02]},
            "test_noise_schedule": {"n_iter": 6, "betas_range": [1e-5, 0.5]},
        },
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings))
    found = read_foreign("ivanvovk-wavegrad", path, config)
    check_wavegrad("ivanvovk-wavegrad, hop 256", path, port, state, found)
    assert (found.mel.sample_rate, found.mel.fmax, found.mel.n_fft) == (16000, 7600, 1024)
    assert (found.diffusion.steps, found.diffusion.end) == (500, 0.02)
    assert len(found.synthesis.schedule) == 7 and "factors" not in found.guessed
    settings["data_config"] |= {"n_mels": 100}
    config.write_text(json.dumps(settings))
    with pytest.raises(InputError, match="n_mels is 100, but the weights are for 80 bands"):
        read_foreign("ivanvovk-wavegrad", path, config)


def test_ivanvovks_network_alone_is_known_and_its_first_version_is_refused(tmp_path: Path) -> None:
    state = wavegrad_state(IVANVOVK, 80)
    bare = {name.removeprefix("nn."): value for name, value in state.items()}
    found = read_foreign("ivanvovk-wavegrad", saved(tmp_path, bare))
    check_wavegrad("ivanvovk-wavegrad, alone", tmp_path, IVANVOVK, state, found)
    old = state | {"nn.films.0.positional_encoding.pe": torch.zeros(4, 9)}
    with pytest.raises(InputError, match="an early version, whose level encoding was a table"):
        read_foreign("ivanvovk-wavegrad", saved(tmp_path, {"model": old}))


def test_ivanvovks_angles_are_of_single_precision(tmp_path: Path) -> None:
    found = read_foreign("ivanvovk-wavegrad", saved(tmp_path, wavegrad_state(IVANVOVK, 80)))
    model, level = found.model, torch.rand(64, generator=torch.Generator().manual_seed(0))
    ours = LevelEncoding(512, model.level_encoding, model.level_scale)
    nothing = torch.zeros(64, 512, 1)
    theirs = encode(nothing, level, "5000 level")
    assert torch.equal(ours(nothing, level), theirs)
    exact = LevelEncoding(512, "sinusoid", model.level_scale)(nothing, level)
    assert 1e-5 < float((exact - theirs).abs().max()) < 1e-3


def test_ivanvovks_digital_silence_is_as_loud_as_unit_energy() -> None:
    spec = named("ivanvovk-wavegrad")
    wave = torch.cat([torch.zeros(9000), 0.1 * random(9000)])
    mel = log_mel(wave, spec)
    assert (mel[:, :20] == 0).all() and (spec.silence == 0).all()
    assert (spec.decompress(mel)[:, :20] == 0).all()


@pytest.mark.parametrize("normed", ["plain", "old", "new"])
def test_coqui_wavegrad_with_either_weight_normalisation(tmp_path: Path, normed: str) -> None:
    state = wavegrad_state(COQUI, 80)
    stored = dict(state)
    names = {"old": ("weight_g", "weight_v")}
    names["new"] = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    for name in [name for name in state if name.endswith("weight")] if normed != "plain" else []:
        base, weight = name.removesuffix("weight"), stored.pop(name)
        length = weight.flatten(1).norm(dim=1)[:, None, None]
        stored[base + names[normed][0]] = length
        stored[base + names[normed][1]] = 3 * weight / length
    path = saved(tmp_path, {"model": stored, "step": 1})
    found = read_foreign("coqui-wavegrad", path)
    check_wavegrad(f"coqui-wavegrad, {normed}", path, COQUI, state, found)
    assert found.mel == named("coqui-wavegrad")


def test_coquis_audio_settings_become_one_line_of_decibels(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": wavegrad_state(COQUI, 80)})
    audio = {"ref_level_db": 0, "min_level_db": -80, "max_norm": 1.0, "spec_gain": 1.0}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"audio": audio | {"mel_fmin": 50.0, "mel_fmax": 7600.0}}))
    spec = read_foreign("coqui-wavegrad", path, config).mel
    # S = gain log10 m - ref; from min..0 to -1..1.
    wanted = 2 * (1.0 * -3 - 0 + 80) / 80 - 1
    linear = torch.full((80, 1), 1e-3, dtype=torch.float64)
    assert spec.compress(linear)[0, 0] == pytest.approx(min(wanted, 1.0))
    linear = torch.full((80, 1), 1e-70, dtype=torch.float64)
    floor = 2 * (-8 + 80) / 80 - 1
    assert spec.compress(linear)[0, 0] == pytest.approx(floor)
    audio = {"log_func": "np.log", "spec_gain": 1.0, "ref_level_db": 0, "min_level_db": -12}
    config.write_text(json.dumps({"audio": audio}))
    spec = read_foreign("coqui-wavegrad", path, config).mel
    linear = torch.full((80, 1), 1e-3, dtype=torch.float64)
    assert spec.compress(linear)[0, 0] == pytest.approx(8 * (math.log(1e-3) + 12) / 12 - 4)


# Each of coqui's settings of a mel, with what AudioProcessor makes of the linear mel m with them.
RANGE = {"ref_level_db": 20, "min_level_db": -100, "max_norm": 4.0, "spec_gain": 20}
MADE = {
    "onesided": ({**RANGE, "symmetric_norm": False}, lambda s: 4 * (s + 80) / 100, (0, 4)),
    "unclipped": ({**RANGE, "clip_norm": False}, lambda s: 8 * (s + 80) / 100 - 4, None),
    "as it is": ({**RANGE, "signal_norm": False}, lambda s: s, None),
}


@pytest.mark.parametrize("name", MADE)
def test_coquis_ways_to_normalise_are_applied(tmp_path: Path, name: str) -> None:
    audio, wanted, bounds = MADE[name]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"audio": audio}))
    spec = read_foreign("coqui-wavegrad", saved(tmp_path, {"model": STATE}), config).mel
    linear = torch.tensor([1e-9, 1e-6, 1e-2, 1.0, 1e4], dtype=torch.float64).expand(80, -1)
    expected = wanted(20 * linear.clamp(min=1e-8).log10())
    expected = expected if bounds is None else expected.clamp(*bounds)
    torch.testing.assert_close(spec.compress(linear), expected)


def test_coquis_statistics_are_read_beside_the_checkpoint(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    audio = {"spec_gain": 1.0, "stats_path": "/home/somebody/scale_stats.npy"}
    config.write_text(json.dumps({"audio": audio}))
    path = saved(tmp_path, {"model": STATE})
    with pytest.raises(InputError, match="no such file, nor .*scale_stats.npy; put it there"):
        read_foreign("coqui-wavegrad", path, config)
    mean, std = np.linspace(-3, -1, 80), np.linspace(0.5, 2, 80)
    stats: Any = {"mel_mean": mean, "mel_std": std, "audio_config": {"sample_rate": 24000}}
    np.save(tmp_path / "scale_stats.npy", stats, allow_pickle=True)
    spec = read_foreign("coqui-wavegrad", path, config).mel
    linear = torch.full((80, 1), 1e-3, dtype=torch.float64)
    expected = (-3 - torch.from_numpy(mean)) / torch.from_numpy(std)
    torch.testing.assert_close(spec.compress(linear)[:, 0], expected)
    mark = tmp_path / "ran"
    stats["more"] = Code(mark)
    np.save(tmp_path / "scale_stats.npy", stats, allow_pickle=True)
    with pytest.raises(InputError, match=r"not a readable .npy file \(needs posix.mkdir\)"):
        read_foreign("coqui-wavegrad", path, config)
    assert not mark.exists()


def test_coquis_checkpoint_says_its_own_settings(tmp_path: Path) -> None:
    audio = {"sample_rate": 24000, "hop_length": None, "frame_shift_ms": 12.5}
    audio |= {"frame_length_ms": 50, "fft_size": 2048, "win_length": None}
    own = {
        "audio": audio,
        "model_params": {"upsample_factors": [5, 5, 3, 2, 2]},
        "test_noise_schedule": {"min_val": 1e-5, "max_val": 0.5, "num_steps": 6},
    }
    found = read_foreign("coqui-wavegrad", saved(tmp_path, {"model": STATE, "config": own}))
    assert (found.mel.sample_rate, found.mel.hop_length, found.mel.win_length) == (24000, 300, 1200)
    assert found.model.factors == (5, 5, 3, 2, 2) and len(found.synthesis.schedule) == 7
    assert {"sample_rate", "upsample_factors"}.isdisjoint(found.guessed)
    plain = read_foreign("coqui-wavegrad", saved(tmp_path, {"model": STATE}))
    assert plain.guessed["sample_rate"] == "22050"
    assert plain.synthesis.schedule == "ivanvovk-linear-50"


def test_coquis_json_may_have_comments(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{ // first\n"url": "tcp:\\/\\/localhost:1", "more": "a//b \\" // c", /* and\nthis */'
        '"audio": {"sample_rate": 24000} // last\n}\n'
    )
    found = read_foreign("coqui-wavegrad", saved(tmp_path, {"model": STATE}), config)
    assert found.mel.sample_rate == 24000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audio": {"preemphasis": 0.97}}, "audio.preemphasis is 0.97; only 0 can"),
        ({"audio": {"stft_pad_mode": "constant"}}, "audio.stft_pad_mode is 'constant'; only 'refl"),
        ({"audio": {"do_amp_to_db_mel": False}}, "audio.do_amp_to_db_mel is False; only True"),
        ({"audio": {"num_mels": 100}}, "audio.num_mels is 100, but the weights are for 80 bands"),
        ({"audio": {"log_func": "np.log2"}}, "audio.log_func is 'np.log2'; only np.log10 and"),
        ({"audio": {"min_level_db": 0}}, "audio.min_level_db is 0; a range needs a number below 0"),
        (
            {"audio": {"hop_length": None, "frame_shift_ms": 12, "frame_length_ms": 50}},
            "audio.frame_shift_ms 12 does not divide audio.frame_length_ms 50",
        ),
        ({"model_params": {"y_conv_channels": 32}}, "y_conv_channels is 32, but the weights are"),
    ],
)
def test_what_coquis_settings_ask_in_vain_is_named(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    path = saved(tmp_path, {"model": STATE, "config": settings})
    with pytest.raises(InputError, match=re.escape(message)):
        read_foreign("coqui-wavegrad", path)


@pytest.mark.parametrize("bands", [80, None])
def test_lmnt_diffwave(tmp_path: Path, bands: int | None) -> None:
    state = lmnt_diffwave_state(bands, channels=6, layers=5)
    betas = torch.linspace(1e-4, 0.05, 50, dtype=torch.float64).tolist()
    params = {"dilation_cycle_length": 3, "noise_schedule": betas, "audio_len": 1100}
    found = read_foreign("lmnt-diffwave", saved(tmp_path, {"model": state, "params": params}))
    mel = None if bands is None else random(2, bands, 2)
    x, step = random(2, 512), torch.tensor([49, 3])
    expected = lmnt_diffwave(state, x, step, mel, layers=5, cycle=3)
    agreement(f"lmnt-diffwave, {bands} bands", expected, eps(found, x, step + 1.0, mel))
    assert found.diffusion.conditioning == "discrete" and found.unmapped == []
    if bands is None:
        assert isinstance(found.build(), Generator) and found.synthesis.samples == 1100
    else:
        assert found.mel == named("lmnt-diffwave")


def test_speechbrain_diffwave(tmp_path: Path) -> None:
    state = speechbrain_state(80, channels=6, layers=5, seed=4)
    config = tmp_path / "train.yaml"
    config.write_text(
        "__set_seed: !!python/object/apply:os.abort []\n"
        "spec_f_max: 7600\nsample_rate: 16000 # Hz\ntrain_timesteps: 60\nbeta_end: 0.02\n"
        "dilation_cycle_length: 2\ninference_noise_schedule: [0.0001, 0.5]\n"
    )
    found = read_foreign("speechbrain-diffwave", saved(tmp_path, state), config)
    mel, x, step = random(2, 80, 2), random(2, 512), torch.tensor([59, 3])
    expected = speechbrain_diffwave(state, x, step, mel, layers=5, cycle=2)
    agreement("speechbrain-diffwave", expected, eps(found, x, step + 1.0, mel))
    assert (found.mel.fmax, found.mel.sample_rate, found.diffusion.steps) == (7600, 16000, 60)
    assert found.synthesis.schedule == "quantiles-60"
    plain = read_foreign("speechbrain-diffwave", saved(tmp_path, state))
    assert plain.mel == named("tacotron2") and plain.guessed["dilation_cycle_length"] == "10"
    zeros = replace(found, model=replace(found.model, padding="zeros"))
    assert float((eps(zeros, x, step + 1.0, mel) - expected).abs().max()) > 0.02


def test_speechbrains_own_class_is_what_is_imported(tmp_path: Path) -> None:
    """Skips where SpeechBrain is missing; docs/hosts.md installs it."""
    package = pytest.importorskip("speechbrain.lobes.models.DiffWave", exc_type=ImportError)
    state = speechbrain_state(80, channels=6, layers=5, seed=4)
    theirs = package.DiffWave(80, 5, 6, 2, 60).eval()
    assert {name: value.shape for name, value in theirs.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    theirs.load_state_dict(state)
    config = tmp_path / "train.yaml"
    config.write_text("train_timesteps: 60\nbeta_end: 0.02\ndilation_cycle_length: 2\n")
    found = read_foreign("speechbrain-diffwave", saved(tmp_path, theirs.state_dict()), config)
    mel, x, step = random(2, 80, 2), random(2, 512), torch.tensor([59, 3])
    expected = theirs(x[:, None], step, mel)[:, 0].detach()
    agreement("speechbrain-diffwave, its own class", expected, eps(found, x, step + 1.0, mel))


def test_a_mirrored_end_is_the_same_in_a_batch_of_longer_ones(tmp_path: Path) -> None:
    state = speechbrain_state(80, channels=6, layers=5)
    found = read_foreign("speechbrain-diffwave", saved(tmp_path, state))
    network: Any = found.build().network
    mel, x, step = random(2, 80, 3), random(2, 768), torch.tensor([50.0, 4.0])
    short = network.condition({"mel": mel[1:, :, :2]})
    alone = network.denoise(x[1:, :512], step[1:], short)
    both = network.condition({"mel": mel, "frames": torch.tensor([3, 2])})
    torch.testing.assert_close(network.denoise(x, step, both)[1:, :512], alone)
    with pytest.raises(
        InputError, match="16 samples; model.padding is reflect, which needs over 1"
    ):
        network.denoise(x[:, :16], step, short)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("spec_mel_scale: htk", "spec_mel_scale is 'htk'; only 'slaney' can be imported"),
        ("dynamic_range_compression: False", "dynamic_range_compression is False; only True"),
        ("spec_n_mels: 100", "spec_n_mels is 100, but the weights are for 80 bands"),
        ("residual_layers: 30", "residual_layers is 30, but the weights are of 5"),
    ],
)
def test_what_speechbrains_settings_ask_in_vain_is_named(
    tmp_path: Path, line: str, message: str
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(f"{line}\n")
    with pytest.raises(InputError, match=message):
        path = saved(tmp_path, speechbrain_state(80, channels=6, layers=5))
        read_foreign("speechbrain-diffwave", path, config)


def test_lmnts_names_are_none_of_speechbrains(tmp_path: Path) -> None:
    path = saved(tmp_path, lmnt_diffwave_state(80, channels=6, layers=5))
    with pytest.raises(InputError, match="named as lmnt's .*; import it as lmnt-diffwave"):
        read_foreign("speechbrain-diffwave", path)


@pytest.mark.parametrize("bands", [80, None])
def test_philsyn_diffwave_with_both_its_quirks(tmp_path: Path, bands: int | None) -> None:
    state = philsyn_state(bands, channels=6, layers=5)
    config = tmp_path / "config.json"
    settings = {
        "wavenet_config": {"dilation_cycle": 3},
        "diffusion_config": {"beta_0": 1e-4, "beta_T": 0.05, "T": 50},
        "trainset_config": {"sampling_rate": 16000, "segment_length": 900},
    }
    config.write_text(json.dumps(settings))
    path = saved(tmp_path, {"model_state_dict": state, "iter": 5}, "1000.pkl")
    found = read_foreign("philsyn-diffwave", path, config)
    mel = None if bands is None else random(2, bands, 2)
    x, step = random(2, 512), torch.tensor([49, 3])
    expected = philsyn_diffwave(state, x, step, mel, layers=5, cycle=3)
    agreement(f"philsyn-diffwave, {bands} bands", expected, eps(found, x, step + 1.0, mel))
    assert found.unmapped == []
    plain = read_foreign("philsyn-diffwave", path)
    if bands is None:
        assert (plain.model.dilation_cycle, plain.mel.sample_rate) == (12, 16000)
        assert found.synthesis.samples == 900
    else:
        assert (plain.model.dilation_cycle, plain.mel) == (10, named("diffwave-paper"))


def test_without_the_quirk_philsyns_weights_would_be_wrong(tmp_path: Path) -> None:
    state = philsyn_state(None, channels=6, layers=5)
    found = read_foreign("philsyn-diffwave", saved(tmp_path, {"model_state_dict": state}))
    x, step = random(1, 300), torch.tensor([40])
    expected = philsyn_diffwave(state, x, step, None, layers=5, cycle=12)
    for change in ({"residual_quirk": False}, {"step_frequencies": "rising"}):
        wrong = replace(found, model=replace(found.model, **change))
        assert float((eps(wrong, x, step + 1.0, None) - expected).abs().max()) > 0.05


def test_the_command_writes_a_folder_that_speaks(tmp_path: Path) -> None:
    content = {"model": wavegrad_state(LMNT, 128) | {"ema.decay": torch.ones(1)}}
    path = saved(tmp_path, content)
    outcome = wg("import", "lmnt-wavegrad", str(path), "-o", str(tmp_path / "voc"))
    assert outcome.code == 0, outcome
    assert "not used, 1: ema.decay" in outcome.out
    voc = Vocoder.from_pretrained(tmp_path / "voc")
    assert voc(torch.rand(128, 3), steps=2).shape == (900,)
    again = wg("import", "lmnt-wavegrad", str(path), "-o", str(tmp_path / "voc"))
    assert "exists already; give a new folder" in again.complaint()


class Code:
    """Pickles to a call of os.mkdir."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_unless_it_is_trusted(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = saved(tmp_path, {"model": wavegrad_state(LMNT, 128), "params": {}, "x": Code(mark)})
    arguments = ("import", "lmnt-wavegrad", str(path), "-o", str(tmp_path / "voc"))
    line = wg(*arguments).complaint()
    assert "this pickle needs posix.mkdir" in line and "--trust" in line
    assert not mark.exists() and not (tmp_path / "voc").exists()
    assert wg(*arguments, "--trust").code == 0
    assert mark.is_dir()


def test_a_zip_bomb_is_not_opened(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": draw({"a": (200_000,)}) | {"b": torch.zeros(2_000_000)}})
    with (
        zipfile.ZipFile(path) as source,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(InputError, match="unpacks to 8,8.* no checkpoint of torch.save does"):
        read_foreign("lmnt-wavegrad", tmp_path / "bomb.ckpt", trust=True)


def test_a_small_storage_seen_as_an_enormous_tensor_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": {"a": torch.zeros(1).expand(10**6, 10**6)}})
    with pytest.raises(InputError, match="'a' of shape .* is not in the file"):
        read_foreign("lmnt-wavegrad", path)


def holding(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda d: d / "no.ckpt", "no.ckpt: no such file"),
    "text": (lambda d: holding(d / "a.ckpt", b"hello"), "a.ckpt: "),
    "empty": (lambda d: holding(d / "a.ckpt", b""), "a.ckpt: "),
    "list": (lambda d: saved(d, [1, 2]), "holds no weights; looked for model"),
    "no tensors": (lambda d: saved(d, {"model": {"a": 3}}), "'a' is no tensor"),
    "other model": (
        lambda d: saved(d, {"model": wavegrad_state(COQUI, 80)}),
        r"weights first_conv.weight, .* and \d+ more are missing; it has dblocks.0.main_block.0",
    ),
    "one missing": (
        lambda d: saved(
            d,
            {"model": {k: v for k, v in wavegrad_state(LMNT, 80).items() if k != "last_conv.bias"}},
        ),
        "weights last_conv.bias are missing",
    ),
    "other hop": (
        lambda d: saved(d, {"model": wavegrad_state(LMNT, 80), "params": {"hop_samples": 256}}),
        r"model.factors \[5, 5, 3, 2, 2\] multiply to 300, but mel.hop_length is 256",
    ),
    "safetensors": (
        lambda d: holding(d / "a.safetensors", b"hello"),
        "not a readable safetensors file",
    ),
    "truncated": (
        lambda d: holding(
            d / "cut.ckpt", saved(d, {"model": wavegrad_state(LMNT, 80)}).read_bytes()[:5000]
        ),
        "cut.ckpt: ",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_imported_is_one_line(tmp_path: Path, name: str) -> None:
    make, message = BROKEN[name]
    path = make(tmp_path)
    outcome = wg("import", "lmnt-wavegrad", str(path), "-o", str(tmp_path / "voc"))
    assert re.search(message, outcome.complaint()), outcome
    assert not list(tmp_path.glob("voc*"))


def test_a_format_or_config_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": wavegrad_state(IVANVOVK, 80)})
    with pytest.raises(InputError, match="format 'lmnt' is unknown; .*choose from: coqui"):
        read_foreign("lmnt", path)
    config = tmp_path / "config.json"
    for text, message in (("{", "not readable"), ("[]", "holds a list")):
        config.write_text(text)
        with pytest.raises(InputError, match=f"--config {config}: {message}"):
            read_foreign("ivanvovk-wavegrad", path, config)
    config.write_text('{"training_config": {"test_noise_schedule": {}}}')
    with pytest.raises(InputError, match=r"not a checkpoint of ivanvovk-wavegrad \(KeyError"):
        read_foreign("ivanvovk-wavegrad", path, config)
