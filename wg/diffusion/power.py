"""What a mel says of the expected power of each bin: a vocoder before its network.

log P of a frame is a linear map of its log mel with a small hidden layer beside it, fitted to
recordings (`wg.training.power`). Below the mel's upper edge it undoes the filterbank, above it it
shows what recordings have there; the layer tells kinds of recordings apart.

Shapes: B batch, M mels, H hidden units, K bins of `Frames`, F frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from wg.mel.frames import Frames
from wg.mel.spec import MelSpec

POWER = "mel_power"  # name of a network's MelPower
HIDDEN_LAYER = ("inner", "shift", "outer")
LATER = {f"{POWER}.{name}" for name in HIDDEN_LAYER}  # that old weights lack
QUIETEST = 1e-11  # power of a bin: what 16 bits round to is about 1e-10
LOUDEST = 1e3
EDGE = 2  # frames at either end of a recording whose windows reach beyond it
HIDDEN = 64


class MelPower(nn.Module):
    """Expected power P [B, K, F] of the bins of a waveform whose mel is [B, M, F]."""

    frames: Frames

    weight: Tensor  # [K, M]
    bias: Tensor  # [K]
    inner: Tensor  # [H, M]
    shift: Tensor  # [H]
    outer: Tensor  # [K, H]

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.frames = Frames.of(spec)
        bins = self.frames.bins
        self.register_buffer("weight", torch.zeros(bins, spec.n_mels))
        self.register_buffer("bias", torch.full((bins,), torch.nan))  # until `fit`
        self.register_buffer("inner", torch.zeros(HIDDEN, spec.n_mels))
        self.register_buffer("shift", torch.zeros(HIDDEN))
        self.register_buffer("outer", torch.zeros(bins, HIDDEN))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MelPower:
        """Follows its network to devices and to float64, never to 16 bits."""
        for name, value in list(self._buffers.items()):
            assert value is not None
            moved = fn(value)
            kept = moved.dtype in (torch.float32, torch.float64)
            self._buffers[name] = moved if kept else value.to(moved.device)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Weights of before the hidden layer are those of a linear map."""
        if f"{prefix}weight" in state_dict:
            for name in HIDDEN_LAYER:
                state_dict.setdefault(prefix + name, torch.zeros_like(self.get_buffer(name)))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, mel: Tensor) -> Tensor:
        """Power [B, K, F] of the bins of `frames`."""
        with torch.autocast(mel.device.type, enabled=False):
            mel = mel.to(self.weight)
            hidden = (self.inner @ mel + self.shift[:, None]).tanh()
            log = self.weight @ mel + self.outer @ hidden + self.bias[:, None]
        return log.exp().clamp(QUIETEST, LOUDEST)

    @property
    def fitted(self) -> bool:
        """Whether it was fitted or loaded: it begins as NaN."""
        return not bool(self.bias.isnan().any())
