"""What a mel says of the expected power of each bin: the linear half of a vocoder.

A ridge regression of the bins' log power on the log mel, frame by frame, fitted on recordings:
below the mel's upper edge it undoes the filterbank, above it it shows what recordings have there.

Shapes: B batch, M mels, K bins of `Frames`, F frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from wg.errors import InputError
from wg.mel.frames import Frames
from wg.mel.spec import MelSpec

POWER = "mel_power"  # name of a network's MelPower
QUIETEST = 1e-11  # power of a bin: what 16 bits round to is about 1e-10
LOUDEST = 1e3
RIDGE = 1e-3  # of the mels' variance
EDGE = 2  # frames at either end of a recording whose windows reach beyond it


class MelPower(nn.Module):
    """Expected power P [B, K, F] of the bins of a waveform whose mel is [B, M, F]."""

    frames: Frames

    weight: Tensor
    bias: Tensor

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.frames = Frames.of(spec)
        bins = self.frames.bins
        self.register_buffer("weight", torch.zeros(bins, spec.n_mels))
        self.register_buffer("bias", torch.full((bins,), torch.nan))  # until `fit`

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MelPower:
        """Follows its network to devices and to float64, never to 16 bits."""
        for name, value in list(self._buffers.items()):
            assert value is not None
            moved = fn(value)
            kept = moved.dtype in (torch.float32, torch.float64)
            self._buffers[name] = moved if kept else value.to(moved.device)
        return self

    def forward(self, mel: Tensor) -> Tensor:
        """Power [B, K, F] of the bins of `frames`."""
        with torch.autocast(mel.device.type, enabled=False):
            log = self.weight @ mel.to(self.weight) + self.bias[:, None]
        return log.exp().clamp(QUIETEST, LOUDEST)

    @property
    def fitted(self) -> bool:
        """Whether it knows anything."""
        return not bool(self.bias.isnan().any())

    @torch.no_grad()
    def fit(self, clips: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> None:
        """Fits to clips of (waveform [T], mel [M, F]), which are gone through twice.

        First the regression, then an offset for each bin, so that P is the mean of the power and
        not of its logarithm. InputError for clips that are all too short.
        """
        bands = self.weight.shape[1]
        moments = torch.zeros(bands + 1, bands + 1, dtype=torch.float64)
        cross = torch.zeros(bands + 1, self.frames.bins, dtype=torch.float64)
        for mel, power in self._pairs(clips()):
            known = torch.cat([mel, torch.ones_like(mel[:1])])
            moments += known @ known.T
            cross += known @ power.log().T
        count = moments[-1, -1]
        if count < 1:
            raise InputError("no clip is long enough to learn the power of its bins from")
        spread = (moments.diagonal() / count - (moments[-1] / count) ** 2)[:-1].clamp(min=1e-6)
        ridge = torch.cat([RIDGE * count * spread, torch.zeros(1, dtype=torch.float64)])
        solved = torch.linalg.solve(moments + ridge.diag(), cross).T  # [K, M + 1]
        weight, bias = solved[:, :-1], solved[:, -1]
        ratio = torch.zeros(self.frames.bins, dtype=torch.float64)
        for mel, power in self._pairs(clips()):
            ratio += (power / (weight @ mel + bias[:, None]).exp()).sum(1)
        self.weight.copy_(weight)
        self.bias.copy_(bias + (ratio / count).log())

    def _pairs(self, clips: Iterable[tuple[Tensor, Tensor]]) -> Iterable[tuple[Tensor, Tensor]]:
        for wave, mel in clips:
            power = self.frames.spectrum(wave[None].double())[0].T.abs().square()
            inner = slice(EDGE, max(EDGE, power.shape[1] - EDGE))
            yield mel.double()[:, inner], power[:, inner].clamp(min=QUIETEST)


def check_fitted(power: MelPower) -> None:
    """InputError for one that was never fitted."""
    if not power.fitted:
        raise InputError("the power of the bins was never fitted; train the model first")
