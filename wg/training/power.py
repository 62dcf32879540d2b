"""Fits what a mel says of the bins' power (`wg.diffusion.power`) to recordings.

A gamma regression: the power p of a bin with Gaussian values is gamma distributed, -log likelihood
log P + p / P (Itakura and Saito's distance). A regression of log p would be off by 10 dB and more
where recordings of several kinds come together.

Each clip is heard a second time through a random low-pass filter. Its upper mel bands then fall
away as those of a telephone or of 16 kHz do, and above them there is nothing: without such
examples a vocoder gives the noise of its own studio to every recording.

Shapes: M mels, H hidden units, K bins, F frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from wg.diffusion.power import EDGE, HIDDEN, QUIETEST, MelPower
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.frames import Frames
from wg.mel.spec import MelSpec
from wg.rates import USUAL

KEPT = 1 << 16  # frames of all clips together
RIDGE = 1e-3  # of the mels' variance
ROUNDS = 8  # of the linear map's scoring
STEPS, BATCH, RATE = 1500, 512, 5e-3  # of training it with the hidden layer, at most 20 epochs
FAR = 20.0  # p / P beyond which the loss grows with its logarithm only
ODD = 100.0  # p / P beyond which a frame says nothing more of the bin's mean


def fit_power(
    power: MelPower, clips: Iterable[tuple[Tensor, Tensor]], count: int, spec: MelSpec
) -> None:
    """Fits to `count` clips of (waveform [T], mel [M, F]); the same clips give the same result.

    InputError for clips that are all too short.
    """
    mel, target = gathered(clips, count, spec)
    weight, bias = linear_map(mel, target)
    mean, spread = mel.mean(1), mel.std(1, correction=0).clamp(min=1e-3)
    # A frame's values side by side: batches are of frames, drawn at random.
    inputs = ((mel - mean[:, None]) / spread[:, None]).float().T.contiguous()  # [N, M]
    log_target = target.float().log_().T.contiguous()  # [N, K]
    generator = torch.Generator().manual_seed(0)
    first = (torch.rand(HIDDEN, len(mel) + 1, generator=generator) * 2 - 1) / len(mel) ** 0.5
    parts = [first, torch.zeros(len(target), HIDDEN), weight * spread, bias + weight @ mean]
    first, outer, weight, bias = parts = [part.float().requires_grad_() for part in parts]

    def log_power(batch: Tensor) -> Tensor:
        hidden = (batch @ first[:, :-1].T + first[:, -1]).tanh()
        return batch @ weight.T + hidden @ outer.T + bias

    optimizer = torch.optim.Adam(parts, lr=RATE, betas=(0.9, 0.99))
    steps = min(STEPS, 20 * len(inputs) // BATCH)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 50) * (1 - step / steps)
        chosen = torch.randint(len(inputs), (BATCH,), generator=generator)
        ratio = log_target[chosen] - log_power(inputs[chosen])
        near = ratio.clamp(max=math.log(FAR))
        loss = (near.exp() + FAR * (ratio - near) - ratio).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        ratio = (log_target - log_power(inputs)).exp()
        power.inner.copy_(first[:, :-1] / spread)
        power.shift.copy_(first[:, -1] - first[:, :-1] / spread @ mean)
        power.outer.copy_(outer)
        power.weight.copy_(weight / spread)
        power.bias.copy_(bias + ratio.clamp(max=ODD).mean(0).log() - weight / spread @ mean)


def gathered(
    clips: Iterable[tuple[Tensor, Tensor]], count: int, spec: MelSpec
) -> tuple[Tensor, Tensor]:
    """Log mels [M, N] and bins' power [K, N] of N frames, evenly spread over clips and copies."""
    frames, most = Frames.of(spec), max(1, KEPT // max(1, 2 * count))
    mels, powers = [], []
    for wave, mel in with_copies(clips, spec):
        power = frames.spectrum(wave[None].double())[0].T.abs().square()
        inner = torch.arange(EDGE, max(EDGE, min(power.shape[1], mel.shape[1]) - EDGE))
        inner = inner[:: max(1, -(-len(inner) // most))]
        mels.append(mel[:, inner].double())
        powers.append(power[:, inner].clamp(min=QUIETEST))
    if not sum(mel.shape[1] for mel in mels):
        raise InputError("no clip is long enough to learn the power of its bins from")
    return torch.cat(mels, 1), torch.cat(powers, 1)


def with_copies(
    clips: Iterable[tuple[Tensor, Tensor]], spec: MelSpec
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each clip, and after it a copy that lacks what lies above a random frequency."""
    generator = torch.Generator().manual_seed(0)
    for wave, mel in clips:
        yield wave, mel
        if len(wave) >= spec.min_samples:
            copy = low_passed(wave, spec.sample_rate, generator)
            yield copy, log_mel(copy, spec)


def low_passed(wave: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
    """A waveform [T] as one of 16 bits and a lower rate, with as steep a filter as such have.

    Every other time the rate is a common one, else any.
    """
    usual = [rate for rate in USUAL if rate < 0.98 * sample_rate]
    share, kind, steepness = torch.rand(3, generator=generator).tolist()
    top = sample_rate * (0.3 + 0.65 * share)
    if usual and kind < 0.5:
        top = usual[int(share * len(usual))]
    hertz = torch.fft.rfftfreq(len(wave), 1 / sample_rate, dtype=torch.float64)
    # From 1 at `start` to 0 at half of the lower rate, as half a cosine.
    start = top / 2 * (0.9 + 0.09 * steepness)
    phase = ((hertz - start) / (top / 2 - start)).clamp(0, 1)
    kept = torch.fft.irfft(
        torch.fft.rfft(wave.double()) * (1 + (torch.pi * phase).cos()) / 2, len(wave)
    )
    return ((kept * 32768).round() / 32768).to(wave)


def linear_map(mel: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [K, M] and bias [K] of the regression without a hidden layer, float64.

    Fisher scoring, whose steps in a gamma regression of log P are ridge regressions of p / P - 1
    with the same matrix; it starts at that of log p.
    """
    affine = torch.cat([mel, torch.ones_like(mel[:1])])
    moments, count = affine @ affine.T, affine.shape[1]
    ridge = RIDGE * count * mel.var(1, correction=0).clamp(min=1e-6)
    moments.diagonal()[:-1] += ridge
    solved = torch.linalg.solve(moments, affine @ power.log().T).T
    solved[:, -1] += (power / (solved @ affine).exp()).mean(1).log()
    for _ in range(ROUNDS):
        ratio = (power / (solved @ affine).exp()).clamp(max=FAR)
        solved += torch.linalg.solve(moments, affine @ (ratio - 1).T).T
    return solved[:, :-1], solved[:, -1]
