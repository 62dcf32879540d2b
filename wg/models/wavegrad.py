"""WaveGrad (Chen et al., 2009.00713): mel to waveform by a UBlock/DBlock network with FiLM.

| symbol | meaning |
|---|---|
| B, M, F | batch, mel bands, frames |
| T | F * hop samples |
| gamma, xi | FiLM scale and shift |

The mel is upsampled through five UBlocks whose factors multiply to the hop; the noisy waveform
is downsampled through four DBlocks; FiLM carries it, with the noise level, to each UBlock.

Where the paper is silent or its ports differ, a switch says so. Of resampling, repetition on the
way up and every factor-th sample on the way down is what the common ports do, and gives 15.9M
parameters to the paper's 15M. Two re-implementations read a strided convolution in App. A: widening
in the first convolution of a DBlock it has 18.0M, in the last one 15.5M, or 15.1M with kernels of
3 (wavefit-pytorch's reading, by those counts).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.errors import InputError
from wg.fields import check_fields, setting
from wg.mel.spec import MelSpec
from wg.models import fused
from wg.models.convolution import Conv1d, repeated_conv
from wg.models.fused import Fusible
from wg.models.layout import channels_together
from wg.models.network import ModelConfig, Network

SLOPE = 0.2
DILATIONS_NEAR_MEL = (1, 2, 4, 8)
DILATIONS_NEAR_WAVE = (1, 2, 1, 2)


@dataclass(frozen=True)
class WaveGradConfig(ModelConfig):
    """Base model of the paper.

    Large doubles the UBlocks (`up_repeats=2`, `dilations="large"`): 23.4M parameters to the
    paper's 23M. Doubling the DBlocks too, as one port does, gives 27.0M.
    """

    name: str = setting("wavegrad", "which model")
    factors: tuple[int, ...] | None = setting(
        None,
        "upsampling, mel to wave; null: derived from the hop",
        least=1,
    )
    mel_channels: int = setting(
        768,
        "channels after the first convolution of the mel (or of the features)",
        least=2,
        most=8192,
    )
    up_channels: tuple[int, ...] = setting(
        (512, 512, 256, 128, 128),
        "channels after each UBlock, mel to wave",
        least=2,
        most=8192,
    )
    wave_channels: int = setting(
        32,
        "channels after the first convolution of the waveform",
        least=2,
        most=8192,
    )
    down_channels: tuple[int, ...] = setting(
        (128, 128, 256, 512),
        "channels after each DBlock, wave to mel",
        least=2,
        most=8192,
    )
    dilations: Literal["paper", "lmnt", "large"] = setting(
        "paper", "lmnt: the paper's order reversed"
    )
    up: Literal["nearest", "linear"] = setting(
        "nearest",
        "upsampling: repetition, or linear interpolation",
    )
    down: Literal["nearest", "linear", "strided"] = setting(
        "nearest",
        "downsampling: every n-th sample, linear, or strided convolution",
    )
    # convolution of a DBlock that adds channels
    down_widening: Literal["first", "last"] = setting(
        "first",
        "which of a DBlock's convolutions adds channels",
    )
    down_kernel: int | None = setting(
        None,
        "of down=strided, odd; null: 2 * floor(factor / 2) + 1",
        least=1,
        most=1023,
    )
    # sinusoid_single: its angles in float32, as ivanvovk's, mindslab's and keonlee's code has them.
    level_encoding: Literal["sinusoid", "sinusoid_single", "coqui"] = setting(
        "sinusoid",
        "sinusoids of the level (paper), in float32 (for ports' weights), or coqui's variant",
    )
    level_scale: float = setting(
        5000.0,
        "paper 5000; lmnt 1; use 1 with discrete conditioning",
        above=0,
    )
    up_repeats: int = setting(
        1,
        "UBlocks a resolution; the further ones do not resample",
        least=1,
        most=100,
    )
    down_repeats: int = setting(1, "DBlocks a resolution", least=1, most=100)
    repeat_shortcut: Literal["none", "conv"] = setting(
        "none",
        "of a further UBlock; conv: mindslab's 1x1",
    )
    initialisation: Literal["zero", "orthogonal", "lmnt"] | None = setting(
        None,
        "orthogonal everywhere, but the last layer zero (null is this), or not; or with Xavier's "
        "in the FiLMs, as lmnt and coqui begin",
    )

    def __post_init__(self) -> None:
        check_fields("model", self)
        if len(self.up_channels) != len(self.down_channels) + 1:
            raise InputError(
                f"model.up_channels has {len(self.up_channels)} entries and model.down_channels "
                f"{len(self.down_channels)}; there is one DBlock less than UBlocks"
            )
        widths = (self.mel_channels, self.wave_channels, *self.up_channels, *self.down_channels)
        if min(widths) < 2 or any(c % 2 for c in (self.wave_channels, *self.down_channels)):
            raise InputError(
                f"model channels {widths} must be positive, and even for model.wave_channels and "
                "model.down_channels (half of a level encoding is sine, half cosine)"
            )
        if self.down_kernel is not None and (self.down_kernel < 1 or self.down_kernel % 2 == 0):
            raise InputError(
                f"model.down_kernel is {self.down_kernel}; give an odd number, or null"
            )
        if self.down_kernel is not None and self.down != "strided":
            raise InputError(
                f"model.down_kernel is {self.down_kernel}, but model.down is {self.down!r}, which "
                "has no kernel; set model.down=strided"
            )

    def resolved(self, mel: MelSpec) -> WaveGradConfig:
        """With factors; InputError if they do not make the hop."""
        return replace(self, factors=self.resolved_factors(mel.hop_length))

    def resolved_factors(self, hop: int) -> tuple[int, ...]:
        """Upsampling factors, checked against the hop or derived from it."""
        count = len(self.up_channels)
        factors = derive_factors(hop, count) if self.factors is None else tuple(self.factors)
        if len(factors) != count:
            raise InputError(
                f"model.factors {list(factors)} has {len(factors)} entries; "
                f"model.up_channels asks for {count}"
            )
        if min(factors) < 1 or math.prod(factors) != hop:
            raise InputError(
                f"model.factors {list(factors)} multiply to {math.prod(factors)}, but "
                f"mel.hop_length is {hop}; make them agree (or leave model.factors out)"
            )
        return factors

    def resolved_dilations(self) -> tuple[tuple[int, ...], ...]:
        """Dilations of each UBlock's four convolutions, from mel to wave (App. A)."""
        count = len(self.up_channels)
        near_wave = min(2, count - 1)
        if self.dilations == "large":
            return (DILATIONS_NEAR_MEL,) * count
        order = (DILATIONS_NEAR_MEL,) * (count - near_wave) + (DILATIONS_NEAR_WAVE,) * near_wave
        return order if self.dilations == "paper" else order[::-1]


