"""MelSpec: validation, frames, compression, storage."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, ValidationError

from wg.errors import InputError
from wg.mel.hub import SPECS, named
from wg.mel.spec import MelSpec

BASE = {"sample_rate": 8000, "n_fft": 256, "win_length": 256, "hop_length": 64, "n_mels": 4}


def spec(**changes: Any) -> MelSpec:
    return MelSpec.from_dict(BASE | changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"hop_length": 0}, "mel.hop_length is 0; give at least 1"),
        ({"sample_rate": -1}, "mel.sample_rate is -1"),
        ({"n_mels": 0}, "mel.n_mels is 0"),
        ({"n_fft": 257}, "mel.n_fft is 257; give an even number"),
        ({"win_length": 257}, "mel.win_length is 257; at most mel.n_fft, 256"),
        ({"hop_length": 300}, "mel.hop_length is 300; at most mel.win_length, 256"),
        ({"hop_length": 63, "framing": "hop"}, "mel.hop_length is 63; framing 'hop' needs it even"),
        ({"fmax": 4001}, "mel.fmax is 4001.0; at most half the rate, 4000 Hz"),
        ({"fmin": -1}, "mel.fmin is -1.0; give at least 0"),
        ({"fmin": 300, "fmax": 300}, "mel.fmin is 300.0; give less than fmax, 300 Hz"),
        ({"fmin": 4000}, "mel.fmin is 4000.0; give less than fmax, 4000 Hz"),
        ({"magnitude_eps": -1e-9}, "mel.magnitude_eps is -1e-09"),
        ({"floor": 0}, "mel.floor is 0.0; give more than 0"),
        ({"gain": 0}, "mel.gain is 0.0; give more than 0"),
        ({"clip_min": 1, "clip_max": 1}, "mel.clip_min is 1.0; give less than clip_max, 1"),
        ({"mean": [0, 0, 0, 0]}, "give mel.mean and mel.std both, or neither"),
        ({"mean": [0] * 3, "std": [1] * 4}, "mel.mean is 3 values; .* mel.n_mels is 4"),
        ({"mean": [0] * 4, "std": [1] * 5}, "mel.std is 5 values"),
        ({"mean": [0] * 4, "std": [1, 1, 0, 1]}, "mel.std is 0.0; give more than 0"),
        ({"mean": [0, 0, 0, math.nan], "std": [1] * 4}, r"mel.mean\[3\] is nan; give a finite"),
        ({"mean": 0.0, "std": [1] * 4}, "mel.mean is 0.0; give a list of numbers"),
        ({"floor": math.inf}, "mel.floor is inf; give a finite number"),
        ({"fmax": "8k"}, "mel.fmax is '8k'; give a finite number"),
        ({"n_fft": 256.0}, "mel.n_fft is 256.0; give an integer"),
        ({"n_fft": True}, "mel.n_fft is True; give an integer"),
        ({"window_norm": 1}, "mel.window_norm is 1; give true or false"),
        ({"power": 3}, "mel.power is 3; choose from: 1, 2"),
        ({"log": "log"}, "mel.log is 'log'; .*choose from: db, ln, log10"),
        ({"framing": "center"}, "mel.framing is 'center'; did you mean 'centre'"),
        ({"hop": 64}, "unknown key 'mel.hop'; .*choose from"),
        ({"n_mel": 64}, "unknown key 'mel.n_mel'; did you mean 'n_mels'"),
    ],
)
def test_a_contradiction_names_key_value_and_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        spec(**changes)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="mel.hop_length is missing"):
        MelSpec.from_dict({key: BASE[key] for key in BASE if key != "hop_length"})


def test_frames_of_known_lengths() -> None:
    centre, hop = spec(), spec(framing="hop")
    assert [centre.frames(n) for n in (129, 191, 192, 640)] == [3, 3, 4, 11]
    assert [hop.frames(n) for n in (129, 191, 192, 640)] == [2, 2, 3, 10]
    assert hop.num_samples(hop.frames(640)) == 640
    assert (centre.min_samples, hop.min_samples) == (129, 97)


def test_the_label_says_rate_bands_and_hop() -> None:
    assert named("hifigan").label == "22050hz-80mel-hop256"


@pytest.mark.parametrize("name", SPECS)
def test_decompression_undoes_compression_above_the_floor(name: str) -> None:
    mel = SPECS[name]
    low = 2e-4 if mel.clip_min is not None else 2 * mel.floor
    linear = torch.logspace(math.log10(low), 0.9, 60, dtype=torch.float64).expand(mel.n_mels, -1)
    if mel.n_mels == 80:
        mean, std = tuple(i / 10 - 4 for i in range(80)), tuple(1 + i / 80 for i in range(80))
        torch.testing.assert_close(
            replace(mel, mean=mean, std=std).decompress(
                replace(mel, mean=mean, std=std).compress(linear)
            ),
            linear,
        )
    torch.testing.assert_close(mel.decompress(mel.compress(linear)), linear)


def test_compression_is_log_then_affine_then_clip_then_statistics() -> None:
    linear = torch.tensor([[1e-3], [1e-9], [1.0], [1e9]], dtype=torch.float64)
    log10 = spec(log="log10", floor=1e-5, gain=0.2, offset=0.8, clip_min=0.0, clip_max=1.5)
    expected = torch.tensor([0.2, 0.0, 0.8, 1.5], dtype=torch.float64)
    torch.testing.assert_close(log10.compress(linear)[:, 0], expected)
    whitened = replace(log10, mean=(0.2, 1.0, 0.0, -1.5), std=(2.0, 0.5, 4.0, 1.0))
    expected = torch.tensor([0.0, -2.0, 0.2, 3.0], dtype=torch.float64)
    torch.testing.assert_close(whitened.compress(linear)[:, 0], expected)


def test_decibels_are_twenty_times_log10_and_ln_is_natural() -> None:
    linear = torch.full((4, 1), 0.1, dtype=torch.float64)
    assert spec(log="db").compress(linear)[0, 0] == pytest.approx(-20)
    assert spec(log="log10").compress(linear)[0, 0] == pytest.approx(-1)
    assert spec(log="ln").compress(linear)[0, 0] == pytest.approx(math.log(0.1))


def test_the_floor_clips_or_is_added() -> None:
    linear = torch.full((4, 1), 1e-5, dtype=torch.float64)
    assert spec(floor=1e-5).compress(linear / 2)[0, 0] == pytest.approx(math.log(1e-5))
    added = spec(floor=1e-5, floor_mode="add")
    assert added.compress(linear)[0, 0] == pytest.approx(math.log(2e-5))
    torch.testing.assert_close(added.decompress(added.compress(0 * linear)), 0 * linear)


def test_silence_maps_to_the_floor() -> None:
    assert named("tacotron2").silence.tolist() == pytest.approx([math.log(1e-5)] * 80)
    assert named("lmnt-wavegrad").silence.tolist() == [0.0] * 128
    assert named("coqui-wavegrad").silence.tolist() == [-4.0] * 80
    shifted = spec(mean=[1.0] * 4, std=[2.0] * 4)
    assert shifted.silence.tolist() == pytest.approx([(math.log(1e-5) - 1) / 2] * 4)


@pytest.mark.parametrize("name", SPECS)
def test_json_brings_a_spec_back(name: str) -> None:
    mel = replace(SPECS[name], mean=(0.5,) * SPECS[name].n_mels, std=(2.0,) * SPECS[name].n_mels)
    assert MelSpec.from_dict(json.loads(json.dumps(mel.to_dict()))) == mel
    assert hash(MelSpec.from_dict(mel.to_dict())) == hash(mel)


def test_differences_names_the_fields_that_differ() -> None:
    assert named("hifigan").differences(named("tacotron2")) == {
        "framing": ("hop", "centre"),
        "magnitude_eps": (1e-9, 0.0),
    }
    assert named("waveglow").differences(named("tacotron2")) == {}


def test_an_fmax_of_none_is_half_the_rate() -> None:
    assert spec(fmax=None).differences(spec(fmax=4000)) == {}
    assert spec(fmax=None).differences(spec(fmax=3000)) == {"fmax": (4000.0, 3000.0)}
    assert spec(fmax=None).bands == spec(fmax=4000).bands


def test_omegaconf_merges_a_partial_yaml_and_runs_the_checks() -> None:
    schema = OmegaConf.structured(MelSpec)
    values = BASE | {"fmax": 3000, "log": "log10", "mean": [0, 1, 2, 3], "std": [1, 1, 1, 1]}
    merged = OmegaConf.to_object(OmegaConf.merge(schema, values))
    assert merged == MelSpec.from_dict(values)
    assert OmegaConf.to_object(OmegaConf.structured(merged)) == merged
    with pytest.raises(InputError, match="mel.hop_length is 0"):
        OmegaConf.to_object(OmegaConf.merge(schema, BASE | {"hop_length": 0}))
    with pytest.raises(ValidationError, match="expected one of"):
        OmegaConf.merge(schema, {"log": "log2"})
    with pytest.raises(MissingMandatoryValue, match="sample_rate"):
        OmegaConf.to_object(schema)
    restored = OmegaConf.to_container(OmegaConf.structured(named("lmnt-wavegrad")))
    assert isinstance(restored, dict)
    assert MelSpec.from_dict({str(key): value for key, value in restored.items()}) == named(
        "lmnt-wavegrad"
    )


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="'hifi-gan' is unknown; did you mean 'hifigan'"):
        named("hifi-gan")
