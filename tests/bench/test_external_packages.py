"""Ready entries of `wg.bench.external` against the packages themselves, with random weights.

Each test skips where its package is missing; docs/hosts.md says how the packages install.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from wg.bench import external
from wg.mel.extract import log_mel
from wg.mel.hub import named
from wg.mel.recognise import speech_like


def test_vocos_takes_our_mel_and_gives_its_own_wave(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("vocos", exc_type=ImportError)
    part = {
        name: import_module(f"vocos.{name}") for name in ("feature_extractors", "heads", "models")
    }
    torch.manual_seed(0)
    features = part["feature_extractors"].MelSpectrogramFeatures(24000, 1024, 256, 100, "center")
    backbone = part["models"].VocosBackbone(100, 32, 64, 2)
    network = package.Vocos(features, backbone, part["heads"].ISTFTHead(32, 1024, 256)).eval()
    monkeypatch.setattr(package.Vocos, "from_pretrained", lambda checkpoint: network)
    spec = named("vocos")
    wave = speech_like(24000, 1.0).float()
    with torch.inference_mode():
        mel = log_mel(wave[None], spec)
        torch.testing.assert_close(mel, features(wave[None]), rtol=0, atol=1e-4)
        made = external.vocos(spec)(mel)
        torch.testing.assert_close(made, network.decode(mel))
    assert abs(made.shape[1] - len(wave)) <= 2 * spec.hop_length


def test_parallel_wavegan_is_loaded_with_its_statistics(tmp_path: Path) -> None:
    pytest.importorskip("parallel_wavegan.utils", exc_type=ImportError)
    h5py, models = import_module("h5py"), import_module("parallel_wavegan.models")
    torch.manual_seed(0)
    spec = named("parallel-wavegan")
    size = {"channels": 256, "upsample_scales": [8, 8, 4], "stacks": 1, "kernel_size": 7}
    size |= {"in_channels": spec.n_mels, "out_channels": 1}
    network = models.MelGANGenerator(**size)
    mean, scale = torch.randn(spec.n_mels) - 2, torch.rand(spec.n_mels) + 0.5
    torch.save({"model": {"generator": network.state_dict()}}, tmp_path / "checkpoint.pkl")
    config = {"generator_type": "MelGANGenerator", "generator_params": size, "format": "hdf5"}
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    with h5py.File(tmp_path / "stats.h5", "w") as file:
        file["mean"], file["scale"] = mean.numpy(), scale.numpy()
    with torch.inference_mode():
        mel: Tensor = log_mel(speech_like(spec.sample_rate, 1.0).float()[None], spec)
        made = external.parallel_wavegan(spec, str(tmp_path / "checkpoint.pkl"))(mel)
        normal = (mel - mean[:, None]) / scale[:, None]
        network.remove_weight_norm()
        direct = network.eval()(normal)[:, 0]
    torch.testing.assert_close(made, direct, rtol=0, atol=1e-5)


def test_hifigan_of_speecht5_is_loaded_from_a_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    torch.manual_seed(0)
    config = transformers.SpeechT5HifiGanConfig(upsample_initial_channel=32)
    network = transformers.SpeechT5HifiGan(config).eval()
    network.save_pretrained(tmp_path)
    spec = named("speecht5")
    mel = log_mel(speech_like(spec.sample_rate, 1.0).float()[None], spec)
    with torch.inference_mode():
        made = external.hifigan(spec, str(tmp_path))(mel)
        torch.testing.assert_close(made, network(mel.mT))
    assert made.shape[1] == mel.shape[2] * spec.hop_length
