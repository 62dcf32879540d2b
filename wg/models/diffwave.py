"""DiffWave (2009.09761): dilated residual layers, told the diffusion step.

| symbol | meaning |
|---|---|
| C | residual channels |
| t | diffusion step, 1..T, fractional where an inference level lies between two trained ones |
| gate | tanh of the first C channels times sigmoid of the second C, as in the author's code |

Shapes: B batch, M mels, F frames, T = F * hop samples.

The paper's 2.64M (BASE) and 6.91M (LARGE) parameters are met exactly with one mel upsampler a
layer and the gains of weight normalisation counted, as the author's code has them; both are the
defaults. The paper prints step frequencies that rise to 10^4; the author's code has them fall to
10^-4. What it stores as two convolutions, residual and skip, is one here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from wg.errors import InputError, nearest
from wg.fields import check_fields, setting
from wg.mel.spec import MelSpec
from wg.models import fused
from wg.models.convolution import Conv1d
from wg.models.fused import Fusible
from wg.models.network import ModelConfig, Network, zero
from wg.models.shared import at_least_single

WAVES = 64  # sines, and as many cosines, of a step
STEP_WIDTH = 512
CLASS_WIDTH = 128
SLOPE = 0.4  # of the upsampler


@dataclass(frozen=True)
class DiffWaveConfig(ModelConfig):
    """BASE vocoder of the paper; LARGE has 128 channels, both of its SC09 models 256."""

    name: str = setting("diffwave", "which model")
    conditions: Literal["mel", "class", "none"] = setting(
        "mel", "what it is given besides the step"
    )
    classes: tuple[str, ...] = setting((), "names of the labels, for conditions=class")
    channels: int = setting(64, "of the residual layers", least=1, most=8192)
    layers: int = setting(30, "residual layers", least=1, most=1000)
    dilation_cycle: int = setting(
        10,
        "dilations 1, 2, 4 .. 2^(cycle - 1), over and over",
        least=1,
        most=20,
    )
    factors: tuple[int, ...] | None = setting(
        None, "upsampling; null: two, derived from the hop", least=1
    )
    upsampler: Literal["shared", "per_layer"] = setting(
        "per_layer",
        "of the mel: one for all layers, or one a layer (the paper's count)",
    )
    step_frequencies: Literal["rising", "rising_single", "falling"] = setting(
        "rising",
        "rising: paper; rising_single: in float32, as lmnt's weights were trained; falling: "
        "author's",
    )
    fractional: Literal["table", "sinusoid"] = setting(
        "table", "between two steps: lmnt; paper's rule"
    )
    weight_norm: bool = setting(True, "weight normalisation of the convolutions")
    padding: Literal["zeros", "reflect"] = setting(
        "zeros",
        "what the dilated convolutions see beyond the ends; reflect: mirrored, as SpeechBrain's",
    )
    residual_quirk: bool = setting(
        False,
        "the step enters the residual too: weights of the author's code",
    )
    cache: Literal["full", "upsampled", "none"] = setting(
        "full",
        "what synthesis keeps of its step-independent work. Memory in floats a sample of "
        "audio: full, the projections, 2 * channels * layers; upsampled, the mels, bands (* "
        "layers if per_layer).",
    )

    def __post_init__(self) -> None:
        check_fields("model", self)
        if (self.conditions == "class") != bool(self.classes):
            raise InputError(
                f"model.conditions is {self.conditions!r} and model.classes {list(self.classes)}; "
                "class conditions need names of classes, other models have none"
            )
        if len(set(self.classes)) < len(self.classes):
            raise InputError(f"model.classes {list(self.classes)} names a class twice")
        if self.conditions != "mel" and self.factors is not None:
            raise InputError(
                f"model.factors {list(self.factors)} upsample a mel, but model.conditions is "
                f"{self.conditions!r}; leave model.factors out"
            )

    def resolved(self, mel: MelSpec) -> DiffWaveConfig:
        """With factors, if it takes a mel; InputError if they do not make the hop."""
        if self.conditions != "mel":
            return self
        return replace(self, factors=self.resolved_factors(mel.hop_length))

    def resolved_factors(self, hop: int) -> tuple[int, ...]:
        """Upsampling factors, checked against the hop or derived from it: 256 -> 16, 16."""
        if self.factors is None:
            return two_factors(hop)
        factors = tuple(self.factors)
        if not factors or min(factors) < 1 or math.prod(factors) != hop:
            raise InputError(
                f"model.factors {list(factors)} multiply to {math.prod(factors)}, but "
                f"mel.hop_length is {hop}; make them agree (or leave model.factors out)"
            )
        return factors

    def class_index(self, name: str) -> int:
        """Label of a class; InputError with the nearest name."""
        if name not in self.classes:
            raise InputError(f"class {name!r} is unknown; {nearest(str(name), self.classes)}")
        return self.classes.index(name)


def two_factors(hop: int) -> tuple[int, int]:
    """The two factors of the hop that are nearest to each other, larger first: 300 -> 20, 15."""
    small = max(d for d in range(1, math.isqrt(hop) + 1) if hop % d == 0)
    if small == 1 and hop > 3:
        raise InputError(
            f"mel.hop_length {hop} is prime, so no two factors make it; choose another hop, or set "
            f"model.factors=[{hop}] for a single upsampling layer"
        )
    return hop // small, small


def conv(c_in: int, c_out: int, kernel: int, dilation: int, config: DiffWaveConfig) -> Conv1d:
    """Convolution that keeps the length (but for what `mirrored` adds), Kaiming normal."""
    padding = dilation * (kernel // 2) if config.padding == "zeros" else 0
    layer = Conv1d(c_in, c_out, kernel, padding=padding, dilation=dilation)
    nn.init.kaiming_normal_(layer.weight)
    if config.weight_norm:
        weight_norm(layer)
    return layer


class StepEmbedding(nn.Module):
    """[B] steps -> [B, 512]: 64 sines and 64 cosines, then two layers with swish."""

    def __init__(self, config: DiffWaveConfig) -> None:
        super().__init__()
        self.sign = -1.0 if config.step_frequencies == "falling" else 1.0
        single = config.step_frequencies == "rising_single"
        self.precision = torch.float32 if single else torch.float64
        self.interpolate = config.fractional == "table"
        self.fc1 = nn.Linear(2 * WAVES, STEP_WIDTH)
        self.fc2 = nn.Linear(STEP_WIDTH, STEP_WIDTH)

    def sinusoid(self, index: Tensor) -> Tensor:
        """sin and cos of 10^(+-4 i / 63) t, i = 0 .. 63, [B] -> [B, 128]."""
        # Single precision leaves the top frequencies 0.03 rad: a network trained so needs it so.
        i = torch.arange(WAVES, dtype=self.precision, device=index.device)
        angle = index.to(self.precision)[:, None] * 10.0 ** (self.sign * 4.0 * i / (WAVES - 1))
        return torch.cat([angle.sin(), angle.cos()], 1)

    def forward(self, step: Tensor) -> Tensor:
        """1-based steps, possibly fractional; the sinusoid counts from 0, as every port does."""
        # In float64: rising angles reach two million rad.
        index = step.double() - 1
        wave = self.sinusoid(index)
        if self.interpolate:
            # Rising frequencies turn many times between two steps: only the trained, whole
            # steps mean anything, and between them the mixture of both.
            low = index.floor()
            share = (index - low)[:, None]
            wave = (1 - share) * self.sinusoid(low) + share * self.sinusoid(low + 1)
        y = F.silu(self.fc1(wave.to(self.fc1.weight)))
        return F.silu(self.fc2(y))


class Upsampler(nn.Module):
    """Mel [B, M, F] -> [B, M, T]: a transposed convolution over (mel, time) a factor."""

    def __init__(self, factors: tuple[int, ...], config: DiffWaveConfig) -> None:
        super().__init__()
        self.factors = factors
        layers = []
        for factor in factors:
            pad = (factor + 1) // 2  # kernel 2 * factor, one more where that is odd
            layer = nn.ConvTranspose2d(1, 1, (3, factor + 2 * pad), (1, factor), (1, pad))
            nn.init.kaiming_normal_(layer.weight)
            layers.append(weight_norm(layer) if config.weight_norm else layer)
        self.layers = nn.ModuleList(layers)

    def forward(self, mel: Tensor, frames: Tensor | None) -> Tensor:
        """Padding beyond `frames` [B] does not reach what is before it."""
        y, length = mel[:, None], frames
        for factor, layer in zip(self.factors, self.layers, strict=True):
            y = layer(y if length is None else y * keep(length, y)[:, None])
            y = F.leaky_relu(y, SLOPE)
            length = None if length is None else length * factor
        return y[:, 0]


def mirrored(x: Tensor, margin: int, mask: Tensor | None) -> Tensor:
    """x [B, C, T] with `margin` more on both sides: its ends mirrored, themselves not repeated.

    With a `mask` [B, 1, T] each row ends where that does; what follows has no meaning.
    """
    if mask is None:
        return F.pad(x, (margin, margin), mode="reflect")
    last = mask.sum(-1, dtype=torch.long) - 1  # [B, 1]
    place = torch.arange(-margin, x.shape[-1] + margin, device=x.device).abs()
    place = (last - (last - place).abs()).clamp(0)
    return x.gather(-1, place[:, None].expand(-1, x.shape[1], -1))


def keep(length: Tensor, y: Tensor) -> Tensor:
    """1 before each row's length and 0 from there on, [B, 1, L] for y [..., L]."""
    index = torch.arange(y.shape[-1], device=y.device)
    return (index < length[:, None].to(y.device))[:, None].to(y)


