"""A denoiser over time and frequency: convolutions whose weights all frequencies share.

Ours; like RFWave, Vocos and Flow2GAN it works at frame rate, and like none of them it is told
WaveGrad's noise level. A stationary bin k turns by k * 2 pi hop / size from frame to frame, for
windows of four hops by k quarter turns: bins of the same k mod 4 turn alike. So the bins become an
image of K / 4 cells by F frames with four bins in each cell, and a small kernel sees all that a
partial needs: its phase a frame ago, its neighbours, and the turn of its class.

What comes out are the taps of a filter in each bin (deep filtering, 1904.08369), over the frames
and bins around it, and a remainder: gains and continued phases are products with the input, which
convolutions alone are slow to learn.

Shapes: B batch, M mels, K bins (`wg.mel.frames`), N = K / 4 cells, F frames, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.errors import InputError
from wg.fields import check_fields, setting
from wg.mel.frames import OVERLAP, Frames
from wg.mel.spec import MelSpec
from wg.models.convolution import Conv2d
from wg.models.fused import Fusible, layer_norm
from wg.models.layout import in_pieces
from wg.models.network import ModelConfig, Network, zero

WAVES = 32  # sines, and as many cosines, of the log-SNR
SNR_RANGE = 160.0  # dB, over which the slowest of them turns once
AHEAD = 2  # frames to either side that a bin's filter reaches, besides the two bins beside it
TAPS = 2 * AHEAD + 3
PLACES = 4096  # cells of a frame whose taps, 1 MB, are made and applied at once
SOFT = 0.1  # of a bin's magnitude 1: what is far below has no phase, nor a logarithm


@dataclass(frozen=True)
class SpectralConfig(ModelConfig):
    """Sizes; the defaults are the small vocoder's."""

    name: str = setting("spectral", "which model")
    channels: int = setting(32, "of the convolutions", least=1, most=8192)
    blocks: int = setting(6, "of two convolutions each", least=1, most=1000)
    dilation_cycle: int = setting(3, "dilations in time 1, 2, 4, over and over", least=1, most=20)
    maps: int = setting(12, "channels a cell that are made from the mel", least=1, most=8192)
    level_width: int = setting(128, "of the level's embedding", least=1, most=8192)
    above_fmax: bool = setting(
        False,
        "above the mel's fmax the network adds nothing: what sounds there is noise of the "
        "right power",
    )

    def __post_init__(self) -> None:
        check_fields("model", self)

    @property
    def domain(self) -> str:
        """Bins; any rate, window, hop and number of bands will do."""
        return "bins"


class SpectralCondition(NamedTuple):
    """What does not depend on the noise level."""

    maps: Tensor  # [B, C, N, F], of the mel, through the first layer
    mask: Tensor | None  # [B, 1, 1, F], where some frames are padding


class Block(Fusible):
    """Two convolutions of what the level scales and shifts, added to what came in.

    Each cell is normalised over its channels, alone: nothing depends on the rest of the batch or
    of the utterance. Without it training stands still for hundreds of steps.
    """

    def __init__(self, config: SpectralConfig, dilation: int) -> None:
        super().__init__()
        channels = config.channels
        self.norm = nn.LayerNorm(channels)
        self.level = nn.Linear(config.level_width, 2 * channels)
        self.first = Conv2d(channels, channels, 3, padding=(1, dilation), dilation=(1, dilation))
        self.second = Conv2d(channels, channels, 3, padding=1)
        zero(self.level)
        self.second.weight.data *= 0.2
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    @property
    def suits_kernels(self) -> bool:
        """In 16 bits; of float32 they spare a tenth of a call, and take half a second to load."""
        return self.norm.weight.dtype == torch.bfloat16

    def forward(self, x: Tensor, level: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, C, N, F], level [B, W]."""
        scale, shift = self.level(level).chunk(2, -1)
        rows, norm = x.permute(0, 2, 3, 1), self.norm
        weight, bias = norm.weight * (1 + scale), norm.bias * (1 + scale) + shift
        if self.takes_kernels(x):
            y = layer_norm(rows, weight, bias, norm.eps)
        elif len(level) == 1:  # one pass over the image instead of two
            y = F.layer_norm(rows, norm.normalized_shape, weight[0], bias[0], norm.eps)
        else:
            y = torch.addcmul(shift[:, None, None], norm(rows), 1 + scale[:, None, None])
        y = self.first(masked(y.permute(0, 3, 1, 2), mask))
        y = F.silu(y, inplace=not torch.is_grad_enabled())
        return self.second(masked(y, mask)).add_(x)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x [B, C, N, F] with its padding set to zero by a mask [B, 1, 1, F]: as an utterance's end."""
    return x if mask is None else x * mask


