"""Vocoders of other packages, ready for `kind: external`; and the form of a user's own.

A factory takes the MelSpec that the file names, and the file's options; it returns a callable of
mels [B, M, F] that gives waveforms [B, T], best an `nn.Module`, so that its size is known. The
weights are those that the packages download, or a folder or file on disk.
"""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wg.errors import InputError
from wg.mel.hub import named
from wg.mel.spec import MelSpec

WAVENET = (
    *("layers", "stacks", "out_channels", "residual_channels", "gate_channels", "legacy"),
    *("skip_out_channels", "kernel_size", "cin_channels", "weight_normalization"),
    *("upsample_conditional_features", "upsample_scales", "freq_axis_kernel_size"),
)  # what wavenet_vocoder's presets say of its network


class Foreign(nn.Module):
    """A network of another package behind the call of ours: [B, M, F] -> [B, T]."""

    def __init__(self, network: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, mels: Tensor) -> Tensor:
        """Waveforms [B, T] of mels [B, M, F], by the package's own call."""
        return self.call(self.network, mels)


def package(name: str, install: str) -> Any:
    """An imported module; InputError with what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} cannot be imported ({error}); pip install {install}") from None


def weights(load: Callable[[], Any], what: str) -> Any:
    """What a package's loader returns; InputError where it finds no weights."""
    try:
        return load()
    except (OSError, ValueError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{what}: its weights cannot be loaded ({reason}); download them"
        ) from None


def agree(spec: MelSpec, name: str) -> None:
    """InputError unless the mel is the one that a network was trained on."""
    if spec != named(name):
        keys = ", ".join(spec.differences(named(name)))
        raise InputError(f"the mel differs from {name} in {keys}; write mel: {name}")


def vocos(spec: MelSpec, checkpoint: str = "charactr/vocos-mel-24khz") -> nn.Module:
    """Vocos (2306.00814), package `vocos`, its 24 kHz mel model."""
    agree(spec, "vocos")
    module = package("vocos", "vocos")
    network = weights(lambda: module.Vocos.from_pretrained(checkpoint), checkpoint)
    return Foreign(network, lambda net, mels: net.decode(mels))


def bigvgan(spec: MelSpec, checkpoint: str = "nvidia/bigvgan_v2_22khz_80band_256x") -> nn.Module:
    """BigVGAN (2206.04658), package `bigvgan`; the mel has to be its checkpoint's own.

    BigVGAN's base configuration without snake activations is HiFi-GAN's; its mel is `hifigan`
    with fmax at half the rate in v2.
    """
    module = package("bigvgan", "bigvgan")
    network = weights(lambda: module.BigVGAN.from_pretrained(checkpoint), checkpoint)
    found = {
        "sample_rate": network.h.sampling_rate,
        "hop_length": network.h.hop_size,
        "win_length": network.h.win_size,
        "n_fft": network.h.n_fft,
        "n_mels": network.h.num_mels,
        "fmin": network.h.fmin,
        "fmax": network.h.fmax,
    }
    wrong = [f"{key} {value}" for key, value in found.items() if vars(spec)[key] != value]
    if wrong:
        raise InputError(f"{checkpoint} takes mels of {', '.join(wrong)}; name such a mel spec")
    network.remove_weight_norm()
    return Foreign(network, lambda net, mels: net(mels)[:, 0])


def hifigan(spec: MelSpec, checkpoint: str = "microsoft/speecht5_hifigan") -> nn.Module:
    """HiFi-GAN (2010.05646) of SpeechT5, package `transformers`, 16 kHz."""
    agree(spec, "speecht5")
    module = package("transformers", "transformers")
    network = weights(lambda: module.SpeechT5HifiGan.from_pretrained(checkpoint), checkpoint)
    return Foreign(network, lambda net, mels: net(mels.mT))


def wavernn(spec: MelSpec) -> nn.Module:
    """WaveRNN (1802.08435) of LJSpeech, 8 bits, package `torchaudio`: a network call a sample."""
    agree(spec, "torchaudio-wavernn")
    bundle = package("torchaudio.pipelines", "torchaudio").TACOTRON2_WAVERNN_CHAR_LJSPEECH
    network = weights(bundle.get_vocoder, "WaveRNN of torchaudio")
    return Foreign(network, lambda net, mels: net(mels)[0])


def wavenet(spec: MelSpec, checkpoint: str, preset: str) -> nn.Module:
    """WaveNet (1609.03499) of mixed logistics, package `wavenet_vocoder`: a network call a sample.

    `checkpoint`: a .pth of its training; `preset`: the JSON that it was trained with.
    """
    agree(spec, "wavenet-vocoder")
    module = package("wavenet_vocoder", "wavenet_vocoder")
    try:
        settings = json.loads(Path(preset).read_text("utf-8"))
        sizes = {key: settings[key] for key in WAVENET if key in settings}
        kind, least = settings["input_type"], settings["log_scale_min"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"preset {preset}: no preset of wavenet_vocoder ({error!r})") from None
    if kind != "raw":
        raise InputError(f"preset {preset}: input_type is {kind!r}; only 'raw' can be run")

    def load() -> Any:
        network = module.WaveNet(**sizes, scalar_input=True)
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network.load_state_dict(content["state_dict"])
        return network

    network = weights(load, checkpoint)
    network.make_generation_fast_()

    def call(net: Any, mels: Tensor) -> Tensor:
        length, start = mels.shape[2] * spec.hop_length, mels.new_zeros(1, 1, 1)
        rows = [
            net.incremental_forward(start, c=mel[None], T=length, log_scale_min=least)[:, 0]
            for mel in mels
        ]
        return torch.cat(rows)

    return Foreign(network, call)


def parallel_wavegan(spec: MelSpec, checkpoint: str) -> nn.Module:
    """A generator of the package `parallel_wavegan` (also its MelGANs and HiFi-GANs).

    `checkpoint`: a .pkl beside its config.yml and statistics, or the name of a published one. The
    mel is `parallel-wavegan`, before normalisation.
    """
    agree(spec, "parallel-wavegan")
    module = package("parallel_wavegan.utils", "parallel_wavegan")

    def load() -> Any:
        known = module.PRETRAINED_MODEL_LIST
        path = module.download_pretrained_model(checkpoint) if checkpoint in known else checkpoint
        return module.load_model(path)

    network = weights(load, checkpoint)
    network.remove_weight_norm()

    def call(net: Any, mels: Tensor) -> Tensor:
        waves = [net.inference(mel.mT, normalize_before=True)[:, 0] for mel in mels]
        return nn.utils.rnn.pad_sequence(waves, batch_first=True)

    return Foreign(network, call)
