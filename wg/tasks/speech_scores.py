"""Scores of speech beyond its waveform: durations of its symbols, and what is heard in it."""

from __future__ import annotations

import json

import numpy as np

from wg.data.audio import read_mono
from wg.data.phonemes import Phonemes
from wg.errors import InputError, stage_label
from wg.metrics.recogniser import (
    Recogniser,
    choose_recogniser,
    spoken_letters,
)
from wg.metrics.spoken import as_the_mean, duration_mae, error_rates, mean_durations
from wg.tasks.context import Context, phonemes_of
from wg.tasks.waveforms import Rows, Scores, opened
from wg.text.symbols import PHONEMES

MEAN = "phoneme's mean"  # the floor that a duration predictor has to beat


def find_recogniser(name: str) -> str | None:
    """The recogniser that is used; None, having said why, where there is none."""
    if not name:
        return None
    try:
        chosen, notices = choose_recogniser(name)
    except InputError as error:
        raise InputError(f"score.recogniser: {error}") from None
    for line in notices:
        print(line)
    return chosen


def score_durations(context: Context, rows: Rows) -> dict[str, dict[str, float]]:
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
    """Durations in frames that stage decode noted for an utterance."""
    path = context.decoded / f"{spoken.id}.json"
    made = json.loads(path.read_text("utf-8"))
    if made["symbols"] != list(spoken.symbols):
        raise InputError(
            f"{path}: other symbols than those of {stage_label('phonemes')}; "
            f"run {stage_label('decode')} again"
        )
    return made["durations"]


def score_letters(context: Context, name: str, recogniser: Recogniser) -> Scores:
    """The error rates of words and characters of the model's speech, and of the recording."""
    dump = opened(context.dump / context.experiment.decode.split)
    index, rate = dump.index_of(name), dump.spec.sample_rate
    text = spoken_letters(dump.utterances[index].text)
    made = read_mono(context.decoded / f"{name}.wav")[0]
    waves = {"wg": made, "recording": dump.recording(index).numpy()}
    return {system: error_rates(text, recogniser(wave, rate)) for system, wave in waves.items()}
