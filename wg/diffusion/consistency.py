"""Mel-consistent sampling: estimates of x_0 whose spectrogram is the one that the mel shows.

At a step, iterations of the fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard 2013)
on the estimate, from its own phases: back and forth between waveforms and spectrograms whose
magnitudes agree with the mel. GLA-Grad (2402.15516) does so in the early steps of WaveGrad with
magnitudes of the filterbank's pseudo-inverse (`magnitudes=inverse`). Ours, `bands`, keeps the fine
structure of the estimate, harmonics above all, and scales it until its bands are the mel's.

Shapes: B batch, M mels, F frames, K bins, T = F * hop samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from wg.errors import InputError
from wg.fields import check_fields, setting
from wg.mel.bank import weights
from wg.mel.frames import Frames
from wg.mel.spec import MelSpec

TINY = 1e-9  # of a magnitude
GAIN = 10.0  # by which one iteration changes a band at most
VECTOR = 16  # floats that a CPU takes at a time


@dataclass(frozen=True)
class Consistency:
    """How estimates of x_0 are made to agree with the mel; no iterations: not at all."""

    iterations: int = setting(0, "of Griffin-Lim an estimate; 0: off", least=0, most=1000)
    snr_from: float | None = setting(
        None,
        "it acts at levels l from this l^2 / (1 - l^2) in dB; null: at the noisiest too",
    )
    snr_to: float | None = setting(None, "it acts up to this one; null: at the cleanest too")
    momentum: float = setting(0.99, "of the fast Griffin-Lim algorithm", least=0, below=1)
    magnitudes: Literal["bands", "inverse"] = setting(
        "bands",
        "the estimate's own, scaled to the mel's bands; or the filterbank's pseudo-inverse of "
        "the mel",
    )

    def __post_init__(self) -> None:
        check_fields("consistency", self)
        low, high = self.bounds
        if not low < high:
            raise InputError(
                f"consistency.snr_from is {low:g} dB, consistency.snr_to {high:g} dB: no level "
                "lies between; give a lower snr_from or a higher snr_to"
            )

    def acts_at(self, level: float) -> bool:
        """Whether estimates at this level are corrected."""
        if not self.iterations:
            return False
        low, high = self.bounds
        snr = 10 * math.log10(level**2 / (1 - level**2)) if level < 1 else math.inf
        return low <= snr <= high

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest SNR in dB."""
        low = -math.inf if self.snr_from is None else self.snr_from
        return low, math.inf if self.snr_to is None else self.snr_to

    @property
    def label(self) -> str:
        """Short name, fit for a folder."""
        if not self.iterations:
            return "plain"
        parts = [f"consistent-{self.iterations}"]
        parts += [f"from{self.snr_from:g}"] if self.snr_from is not None else []
        parts += [f"to{self.snr_to:g}"] if self.snr_to is not None else []
        parts += [self.magnitudes] if self.magnitudes != "bands" else []
        return "-".join(parts)


