"""What the ports of WaveGrad 2 share: layers, symbols, the sizes that weights tell.

Their symbols are phonemes, with letters and punctuation that English models never read. Here a
phoneme has our name (`@AA0` there), a silence its own (`sp`, `spn`, `sil`), and every other
symbol a name that no phoneme has, so that ids stay where they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from wg.errors import InputError
from wg.interop.layers import BATCH_NORM, Layer, count, layer, lstm
from wg.interop.reading import Settings
from wg.interop.sizes import wavegrad_sizes
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.text.symbols import CONSONANTS, PAD, VOWELS

DEPTH, KERNEL = 3, 5  # of the encoder's convolutions, here
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
SILENCES = ("sp", "spn", "sil")
# Phonemes as CMUdict orders them, vowels first without stress.
ARPABET = tuple(
    f"{phoneme}{stress}"
    for phoneme in sorted((*VOWELS, *CONSONANTS))
    for stress in (("", "0", "1", "2") if phoneme in VOWELS else ("",))
)
SPARE = "symbol {!r}"  # our name of a symbol of theirs that we never write


def text_rows(convs: str, norms: str, names: Mapping[str, str]) -> dict[str, Layer]:
    """Rows of the encoder and the predictors; `{}` in the first two stands for the number.

    `names` has theirs of the embedding, the LSTMs and the projections, by ours.
    """
    rows = {f"encoder.convs.{i}": layer(convs.format(i)) for i in range(DEPTH)}
    rows |= {f"encoder.norms.{i}": layer(norms.format(i), tensors=BATCH_NORM) for i in range(DEPTH)}
    kinds = {
        "encoder.embedding": ("weight",),
        "encoder.lstm": lstm(1),
        "duration.lstm": lstm(2),
        "duration.projection": ("weight",),
        "range.lstm": lstm(2),
        "range.projection": ("weight",),
    }
    return rows | {ours: layer(names[ours], tensors=kind) for ours, kind in kinds.items()}


def check_encoder(state: Mapping[str, Tensor], convs: str) -> None:
    """InputError for an encoder of another depth or kernel than ours, which is fixed.

    One without convolutions is left to `translate`, which lists what is missing.
    """
    depth = count(state, f"{convs}.weight")
    kernel = state[f"{convs.format(0)}.weight"].shape[-1] if depth else KERNEL
    if depth not in (0, DEPTH) or kernel != KERNEL:
        raise InputError(
            f"an encoder of {depth} convolutions ({convs.format(0)} ...) of kernel {kernel}; "
            f"only {DEPTH} of kernel {KERNEL} can be imported"
        )


def text_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Config keys that weights under our names tell; InputError for predictors of two sizes."""
    hidden = {name: weights[f"{name}.lstm.weight_hh_l0"].shape[1] for name in ("duration", "range")}
    if hidden["duration"] != hidden["range"]:
        raise InputError(
            f"the duration predictor has {hidden['duration']} channels a direction and the range "
            f"predictor {hidden['range']}; only equal ones can be imported"
        )
    decoder = {
        name.removeprefix("decoder."): value
        for name, value in weights.items()
        if name.startswith("decoder.")
    }
    return {
        **wavegrad_sizes(decoder),
        "encoder_channels": weights["encoder.embedding.weight"].shape[1],
        "predictor_channels": hidden["duration"],
        "zoneout": 0.0,
        "level_encoding": "sinusoid_single",
        "duration_mean": "symbols",
    }


def our_names(theirs: Sequence[str]) -> tuple[str, ...]:
    """Names of a table of theirs: `@` begins a phoneme or a silence, the first is the padding."""
    return tuple(
        PAD if not place else name[1:] if name.startswith("@") else SPARE.format(name)
        for place, name in enumerate(theirs)
    )


def table_of(count: int, known: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Our names of `count` symbols: of `symbols` in the config, else of the table that is known.

    InputError for a table of another size, whose names cannot be guessed.
    """
    theirs = [str(name) for name in settings.find("symbols", known)]
    if len(theirs) != count:
        raise InputError(
            f"the model has {count} symbols, the known table {len(theirs)}; name them, in the "
            'order of their ids, in a JSON file: --config FILE with {"symbols": ["_", "@AA0", ...]}'
        )
    return our_names(theirs)


def frames_of(settings: Settings, rate: str, hop: int) -> MelSpec:
    """The rate that is said at a key, and a hop; the mel itself is Tacotron 2's, which they log."""
    spec = named("tacotron2")
    return replace(spec, sample_rate=settings.take(rate, spec.sample_rate), hop_length=hop)


def hop_of(factors: Sequence[int], stated: int | None) -> int:
    """The hop: what the config tells, which the model checks, or the product of the factors."""
    return math.prod(factors) if stated is None else stated
