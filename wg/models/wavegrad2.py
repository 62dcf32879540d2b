"""WaveGrad 2 (Chen et al., 2106.09660): phonemes to waveform, WaveGrad's network as decoder.

| symbol | meaning |
|---|---|
| B, N, F | batch, symbols, frames |
| C | encoder channels, with those of the speaker where there are several |
| T | F * hop samples |

Symbols are encoded as in Tacotron 2, with zoneout; each one's duration and range are predicted
(Non-Attentive Tacotron, 2010.04301) and spread its features over frames, of which the decoder sees
a random window in training. Where the paper could not be read in full, constants are taken from
others: kernel, zoneout, the domain and the weight of the duration loss from Non-Attentive Tacotron;
ReLU, dropout and batch norm's decay from the ports, which follow Tacotron 2. What Non-Attentive
Tacotron has besides is an option. The masks on the features and the loss of the mel, which the
paper tries, are of our own form.

The mel that is predicted beside the waveform can do more, and that is ours: with `mel_blocks` it
is good enough for whitened bins (`diffusion.precondition=mel`), noise of its colour and sampling
that is consistent with it; with `decoder=spectral` it is all that the decoder knows. Training
gives the recording's mel to them, speaking the predicted one. With `pitch_weight` each frame's
pitch is predicted too, and the mel has its harmonics (`wg.models.pitch`); training gives it the
recording's pitch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.diffusion.noise import RowDraws
from wg.errors import InputError, nearest, stage_label
from wg.fields import setting
from wg.mel.spec import MelSpec
from wg.models.network import ModelConfig, Network
from wg.models.pitch import ORDERS, Ripple, in_hertz, in_octaves
from wg.models.shared import SharedNorm, at_least_single, share_of
from wg.models.spectral import SpectralConfig, SpectralNetwork
from wg.models.upsampling import (
    CONVENTIONS,
    Predictor,
    gaussian_weights,
    places_of,
    sinusoid,
)
from wg.models.wavegrad import Decoder, WaveGradConfig
from wg.models.zoneout import ZoneoutLSTM
from wg.text.symbols import SYMBOLS, VERSION

LONGEST = 1000  # frames of a symbol, whatever an untrained predictor says
KERNEL = 7  # frames that a block of the mel's predictor sees


@dataclass(frozen=True)
class WaveGrad2Config(WaveGradConfig):
    """Encoder of 1024 channels and WaveGrad Base; the decoder's keys are WaveGrad's.

    The paper varies `encoder_channels` (1024, 2048; its common port takes 512) and the decoder
    (Large: `up_repeats=2`, `dilations="large"`). `train.segment_samples` is the window: 64 or
    256 frames.
    """

    name: str = setting("wavegrad2", "which model")
    symbols: tuple[str, ...] = setting(SYMBOLS, "ids are places in this table, looked up by name")
    symbols_version: int = setting(
        VERSION, "of what these names mean; any other than wg's is refused"
    )
    boundaries: Literal["marks", "pauses"] = setting(
        "marks", "pauses: read without marks, as ports do"
    )
    encoder_channels: int = setting(1024, "of the symbols' encoder", least=2, most=8192)
    encoder_activation: Literal["relu", "none"] = setting("relu", "none: Non-Attentive Tacotron")
    dropout: float = setting(0.5, "after each convolution of the encoder", least=0, below=1)
    norm_decay: float = setting(
        0.9,
        "of batch norm's running statistics; Non-Attentive Tacotron 0.999",
        least=0,
        below=1,
    )
    zoneout: float = setting(0.1, "of the encoder's LSTM", least=0, below=1)
    predictor_channels: int = setting(
        512,
        "a direction, of the duration and the range predictor",
        least=2,
        most=8192,
    )
    predictor_zoneout: float = setting(
        0.0,
        "of their LSTMs; Non-Attentive Tacotron 0.1",
        least=0,
        below=1,
    )
    position_channels: int = setting(
        0,
        "of a sinusoid of each frame's place in its symbol, beside the features; "
        "Non-Attentive Tacotron 32. 0: none, as in the ports.",
        least=0,
        most=8192,
    )
    speaker_channels: int = setting(
        0,
        "of the speaker's embedding; 0: the model knows one speaker only",
        least=0,
        most=8192,
    )
    speakers: tuple[str, ...] = setting((), "left out: those of the training split")
    upsampling: Literal["middle", "mindslab", "keonlee"] = setting(
        "middle",
        "a port's: for its weights",
    )
    duration_domain: Literal["seconds", "log"] = setting(
        "seconds", "of the loss; log: of frames + 1"
    )
    duration_mean: Literal["utterance", "symbols"] = setting(
        "utterance",
        "of the duration loss: over each utterance's symbols, then over utterances; or over "
        "all symbols of a batch, as the ports do, where a long text counts for more",
    )
    duration_weight: float = setting(
        2.0,
        "of the durations' squared error beside the noise's loss",
        least=0,
    )
    mel_weight: float = setting(0.0, "of the L1 loss of a predicted mel; 0: none", least=0)
    mel_blocks: int = setting(
        0,
        "of convolutions that predict the mel, whose loss is over whole utterances then; 0: a "
        "projection of the features, whose loss is over the window",
        least=0,
        most=1000,
    )
    mel_width: int = setting(192, "channels of these blocks", least=1, most=8192)
    pitch_weight: float = setting(
        0.0,
        "of the loss of a predicted pitch, whose harmonics that mel has; 0: none",
        least=0,
    )
    decoder: Literal["wavegrad", "spectral"] = setting("wavegrad", "spectral: of the predicted mel")
    spectral: SpectralConfig = setting(SpectralConfig(), "sizes of that decoder")
    mask_frames: int = setting(
        0,
        "at most, of the window, hidden from the decoder in training",
        least=0,
    )
    mask_channels: int = setting(0, "at most, of its features", least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("encoder_channels", "predictor_channels"):
            if (value := vars(self)[key]) < 2 or value % 2:
                raise InputError(f"model.{key} is {value}; give an even number (two directions)")
        if self.position_channels % 2:
            raise InputError(
                f"model.position_channels is {self.position_channels}; give an even one"
            )
        if self.mel_blocks and not self.mel_weight:
            raise InputError(
                f"model.mel_blocks is {self.mel_blocks}, but model.mel_weight is 0: nothing would "
                "teach them; set model.mel_weight=1"
            )
        if self.pitch_weight and not self.mel_blocks:
            raise InputError(
                f"model.pitch_weight is {self.pitch_weight:g}, but there is no predicted mel to "
                "have harmonics; set model.mel_blocks=4 model.mel_weight=1"
            )
        if self.decoder == "spectral" and not self.mel_blocks:
            raise InputError(
                "model.decoder is spectral, which knows nothing but a predicted mel; set "
                "model.mel_blocks=4 model.mel_weight=1"
            )
        if self.speakers and not self.speaker_channels:
            raise InputError(
                f"model.speaker_channels is {self.speaker_channels} for {len(self.speakers)} "
                "model.speakers; several speakers need channels, such as 64"
            )
        if self.symbols_version != VERSION:
            raise InputError(
                f"model.symbols_version is {self.symbols_version}; this wg reads texts into "
                f"version {VERSION}: use the wg that the model was trained with, or train again"
            )
        for key in ("symbols", "speakers"):
            if len(set(vars(self)[key])) < len(vars(self)[key]):
                raise InputError(f"model.{key} names one of them twice")

    @property
    def domain(self) -> str:
        """What the decoder denoises: bins of a transform, or samples."""
        return "bins" if self.decoder == "spectral" else "wave"

    @property
    def gives_mel(self) -> bool:
        """Whether it predicts a mel that preconditioning and sampling can use."""
        return self.mel_blocks > 0

    @property
    def unread(self) -> tuple[str, ...]:
        """The speakers, unless they are named."""
        return () if self.speakers else ("model.speakers",)

    @property
    def decoder_config(self) -> ModelConfig | None:
        """Of a decoder of mels; one of features has no vocoder's weights."""
        return self.spectral if self.decoder == "spectral" else None

    def speaker_index(self, name: str) -> int:
        """Place of a speaker; InputError with the nearest name."""
        if name not in self.speakers:
            raise InputError(f"speaker {name!r} is unknown; {nearest(name, self.speakers)}")
        return self.speakers.index(name)


