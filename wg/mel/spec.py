"""The mel contract: everything that turns a waveform into one particular log-mel spectrogram.

In order, for a frame with spectrum S (window w, filterbank W [bins, bands]):

    magnitude   a = sqrt(|S|^2 + magnitude_eps) / (sqrt(sum w^2) if window_norm else 1)
    bands       m = W^T a^power                                     (the linear mel)
    log         v = gain * log(max(m, floor) or m + floor) + offset, then clipped to clip_min..max
                (v = zero where m = 0, if the spec has such a value; log "none" takes none)
    statistics  v = (v - mean) / std

Shapes: M bands, F frames, T samples. Frame f stands for samples [f * hop, (f + 1) * hop).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from wg.errors import InputError, nearest
from wg.fields import REQUIRED, check_fields, setting
from wg.mel.bank import Bands, MelNorm, MelScale, weights

VALUES = (  # fields that `convert` takes care of
    *("log", "floor", "floor_mode", "gain", "offset", "clip_min", "clip_max", "zero"),
    *("mean", "std", "window_norm", "mel_norm"),
)
ACCEPTABLE = {  # differences that a caller can choose to bear, and what they cost
    "framing": "the audio comes half a hop early or late",
    "window": "magnitudes off by 5e-4 or less with a window of 1024",
    "magnitude_eps": "bands near the floor come out wrong",
    "magnitude_eps_mode": "bands near the floor come out wrong",
}
LOG_FACTOR = {"ln": 1.0, "log10": 1 / math.log(10), "db": 20 / math.log(10), "none": 1.0}  # of ln m


@dataclass(frozen=True, kw_only=True)
class MelSpec:
    """Definition of a log-mel spectrogram; the defaults are the Tacotron 2 family's choices.

    InputError for a value of the wrong type, out of range, or at odds with another.
    """

    sample_rate: int = setting(REQUIRED, "Hz", least=1, most=10**6)
    n_fft: int = setting(REQUIRED, "FFT size in samples, even", least=1, most=2**17)
    win_length: int = setting(
        REQUIRED,
        "samples; a shorter window sits in the middle of n_fft",
        least=1,
    )
    hop_length: int = setting(REQUIRED, "samples", least=1)
    window: Literal["hann_periodic", "hann_symmetric"] = setting(
        "hann_periodic",
        "Hann, divided by win_length or by win_length - 1",
    )
    framing: Literal["centre", "hop"] = setting(
        "centre",
        "centre: n_fft // 2 reflected samples a side, frame f centred on f * hop, T // hop + "
        "1 frames. hop: (n_fft - hop) / 2 a side, frame f centred on (f + 1/2) * hop, T // "
        "hop frames.",
    )
    power: Literal[1, 2] = setting(1, "the bands sum magnitudes or their squares")
    magnitude_eps: float = setting(0.0, "under the root, against |S|^2", least=0)
    magnitude_eps_mode: Literal["add", "clip"] = setting("add", "|S|^2 + eps, or max(|S|^2, eps)")
    window_norm: bool = setting(False, "magnitudes divided by sqrt(sum w^2)")
    n_mels: int = setting(REQUIRED, "mel bands", least=1, most=4096)
    fmin: float = setting(0.0, "Hz", least=0)
    fmax: float | None = setting(None, "Hz; null: half the sample rate")
    mel_scale: MelScale = setting("slaney", "of the filterbank")
    mel_norm: MelNorm = setting("slaney", "slaney: triangles of equal area; none: of height 1")
    log: Literal["ln", "log10", "db", "none"] = setting(
        "ln", "ln, log10; db: 20 log10, whatever `power` is; none: no logarithm"
    )
    floor: float = setting(1e-5, "linear mel", above=0)
    floor_mode: Literal["clip", "add"] = setting("clip", "clip: max(m, floor); add: m + floor")
    gain: float = setting(1.0, "factor of the log mel", above=0)
    offset: float = setting(0.0, "added to the log mel after the gain")
    clip_min: float | None = setting(None, "lower bound of the log mel; null: none")
    clip_max: float | None = setting(None, "upper bound of the log mel; null: none")
    zero: float | None = setting(None, "value of a band of exactly nothing; null: as the floor")
    mean: tuple[float, ...] | None = setting(None, "a value a band")
    std: tuple[float, ...] | None = setting(None, "a value a band", above=0)

    def __post_init__(self) -> None:
        check_fields("mel", self)
        self._check_frames()
        self._check_bands()
        self._check_values()

    def _check_frames(self) -> None:
        hop, n_fft, win = self.hop_length, self.n_fft, self.win_length
        _require(n_fft % 2 == 0, "n_fft", n_fft, "give an even number")
        _require(win <= n_fft, "win_length", win, f"at most mel.n_fft, {n_fft}")
        _require(hop <= win, "hop_length", hop, f"at most mel.win_length, {win}: no sample unseen")
        remedy = f"framing 'hop' needs it even, as mel.n_fft ({n_fft}) is; or use framing 'centre'"
        _require(self.framing == "centre" or hop % 2 == 0, "hop_length", hop, remedy)

    def _check_bands(self) -> None:
        nyquist = self.sample_rate / 2
        _require(self.top <= nyquist, "fmax", self.fmax, f"at most half the rate, {nyquist:g} Hz")
        _require(self.fmin < self.top, "fmin", self.fmin, f"give less than fmax, {self.top:g} Hz")

    def _check_values(self) -> None:
        if self.clip_min is not None and self.clip_max is not None:
            remedy = f"give less than clip_max, {self.clip_max:g}"
            _require(self.clip_min < self.clip_max, "clip_min", self.clip_min, remedy)
        remedy = "give mel.mean and mel.std both, or neither"
        _require((self.mean is None) == (self.std is None), "mean", self.mean, remedy)
        for key, value in (("mean", self.mean), ("std", self.std)):
            count = self.n_mels if value is None else len(value)
            remedy = f"give one value a band, mel.n_mels is {self.n_mels}"
            _require(count == self.n_mels, key, f"{count} values", remedy)

    @property
    def top(self) -> float:
        """Upper edge of the highest band in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def bands(self) -> Bands:
        """What the filterbank depends on: specs that share it share its weights."""
        rate, scale, norm = self.sample_rate, self.mel_scale, self.mel_norm
        return Bands(rate, self.n_fft, self.n_mels, self.fmin, self.top, scale, norm)

    @property
    def label(self) -> str:
        """Short name, fit for a folder; different specs can share it."""
        return f"{self.sample_rate}hz-{self.n_mels}mel-hop{self.hop_length}"

    @property
    def digest(self) -> str:
        """Eight characters that differ between specs; a key that is added with a default none."""
        changed = {
            field.name: vars(self)[field.name]
            for field in dataclasses.fields(self)
            if vars(self)[field.name] != field.default
        }
        content = json.dumps(changed, sort_keys=True).encode()
        return hashlib.blake2b(content, digest_size=4).hexdigest()

    @property
    def padding(self) -> int:
        """Samples reflected at either end of a clip."""
        return (self.n_fft if self.framing == "centre" else self.n_fft - self.hop_length) // 2

    @property
    def min_samples(self) -> int:
        """Shortest clip: reflection needs more than `padding`, framing 'hop' one whole hop."""
        return max(self.padding + 1, self.hop_length if self.framing == "hop" else 1)

    @property
    def hann(self) -> Tensor:
        """Window [win_length] in float64."""
        periodic = self.window == "hann_periodic"
        return torch.hann_window(self.win_length, periodic=periodic, dtype=torch.float64)

    @property
    def magnitude_divisor(self) -> float:
        """sqrt(sum w^2) if `window_norm`, else 1."""
        return float(self.hann.square().sum().sqrt()) if self.window_norm else 1.0

    @property
    def slope(self) -> float:
        """Change of a value for one neper of the linear mel, or for one of it without a log."""
        return self.gain * LOG_FACTOR[self.log]

    @property
    def silence(self) -> Tensor:
        """Frame [M] of digital silence, float32: what padding a mel takes."""
        linear = torch.zeros(self.n_mels)
        if self.magnitude_eps:  # needs torchaudio, and only then
            magnitude = math.sqrt(self.magnitude_eps) / self.magnitude_divisor
            linear = weights(self.bands).float().sum(0) * magnitude**self.power
        return self.compress(linear[:, None])[:, 0]

    def frames(self, num_samples: int) -> int:
        """Frames of a clip of at least `min_samples`."""
        return num_samples // self.hop_length + (self.framing == "centre")

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames stand for."""
        return frames * self.hop_length

    def compress(self, linear: Tensor) -> Tensor:
        """Log mel of a linear mel, both [..., M, F]: floor, log, affine, clip, statistics."""
        clip = self.floor_mode == "clip"
        value = linear.clamp(min=self.floor) if clip else linear + self.floor
        value = (value if self.log == "none" else value.log()) * self.slope + self.offset
        if self.clip_min is not None or self.clip_max is not None:
            value = value.clamp(self.clip_min, self.clip_max)
        if self.zero is not None:
            value = value.masked_fill(linear == 0, self.zero)
        if self.mean is not None and self.std is not None:
            value = (value - _column(self.mean, value)) / _column(self.std, value)
        return value

    def decompress(self, log_mel: Tensor) -> Tensor:
        """Linear mel of a log mel, both [..., M, F]: exact wherever `compress` clipped nothing."""
        value = log_mel
        if self.mean is not None and self.std is not None:
            value = value * _column(self.std, value) + _column(self.mean, value)
        value_of = (value - self.offset) / self.slope
        linear = value_of if self.log == "none" else value_of.exp()
        if self.floor_mode == "add":
            linear = (linear - self.floor).clamp(min=0)
        return linear if self.zero is None else linear.masked_fill(value == self.zero, 0)

    def convert(self, mel: Tensor, to: MelSpec, accept: Collection[str] = ()) -> Tensor:
        """The mel [..., M, F] of this spec as one of `to`, in the same dtype.

        Two specs whose linear mels are the same up to a factor a band differ only in what
        `compress` does with them, and that can be undone: exactly above the floor and inside the
        clip; what was clipped stays at the value it was clipped to. Everything before it (rate,
        window, hop, band edges, power) cannot be undone. `accept` names differences that are left
        as they are: see `ACCEPTABLE`. InputError with both specs side by side for any other
        difference, for another band count and for values that are not finite.
        """
        if blocking := obstacles(self, to, accept):
            raise InputError(refusal(self, to, blocking))
        if mel.ndim < 2 or mel.shape[-2] != self.n_mels or not mel.is_floating_point():
            raise InputError(
                f"mel of shape {list(mel.shape)}, {mel.dtype}; give floats [..., {self.n_mels}, F]"
            )
        if not mel.isfinite().all():
            raise InputError("mel holds NaN or infinite values; look at what computed it")
        linear = self.decompress(mel.double()) * _factor(self, to).to(mel.device)
        return to.compress(linear).to(mel.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MelSpec:
        """Inverse of `to_dict`; InputError for an unknown or a missing key."""
        names = {field.name: field.default for field in dataclasses.fields(cls)}
        for key in values:
            if key not in names:
                raise InputError(f"unknown key 'mel.{key}'; {nearest(str(key), names)}")
        for name, default in names.items():
            if default is dataclasses.MISSING and name not in values:
                raise InputError(f"mel.{name} is missing; give its value")
        return cls(**values)

    def differences(self, other: MelSpec) -> dict[str, tuple[Any, Any]]:
        """Fields in which two specs differ, with both values; fmax None is half the rate."""
        mine, theirs = vars(self) | {"fmax": self.top}, vars(other) | {"fmax": other.top}
        return {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}


def _require(holds: bool, key: str, value: object, remedy: str) -> None:
    if not holds:
        raise InputError(f"mel.{key} is {value}; {remedy}")


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def obstacles(source: MelSpec, to: MelSpec, accept: Collection[str] = ()) -> list[str]:
    """Fields in which the specs differ and that no conversion undoes; []: `convert` works.

    `accept`: one name or several; InputError for one that is none of `ACCEPTABLE`.
    """
    accept = (accept,) if isinstance(accept, str) else accept
    for name in accept:
        if name not in ACCEPTABLE:
            raise InputError(f"accept {name!r}; {nearest(name, ACCEPTABLE)}")
    different = set(source.differences(to)) - {*VALUES, *accept}
    if not (source.magnitude_eps and to.magnitude_eps):
        different -= {"magnitude_eps_mode"}
    return [name for name in source.to_dict() if name in different]


def _factor(source: MelSpec, to: MelSpec) -> Tensor:
    """What linear mels of `source` are multiplied with, [M, 1] or a scalar, in float64."""
    divisor = source.magnitude_divisor / to.magnitude_divisor
    factor = torch.tensor(divisor**source.power, dtype=torch.float64)
    if source.mel_norm == to.mel_norm:
        return factor
    # The same triangles, of equal area or of equal height: a factor a band.
    return (factor * weights(to.bands).sum(0) / weights(source.bands).sum(0))[:, None]


def refusal(source: MelSpec, to: MelSpec, blocking: Collection[str]) -> str:
    """Why there is no conversion, with both specs side by side; `>` marks what is in the way."""
    advice = [f"{name}: {ACCEPTABLE[name]}" for name in blocking if name in ACCEPTABLE]
    hint = ""
    if len(advice) == len(blocking):
        hint = f"; or accept the differences ({'; '.join(advice)}): --accept {' '.join(blocking)}"
    return "\n".join(
        [
            f"no exact conversion of this mel: {', '.join(blocking)} differ; compute it again from "
            f"audio, or use a vocoder trained on such mels{hint}",
            *side_by_side(source, to, blocking),
        ]
    )


def side_by_side(source: MelSpec, to: MelSpec, blocking: Collection[str]) -> list[str]:
    """A line a field that differs: `>` for one of `blocking`, `~` for one that is converted."""
    rows = [("", "field", "mel", "wanted")]
    for name, (have, want) in source.differences(to).items():
        rows.append((">" if name in blocking else "~", name, _short(have), _short(want)))
    width = max(len(row[2]) for row in rows)
    return [f"{mark:1} {name:18} {have:{width}} {want}" for mark, name, have, want in rows]


def _short(value: object) -> str:
    return f"{len(value)} values" if isinstance(value, tuple) else str(value)