class SpectralNetwork(Network):
    """F(X / sqrt V, log-SNR, mel) of whitened bins, for `diffusion.precondition=mel`."""

    domain = "bins"

    def __init__(self, config: SpectralConfig, mel: MelSpec) -> None:
        super().__init__()
        self.config, self.bands = config, mel.n_mels
        self.frames = Frames.of(mel)
        self.cells = cells_of(config, mel)
        channels = config.channels
        self.level = nn.Sequential(
            nn.Linear(2 * WAVES, config.level_width),
            nn.SiLU(),
            nn.Linear(config.level_width, config.level_width),
            nn.SiLU(),
        )
        self.maps = nn.Conv1d(mel.n_mels, config.maps * self.cells, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(channels, self.cells, 1))  # where in frequency
        self.enter_maps = nn.Conv2d(config.maps, channels, 3, padding=1)
        # Of each of a cell's bins, what `features` says.
        self.enter = nn.Conv2d(6 * OVERLAP, channels, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(
            Block(config, 2 ** (i % config.dilation_cycle)) for i in range(config.blocks)
        )
        self.leave = nn.Conv2d(channels, (TAPS + 1) * 2 * OVERLAP, 1)
        zero(self.leave)

    def condition(self, batch: Mapping[str, Any]) -> SpectralCondition:
        """From batch["mel"] [B, M, F] and, if present, batch["frames"] [B]."""
        mel = batch["mel"]
        if mel.ndim != 3 or mel.shape[1] != self.bands or not mel.shape[2]:
            raise InputError(
                f"mel of shape {list(mel.shape)}; this model takes [B, {self.bands}, frames]"
            )
        mask = None
        if "frames" in batch:
            index = torch.arange(mel.shape[2], device=mel.device)
            mask = (index < batch["frames"][:, None].to(mel.device))[:, None, None].to(mel)
            mel = mel * mask[:, 0]
        maps = F.silu(self.maps(mel)).unflatten(1, (self.config.maps, self.cells))
        maps = maps.contiguous(memory_format=torch.channels_last)
        return SpectralCondition(self.enter_maps(masked(maps, mask)) + self.place, mask)

    def denoise(self, y: Tensor, log_snr: Tensor, level: Tensor, cond: SpectralCondition) -> Tensor:
        """F [B, 2, K, F] of bins y [B, 2, K, F].

        In float32, whatever the weights are: squares of quiet bins leave the range of 16 bits.
        log_snr [B, K, F] is each bin's own, log(l^2 P / (s^2 N)); level [B] is log(l / s).
        """
        embedded = self.level(waves(level).to(self.place))
        y_kept = masked(self.fitted(y).contiguous(), cond.mask)
        told = features(y_kept, self.fitted(log_snr[:, None]))
        image = self.image(told.to(self.place))  # in 16 bits there is half as much to put in order
        x = self.enter(masked(image, cond.mask)) + cond.maps
        for block in self.blocks:
            x = block(x, embedded, cond.mask)
        # The less noise, the less is to be said: without it early training fails near l = 1.
        spread = 2 * (1 + (2 * level).exp()).rsqrt().to(y)[:, None, None, None, None]
        filtered = spread * self.filtered(x, y_kept)
        filtered = filtered.transpose(2, 3).flatten(2, 3)  # [B, 2, 4 N, F]
        return F.pad(filtered, (0, 0, 0, y.shape[2] - self.bins))

    def filtered(self, x: Tensor, y: Tensor) -> Tensor:
        """Bins y [B, 2, 4 N, F] through the filters that x [B, C, N, F] says, [B, 2, 4, N, F].

        On a CPU some cells at a time: taps of all are the largest tensor of a step.
        """
        size = max(1, PLACES // (len(x) * x.shape[3])) if in_pieces(x) else self.cells
        pieces = zip(x.split(size, 2), *(there.split(size, 3) for there in around(y)), strict=True)
        return torch.cat([apply(self.taps(part).to(y), there) for part, *there in pieces], 3)

    def taps(self, x: Tensor) -> Tensor:
        """[B, C, N, F] -> [B, TAPS + 1, 2, 4, N, F]."""
        assert self.leave.bias is not None
        # A product, not the convolution that it is: its channels come out one after another.
        out = self.leave.weight.flatten(1) @ x.flatten(2) + self.leave.bias[:, None]
        return out.unflatten(1, (TAPS + 1, 2, OVERLAP)).unflatten(-1, x.shape[2:])

    def fitted(self, bins: Tensor) -> Tensor:
        """[B, R, K, F] as [B, R, 4 N, F]: zeros added, or the highest bins left out."""
        return F.pad(bins, (0, 0, 0, self.bins - bins.shape[2]))

    @property
    def bins(self) -> int:
        """Bins in all cells: more than there are, or fewer."""
        return self.cells * OVERLAP

    def image(self, bins: Tensor) -> Tensor:
        """[B, R, 4 N, F] -> [B, R * 4, N, F]: bin k is channel k mod 4 of cell k // 4."""
        image = in_cells(bins).flatten(1, 2)
        return image.contiguous(memory_format=torch.channels_last)  # as the blocks' norm has it


def features(y: Tensor, log_snr: Tensor) -> Tensor:
    """What the network is told of bins y [B, 2, K, F], [B, 6, K, F].

    Both parts, log-SNR, logarithm of the power, and the turn since the frame before as a complex
    number of at most unit length.
    """
    power = y.square().sum(1, keepdim=True)
    real, imaginary = y.split(1, 1)
    before_real, before_imaginary = F.pad(y, (1, 0))[..., :-1].split(1, 1)
    turn = torch.cat(
        [
            real * before_real + imaginary * before_imaginary,
            imaginary * before_real - real * before_imaginary,
        ],
        1,
    )
    turn = turn / (turn.square().sum(1, keepdim=True).add(1e-12).sqrt() + SOFT)
    # Factors bring all to about the same size.
    return torch.cat([y, 0.1 * log_snr, 0.3 * (power + SOFT**4).log(), turn], 1)


def in_cells(bins: Tensor) -> Tensor:
    """[B, R, 4 N, F] -> [B, R, 4, N, F]: bin k is number k mod 4 of cell k // 4."""
    return bins.unflatten(2, (-1, OVERLAP)).transpose(2, 3)


def around(y: Tensor) -> list[Tensor]:
    """What a bin's taps see of bins y [B, 2, 4 N, F], each [B, 2, 4, N, F]."""
    frames, bins = y.shape[3], y.shape[2]
    late, wide = F.pad(in_cells(y), (AHEAD, AHEAD)), F.pad(y, (0, 0, 1, 1))
    seen = [late[..., i : i + frames] for i in range(2 * AHEAD + 1)]
    return seen + [in_cells(wide[:, :, first : first + bins]).contiguous() for first in (0, 2)]


def apply(taps: Tensor, seen: Sequence[Tensor]) -> Tensor:
    """Bins [B, 2, 4, N, F] of complex taps [B, TAPS + 1, 2, 4, N, F] on what each of them sees.

    The last tap is added as it is.
    """
    # All at once: taken one by one, the gradient of each would be an image of all.
    parts = taps.flatten(1, 2).unbind(1)
    *pairs, (real, imaginary) = zip(parts[::2], parts[1::2], strict=True)
    for (a, b), there in zip(pairs, seen, strict=True):
        x, y = both(there)
        real = real.addcmul(a, x).addcmul(b, y, value=-1)
        imaginary = imaginary.addcmul(a, y).addcmul(b, x)
    return torch.stack([real, imaginary], 1)


def both(bins: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts of [B, 2, ...]; exporters know no cheaper way to say so."""
    return bins.select(1, 0), bins.select(1, 1)


def cells_of(config: SpectralConfig, mel: MelSpec) -> int:
    """Cells N that the network works on."""
    frames = Frames.of(mel)
    top = mel.sample_rate / 2 if config.above_fmax else mel.top
    bins = min(frames.bins, math.ceil(top / mel.sample_rate * frames.size) + 1)
    return -(-bins // OVERLAP)


def waves(level: Tensor) -> Tensor:
    """Sines and cosines [B, 2 W] of log(l / s) [B], float64.

    They turn from once to 32 times over the range.
    """
    decibels = level.double() * (20 / math.log(10))
    index = torch.arange(1, WAVES + 1, dtype=torch.float64, device=level.device)
    angle = decibels[:, None] * index * (2 * torch.pi / SNR_RANGE)
    return torch.cat([angle.sin(), angle.cos()], 1)
