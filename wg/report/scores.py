"""Scores of systems on utterances: their means, what pairs of systems differ by, their files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

from wg.errors import InputError
from wg.files import check_file, write_bytes
from wg.metrics import COLUMNS
from wg.metrics.statistics import paired_difference, summarise
from wg.reading import read_object

BySystem = Mapping[str, Mapping[str, Mapping[str, float]]]  # system -> utterance -> metric
ENDINGS = (".json", ".parquet")


STATISTICS = ("mean", "low", "high")  # of means: at least these


def read_scores(path: Path, remedy: str) -> dict[str, Any]:
    """What was written of scores: `means`, perhaps `utterances`; InputError for odd content."""
    content = read_object(path, remedy)

    def tables(name: str) -> dict[str, Any]:
        found = content.get(name, {})
        if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
            raise InputError(f"{path}: {name} holds no table for each system; {remedy}")
        return {
            f"{name}.{system}.{key}": row
            for system, one in found.items()
            for key, row in one.items()
        }

    if not content.get("means"):
        raise InputError(f"{path}: has no means; {remedy}")
    for place, row in (tables("means") | tables("utterances")).items():
        if not isinstance(row, dict) or not all(map(is_score, row.values())):
            raise InputError(f"{path}: {place} holds no numbers by name; {remedy}")
        metrics = [place.rpartition(".")[2]] if place.startswith("means") else list(row)
        unknown = [name for name in metrics if name not in COLUMNS]
        lacking = [name for name in STATISTICS if place.startswith("means") and name not in row]
        if unknown or lacking:
            what = f"{unknown[0]!r} is no score" if unknown else f"lacks {lacking[0]}"
            raise InputError(f"{path}: {place}: {what}; {remedy}")
    return content


def is_score(value: Any) -> bool:
    """Whether a value is a number, or none where it is not defined."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def defined(content: Any) -> Any:
    """The same nested dictionaries with None for nan, which JSON does not have."""
    if isinstance(content, dict):
        return {key: defined(value) for key, value in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


def means(scores: BySystem, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """System -> metric -> mean, median, 95% interval, and how many values it has.

    A metric that a system has not been scored by is left out.
    """
    return {
        system: {
            metric: asdict(summarise(row[metric] for row in utterances.values()))
            for metric in metrics
            if _has(utterances, metric)
        }
        for system, utterances in scores.items()
    }


def differences(scores: BySystem, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of the first system and each other, "A - B": metric -> statistics, paired by utterance.

    Over the utterances that both have; an interval without 0 is a difference.
    """
    first, *others = scores
    found = {}
    for other in others:
        shared = scores[first].keys() & scores[other].keys()
        found[f"{first} - {other}"] = {
            metric: asdict(
                paired_difference(
                    *({name: scores[s][name][metric] for name in shared} for s in (first, other))
                )
            )
            for metric in metrics
            if _has(scores[first], metric) and _has(scores[other], metric)
        }
    return found


def _has(utterances: Mapping[str, Mapping[str, float]], metric: str) -> bool:
    """Whether a system has been scored by a metric; by all, where it has no utterances."""
    return all(metric in row for row in utterances.values())


def scores_content(scores: BySystem, metrics: Sequence[str]) -> dict[str, Any]:
    """What a score file holds; undefined values are None."""
    content = {
        "means": means(scores, metrics),
        "differences": differences(scores, metrics),
        "utterances": {system: dict(rows) for system, rows in scores.items()},
    }
    return defined(content)


def check_ending(path: Path) -> None:
    """InputError unless `write_scores` can write such a file here."""
    check_file(path, ENDINGS, (), "-o")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            remedy = "pip install pyarrow, or write .json"
            raise InputError(f"-o {path}: Parquet needs the package pyarrow; {remedy}") from None


def write_scores(path: Path, content: Mapping[str, Any]) -> None:
    """`scores_content` as JSON; or its utterances as Parquet, a row (system, utterance, scores)."""
    if path.suffix == ".json":
        write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
        return
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"system": system, "utterance": name, **values}
        for system, utterances in content["utterances"].items()
        for name, values in utterances.items()
    ]
    file = BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    write_bytes(path, file.getvalue())
