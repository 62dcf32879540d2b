"""Conversion between mel specs against direct extraction, and its refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from mel_signals import speech_like
from torch import Tensor

from wg.errors import InputError
from wg.mel.extract import linear_mel, log_mel
from wg.mel.hub import SPECS, named
from wg.mel.spec import LOG_FACTOR, MelSpec, obstacles

BASE = named("tacotron2")
STATISTICS = {
    "mean": tuple(band / 20 - 5 for band in range(80)),
    "std": tuple(0.5 + band / 80 for band in range(80)),
}
VALUES: dict[str, dict[str, Any]] = {
    "natural log": {},
    "log10": {"log": "log10", "floor": 1e-10},
    "decibels": {"log": "db", "floor": 1e-8},
    "coqui, -4 to 4": {
        **{"log": "db", "gain": 0.08, "offset": 2.4, "clip_min": -4.0, "clip_max": 4.0},
        "floor": 1e-8,
    },
    "lmnt, 0 to 1": {
        **{"log": "db", "gain": 0.01, "offset": 0.8, "clip_min": 0.0, "clip_max": 1.0},
        "window_norm": True,
    },
    "added floor": {"floor_mode": "add"},
    "statistics": {"log": "log10", "floor": 1e-10, **STATISTICS},
    "bands of height 1": {"mel_norm": "none"},
}


def exact(linear: Tensor, source: MelSpec, to: MelSpec) -> Tensor:
    """Where the source clipped nothing: only there the conversion promises anything."""
    value = linear.clamp(min=1e-30).log() * source.gain * LOG_FACTOR[source.log] + source.offset
    low = max(value for value in (source.clip_min, -1e9) if value is not None)
    high = min(value for value in (source.clip_max, 1e9) if value is not None)
    floor = source.floor if source.floor_mode == "clip" else 0.0
    return (linear > floor) & (value > low) & (value < high)


def in_nepers(difference: Tensor, spec: MelSpec) -> float:
    scale = spec.gain * LOG_FACTOR[spec.log]
    std = torch.tensor(spec.std or (1.0,), dtype=torch.float64)[:, None]
    return float((difference * std / scale).abs().max())


@pytest.mark.parametrize("to", VALUES)
@pytest.mark.parametrize("source", VALUES)
def test_a_converted_mel_is_the_directly_extracted_one(source: str, to: str) -> None:
    here, there = replace(BASE, **VALUES[source]), replace(BASE, **VALUES[to])
    wave = speech_like(22050)
    mel = log_mel(wave, here)
    converted, direct = here.convert(mel, there), log_mel(wave, there)
    good = exact(linear_mel(wave, here), here, there)
    assert good.float().mean() > 0.5
    error = torch.where(good, converted - direct, 0.0)
    assert in_nepers(error, there) < 1e-9
    single = here.convert(mel.float(), there)
    assert single.dtype == torch.float32
    # An added floor of 1e-5 leaves float32 few digits of what lies far below it.
    good &= linear_mel(wave, here) > 1e-4 if here.floor_mode == "add" else True
    assert in_nepers(torch.where(good, single - direct, 0.0), there) < 1e-4


def test_what_the_source_clipped_stays_at_its_bound() -> None:
    quiet = torch.full((80, 3), -11.512925464970229)  # ln 1e-5, Tacotron 2's floor
    log10 = replace(BASE, log="log10", floor=1e-10)
    assert BASE.convert(quiet, log10)[0, 0] == pytest.approx(-5)
    assert log10.convert(torch.full((80, 3), -10.0), BASE)[0, 0] == pytest.approx(-11.5129, 1e-4)


def test_a_spec_converts_to_itself_without_change() -> None:
    mel = log_mel(speech_like(22050), BASE)
    torch.testing.assert_close(BASE.convert(mel, BASE), mel, atol=1e-12, rtol=0)
    batch = torch.stack([mel, mel])
    torch.testing.assert_close(BASE.convert(batch, BASE), batch, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "change, field",
    [
        ({"fmax": 7600.0}, "fmax"),
        ({"fmin": 80.0}, "fmin"),
        ({"mel_scale": "htk"}, "mel_scale"),
        ({"hop_length": 128}, "hop_length"),
        ({"framing": "hop"}, "framing"),
        ({"power": 2}, "power"),
        ({"sample_rate": 24000}, "sample_rate"),
        ({"n_fft": 2048}, "n_fft"),
        ({"win_length": 800}, "win_length"),
        ({"n_mels": 100}, "n_mels"),
        ({"window": "hann_symmetric"}, "window"),
        ({"magnitude_eps": 1e-9}, "magnitude_eps"),
    ],
)
def test_what_cannot_be_undone_is_refused_with_both_specs(
    change: dict[str, Any], field: str
) -> None:
    other = replace(BASE, log="log10", **change)
    with pytest.raises(InputError) as caught:
        BASE.convert(torch.zeros(80, 5), other)
    first, *table = str(caught.value).splitlines()
    assert f"{field} differ" in first or f"{field}," in first
    marked = {line.split()[1]: line.split()[2:] for line in table if line[0] == ">"}
    assert marked[field] == [str(BASE.to_dict()[field]), str(other.to_dict()[field])]
    converted = [line.split() for line in table if line[0] == "~"]
    assert ["~", "log", "ln", "log10"] in converted
    assert len(table) == 1 + len(BASE.differences(other))  # what is the same is not shown


def test_a_difference_can_be_borne_and_nothing_else_slips_through() -> None:
    hifigan, tacotron2 = named("hifigan"), named("tacotron2")
    assert obstacles(tacotron2, hifigan) == ["framing", "magnitude_eps"]
    assert obstacles(tacotron2, hifigan, "framing") == ["magnitude_eps"]
    with pytest.raises(InputError, match="accept the differences .framing: the audio comes half a"):
        tacotron2.convert(torch.zeros(80, 5), hifigan)
    mel = torch.randn(80, 5)
    accept = ("framing", "magnitude_eps")
    torch.testing.assert_close(tacotron2.convert(mel, hifigan, accept), mel)
    with pytest.raises(InputError, match="accept 'fmax'; .*choose from: framing, magnitude_eps"):
        tacotron2.convert(mel, replace(hifigan, fmax=7600.0), ("fmax",))


def test_frames_of_centre_framing_are_those_of_hop_framing_half_a_hop_later() -> None:
    centre = BASE
    wave = speech_like(22050)
    hop = replace(BASE, framing="hop")
    direct = log_mel(wave, hop)[:, 4:40]
    borne = centre.convert(log_mel(wave[128:], centre), hop, ("framing",))[:, 4:40]
    torch.testing.assert_close(borne, direct, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    "mel, message",
    [
        (torch.zeros(81, 5), r"shape \[81, 5\]"),
        (torch.zeros(80), r"shape \[80\]"),
        (torch.zeros(80, 5, dtype=torch.int64), "torch.int64; give floats"),
        (torch.full((80, 5), torch.nan), "NaN or infinite"),
    ],
)
def test_a_mel_that_is_none_is_refused(mel: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BASE.convert(mel, named("waveglow"))


def test_named_specs_of_one_analysis_convert_to_each_other() -> None:
    pairs = {(a, b) for a in SPECS for b in SPECS if a < b and not obstacles(SPECS[a], SPECS[b])}
    assert pairs == {
        ("diffwave-paper", "tacotron2"),
        ("diffwave-paper", "waveglow"),
        ("tacotron2", "waveglow"),
    }
