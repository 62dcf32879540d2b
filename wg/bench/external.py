"""Vocoders of other packages, ready for `kind: external`; and the form of a user's own.

A factory takes the MelSpec that the file names, and the file's options; it returns a callable of
mels [B, M, F] that gives waveforms [B, T], best an `nn.Module`, so that its size is known. The
weights are those that the packages download, or a folder or file on disk.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from wg.errors import InputError
from wg.mel.hub import named
from wg.mel.spec import MelSpec


class Foreign(nn.Module):
    """A network of another package behind the call of ours: [B, M, F] -> [B, T]."""

    def __init__(self, network: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, mels: Tensor) -> Tensor:
        """Waveforms [B, T]."""
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
    except (OSError, ValueError, RuntimeError) as error:
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
