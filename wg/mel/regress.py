"""Which mel spectrogram a foreign mel of known audio is, by regression on our own extraction.

Every candidate analysis of the audio (bands, power, window, framing) gives a linear mel m. Of the
right one the foreign mel is a straight line of ln m, the same in all bands, or one a band where it
was normalised with statistics. What the line leaves over tells right from wrong, slope and
intercept tell the logarithm and its scaling.

The vocoder's own analysis comes first: if a conversion of the foreign mel is what the vocoder would
have computed itself, as far as this audio can show, then it is the vocoder's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wg.errors import InputError
from wg.mel.extract import linear_mel
from wg.mel.hub import SPECS, VARIANTS, changed, squared
from wg.mel.spec import MelSpec, obstacles

FITS = 0.01  # nepers left over by a spec that is the right one
SECONDS = 20  # of audio that are looked at
EDGE = 4  # frames left out at either end, where projects pad differently
AUDIBLE = 0.5  # share of the values, the loudest, that lines are fitted to
NOTHING = 1e-37  # linear mel of digital silence, about the smallest float32
NEAR = 0.02  # nepers, on average, that are no difference
LOUDER = 0.7  # nepers (6 dB) by which audio is turned up or down before it is analysed
FLOORS = (1e-10, 1e-8, 1e-7, 1e-5)  # that systems use


@dataclass(frozen=True)
class Fit:
    """A spec that explains the mel."""

    spec: MelSpec
    residual: float  # root mean square of what it leaves over, in nepers of the linear mel
    error: float  # mean over all values, quiet ones too, in units of the foreign mel
    turned_up: float = 0.0  # nepers by which the mel's audio was louder than the audio given

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
    mel: Tensor,
    wave: Tensor,
    rate: int,
    specs: Mapping[str, MelSpec] = SPECS,
    own: MelSpec | None = None,
) -> Fit | None:
    """The best explanation of `mel` [M, F] as a mel of `wave` [T] at `rate` Hz.

    `own`: the spec that it is wanted for, which is taken wherever the audio shows no difference.
    None where no candidate has these bands. InputError if they cannot belong together.
    """
    if len(wave) < 2 * mel.shape[1] or mel.shape[1] <= 4 * EDGE:
        raise InputError(
            f"{mel.shape[1]} frames and {len(wave)} samples of audio; give the audio that the mel "
            f"was made of, of more than {4 * EDGE} frames"
        )
    if own is not None and (fit := _as_own(mel.double(), wave.double(), rate, own)):
        return fit
    found: list[Fit] = []
    for known in (specs.values(), map(squared, specs.values())):
        for spec in _candidates(mel, wave, rate, list(known)):
            if (fit := _fit(mel.double(), wave.double(), spec)) is not None:
                found.append(fit)
        if any(fit.good for fit in found):
            break
    return min(found, key=_rank, default=None)


def _as_own(mel: Tensor, wave: Tensor, rate: int, own: MelSpec) -> Fit | None:
    """The mel as one of `own`'s analysis, if that is what it is as far as the audio shows."""
    if (rate, len(mel)) != (own.sample_rate, own.n_mels):
        return None
    if len(wave) < own.min_samples or abs(own.frames(len(wave)) - mel.shape[1]) > 1:
        return None
    fit = _fit(mel, wave, replace(own, **_PLAIN), [own, *(changed(own, name) for name in VARIANTS)])
    if fit is None or not fit.good:
        return None
    spec, louder = fit.spec, (fit.spec.offset - own.offset) / own.slope
    same = (spec.log == "none") == (own.log == "none") and spec.mean is None
    if same and abs(spec.slope / own.slope - 1) < 2e-3 and abs(louder) < LOUDER:
        fit = replace(fit, spec=own, turned_up=louder)
    return fit if _nearly(fit, mel, wave, own) else None


