"""Mels of one spec as mels of another, where an exact conversion exists.

Two specs whose linear mels are the same up to a factor a band differ only in what
`MelSpec.compress` does with them, and that can be undone: exactly above the source's floor and
inside its clip; what it clipped stays at the value it was clipped to. Everything before it (rate,
window, hop, band edges, power) cannot be undone.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from wg.errors import InputError, nearest
from wg.mel.bank import weights
from wg.mel.spec import MelSpec

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


def convert(mel: Tensor, source: MelSpec, to: MelSpec, accept: Collection[str] = ()) -> Tensor:
    """The mel [..., M, F] of `source` as one of `to`, in the same dtype.

    `accept` names differences that are left as they are: see `ACCEPTABLE`. InputError with both
    specs side by side for any other difference, for another band count and for values that are
    not finite.
    """
    if blocking := obstacles(source, to, accept):
        raise InputError(refusal(source, to, blocking))
    if mel.ndim < 2 or mel.shape[-2] != source.n_mels or not mel.is_floating_point():
        raise InputError(
            f"mel of shape {list(mel.shape)}, {mel.dtype}; give floats [..., {source.n_mels}, F]"
        )
    if not mel.isfinite().all():
        raise InputError("mel holds NaN or infinite values; look at what computed it")
    linear = source.decompress(mel.double()) * _factor(source, to).to(mel.device)
    return to.compress(linear).to(mel.dtype)


def obstacles(source: MelSpec, to: MelSpec, accept: Collection[str] = ()) -> list[str]:
    """Fields in which the specs differ and that no conversion undoes; []: `convert` works.

    InputError for an `accept` that is none of `ACCEPTABLE`.
    """
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