def derive_factors(hop: int, count: int) -> tuple[int, ...]:
    """`count` factors of the hop, largest first: 300 -> 5, 5, 3, 2, 2; 256 -> 4, 4, 4, 2, 2."""
    primes, rest, divisor = [], hop, 2
    while rest > 1:
        while rest % divisor == 0:
            primes.append(divisor)
            rest //= divisor
        divisor += 1
    while len(primes) > count:
        primes.sort()
        primes = [primes[0] * primes[1], *primes[2:]]
    if len(primes) < count:
        raise InputError(
            f"mel.hop_length {hop} has {len(primes)} prime factors, fewer than the {count} UBlocks "
            "need; choose another hop, or set model.factors (a factor of 1 does not resample)"
        )
    return tuple(sorted(primes, reverse=True))


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x [B, C, L] with its padding set to zero, so that it convolves like an utterance's end."""
    return x if mask is None else x * mask


def conv(c_in: int, c_out: int, kernel: int, dilation: int = 1, stride: int = 1) -> Conv1d:
    """Convolution that keeps the length (over the stride), orthogonal weights and zero biases."""
    padding = dilation * (kernel // 2)
    layer = Conv1d(c_in, c_out, kernel, stride, padding, dilation)
    nn.init.orthogonal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def resamples_by_conv(factor: int, config: WaveGradConfig) -> bool:
    """Whether downsampling by this factor has weights."""
    return config.down == "strided" and factor > 1


class Down(nn.Module):
    """Downsampling by a whole factor, [B, C_in, L] -> [B, C_out, L / factor].

    Only a strided convolution changes the channels.
    """

    def __init__(self, c_in: int, c_out: int, factor: int, config: WaveGradConfig) -> None:
        super().__init__()
        self.factor, self.mode = factor, config.down
        self.chooses = config.down == "nearest"  # samples, and changes none
        kernel = config.down_kernel or 2 * (factor // 2) + 1
        strided = resamples_by_conv(factor, config)
        self.conv = conv(c_in, c_out, kernel, stride=factor) if strided else None
        assert strided or c_in == c_out

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Length L / factor; strided convolution, every factor-th sample or linear."""
        if self.factor == 1:
            return x
        if self.conv is not None:
            return self.conv(masked(x, mask))
        if self.mode == "nearest":
            return x[..., :: self.factor]
        return F.interpolate(x, size=x.shape[-1] // self.factor, mode="linear")


def upsample(x: Tensor, factor: int, mode: str, mask: Tensor | None) -> Tensor:
    """[B, C, L] -> [B, C, L * factor] by repetition or linear interpolation."""
    if factor == 1:
        return x
    if mode == "nearest" and channels_together(x):
        rows = x.transpose(1, 2)[:, :, None].expand(-1, -1, factor, -1)
        return rows.flatten(1, 2).transpose(1, 2)
    if mode == "linear" and mask is not None:
        # Towards the first place of the padding too: it repeats the last real one, as an end does.
        x = masked(x, mask)
        x = x + F.pad(x, (1, 0))[..., :-1] * (1 - mask)
    return F.interpolate(x, scale_factor=float(factor), mode=mode)


class LevelEncoding(nn.Module):
    """Adds the noise level l to features [B, C, L].

    sinusoid (paper): sin and cos of scale * l * 10^(-4 i / (C / 2)), i = 0 .. C / 2 - 1.
    sinusoid_single: the same in float32, which rounds angles by up to 3e-4 rad.
    coqui: l itself plus a sinusoid of the *time* position over 5000, as that port has it.
    """

    def __init__(self, channels: int, kind: str, scale: float) -> None:
        super().__init__()
        self.kind, self.scale, self.waves = kind, scale, channels // 2

    def forward(self, x: Tensor, noise_input: Tensor) -> Tensor:
        """x [B, C, L] + PE(noise_input [B]), the same at each place but for `coqui`."""
        # Never in a weight's 16 bits: angles reach 5000 rad.
        precision = torch.float32 if self.kind == "sinusoid_single" else torch.float64
        index = torch.arange(self.waves, dtype=precision, device=x.device)
        frequencies = 1e-4 ** (index / self.waves)
        if self.kind == "coqui":
            time = torch.arange(x.shape[-1], device=x.device) * frequencies[:, None]
            wave = torch.stack([time.sin(), time.cos()], 1).flatten(0, 1)  # [C, L], interleaved
            return x + (noise_input[:, None, None] + wave / 5000).to(x)
        angle = self.scale * noise_input.to(precision)[:, None] * frequencies
        return x + torch.cat([angle.sin(), angle.cos()], 1)[..., None].to(x)


class FiLM(nn.Module):
    """Feature-wise scale and shift from noisy features and the noise level."""

    def __init__(self, c_in: int, c_out: int, config: WaveGradConfig) -> None:
        super().__init__()
        self.input = conv(c_in, c_in, 3)
        self.encoding = LevelEncoding(c_in, config.level_encoding, config.level_scale)
        self.output = conv(c_in, 2 * c_out, 3)
        self.output.in_halves = True

    def forward(self, x: Tensor, noise_input: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """(gamma, xi), each [B, C_out, L]."""
        x = F.leaky_relu(self.input(masked(x, mask)), SLOPE, inplace=True)
        x = self.encoding(x, noise_input)
        xi, gamma = self.output.halves(masked(x, mask))
        return gamma, xi


class DBlock(nn.Module):
    """Downsampling block on the waveform path.

    Its channels grow in the first convolution, and in the shortcut's of 1; or in the last one, and
    where the shortcut has a strided convolution in that.
    """

    def __init__(self, c_in: int, c_out: int, factor: int, config: WaveGradConfig) -> None:
        super().__init__()
        first = config.down_widening == "first"
        middle = c_out if first or not resamples_by_conv(factor, config) else c_in
        self.shortcut = conv(c_in, middle, 1)
        self.shortcut_down = Down(middle, c_out, factor, config)
        self.main_down = Down(c_in, c_in, factor, config)
        widths = (c_in, c_out, c_out, c_out) if first else (c_in, c_in, c_in, c_out)
        self.convs = nn.ModuleList(
            conv(widths[i], widths[i + 1], 3, dilation=2**i) for i in range(3)
        )

    def forward(self, x: Tensor, before: Tensor | None, after: Tensor | None) -> Tensor:
        """[B, C_in, L] -> [B, C_out, L / factor]; masks before and after downsampling."""
        down = self.main_down(x, before)
        if self.shortcut_down.chooses:  # a convolution of one tap need see no others
            shortcut = self.shortcut(masked(down, after))
        else:
            shortcut = self.shortcut_down(self.shortcut(masked(x, before)), before)
        x = down
        for i, layer in enumerate(self.convs):
            x = layer(masked(F.leaky_relu(x, SLOPE, inplace=i > 0), after))
        return x.add_(shortcut)


class UBlock(Fusible):
    """Upsampling block on the mel path, modulated thrice by the same FiLM output."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        factor: int,
        dilations: tuple[int, ...],
        config: WaveGradConfig,
    ) -> None:
        super().__init__()
        self.factor, self.mode = factor, config.up
        same = factor == 1 and c_in == c_out and config.repeat_shortcut == "none"
        self.shortcut = nn.Identity() if same else conv(c_in, c_out, 1)
        self.convs = nn.ModuleList(
            conv(c_in if i == 0 else c_out, c_out, 3, dilation=d) for i, d in enumerate(dilations)
        )

    @property
    def suits_kernels(self) -> bool:
        """Wide ones."""
        return cast("Conv1d", self.convs[-1]).out_channels >= fused.NARROWEST

    def enter(
        self, x: Tensor, before: Tensor | None, after: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The part before the first FiLM: (shortcut, features), each [B, C_out, L * factor].

        Masks before and after upsampling.
        """
        # A 1x1 convolution commutes with both kinds of upsampling and is cheaper before it.
        x = masked(x, before)
        shortcut = upsample(self.shortcut(x), self.factor, self.mode, before)
        x, first = F.leaky_relu(x, SLOPE), self.convs[0]
        assert isinstance(first, Conv1d)
        if self.mode == "nearest" and self.factor > 1 and first.dilation == (1,):
            return shortcut, repeated_conv(first, x, self.factor)
        return shortcut, first(masked(upsample(x, self.factor, self.mode, before), after))

    def modulate(
        self, entered: tuple[Tensor, Tensor], film: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """The rest of the block, [B, C_out, L * factor]."""
        (shortcut, x), (gamma, xi) = entered, film

        def modulated(x: Tensor) -> Tensor:
            if self.takes_kernels(x):
                return masked(fused.modulated(x, gamma, xi, SLOPE), mask)
            return masked(F.leaky_relu(torch.addcmul(xi, gamma, x), SLOPE, inplace=True), mask)

        hidden = self.convs[1](modulated(x)).add_(shortcut)
        x = self.convs[2](modulated(hidden))
        return self.convs[3](modulated(x)).add_(hidden)


class WaveGradCondition(NamedTuple):
    """The first UBlock's work before FiLM, and the masks [B, 1, L] from mel rate to wave rate."""

    entered: tuple[Tensor, Tensor]
    masks: tuple[Tensor | None, ...]


class Decoder(nn.Module):
    """eps(x, features, level): features at the mel's rate, which in WaveGrad 2 are no mel."""

    def __init__(self, config: WaveGradConfig, bands: int, hop: int) -> None:
        super().__init__()
        self.bands = bands
        self.factors = config.resolved_factors(hop)
        ups, downs = config.up_channels, (config.wave_channels, *config.down_channels)
        self.mel_conv = conv(self.bands, config.mel_channels, 3)
        self.wave_conv = conv(1, config.wave_channels, 5)
        self.ublocks, self.dblocks = nn.ModuleList(), nn.ModuleList()
        c_in = config.mel_channels
        for c_out, factor, dilations in zip(
            ups, self.factors, config.resolved_dilations(), strict=True
        ):
            blocks = [UBlock(c_in, c_out, factor, dilations, config)]
            blocks += [
                UBlock(c_out, c_out, 1, dilations, config) for _ in range(config.up_repeats - 1)
            ]
            self.ublocks.append(nn.ModuleList(blocks))
            c_in = c_out
        for i, factor in enumerate(self.factors[:0:-1]):
            c_in, c_out = downs[i], downs[i + 1]
            blocks = [DBlock(c_in, c_out, factor, config)]
            blocks += [DBlock(c_out, c_out, 1, config) for _ in range(config.down_repeats - 1)]
            self.dblocks.append(nn.ModuleList(blocks))
        self.films = nn.ModuleList(
            FiLM(c_down, c_up, config) for c_down, c_up in zip(downs, ups[::-1], strict=True)
        )
        self.out_conv = conv(ups[-1], 1, 3)
        # Orthogonal blocks are the paper's; of the last layer it says nothing. From zero, as in
        # DiffWave, training starts at the loss of "no noise" instead of far above it.
        if config.initialisation in (None, "zero"):
            nn.init.zeros_(self.out_conv.weight)
        if config.initialisation == "lmnt":
            for layer in self.films.modules():
                if isinstance(layer, nn.Conv1d):
                    nn.init.xavier_uniform_(layer.weight)

    def enter(self, features: Tensor, frames: Tensor | None) -> WaveGradCondition:
        """From features [B, M, F], of which `frames` [B] are real (None: all)."""
        masks = self._masks(features, frames)
        x = self.mel_conv(masked(features, masks[0]))
        first = cast("Sequence[Sequence[UBlock]]", self.ublocks)[0][0]
        return WaveGradCondition(first.enter(x, *masks[:2]), masks)

    def _masks(self, features: Tensor, frames: Tensor | None) -> tuple[Tensor | None, ...]:
        """Masks at the rate of the features and after each UBlock; None without `frames`."""
        if frames is None:
            return (None,) * (len(self.factors) + 1)
        index = torch.arange(features.shape[-1], device=features.device)
        masks = [(index < frames[:, None].to(features.device))[:, None].to(features)]
        for factor in self.factors:
            masks.append(masks[-1].repeat_interleave(factor, -1))
        return tuple(masks)

    def denoise(self, x: Tensor, noise_input: Tensor, cond: WaveGradCondition) -> Tensor:
        """eps [B, T] from x [B, T] and the level (or step) [B]."""
        masks = cond.masks
        y = self.wave_conv(masked(x[:, None], masks[-1]))
        films = [self.films[0](y, noise_input, masks[-1])]
        for i, blocks in enumerate(cast("Sequence[Sequence[DBlock]]", self.dblocks)):
            before, after = masks[-1 - i], masks[-2 - i]
            for j, block in enumerate(blocks):
                y = block(y, before if j == 0 else after, after)
            films.append(self.films[i + 1](y, noise_input, after))
        entered, y = cond.entered, None
        for i, blocks in enumerate(cast("Sequence[Sequence[UBlock]]", self.ublocks)):
            before, mask, film = masks[i], masks[i + 1], films[-1 - i]
            for j, block in enumerate(blocks):
                entered = entered if y is None else block.enter(y, mask if j else before, mask)
                y = block.modulate(entered, film, mask)
        assert y is not None
        return self.out_conv(masked(y, masks[-1]))[:, 0]


class WaveGradNetwork(Decoder, Network):
    """eps [B, T] of x [B, T] by mel [B, M, F] and level [B]."""

    def __init__(self, config: WaveGradConfig, mel: MelSpec) -> None:
        super().__init__(config, mel.n_mels, mel.hop_length)

    def condition(self, batch: Mapping[str, Tensor]) -> WaveGradCondition:
        """From batch["mel"] [B, M, F] and, if present, batch["frames"] [B]."""
        mel = batch["mel"]
        if mel.ndim != 3 or mel.shape[1] != self.bands or not mel.shape[2]:
            raise InputError(
                f"mel of shape {list(mel.shape)}; this model takes [B, {self.bands}, frames]"
            )
        return self.enter(mel, batch["frames"] if "frames" in batch else None)
