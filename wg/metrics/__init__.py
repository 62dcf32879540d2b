"""Metrics of synthesised speech: pure functions of two waveforms [T] and their sample rate.

Every metric has the head `(reference, synthesis, sample_rate) -> float`; definitions, constants
and units stand in its docstring. nan means undefined (pitch of silence, PESQ of a click).
`score` aligns and rescales nothing: a constant delay and a level difference are metrics
themselves. `score_aligned` takes the delay out first, and reports it.

SIGNAL are the metrics that are computed from the samples alone; the rest ask a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wg.errors import InputError, nearest
from wg.metrics.cepstral import mcd, mcd_dtw, mcd_scores
from wg.metrics.delay import align, delay, delay_ms
from wg.metrics.judged import (
    distillmos,
    missing_distillmos,
    missing_plcmos,
    missing_similarity,
    plcmos,
    speaker_similarity,
)
from wg.metrics.level import clipped, level_difference, si_sdr
from wg.metrics.pairs import Function, Group
from wg.metrics.perceptual import estoi, pesq_nb, pesq_wb, stoi
from wg.metrics.periodicity import crepe_scores, missing_crepe
from wg.metrics.pitch import pitch_scores
from wg.metrics.predicted import (
    dnsmos_scores,
    missing_dnsmos,
    missing_squim,
    missing_utmos,
    squim_scores,
    utmos,
)
from wg.metrics.spectral import ls_mse, lsd_scores, mr_stft
from wg.metrics.statistics import Summary, paired_difference, summarise
from wg.metrics.warped import warped_pitch_scores

__all__ = [
    "COLUMNS",
    "METRICS",
    "SIGNAL",
    "Column",
    "Metric",
    "Summary",
    "align",
    "check_metrics",
    "delay",
    "paired_difference",
    "score",
    "score_aligned",
    "summarise",
]


def nothing_missing() -> str | None:
    """Of a metric that needs no network's weights."""
    return None


@dataclass(frozen=True)
class Column:
    """One column of a score table."""

    name: str
    unit: str  # "" where there is none
    better: Literal["lower", "higher", "zero"]  # "zero": signed, best near 0


@dataclass(frozen=True)
class Metric(Column):
    """A column that two waveforms tell."""

    function: Function
    group: Group | None = None  # computes this and its neighbours from one analysis
    missing: Callable[[], str | None] = nothing_missing  # why it cannot be computed here

    @property
    def warped(self) -> bool:
        """Whether it compares speech of another timing, by dynamic time warping."""
        return self.name.endswith("_dtw")


