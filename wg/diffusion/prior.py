"""Noise that is as loud as the mel says: priors that depend on the data.

Samplers are linear in x and in the noise, so they work on noise of any colour. Shapes: B batch,
M mels, F frames, K bins, T = F * hop samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.mel.frames import Frames
from wg.mel.spec import MelSpec

LEAST = 0.1  # of sigma, PriorGrad's
BLUR = 3  # bins and frames to either side over which a window blurs power


@dataclass(frozen=True)
class Prior:
    """Noise of deviation sigma: a number, or one a sample [B, T] (PriorGrad, 2106.06406)."""

    sigma: Tensor | float = 1.0

    def colour(self, noise: Tensor) -> Tensor:
        """The prior's noise [B, T], of white noise."""
        return noise * self.sigma

    def whiten(self, error: Tensor) -> Tensor:
        """An error in units of the noise, [B, T]."""
        return error / self.sigma

    @property
    def reach(self) -> int:
        """Frames to either side on which the noise of a frame depends."""
        return 0


@dataclass(frozen=True)
class SpectralPrior(Prior):
    """Noise of the power that the mel says, in each bin (SpecGrad, 2203.16749, without its phase).

    Every bin is then at the same SNR at the same time, however quiet. `power` [B, K, F]; of each
    row `real` [B] frames are no padding.
    """

    frames: Frames = Frames(4, 4, 1)
    power: Tensor = torch.empty(0)
    real: Tensor | None = None

    def colour(self, noise: Tensor) -> Tensor:
        """White noise [B, T] through a filter that follows sqrt(P)."""
        gain = self.power.sqrt()[:, None]
        bins = self.frames.analyse(self.frames.kept(noise, self.real))
        return self.frames.synthesise(bins * gain, self.real)

    @property
    def reach(self) -> int:
        """Twice that of a window: filtered there, joined here."""
        return 2 * self.frames.reach


def blurred(power: Tensor, frames: Frames, real: Tensor | None = None) -> Tensor:
    """Power [B, K, F] that noise filtered to `power` has when analysed again, [B, K, F].

    Windows leak: in the valleys of a spectrum and before an onset noise is louder than its filter.
    Of each row the last of `real` [B] frames goes on into what is padding.
    """
    if real is not None:
        place = torch.arange(power.shape[2], device=power.device)
        place = place.minimum(real[:, None].to(power.device) - 1)
        power = power.gather(2, place[:, None].expand_as(power))
    kernel = ambiguity(frames).to(power)[None, None]
    edges = (min(BLUR, power.shape[2] - 1),) * 2
    spread = pad(power[:, None], (*edges, BLUR, BLUR), mode="replicate")
    spread = pad(spread, (BLUR - edges[0], BLUR - edges[1]))  # of clips shorter than the blur
    with torch.autocast(power.device.type, enabled=False):
        return conv2d(spread, kernel)[:, 0]


@lru_cache
@torch.inference_mode(False)
def ambiguity(frames: Frames) -> Tensor:
    """|A(k, f)|^2 of the window, of sum 1, for shifts of -3 .. 3 bins and frames, float64 [7, 7].

    A(k, f) = sum_t w(t) w(t - f hop) e^(-2 pi i k t / size).
    """
    window = frames.weights(torch.zeros(1, dtype=torch.float64))
    shifted = pad(window, (BLUR * frames.hop,) * 2).unfold(0, frames.size, frames.hop)
    products = window * shifted  # [7, size], f from 3 to -3
    angle = 2 * torch.pi / frames.size * torch.arange(frames.size, dtype=torch.float64)
    bins = torch.arange(-BLUR, BLUR + 1, dtype=torch.float64)
    waves = torch.exp(-1j * torch.outer(bins, angle))
    squares = (waves @ products.to(waves).T).abs().square()
    return squares / squares.sum()


def deviation(mel: Tensor, spec: MelSpec, training: DiffusionConfig) -> Tensor | float:
    """sigma [B, T] of a mel [B, M, F]; 1 for the standard prior.

    e = sqrt(sum over bands of the linear mel), sigma = (e - e_min) / (e_max - e_min) between 0.1
    and 1, repeated over the hop. e_max is PriorGrad's 4, or `diffusion.energy_max`; e_min is the
    energy of digital silence (ours; PriorGrad takes the least of its training set).
    """
    if training.prior != "energy":
        return 1.0
    low = spec.decompress(spec.silence[:, None]).sum().sqrt().item()
    if training.energy_max <= low:
        raise InputError(
            f"diffusion.energy_max is {training.energy_max:g}, but digital silence has {low:.3g}; "
            "give the energy of loud frames of this mel"
        )
    energy = spec.decompress(mel.float()).sum(1).sqrt()  # [B, F]
    share = (energy - low) / (training.energy_max - low)
    return share.clamp(LEAST, 1).repeat_interleave(spec.hop_length, -1)
