"""Which mel spectrogram a foreign mel of known audio is, by regression on our own extraction.

Every candidate analysis of the audio (bands, power, window, framing) gives a linear mel m. Of the
right one the foreign mel is a straight line of ln m, the same in all bands, or one a band where it
was normalised with statistics. What the line leaves over tells right from wrong, slope and
intercept tell the logarithm and its scaling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wg.errors import InputError
from wg.mel.convert import obstacles
from wg.mel.extract import linear_mel
from wg.mel.hub import SPECS
from wg.mel.spec import LOG_FACTOR, MelSpec

FITS = 0.01  # nepers left over by a spec that is the right one
SECONDS = 20  # of audio that are looked at
EDGE = 4  # frames left out at either end, where projects pad differently
AUDIBLE = 0.5  # share of the values, the loudest, that lines are fitted to
NOTHING = 1e-37  # linear mel of digital silence, about the smallest float32
FLOORS = (1e-10, 1e-8, 1e-7, 1e-5)  # that systems use


@dataclass(frozen=True)
class Fit:
    """A spec that explains the mel."""

    spec: MelSpec
    residual: float  # root mean square of what it leaves over, in nepers of the linear mel
    error: float  # mean over all values, quiet ones too, in units of the foreign mel

    @property
    def good(self) -> bool:
        """Whether the mel can be taken for one of this spec."""
        return self.residual < FITS

    @property
    def name(self) -> str:
        """The named spec nearest to it."""
        known = {name: spec for name, spec in SPECS.items() if spec.n_mels == self.spec.n_mels}
        if not known:
            return "none of the named ones"
        return min(known, key=lambda name: _distance(self.spec, known[name]))


def explain(
    mel: Tensor, wave: Tensor, rate: int, specs: Mapping[str, MelSpec] = SPECS
) -> Fit | None:
    """The best explanation of `mel` [M, F] as a mel of `wave` [T] at `rate` Hz.

    None where no candidate has these bands. InputError if they cannot belong together.
    """
    if len(wave) < 2 * mel.shape[1] or mel.shape[1] <= 4 * EDGE:
        raise InputError(
            f"{mel.shape[1]} frames and {len(wave)} samples of audio; give the audio that the mel "
            f"was made of, of more than {4 * EDGE} frames"
        )
    found = [
        fit
        for spec in _candidates(mel, wave, rate, specs.values())
        if (fit := _fit(mel.double(), wave.double(), spec)) is not None
    ]
    return min(found, key=_rank, default=None)


def _rank(fit: Fit) -> tuple[float, float, bool, float]:
    """Specs that differ in the floor only explain what is loud equally well: then the plainer."""
    alike = round(fit.residual / FITS, 1), round(fit.error, 4)
    return *alike, fit.spec.magnitude_eps > 0, fit.error


def _candidates(
    mel: Tensor, wave: Tensor, rate: int, specs: Iterable[MelSpec]
) -> Iterator[MelSpec]:
    """Every analysis of the specs, at this rate and with hops that give this many frames."""
    frames, samples = mel.shape[1], len(wave)
    hops = {spec.hop_length for spec in specs} | {round(samples / frames)}
    hops = sorted(hop for hop in hops if abs(samples // hop - frames) <= 1)
    seen: set[MelSpec] = set()
    for spec in specs:
        top = None if spec.top >= rate / 2 else spec.fmax
        for hop in hops:
            for framing in ("centre", "hop"):
                changed = {"sample_rate": rate, "hop_length": hop, "framing": framing, "fmax": top}
                try:
                    candidate = replace(spec, **changed, **_PLAIN)
                except InputError:  # this hop is none of this framing
                    continue
                if candidate not in seen and spec.n_mels == mel.shape[0]:
                    seen.add(candidate)
                    yield candidate


_PLAIN = {  # what the line finds out
    **{"log": "ln", "floor": 1e-10, "floor_mode": "clip", "gain": 1.0, "offset": 0.0},
    **dict.fromkeys(("clip_min", "clip_max", "zero", "mean", "std")),
}


def _fit(mel: Tensor, wave: Tensor, spec: MelSpec) -> Fit | None:
    """The candidate with the log and scaling that explain the mel best."""
    used = wave[: SECONDS * spec.sample_rate]
    if len(used) < spec.min_samples:
        return None
    linear = linear_mel(used, spec)
    frames = slice(EDGE, min(mel.shape[1], linear.shape[1]) - EDGE)
    y, m = mel[:, frames], linear[:, frames].clamp(min=NOTHING)
    x = m.log()
    low, high = float(y.min()), float(y.max())
    shown = (y > low + 0.02 * (high - low)) & (y < high) & (x > x.quantile(1 - AUDIBLE))
    if shown.sum() < 100:
        return None
    gain, offset = _line(x[shown], y[shown])
    if gain > 0:
        found = _with_values(spec, gain, offset, y, m)
        residual = float((y - gain * x - offset)[shown].square().mean().sqrt() / gain)
        if residual < FITS:
            return Fit(found, residual, _error(found, m, y))
    return _per_band(spec, x, y, shown)


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and intercept of the least-squares line."""
    centred = x - x.mean()
    gain = float((centred * y).sum() / centred.square().sum())
    return gain, float(y.mean() - gain * x.mean())


def _error(spec: MelSpec, m: Tensor, y: Tensor) -> float:
    return float((spec.compress(m) - y).abs().mean())


def _per_band(spec: MelSpec, x: Tensor, y: Tensor, shown: Tensor) -> Fit | None:
    """A line a band, as statistics of a training set make them."""
    lines, errors = [], []
    for band in range(len(y)):
        take = shown[band]
        if take.sum() < 8:  # a band that is silent here
            take = x[band] >= x[band].median()
        gain, offset = _line(x[band][take], y[band][take])
        if not gain > 0:
            return None
        lines.append((gain, offset))
        errors.append(((y[band] - gain * x[band] - offset)[take] / gain).square())
    mean = tuple(-offset / gain for gain, offset in lines)
    std = tuple(1 / gain for gain, _ in lines)
    residual = float(torch.cat(errors).mean().sqrt())
    found = replace(spec, mean=mean, std=std)
    return Fit(found, residual, _error(found, x.exp(), y))


def _with_values(spec: MelSpec, gain: float, offset: float, y: Tensor, m: Tensor) -> MelSpec:
    """The spec with the log, scaling, clip and floor of a line, by a known name if it has one."""
    found = replace(spec, gain=gain, offset=offset)
    for known in SPECS.values():
        slope = known.gain * LOG_FACTOR[known.log]
        if abs(gain / slope - 1) < 2e-3 and abs(offset - known.offset) < 0.02 * slope:
            fields = ("log", "gain", "offset", "clip_min", "clip_max")
            found = replace(found, **{name: vars(known)[name] for name in fields})
            break
    silent = y[m <= NOTHING]
    if len(silent) and silent.min() == silent.max() > y.min():  # louder than the quietest sound
        found = replace(found, zero=float(silent[0]))
    least = float(found.decompress(y.min()[None, None])[0, 0])
    floor = max((floor for floor in FLOORS if floor <= 1.01 * least), default=NOTHING)
    options = [
        replace(found, floor=value, floor_mode=mode)
        for value in {floor, spec.floor}
        for mode in ("clip", "add")
    ]
    return min(options, key=lambda option: _error(option, m, y))


def _distance(spec: MelSpec, known: MelSpec) -> tuple[int, int]:
    different = spec.differences(known)
    return len(obstacles(spec, known)), len(different)
