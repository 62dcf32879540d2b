"""Stage 6 of models that read text: waveforms after alignment, durations, what is heard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile

from wg.data.phonemes import Phonemes
from wg.errors import InputError
from wg.metrics.spoken import as_the_mean, duration_mae, error_rates, mean_durations
from wg.stages import score
from wg.stages.recogniser import (
    Recogniser,
    choose_recogniser,
    load_recogniser,
    spoken_letters,
)
from wg.stages.spoken import phonemes_of
from wg.stages.stage import Context, features_of
from wg.text.symbols import PHONEMES

MEAN = "phoneme's mean"  # the floor that a duration predictor has to beat


def evaluate(context: Context) -> Mapping[str, Any]:
    """Scores of the decoded texts beside floors; writes scores.json and prints the table."""
    recogniser = find_recogniser(context.experiment.score.recogniser)
    decoding = context.experiment.decode
    spoken = phonemes_of(context, decoding.split)
    dump = features_of(context, decoding.split)
    names = [entry.id for entry in dump.utterances if entry.id in spoken][: decoding.limit]
    rows = score.score_waves(context, names, copies=not score.own_timing(context))
    durations = score_durations(context, rows)
    if recogniser is not None:
        score_letters(context, rows, load_recogniser(recogniser))
    return score.publish(context, rows, {"durations": durations, "recogniser": recogniser})


def find_recogniser(name: str) -> str | None:
    """The recogniser that is used; None, having said why, where there is none."""
    if not name:
        return None
    try:
        chosen, told = choose_recogniser(name)
    except InputError as error:
        raise InputError(f"score.recogniser: {error}") from None
    for line in told:
        print(line)
    return chosen


def score_durations(context: Context, rows: score.Rows) -> dict[str, dict[str, float]]:
    """Adds duration errors in ms to rows, of the model and of its floor.

    Returns, of every symbol, how often it stands there, how long it lasts, and its errors.
    """
    spec = context.experiment.mel
    frame_ms = 1e3 * spec.hop_length / spec.sample_rate
    trained = phonemes_of(context, "train").values()
    means = mean_durations((spoken.symbols, spoken.durations) for spoken in trained)
    reference = phonemes_of(context, context.experiment.decode.split)
    found: dict[str, list[tuple[float, ...]]] = {}
    for name, row in rows.items():
        spoken = reference[name]
        phones = np.array([symbol in PHONEMES for symbol in spoken.symbols])
        true = frame_ms * np.array(spoken.durations)
        errors = []
        for system, predicted in (
            ("wg", decoded_durations(context, spoken)),
            (MEAN, as_the_mean(spoken.symbols, means)),
        ):
            made = frame_ms * np.array(predicted)
            row.setdefault(system, {}).update(
                duration_mae=duration_mae(true, made),
                phone_duration_mae=duration_mae(true[phones], made[phones]),
            )
            errors.append(np.abs(made - true))
        for symbol, *values in zip(spoken.symbols, true, *errors, strict=True):
            found.setdefault(symbol, []).append(tuple(values))
    columns = ("duration", "error", "error_of_mean")
    return {
        symbol: {
            "count": len(values),
            **dict(zip(columns, np.mean(values, axis=0).tolist(), strict=True)),
        }
        for symbol, values in sorted(found.items())
    }


def decoded_durations(context: Context, spoken: Phonemes) -> list[float]:
    """Durations in frames that stage 5 noted for an utterance."""
    path = context.decoded / f"{spoken.id}.json"
    made = json.loads(path.read_text("utf-8"))
    if made["symbols"] != list(spoken.symbols):
        raise InputError(f"{path}: other symbols than those of stage 3; run stage 5 (decode) again")
    return made["durations"]


def score_letters(context: Context, rows: score.Rows, recogniser: Recogniser) -> None:
    """Adds the error rates of words and characters of the model's speech, and of the recordings."""
    dump = features_of(context, context.experiment.decode.split)
    rate = dump.spec.sample_rate
    for index, entry in enumerate(dump.utterances):
        if entry.id not in rows:
            continue
        text = spoken_letters(entry.text)
        made = soundfile.read(context.decoded / f"{entry.id}.wav", dtype="float32")[0]
        for system, wave in (("wg", made), ("recording", dump.recording(index).numpy())):
            scores = rows[entry.id].setdefault(system, {})
            scores.update(error_rates(text, recogniser(wave, rate)))
