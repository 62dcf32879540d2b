"""How far a network sees: what streaming keeps, and has to wait for.

Shapes: M mels, F frames, T = F * hop samples.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from wg.errors import InputError
from wg.mel.spec import MelSpec
from wg.models.denoiser import Denoiser

LONGEST_REACH = 2048  # frames; a network that sees further cannot be streamed


class ReceptiveField(NamedTuple):
    """Frames before and after a frame that the network's output there depends on."""

    behind: int
    ahead: int


_reaches: WeakKeyDictionary[nn.Module, ReceptiveField] = WeakKeyDictionary()


def receptive_field_of(denoiser: Denoiser) -> ReceptiveField:
    """The reach of a network in its preconditioning, measured: how far NaN in one frame spreads.

    InputError for a network that is not the same function at every frame.
    """
    network = denoiser.network
    if network not in _reaches:
        # In float64 on the CPU: no rounding to allow for, no convolution by FFT. Of its class: a
        # compiled `denoise` of the instance would compute with the original weights.
        exact = deepcopy(network).to("cpu", torch.float64)
        run = partial(type(network).denoise, exact)
        probed = Denoiser(exact, denoiser.diffusion, denoiser.mel, run)
        reach = ReceptiveField(spread(probed, 0), spread(probed, -1))
        check_stationary(probed, reach)
        _reaches[network] = reach
    return _reaches[network]


def probe(spec: MelSpec, frames: int) -> tuple[Tensor, Tensor]:
    """A random mel [1, M, F] and waveform [1, T]."""
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(1, spec.n_mels, frames, generator=generator, dtype=torch.float64)
    shape = (1, spec.num_samples(frames))
    return mel, torch.randn(shape, generator=generator, dtype=torch.float64)


def response(denoiser: Denoiser, mel: Tensor, wave: Tensor) -> Tensor:
    """Its output [T], at a level in the middle: which makes no difference here."""
    levels = denoiser.diffusion.levels()
    level = levels[(len(levels) // 2 or 1)][None]
    return denoiser.estimate(wave, level, denoiser.condition({"mel": mel}))[0]


def spread(denoiser: Denoiser, poisoned: int) -> int:
    """Frames to which NaN in the first frame (0), or the last (-1), spreads."""
    frames = 16
    while frames <= LONGEST_REACH:
        mel, wave = probe(denoiser.mel, frames)
        mel[..., poisoned] = torch.nan
        wave.view(frames, -1)[poisoned] = torch.nan
        out = response(denoiser, mel, wave).view(frames, -1)
        reached = int(out.isnan().any(1).sum()) - 1
        if reached < frames - 1:
            return reached
        frames *= 2
    raise InputError(f"this network sees over {LONGEST_REACH} frames and cannot be streamed")


def check_stationary(denoiser: Denoiser, reach: ReceptiveField) -> None:
    """InputError if the output depends on where in the utterance a frame stands."""
    mel, wave = probe(denoiser.mel, reach.behind + 8 + reach.ahead)
    hop = denoiser.mel.hop_length
    # The same seven frames, out of the reach of both ends, once without the first frame.
    first, last = (reach.behind + 1) * hop, wave.shape[1] - reach.ahead * hop
    whole = response(denoiser, mel, wave)[first:last]
    later = response(denoiser, mel[..., 1:], wave[:, hop:])[first - hop : last - hop]
    if not torch.allclose(whole, later, rtol=0, atol=1e-8 * float(whole.abs().max())):
        raise InputError(
            "this network's output depends on the position in the utterance (WaveGrad with "
            "model.level_encoding=coqui does) and cannot be streamed; synthesise the whole mel"
        )
