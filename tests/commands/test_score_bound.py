"""`wg score bound`, with a network that knows the density of what it is shown."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import wg
from tiny_vocoder import DIFFWAVE, MEL, WAVEGRAD, tiny_vocoder

from wg.diffusion.bound import weights
from wg.diffusion.process import DiffusionConfig
from wg.inference.generator import Generator
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.models import build_network

RMS = 0.1
OPTIMAL = DiffusionConfig(data_rms=RMS)  # with a network of zeros: E[eps | x] of white noise


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """White noise, in folders of two classes."""
    random = np.random.default_rng(0)
    for name in ("one/a", "two/b"):
        path = tmp_path / "ref" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, RMS * random.standard_normal(30_000), 8000, subtype="FLOAT")
    return tmp_path / "ref"


def run(model: Path, recordings: Path, *more: str):
    return wg("score", "bound", "--model", str(model), "--ref", str(recordings), *more)


def test_the_bound_of_white_noise_is_its_closed_form(recordings: Path, tmp_path: Path) -> None:
    network = build_network(WAVEGRAD, MEL, OPTIMAL)  # its last layer begins as zeros
    vocoder = Vocoder(network, WAVEGRAD, MEL, OPTIMAL, SamplingConfig())
    vocoder.save_pretrained(tmp_path / "model")
    done = run(tmp_path / "model", recordings, "--steps", "8", "-o", str(tmp_path / "out.json"))
    assert done.code == 0, done
    content = json.loads((tmp_path / "out.json").read_text())
    levels = torch.tensor(content["levels"], dtype=torch.float64)
    signal, spread = (levels[1:] * RMS) ** 2, 1 - levels[1:] ** 2
    terms = weights(levels) * signal / (signal + spread)
    terms[0] += math.log(2 * math.pi * spread[0]) / 2
    assert content["terms"][1:] == pytest.approx(terms.tolist(), rel=0.05, abs=1e-3)
    entropy = math.log(2 * math.pi * math.e * RMS**2) / 2
    for row in content["utterances"].values():
        assert row["gaussian"] == pytest.approx(entropy, abs=0.02)
        assert row["nats"] > row["gaussian"]  # a bound, loose at so few levels
    assert content["bits"] == pytest.approx(content["nats"]["mean"] / math.log(2) + 15)
    assert "nats a sample" in done.out and "2 recordings, 8 levels" in done.out


def test_models_of_classes_take_them_from_folders(recordings: Path, tmp_path: Path) -> None:
    schedule = DiffusionConfig(1e-4, 0.05, 50, "discrete")
    model = type(DIFFWAVE)(**{**vars(DIFFWAVE), "conditions": "class", "classes": ("one", "two")})
    network = build_network(model, MEL, schedule)
    generator = Generator(network, model, MEL, schedule, SamplingConfig(samples=100))
    generator.save_pretrained(tmp_path / "model")
    done = run(tmp_path / "model", recordings, "--steps", "quantiles-3")
    assert done.code == 0, done
    (recordings / "two").rename(recordings / "six")
    done = run(tmp_path / "model", recordings, "--steps", "quantiles-3")
    assert done.code == 2 and "'six'" in done.err


def test_what_has_no_density_is_named(recordings: Path, tmp_path: Path) -> None:
    tiny_vocoder("spectral").save_pretrained(tmp_path / "model")
    assert "diffusion.prior is 'mel'" in run(tmp_path / "model", recordings).complaint()
    line = run(tmp_path / "model", recordings, "--limit", "0").complaint()
    assert "--limit 0: give at least 1" in line
