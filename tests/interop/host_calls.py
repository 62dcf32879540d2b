"""What the tests of host adapters share: a vocoder whose mels need converting, and the mels."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import torch
from tiny_vocoder import tiny_vocoder
from torch import Tensor

from wg.inference.vocoder import Vocoder
from wg.interop.hosts import HostVocoder
from wg.mel.hub import named
from wg.mel.spec import MelSpec


def vocoder_for(convention: str) -> Vocoder:
    """A vocoder of the host's analysis with another log: so that every call converts."""
    spec = named(convention)
    other = "log10" if spec.log == "ln" else "ln"
    values = {"gain": 1.0, "offset": 0.0, "clip_min": None, "clip_max": None, "floor": 1e-7}
    return tiny_vocoder(mel=replace(spec, log=other, **values))


def host_mel(spec: MelSpec, frames: int = 5, batch: int = 2) -> Tensor:
    """Random, of linear values between 1e-3 and 0.1, [B, M, F]."""
    generator = torch.Generator().manual_seed(0)
    linear = 10 ** (-3 + 2 * torch.rand(batch, spec.n_mels, frames, generator=generator))
    return spec.compress(linear)


def direct(adapter: HostVocoder, mel: Tensor) -> Tensor:
    """What the vocoder says to the mel it would have extracted itself."""
    own = adapter.vocoder.mel_spec
    return adapter.vocoder(own.compress(adapter.mel.decompress(mel.double())).float())


def tone(samples: int) -> Tensor:
    """A sine with some noise, [T]."""
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    return 0.3 * torch.sin(torch.arange(samples) * 0.2) + 0.01 * noise


def announce(package: str, what: str) -> None:
    """One line for the log: which package of which version this ran against."""
    print(f"ran against {package} {version(package)}: {what}")