class Encoder(nn.Module):
    """Symbols to features: embedding, three convolutions, an LSTM with zoneout."""

    def __init__(self, config: WaveGrad2Config) -> None:
        super().__init__()
        width = config.encoder_channels
        self.dropout, self.activates = config.dropout, config.encoder_activation == "relu"
        self.embedding = nn.Embedding(len(config.symbols), width)
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(3))
        momentum = round(1 - config.norm_decay, 9)
        self.norms = nn.ModuleList(SharedNorm(width, momentum=momentum) for _ in range(3))
        self.lstm = ZoneoutLSTM(width, width // 2, config.zoneout)

    def forward(
        self, symbols: Tensor, lengths: Tensor, real: Tensor, draws: RowDraws | None = None
    ) -> Tensor:
        """Ids [B, N], of which the first `lengths` [B] are `real` [B, N] -> [B, N, C].

        `draws`: for what is random in training; None: torch's own generator.
        """
        x = self.embedding(symbols) * real[..., None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(x.transpose(1, 2)).transpose(1, 2)
            # Statistics of the real symbols alone, whatever they are padded with, of all processes.
            x = of_real(x, real, lambda rows, norm=norm: self.activated(norm(rows)))
            x = dropped(x, self.dropout if self.training else 0.0, lengths, draws)
        return self.lstm(x, lengths, draws)

    def activated(self, x: Tensor) -> Tensor:
        """ReLU, or none."""
        return x.relu() if self.activates else x


class MelBlock(nn.Module):
    """A depthwise convolution and two layers, added to what came in (ConvNeXt, 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: Tensor, frames: Tensor, dropout: float, draws: RowDraws | None) -> Tensor:
        """x [B, C, F], of which `frames` [B] are real; the others stay as they are."""
        real = within(frames, x.shape[2])
        y = self.conv(x * real[:, None].to(x)).transpose(1, 2)
        # Padding is not worth the products.
        y = of_real(y, real, lambda rows: self.narrow(F.silu(self.wide(self.norm(rows)))))
        y = dropped(y, dropout if self.training else 0.0, frames, draws)
        return x + y.transpose(1, 2)


class MelPredictor(nn.Module):
    """Features of all frames to something of each of them: their mel, or their pitch."""

    def __init__(self, config: WaveGrad2Config, width: int, outputs: int) -> None:
        super().__init__()
        self.dropout = config.dropout / 2
        self.enter = nn.Conv1d(width, config.mel_width, 1)
        self.blocks = nn.ModuleList(MelBlock(config.mel_width) for _ in range(config.mel_blocks))
        self.leave = nn.Conv1d(config.mel_width, outputs, 1)

    def forward(self, features: Tensor, frames: Tensor, draws: RowDraws | None = None) -> Tensor:
        """features [B, C, F], of which `frames` [B] are real -> [B, outputs, F]."""
        x = self.enter(features)
        for block in self.blocks:
            x = block(x, frames, self.dropout, draws)
        return self.leave(x)


class TextCondition(NamedTuple):
    """What the symbols are to the decoder, and what the losses and a speaker ask for."""

    decoder: Any  # the decoder's own
    features: Tensor  # upsampled, [B, C, F]
    predicted: Tensor  # durations as the predictor gives them, [B, N]
    durations: Tensor  # that the features are spread by, in frames, [B, N]
    frames: Tensor  # of the utterance or, in a window, of it that are real, [B]
    mel: Tensor | None = None  # of the whole utterances, as predicted, [B, M, F]
    pitch: Tensor | None = None  # of these, predicted: octaves and logit of voicing, [B, 2, F]


class WaveGrad2Network(Network):
    """eps [B, T] of x [B, T] by symbols [B, N], their durations, speaker [B] and level [B]."""

    def __init__(self, config: WaveGrad2Config, mel: MelSpec) -> None:
        super().__init__()
        self.config = config
        self.frame_s = mel.hop_length / mel.sample_rate
        self.convention = CONVENTIONS[config.upsampling]
        width = config.encoder_channels + config.speaker_channels
        self.encoder = Encoder(config)
        if config.speaker_channels:
            if not config.speakers:
                raise InputError(f"model.speakers is empty; {stage_label('train')} finds them")
            self.speaker = nn.Embedding(len(config.speakers), config.speaker_channels)
        hidden, zoneout = config.predictor_channels, config.predictor_zoneout
        self.duration = Predictor(width, hidden, zoneout)
        self.range = Predictor(width + 1, hidden, zoneout)
        self.domain = config.domain
        self.mel: nn.Module | None = None
        self.pitch: MelPredictor | None = None
        if config.pitch_weight:
            self.pitch, self.ripple = MelPredictor(config, width, 2), Ripple(mel)
            self.mel = MelPredictor(config, width + 2, mel.n_mels * (1 + ORDERS))
        elif config.mel_blocks:
            self.mel = MelPredictor(config, width, mel.n_mels)
        elif config.mel_weight:
            self.mel = nn.Linear(width, mel.n_mels)
        self.decoder: Decoder | SpectralNetwork = (
            SpectralNetwork(config.spectral, mel)
            if config.decoder == "spectral"
            else Decoder(config, width + config.position_channels, mel.hop_length)
        )

    def condition(self, batch: Mapping[str, Any]) -> TextCondition:
        """From `symbols` [B, N], `symbol_lengths` [B] and, for several speakers, `speaker` [B].

        With `durations` [B, N] in frames these are taken, else predicted ones over `pace` [B].
        So is `pitch` [B, F] in Hz of the whole utterances, 0 where unvoiced, if the mel has one,
        else the predicted one times `pitch_factor` [B].
        With `window_start` [B] in frames, of the part alone that `mel` [B, M, F] is of; where
        some of that is padding, `frames` [B] are real. A decoder of mels takes that one where it
        is there, else the predicted one. With `seeds` [B] what is random in training is of each
        row's alone.
        """
        symbols, lengths = batch["symbols"], batch["symbol_lengths"]
        real = within(lengths, symbols.shape[1])
        seeded = self.training and "seeds" in batch
        draws = RowDraws(batch["seeds"], symbols.device) if seeded else None
        x = self.encoder(symbols, lengths, real, draws)
        if self.config.speaker_channels:
            speaker = self.speaker(batch["speaker"])[:, None].expand(-1, x.shape[1], -1)
            x = torch.cat([x, speaker], -1)
        predicted = at_least_single(self.duration(x, lengths, draws))
        if "durations" in batch:
            durations = batch["durations"].to(predicted)
        else:
            durations = self.in_frames(predicted) * real / batch["pace"][:, None]
            durations = durations.round() if self.convention.whole else durations
        ranges = at_least_single(
            self.range(torch.cat([x, durations[..., None]], -1), lengths, draws)
        )
        ranges = F.softplus(ranges) + self.convention.least_range
        start, frames, length = window_of(batch, durations)

        def upsampled(start: Tensor, count: int) -> Tensor:  # [B, C, F]
            weights = gaussian_weights(durations, ranges, real, start, count, self.convention)
            return (weights.to(x) @ x).transpose(1, 2)

        mel = pitch = None
        if isinstance(self.mel, MelPredictor):
            whole = frames_of(durations)
            features = upsampled(torch.zeros_like(whole), int(whole.max()))
            if self.pitch is None:
                mel = at_least_single(self.mel(features, whole, draws))
            else:
                pitch = at_least_single(self.pitch(features, whole, draws))
                mel = self.with_harmonics(features, whole, self.pitch_of(batch, pitch), draws)
        if isinstance(self.decoder, SpectralNetwork):
            assert mel is not None
            given = dict(batch) if "mel" in batch else {"mel": mel.to(x), "frames": frames}
            return TextCondition(
                self.decoder.condition(given), mel, predicted, durations, frames, mel, pitch
            )
        features = upsampled(start, length)
        seen = self.hide(features, draws) if self.training else features
        if self.config.position_channels:
            places = places_of(durations, lengths, start, length)
            seen = torch.cat([seen, sinusoid(places, self.config.position_channels).to(seen)], 1)
        padded = bool((frames < length).any())
        decoder = self.decoder.enter(seen, frames if padded else None)
        return TextCondition(decoder, features, predicted, durations, frames, mel, pitch)

    def predicted_mel(self, cond: TextCondition) -> tuple[Tensor, Tensor] | None:
        """The mel [B, M, F] that `mel_blocks` predict and its frames [B]; None without them."""
        return None if cond.mel is None else (cond.mel, cond.frames)

    def pitch_of(self, batch: Mapping[str, Any], predicted: Tensor) -> Tensor:
        """F0 [B, F] in Hz, 0 where unvoiced: that of `batch`, or of what is predicted [B, 2, F]."""
        if "pitch" in batch:
            return batch["pitch"].to(predicted)
        hertz = in_hertz(predicted[:, 0]) * batch["pitch_factor"][:, None]
        return hertz.to(predicted) * (predicted[:, 1] > 0)

    def with_harmonics(
        self, features: Tensor, frames: Tensor, pitch: Tensor, draws: RowDraws | None = None
    ) -> Tensor:
        """Mel [B, M, F] of features [B, C, F] and F0 [B, F] in Hz: an envelope and ripples."""
        assert self.mel is not None
        voice = torch.stack([in_octaves(pitch), (pitch > 0).to(pitch)], 1).to(features)
        parts = at_least_single(self.mel(torch.cat([features, voice], 1), frames, draws))
        envelope, *depths = parts.chunk(1 + ORDERS, 1)
        return envelope + (torch.stack(depths, 1) * self.ripple(pitch)).sum(1)

    def denoise(self, x: Tensor, *inputs: Any) -> Tensor:
        """What the decoder's own `denoise` gives of x [B, T]; see `wg.models.network`."""
        *seen, cond = inputs
        denoise: Callable[..., Tensor] = self.decoder.denoise
        return denoise(x, *seen, cond.decoder)

    def in_frames(self, predicted: Tensor) -> Tensor:
        """Durations in frames, at least 0, from what the predictor gives, both [B, N]."""
        log = self.config.duration_domain == "log"
        frames = predicted.clamp_max(20).expm1() if log else predicted / self.frame_s
        return frames.clamp(0, LONGEST)

    def duration_loss(self, batch: Mapping[str, Tensor], spoken: TextCondition) -> Tensor:
        """Mean over symbols of the squared error in seconds or of ln(frames + 1), [B].

        With duration_mean "symbols", in training, what has the mean over all symbols of all
        processes as its mean over B and the processes. Validation's does not depend on batches.
        """
        durations, lengths = batch["durations"].to(spoken.predicted), batch["symbol_lengths"]
        log = self.config.duration_domain == "log"
        wanted = durations.log1p() if log else durations * self.frame_s
        real = within(lengths, durations.shape[1])
        total = ((spoken.predicted - wanted) ** 2 * real).sum(1)
        if self.config.duration_mean == "utterance" or not self.training:
            return total / lengths
        return total / share_of(lengths.sum()) * len(lengths)

    def mel_loss(self, batch: Mapping[str, Tensor], spoken: TextCondition) -> Tensor:
        """Mean absolute error of the predicted mel, [B].

        Of the window; of whole utterances, `utterance_mel` [B, F, M], where `mel_blocks` see them.
        """
        assert self.mel is not None
        if spoken.mel is None:
            predicted, wanted = self.mel(spoken.features.transpose(1, 2)), batch["mel"]
            predicted, frames = predicted.transpose(1, 2), spoken.frames
        else:
            predicted, wanted = spoken.mel, batch["utterance_mel"].transpose(1, 2)
            frames = frames_of(spoken.durations)
        error = (predicted - wanted).abs().mean(1)
        return (error * within(frames, error.shape[1])).sum(1) / frames

    def pitch_loss(self, batch: Mapping[str, Tensor], spoken: TextCondition) -> Tensor:
        """Squared error in octaves, mean over voiced frames, and voicing's cross entropy, [B].

        `batch` has `pitch` [B, F] in Hz.
        """
        assert spoken.pitch is not None
        octaves, logit = spoken.pitch.unbind(1)
        pitch, frames = batch["pitch"].to(octaves), frames_of(spoken.durations)
        voiced = (pitch > 0).to(octaves)
        missed = F.binary_cross_entropy_with_logits(logit, voiced, reduction="none")
        missed = (missed * within(frames, pitch.shape[1])).sum(1) / frames
        wrong = ((octaves - in_octaves(pitch)).square() * voiced).sum(1)
        return wrong / voiced.sum(1).clamp_min(1) + missed

    def hide(self, features: Tensor, draws: RowDraws | None = None) -> Tensor:
        """Features [B, C, F] with a span of frames and a band of channels set to zero.

        As SpecAugment (1904.08779) does to a mel: lengths uniform up to the configured ones.
        """
        for axis, most in ((2, self.config.mask_frames), (1, self.config.mask_channels)):
            if most:
                features = features * span_mask(features, axis, most, draws)
        return features


def of_real(x: Tensor, real: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
    """A layer [R, C] -> [R, D] on the `real` [B, N] rows of x [B, N, C], [B, N, D]; else zeros."""
    places = real.flatten().nonzero()[:, 0]
    rows = layer(x.flatten(0, 1)[places])
    made = rows.new_zeros(real.numel(), rows.shape[1]).index_copy(0, places, rows)
    return made.unflatten(0, real.shape)


def dropped(x: Tensor, share: float, lengths: Tensor, draws: RowDraws | None) -> Tensor:
    """Dropout of x [B, N, C], of which `lengths` [B] are real, by each row's own draws.

    None: by torch's own generator.
    """
    if draws is None or not share:
        return F.dropout(x, share)
    rows = [
        F.pad(draws.ones(row, 1 - share, count, x.shape[2]), (0, 0, 0, x.shape[1] - count))
        for row, count in enumerate(lengths.tolist())
    ]
    return x * torch.stack(rows).to(x) / (1 - share)


def span_mask(features: Tensor, axis: int, most: int, draws: RowDraws | None = None) -> Tensor:
    """0 on a span of up to `most` places of an axis of [B, C, F], its own in each row; else 1."""
    size = features.shape[axis]
    shape, device = (2, len(features), 1, 1), features.device
    if draws is None:
        chosen, placed = torch.rand(shape, device=device)
    else:
        chosen, placed = torch.stack([draws(row, 2) for row in range(shape[1])], 1).view(shape)
    length = (chosen * (min(most, size) + 1)).long()
    first = (placed * (size - length + 1)).long()
    view = [1, 1, 1]
    view[axis] = size
    place = torch.arange(size, device=features.device).view(view)
    return ((place < first) | (place >= first + length)).to(features)


def window_of(batch: Mapping[str, Tensor], durations: Tensor) -> tuple[Tensor, Tensor, int]:
    """First frame [B], real frames [B] and length of the window, or of the whole utterances."""
    if "window_start" not in batch:
        frames = frames_of(durations)
        return torch.zeros_like(frames), frames, int(frames.max())
    start, length = batch["window_start"], batch["mel"].shape[2]
    frames = batch["frames"] if "frames" in batch else torch.full_like(start, length)
    return start, frames, length


def frames_of(durations: Tensor) -> Tensor:
    """Frames [B], at least one, of utterances whose symbols last so many each, [B, N]."""
    return durations.sum(1).round().long().clamp_min(1)


def within(lengths: Tensor, size: int) -> Tensor:
    """True at the first `lengths` [B] of `size` places, [B, size]."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