class MelConsistency:
    """The correction for one batch of mels [B, M, F], on their device.

    `frames` [B]: how many of each are real. InputError for a mel without an inverse.
    """

    def __init__(
        self, options: Consistency, mel: Tensor, spec: MelSpec, frames: Tensor | None = None
    ) -> None:
        self.options, self.real, self.frames = options, frames, Frames.own(spec)
        check_invertible(spec)
        bank = weights(spec.bands)  # [K, M]
        device = mel.device
        self.power = spec.power
        unit = float(spec.hann.square().sum().sqrt())
        # Frames have windows of unit energy; the mel's magnitudes may not.
        scale = spec.magnitude_divisor / unit
        linear = spec.decompress(mel.float()) * scale**spec.power  # [B, M, F]
        self.linear = linear.transpose(1, 2).contiguous()  # [B, F, M]
        # Bins in which the mel shows something, one span of them; the estimate's own magnitudes
        # stay elsewhere.
        shown = (bank.sum(1) > 0).nonzero().flatten()
        self.shown = slice(int(shown[0]), int(shown[-1]) + 1)
        own = bank.float().to(device)[self.shown]  # [K', M]
        self.bands = Banded(own)
        self.share = Banded((own / own.sum(1, keepdim=True)).T)  # [M, K']
        if options.magnitudes == "inverse":
            inverse = torch.linalg.pinv(bank.T).float()[self.shown].to(device)  # [K', M]
            with torch.autocast(device.type, enabled=False):
                sums = (self.linear @ inverse.T).clamp(min=0)
            self.target = sums if spec.power == 1 else sums.sqrt()  # [B, F, K']

    def __call__(self, x_0: Tensor) -> Tensor:
        """The estimate [B, T], corrected; in float32 under autocast too."""
        with torch.autocast(x_0.device.type, enabled=False):
            return self._corrected(x_0.float()).to(x_0)

    def _corrected(self, x: Tensor) -> Tensor:
        wanted: Tensor | None = None
        if self.options.magnitudes == "inverse":
            wanted = self.frames.spectrum(x).abs()
            wanted[..., self.shown] = self.target
        before: Tensor | None = None
        for _ in range(self.options.iterations):
            wave = self._projected(x, wanted)
            # wave + momentum (wave - before): spectra are linear in waves, which are a quarter
            # of their size.
            x = wave if before is None else before.lerp(wave, 1 + self.options.momentum)
            before = wave
        return self._projected(x, wanted)

    def _projected(self, x: Tensor, wanted: Tensor | None) -> Tensor:
        """The wave [B, T] nearest to x's bins with their own phases and the magnitudes wanted.

        Those are given, [B, F, K], or are their own, scaled to the bands of the mel.
        """
        spectrum = self.frames.spectrum(x)
        if wanted is not None:
            spectrum.mul_(wanted / spectrum.abs().clamp_(min=TINY))
        else:
            shown = spectrum[..., self.shown]
            shown.mul_(self._gain(shown))
        return self.frames.wave(spectrum, self.real)

    def _gain(self, shown: Tensor) -> Tensor:
        """What brings bins [B, F, K'] nearer to the mel, [B, F, K']."""
        squares = torch.view_as_real(shown).square()
        magnitude = squares[..., 0] + squares[..., 1]
        if self.power == 1:
            magnitude.sqrt_()  # faster than abs, which minds overflow
        bands = self.bands(magnitude).clamp_(min=TINY)
        gain = self.share((self.linear / bands).clamp_(1 / GAIN, GAIN))
        return gain if self.power == 1 else gain.sqrt_()


class Banded:
    """Products with a matrix [R, C] whose entries lie about its diagonal, as a filterbank's do.

    On a CPU by fifths of the columns, of whole vectors, each with the rows that have entries there.
    """

    def __init__(self, matrix: Tensor) -> None:
        columns = matrix.shape[1]
        width = columns if matrix.device.type != "cpu" else VECTOR * -(-columns // (5 * VECTOR))
        self.blocks: list[tuple[slice, Tensor]] = []
        for block in matrix.split(width, 1):
            rows = block.any(1).nonzero().flatten().tolist() or [0]
            span = slice(rows[0], rows[-1] + 1)
            self.blocks.append((span, block[span].contiguous()))

    def __call__(self, x: Tensor) -> Tensor:
        """x [..., R] @ matrix, [..., C]."""
        return torch.cat([x[..., rows] @ block for rows, block in self.blocks], -1)


def check_invertible(spec: MelSpec) -> None:
    """InputError for a mel from which no spectrum follows: one band, gaps of bands or windows."""
    Frames.own(spec)
    if spec.n_mels < 2:
        raise InputError(
            f"mel.n_mels is {spec.n_mels}: one band says nothing of a spectrum's shape, so "
            "sampling cannot be made consistent with it; leave consistency off"
        )
    shown = (weights(spec.bands).sum(1) > 0).nonzero().flatten()
    if len(shown) < int(shown[-1] - shown[0]) + 1:
        raise InputError(
            "the mel's bands leave gaps between them, so sampling cannot be made consistent with "
            "it; leave consistency off"
        )
