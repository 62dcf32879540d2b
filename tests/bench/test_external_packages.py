"""Ready entries of `wg.bench.external` against the packages themselves, with random weights.

Each test skips where its package is missing; docs/hosts.md says how the packages install.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from wg.bench import external
from wg.errors import InputError
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


GENERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "Parallel WaveGAN": (
        "ParallelWaveGANGenerator",
        {"layers": 2, "stacks": 1, "residual_channels": 4, "gate_channels": 4, "skip_channels": 4}
        | {"upsample_params": {"upsample_scales": [4, 4, 4, 4]}, "aux_context_window": 2},
    ),
    "MelGAN": (
        "MelGANGenerator",
        {"channels": 256, "upsample_scales": [8, 8, 4], "stacks": 1, "kernel_size": 7},
    ),
    "multi-band MelGAN": (
        "MelGANGenerator",
        {"channels": 64, "upsample_scales": [8, 4, 2], "stacks": 1, "kernel_size": 7}
        | {"out_channels": 4},
    ),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_parallel_wavegan_is_loaded_with_its_statistics(tmp_path: Path, name: str) -> None:
    pytest.importorskip("parallel_wavegan.utils", exc_type=ImportError)
    h5py, models = import_module("h5py"), import_module("parallel_wavegan.models")
    torch.manual_seed(0)
    spec = named("parallel-wavegan")
    kind, further = GENERATORS[name]
    bands = "aux_channels" if kind == "ParallelWaveGANGenerator" else "in_channels"
    size = {bands: spec.n_mels, "out_channels": 1, **further}
    network = vars(models)[kind](**size)
    mean, scale = torch.randn(spec.n_mels) - 2, torch.rand(spec.n_mels) + 0.5
    torch.save({"model": {"generator": network.state_dict()}}, tmp_path / "checkpoint.pkl")
    config = {"generator_type": kind, "generator_params": size, "format": "hdf5"}
    (tmp_path / "config.yml").write_text(yaml.safe_dump({**config, "version": "0.6.1"}))
    with h5py.File(tmp_path / "stats.h5", "w") as file:
        file["mean"], file["scale"] = mean.numpy(), scale.numpy()
    mel: Tensor = log_mel(speech_like(spec.sample_rate, 1.0).float()[None], spec)
    normal = (mel - mean[:, None]) / scale[:, None]
    call = external.parallel_wavegan(spec, str(tmp_path / "checkpoint.pkl"))
    network.remove_weight_norm()
    network.eval()
    with torch.inference_mode():
        torch.manual_seed(1)  # of the noise that Parallel WaveGAN begins with
        made = call(mel)
        torch.manual_seed(1)
        if bands == "aux_channels":
            noise = torch.randn(1, 1, mel.shape[2] * spec.hop_length)
            around = torch.nn.functional.pad(normal, (2, 2), mode="replicate")
            direct = network(noise, around)[:, 0]
        else:
            direct = network(normal)
            if size["out_channels"] > 1:
                direct = import_module("parallel_wavegan.layers").PQMF(4).synthesis(direct)
            direct = direct[:, 0]
    assert made.shape == (1, mel.shape[2] * spec.hop_length)
    torch.testing.assert_close(made, direct, rtol=0, atol=1e-5)


def test_wavenet_vocoder_is_loaded_by_its_preset(tmp_path: Path) -> None:
    package = pytest.importorskip("wavenet_vocoder", exc_type=ImportError)
    spec = named("wavenet-vocoder")
    size = {"layers": 4, "stacks": 2, "out_channels": 30, "residual_channels": 8}
    size |= {"gate_channels": 8, "skip_out_channels": 8, "cin_channels": spec.n_mels}
    size |= {"upsample_conditional_features": True, "upsample_scales": [16, 16]}
    preset = {"input_type": "raw", "log_scale_min": -16.0, "sample_rate": 22050, **size}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    torch.manual_seed(0)
    network = package.WaveNet(**size, scalar_input=True).eval()
    torch.save({"state_dict": network.state_dict(), "epoch": 1}, tmp_path / "checkpoint.pth")
    mel = log_mel(speech_like(spec.sample_rate, 0.03).float(), spec)
    paths = [str(tmp_path / name) for name in ("checkpoint.pth", "preset.json")]
    call = external.wavenet(spec, *paths).eval()
    length = mel.shape[1] * spec.hop_length
    with torch.inference_mode():
        torch.manual_seed(1)
        made = call(mel[None])
        torch.manual_seed(1)
        direct = network.incremental_forward(c=mel[None], T=length, log_scale_min=-16.0)[:, 0]
    assert made.shape == (1, length) and made.abs().max() > 0.1
    torch.testing.assert_close(made, direct)
    (tmp_path / "preset.json").write_text(json.dumps({**preset, "input_type": "mulaw-quantize"}))
    with pytest.raises(InputError, match="input_type is 'mulaw-quantize'; only 'raw'"):
        external.wavenet(spec, *paths)


def test_wavernn_of_torchaudio_is_loaded_as_its_bundle_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines = import_module("torchaudio.pipelines")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = named("torchaudio-wavernn")
    torch.manual_seed(0)
    network = import_module("torchaudio.models").WaveRNN(
        [5, 5, 11], 256, 275, n_res_block=10, n_freq=80
    )
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(network.state_dict(), cache / "wavernn_10k_epochs_8bits_ljspeech.pth")
    mel = log_mel(speech_like(spec.sample_rate, 0.05).float()[None], spec)
    bundle = pipelines.TACOTRON2_WAVERNN_CHAR_LJSPEECH.get_vocoder()
    call = external.wavernn(spec)
    with torch.inference_mode():
        torch.manual_seed(1)
        made = call(mel)
        torch.manual_seed(1)
        direct, lengths = bundle(mel, torch.tensor([mel.shape[2]]))
    assert torch.equal(made, direct) and made.abs().max() > 0.1
    assert made.shape == (1, int(lengths[0])) == (1, mel.shape[2] * spec.hop_length)


def test_the_mel_of_torchaudios_wavernn_is_its_training_programs() -> None:
    librosa, transforms = import_module("librosa"), import_module("torchaudio.transforms")
    spec = named("torchaudio-wavernn")
    wave = speech_like(spec.sample_rate, 0.5).float()
    magnitude = transforms.Spectrogram(n_fft=2048, win_length=1100, hop_length=275, power=1)(wave)
    bank = librosa.filters.mel(sr=spec.sample_rate, n_fft=2048, n_mels=80, fmin=40)
    expected = (torch.from_numpy(bank) @ magnitude).clamp(min=1e-5).log()
    torch.testing.assert_close(log_mel(wave, spec), expected, rtol=0, atol=1e-4)


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