def _of_group(
    name: str,
    unit: str,
    better: Literal["lower", "higher"],
    group: Group,
    missing: Callable[[], str | None] = nothing_missing,
) -> Metric:
    def function(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
        return group(reference, synthesis, sample_rate)[name]

    function.__name__, function.__doc__ = name, group.__doc__
    return Metric(name, unit, better, function, group, missing)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("ls_mse", "Np²", "lower", ls_mse),
        Metric("mcd", "dB", "lower", mcd, mcd_scores),
        Metric("mcd_dtw", "dB", "lower", mcd_dtw, mcd_scores),
        Metric("mr_stft", "", "lower", mr_stft),
        _of_group("lsd", "dB", "lower", lsd_scores),
        _of_group("lsd_0_2k", "dB", "lower", lsd_scores),
        _of_group("lsd_2_4k", "dB", "lower", lsd_scores),
        _of_group("lsd_4_8k", "dB", "lower", lsd_scores),
        _of_group("lsd_8k_up", "dB", "lower", lsd_scores),
        _of_group("f0_rmse_hz", "Hz", "lower", pitch_scores),
        _of_group("f0_rmse_cents", "cents", "lower", pitch_scores),
        _of_group("gpe", "", "lower", pitch_scores),
        _of_group("vde", "", "lower", pitch_scores),
        _of_group("ffe", "", "lower", pitch_scores),
        _of_group("voicing_f1", "", "higher", pitch_scores),
        _of_group("f0_rmse_hz_dtw", "Hz", "lower", warped_pitch_scores),
        _of_group("f0_rmse_cents_dtw", "cents", "lower", warped_pitch_scores),
        _of_group("gpe_dtw", "", "lower", warped_pitch_scores),
        _of_group("vde_dtw", "", "lower", warped_pitch_scores),
        _of_group("ffe_dtw", "", "lower", warped_pitch_scores),
        _of_group("voicing_f1_dtw", "", "higher", warped_pitch_scores),
        Metric("pesq_wb", "MOS", "higher", pesq_wb),
        Metric("pesq_nb", "MOS", "higher", pesq_nb),
        Metric("stoi", "", "higher", stoi),
        Metric("estoi", "", "higher", estoi),
        Metric("si_sdr", "dB", "higher", si_sdr),
        Metric("level_difference", "dB", "zero", level_difference),
        Metric("clipped", "samples", "lower", clipped),
        Metric("delay_ms", "ms", "zero", delay_ms),
        _of_group("periodicity", "", "lower", crepe_scores, missing_crepe),
        _of_group("crepe_f1", "", "higher", crepe_scores, missing_crepe),
        Metric("utmos", "MOS", "higher", utmos, None, missing_utmos),
        _of_group("dnsmos_sig", "MOS", "higher", dnsmos_scores, missing_dnsmos),
        _of_group("dnsmos_bak", "MOS", "higher", dnsmos_scores, missing_dnsmos),
        _of_group("dnsmos_ovrl", "MOS", "higher", dnsmos_scores, missing_dnsmos),
        _of_group("dnsmos_p808", "MOS", "higher", dnsmos_scores, missing_dnsmos),
        Metric("plcmos", "MOS", "higher", plcmos, None, missing_plcmos),
        Metric("distillmos", "MOS", "higher", distillmos, None, missing_distillmos),
        Metric("speaker_similarity", "", "higher", speaker_similarity, None, missing_similarity),
        _of_group("squim_stoi", "", "higher", squim_scores, missing_squim),
        _of_group("squim_pesq", "MOS", "higher", squim_scores, missing_squim),
        _of_group("squim_si_sdr", "dB", "higher", squim_scores, missing_squim),
    )
}
# Every column: those, and what is computed of all that a model makes, whether asked for or not.
COLUMNS: dict[str, Column] = METRICS | {
    column.name: column
    for column in (  # of sets of samples, `wg.metrics.generation`
        Column("fid", "", "lower"),
        Column("is", "", "higher"),
        Column("mis", "", "higher"),
        Column("am", "", "lower"),
        Column("ndb", "share", "lower"),
        Column("accuracy", "share", "higher"),
        Column("fid_class", "", "lower"),
        Column("fid_class_std", "", "lower"),
        # Of texts spoken, `wg.metrics.spoken`.
        Column("duration_mae", "ms", "lower"),
        Column("phone_duration_mae", "ms", "lower"),
        Column("wer", "share", "lower"),
        Column("cer", "share", "lower"),
    )
}
SIGNAL = tuple(name for name, metric in METRICS.items() if metric.missing is nothing_missing)


def check_metrics(names: Iterable[str], where: str) -> None:
    """InputError, naming `where` they were asked for, for metrics unknown or not possible here."""
    for name in names:
        if name in COLUMNS and name not in METRICS:
            raise InputError(
                f"{where}: {name!r} is no metric of two waveforms; models that it says something "
                "of are scored by it unasked: leave it out"
            )
        if name not in METRICS:
            raise InputError(f"{where}: {name!r} is unknown; {nearest(name, METRICS)}")
        if reason := METRICS[name].missing():
            raise InputError(f"{where}: {name} cannot be computed here: {reason}")


def score_aligned(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int, names: Iterable[str] = SIGNAL
) -> dict[str, float]:
    """The named metrics of waveforms [T], [T'] as `score`, without their delay (`align`).

    `delay_ms` is always among them, and is the delay that the pair had.
    """
    late = delay_ms(reference, synthesis, sample_rate)
    values = score(*align(reference, synthesis, sample_rate), sample_rate, names)
    return values | {"delay_ms": late}


def score(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int, names: Iterable[str] = SIGNAL
) -> dict[str, float]:
    """The named metrics of one pair of waveforms [T], in the order of the names.

    Metrics that share an analysis share its computation; a value does not depend on which
    others are asked for. Raises `InputError` for an unknown name and as the metrics do.
    """
    chosen = tuple(names)
    unknown = [name for name in chosen if name not in METRICS]
    if unknown:
        raise InputError(f"metric {unknown[0]!r} is unknown; {nearest(unknown[0], METRICS)}")
    members = Counter(METRICS[name].group for name in dict.fromkeys(chosen))
    values: dict[str, float] = {}
    for name in chosen:
        metric = METRICS[name]
        if name in values:
            continue
        if metric.group is not None and members[metric.group] > 1:
            values |= metric.group(reference, synthesis, sample_rate)
        else:
            values[name] = metric.function(reference, synthesis, sample_rate)
    return {name: values[name] for name in chosen}
