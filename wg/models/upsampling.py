"""From a feature a symbol to a feature a frame: Gaussian upsampling and its predictors.

Non-Attentive Tacotron (2010.04301), section 3.1.

| symbol | meaning |
|---|---|
| B, N, F | batch, symbols, frames |
| d_i | duration of symbol i in frames |
| c_i | its centre, d_i / 2 + sum_{j < i} d_j |
| sigma_i | its range in frames |
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from wg.diffusion.noise import RowDraws
from wg.models.zoneout import ZoneoutLSTM, torchs_layer


class Convention(NamedTuple):
    """What implementations of Gaussian upsampling do differently."""

    middle: float  # t of frame 0
    least_range: float  # in frames, added to each sigma_i
    fading: float  # added to sum_j N: a frame far from every symbol hears less of all
    whole: bool  # predicted durations are rounded to whole frames


# Ours places a frame at its middle, as a symbol that lasts one frame has its centre half a frame
# after its beginning. The others are read off the ports' code.
CONVENTIONS = {
    "middle": Convention(0.5, 1e-2, 0.0, False),
    "mindslab": Convention(0.0, 0.0, 1e-8, True),
    "keonlee": Convention(1.0, 0.0, 1e-8, True),
}


class Predictor(nn.Module):
    """A number for each symbol: two bidirectional LSTM layers and a projection.

    With zoneout the layers have names of their own.
    """

    def __init__(self, c_in: int, hidden: int, zoneout: float = 0.0) -> None:
        super().__init__()
        if zoneout:
            widths = (c_in, 2 * hidden)
            self.lstm = nn.ModuleList(ZoneoutLSTM(width, hidden, zoneout) for width in widths)
        else:
            self.lstm = nn.LSTM(c_in, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.projection = nn.Linear(2 * hidden, 1, bias=False)

    def forward(self, x: Tensor, lengths: Tensor, draws: RowDraws | None = None) -> Tensor:
        """x [B, N, C], the first `lengths` [B] symbols real -> [B, N]; `draws` for the zoneout."""
        if isinstance(self.lstm, nn.ModuleList):
            for layer in self.lstm:
                x = layer(x, lengths, draws)
        elif x.device.type == "cpu":
            for layer in range(self.lstm.num_layers):
                x = torchs_layer(self.lstm, layer, x, lengths)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            hidden, _ = self.lstm(packed)
            x, _ = pad_packed_sequence(hidden, batch_first=True, total_length=x.shape[1])
        return self.projection(x.to(self.projection.weight))[..., 0]


def places_of(durations: Tensor, lengths: Tensor, start: Tensor, frames: int) -> Tensor:
    """Frames from the beginning of the symbol that each of F = `frames` frames is in, [B, F].

    For `durations` [B, N], of which the first `lengths` [B] are real, and the frames from `start`
    [B] on; a frame after the last symbol counts on from that one's beginning.
    """
    ends = durations.cumsum(1)
    time = start[:, None] + torch.arange(frames, device=durations.device)
    symbol = torch.searchsorted(ends.contiguous(), time.to(ends), right=True)
    symbol = torch.minimum(symbol, lengths.to(symbol)[:, None] - 1)
    return time - (ends - durations).gather(1, symbol)


def sinusoid(place: Tensor, channels: int) -> Tensor:
    """sin and cos of place / 10000^(2 i / channels), i = 0 .. channels / 2 - 1.

    [B, F] -> [B, C, F]; the positional encoding of 1706.03762, section 3.5.
    """
    index = torch.arange(channels // 2, device=place.device)
    angle = place[:, None] * (10_000.0 ** (-2 * index / channels))[:, None]
    return torch.cat([angle.sin(), angle.cos()], 1)


def gaussian_weights(
    durations: Tensor,
    ranges: Tensor,
    real: Tensor,
    start: Tensor,
    frames: int,
    convention: Convention = CONVENTIONS["middle"],
) -> Tensor:
    """w_ti = N(t; c_i, sigma_i^2) / (fading + sum_j N(t; c_j, sigma_j^2)), [B, F, N].

    For `durations`, `ranges` and `real` [B, N] (False: padding, of weight 0) and the F = `frames`
    frames from `start` [B] on; frame f has t = f + middle.
    """
    centres = durations.cumsum(1) - durations / 2
    time = start[:, None] + torch.arange(frames, device=durations.device) + convention.middle
    distance = (time[:, :, None] - centres[:, None]) / ranges[:, None]  # [B, F, N]
    logits = -0.5 * distance**2 - ranges.log()[:, None]
    logits = logits.masked_fill(~real[:, None], -math.inf)
    weights = logits.softmax(-1)
    if not convention.fading:
        return weights
    # S / (S + fading), with S the sum of the densities, which may be too small for a float.
    log_sum = logits.logsumexp(-1, keepdim=True) - 0.5 * math.log(2 * math.pi)
    return weights * (log_sum - math.log(convention.fading)).sigmoid()