def turned(y: Tensor) -> Tensor:
    """-2 for the first half of the channels of y [B, 2C, T] and 1 for the second, [2C, 1]."""
    turn = torch.ones(y.shape[1], 1, device=y.device, dtype=y.dtype)
    turn[: len(turn) // 2] = -2
    return turn


def gated(y: Tensor, projection: Tensor | None) -> Tensor:
    """tanh(a) sigmoid(b) of (a, b) = y + condition, [B, 2C, T] -> [B, C, T].

    As (1 - 2 sigmoid(-2 a)) sigmoid(b), since a CPU takes several times as long for a tanh;
    `projection` is the condition times (-2, 1). The difference has few digits, so it is taken in
    float32 at least.
    """
    turn = turned(y)
    y = y * turn if projection is None else torch.addcmul(projection, y, turn)
    main, opened = torch.sigmoid(at_least_single(y)).chunk(2, 1)
    return torch.addcmul(opened, main, opened, value=-2).to(y.dtype)


class ResidualLayer(Fusible):
    """One box of the paper's figure: dilated convolution, gate, residual and skip."""

    def __init__(self, dilation: int, width: int, config: DiffWaveConfig) -> None:
        super().__init__()
        channels = config.channels
        self.quirk = config.residual_quirk
        self.mirrored = dilation if config.padding == "reflect" else 0
        self.step = nn.Linear(STEP_WIDTH, channels)
        self.dilated = conv(channels, 2 * channels, 3, dilation, config)
        # `width` of the condition; 0: unconditional.
        self.condition = conv(width, 2 * channels, 1, 1, config) if width else None
        self.output = conv(channels, 2 * channels, 1, 1, config)
        self.output.in_halves = True

    @property
    def suits_kernels(self) -> bool:
        """Wide ones."""
        return self.output.in_channels >= fused.NARROWEST

    def project(self, condition: Tensor) -> Tensor:
        """The condition [B, M, T or 1] as `forward` takes it, [B, 2C, T or 1]."""
        assert self.condition is not None
        projection = self.condition(condition)
        return projection * turned(projection)

    def forward(
        self, x: Tensor, step: Tensor, projection: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(x, skip), each [B, C, T]; step [B, 512], projection [B, 2C, T or 1]."""
        h = x + self.step(step)[..., None]
        if self.quirk:
            x = h
        if self.mirrored:
            y = self.dilated(mirrored(h, self.mirrored, mask))
        else:
            y = self.dilated(h if mask is None else h * mask)
        y = (fused.gated if self.takes_kernels(y) else gated)(y, projection)
        residual, skip = self.output.halves(y if mask is None else y * mask)
        return (x + residual).mul_(math.sqrt(0.5)), skip


class DiffWaveCondition(NamedTuple):
    """What does not depend on the step, as far as `cache` lets it be kept."""

    mel: Tensor | None  # [B, M, F]
    upsampled: tuple[Tensor, ...]  # [B, M, T], one or one a layer
    projections: tuple[Tensor, ...]  # [B, 2C, T] a layer; [B, 2C, 1] of a class
    frames: Tensor | None  # [B], where some are padding


class DiffWaveNetwork(Network):
    """eps [B, T] of x [B, T] by mel [B, M, F], class [B] or nothing, and step [B]."""

    def __init__(self, config: DiffWaveConfig, mel: MelSpec) -> None:
        super().__init__()
        self.config, self.bands, self.hop = config, mel.n_mels, mel.hop_length
        channels, conditions = config.channels, config.conditions
        self.input = conv(1, channels, 1, 1, config)
        self.embedding = StepEmbedding(config)
        if conditions == "mel":
            factors = config.resolved_factors(mel.hop_length)
            count = config.layers if config.upsampler == "per_layer" else 1
            self.upsamplers = nn.ModuleList(Upsampler(factors, config) for _ in range(count))
        if conditions == "class":
            self.classes = nn.Embedding(len(config.classes), CLASS_WIDTH)
        width = {"mel": mel.n_mels, "class": CLASS_WIDTH, "none": 0}[conditions]
        self.layers = nn.ModuleList(
            ResidualLayer(2 ** (i % config.dilation_cycle), width, config)
            for i in range(config.layers)
        )
        self.skip = conv(channels, channels, 1, 1, config)
        self.output = Conv1d(channels, 1, 1)
        zero(self.output)

    def condition(self, batch: Mapping[str, Any]) -> DiffWaveCondition:
        """From batch["mel"] [B, M, F] or batch["class"] [B], and batch["frames"] [B] if present."""
        self._check(batch)
        frames = batch["frames"] if "frames" in batch else None
        conditions = self.config.conditions
        if conditions == "none":
            return DiffWaveCondition(None, (), (), frames)
        if conditions == "class":
            labels = torch.as_tensor(batch["class"], device=self.classes.weight.device)
            label = self.classes(labels)[..., None]
            return DiffWaveCondition(
                None, (), tuple(self._project(i, label) for i in self._all), frames
            )
        mel = batch["mel"]
        if self.config.cache == "none":
            return DiffWaveCondition(mel, (), (), frames)
        if self.config.cache == "upsampled":
            return DiffWaveCondition(None, self._upsample(mel, frames), (), frames)
        shared = self._upsample(mel, frames) if len(self.upsamplers) == 1 else None
        projections = (
            self._project(i, shared[0] if shared else self.upsamplers[i](mel, frames))
            for i in self._all
        )
        return DiffWaveCondition(None, (), tuple(projections), frames)

    @property
    def _all(self) -> range:
        return range(len(self.layers))

    def _upsample(self, mel: Tensor, frames: Tensor | None) -> tuple[Tensor, ...]:
        return tuple(upsampler(mel, frames) for upsampler in self.upsamplers)

    def _project(self, i: int, condition: Tensor) -> Tensor:
        return cast("ResidualLayer", self.layers[i]).project(condition)

    def _projection(self, i: int, cond: DiffWaveCondition) -> Tensor | None:
        """Layer i's projection of the condition, from whatever was kept of it."""
        if cond.projections:
            return cond.projections[i]
        if cond.upsampled:
            return self._project(i, cond.upsampled[i % len(cond.upsampled)])
        if cond.mel is None:
            return None
        return self._project(i, self.upsamplers[i](cond.mel, cond.frames))

    def _check(self, batch: Mapping[str, Any]) -> None:
        """InputError where the batch conditions on something that the model does not take."""
        conditions = self.config.conditions
        takes = {"mel": "a mel", "class": "a class", "none": "no condition"}[conditions]
        for key in ("mel", "class"):
            if key in batch and key != conditions:
                raise InputError(f"a {key} was given, but this model takes {takes}")
        if conditions != "none" and conditions not in batch:
            raise InputError(f"no {conditions} was given, but this model takes {takes}")
        if conditions == "class":
            labels, count = torch.as_tensor(batch["class"]), len(self.config.classes)
            whole = labels.dtype in (torch.int32, torch.int64)
            if not whole or labels.ndim != 1 or bool(((labels < 0) | (labels >= count)).any()):
                raise InputError(
                    f"class labels {labels.tolist()}; give [B] of 0 to {count - 1}, whole numbers"
                )
        if conditions == "mel":
            shape = list(batch["mel"].shape)
            if len(shape) != 3 or shape[1] != self.bands or not shape[2]:
                raise InputError(
                    f"mel of shape {shape}; this model takes [B, {self.bands}, frames]"
                )

    def _check_length(self, x: Tensor) -> None:
        """InputError where there is too little to mirror: of x [B, T], or of a mask [B, 1, T]."""
        config = self.config
        most = 2 ** (min(config.dilation_cycle, config.layers) - 1)
        if config.padding == "zeros":
            return
        shortest = x.shape[-1] if x.ndim == 2 else int(x.sum(-1).min())
        if shortest <= most:
            raise InputError(
                f"{shortest} samples; model.padding is reflect, which needs over {most} "
                f"({most // self.hop + 1} frames)"
            )

    def denoise(self, x: Tensor, noise_input: Tensor, cond: DiffWaveCondition) -> Tensor:
        """eps [B, T] from x [B, T] and the 1-based step [B], fractional or whole."""
        if cond.mel is not None and len(self.upsamplers) == 1:
            cond = cond._replace(mel=None, upsampled=self._upsample(cond.mel, cond.frames))
        mask = None if cond.frames is None else keep(cond.frames * self.hop, x)
        self._check_length(x if mask is None else mask)
        step = self.embedding(noise_input)
        h = F.relu(self.input(x[:, None]))  # [B, C, T]
        total: Tensor | None = None
        for i, layer in enumerate(self.layers):
            h, skip = layer(h, step, self._projection(i, cond), mask)
            if total is None:
                total = skip
            elif torch.is_grad_enabled():
                total = total + skip
            else:
                total += skip
        assert total is not None
        skips = total * len(self.layers) ** -0.5
        return self.output(F.relu(self.skip(skips if mask is None else skips * mask)))[:, 0]