def _nearly(fit: Fit, mel: Tensor, wave: Tensor, own: MelSpec) -> bool:
    """Whether the mel, converted to `own`, is `own`'s of the audio, but where it was clipped."""
    wanted = linear_mel(wave[: SECONDS * own.sample_rate], own)
    frames = slice(EDGE, min(mel.shape[1], wanted.shape[1]) - EDGE)
    y = mel[:, frames]
    kept = (y > y.amin() + 1e-3 * fit.spec.slope) & (y < y.amax())
    floor = max(own.floor, min(FLOORS))
    have = own.decompress(fit.spec.convert(y, own)).clamp(min=floor).log() - fit.turned_up
    want = wanted[:, frames].clamp(min=floor).log()
    return bool((have - want)[kept].abs().mean() < NEAR)


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


def _fit(
    mel: Tensor, wave: Tensor, spec: MelSpec, known: Iterable[MelSpec] = tuple(SPECS.values())
) -> Fit | None:
    """The candidate with the log and scaling that explain the mel best; of `known`, if they are."""
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
        residual = float((y - gain * x - offset)[shown].square().mean().sqrt() / gain)
        if residual < FITS:
            found = _with_values(spec, gain, offset, y, m, known)
            return Fit(found, residual, _error(found, m, y))
    return _without_log(spec, m, y) or _per_band(spec, x, y, shown)


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and intercept of the least-squares line."""
    centred = x - x.mean()
    gain = float((centred * y).sum() / centred.square().sum())
    return gain, float(y.mean() - gain * x.mean())


def _error(spec: MelSpec, m: Tensor, y: Tensor) -> float:
    return float((spec.compress(m) - y).abs().mean())


def _without_log(spec: MelSpec, m: Tensor, y: Tensor) -> Fit | None:
    """A linear mel: in proportion to `m`."""
    if not (y >= 0).all():
        return None
    shown = m > m.quantile(1 - AUDIBLE)
    gain = float((y[shown].clamp(min=NOTHING) / m[shown]).log().mean().exp())
    residual = float((y[shown].clamp(min=NOTHING) / m[shown] / gain).log().square().mean().sqrt())
    if residual > FITS:
        return None
    found = replace(spec, log="none", gain=1.0 if abs(gain - 1) < 2e-3 else gain, floor=NOTHING)
    return Fit(found, residual, _error(found, m, y))


def _per_band(spec: MelSpec, x: Tensor, y: Tensor, shown: Tensor) -> Fit | None:
    """A line a band, as statistics of a training set make them."""
    silent = shown.sum(1, keepdim=True) < 8  # in this clip
    take = torch.where(silent, x >= x.median(1, keepdim=True).values, shown).double()

    def mean(values: Tensor) -> Tensor:
        return (values * take).sum(1, keepdim=True) / take.sum(1, keepdim=True)

    dx, dy = x - mean(x), y - mean(y)
    gain = (dx * dy * take).sum(1, keepdim=True) / (dx.square() * take).sum(1, keepdim=True)
    if not (gain > 0).all():
        return None
    offset = mean(y) - gain * mean(x)
    squares = ((y - gain * x - offset) / gain).square() * take
    residual = float((squares.sum() / take.sum()).sqrt())
    means, stds = (-offset / gain)[:, 0].tolist(), (1 / gain)[:, 0].tolist()
    found = replace(spec, mean=tuple(means), std=tuple(stds))
    return Fit(found, residual, _error(found, x.exp(), y))


def _with_values(
    spec: MelSpec, gain: float, offset: float, y: Tensor, m: Tensor, known: Iterable[MelSpec]
) -> MelSpec:
    """The spec with the log, scaling, clip and floor of a line, as those have it that it is of."""
    found = replace(spec, gain=gain, offset=offset)
    for other in known:
        if other.log == "none" or other.mean is not None:
            continue
        slope = other.slope
        if abs(gain / slope - 1) < 2e-3 and abs(offset - other.offset) < 0.02 * slope:
            fields = ("log", "gain", "offset", "clip_min", "clip_max")
            found = replace(found, **{name: vars(other)[name] for name in fields})
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
    plainer = [(round(_error(option, m, y) / gain, 5), option.floor_mode) for option in options]
    return options[plainer.index(min(plainer, key=lambda rank: (rank[0], rank[1] == "add")))]


def _distance(spec: MelSpec, known: MelSpec) -> tuple[int, int]:
    different = spec.differences(known)
    return len(obstacles(spec, known)), len(different)
