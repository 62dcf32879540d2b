"""A measurement for the catalogue: read from a decoded folder, appended to `egs.yaml`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from wg.errors import InputError, stage_label
from wg.reading import read_object
from wg.report.catalogue import CatalogueEntry

DIGITS = 5  # significant ones
CELL = "cell.json"  # of wg bench
FLOORS = ("griffin-lim", "world")


def read_json(path: Path) -> dict[str, Any]:
    """A file that a finished stage wrote."""
    try:
        return read_object(path, "run its stage again")
    except InputError:
        if path.is_file():
            raise
        raise InputError(
            f"{path}: no such file; give a folder exp/NAME/decode/SCHEDULE whose stages train, "
            "decode and score have finished"
        ) from None


def stamps_of(decoded: Path) -> dict[str, dict[str, Any]]:
    """The stamps of train, decode and score, which must have been made from each other."""
    places = {"train": decoded.parents[1], "decode": decoded, "score": decoded}
    stamps = {name: read_json(place / f"stage-{name}.json") for name, place in places.items()}
    for before, name in (("train", "decode"), ("decode", "score")):
        if stamps[name]["inputs"][before] != stamps[before]["digest"]:
            raise InputError(
                f"{decoded}: {before} was redone after {name}; run {stage_label(name)} and "
                "record again"
            )
    return stamps


def entry_of(decoded: Path, entries: tuple[CatalogueEntry, ...]) -> CatalogueEntry:
    """The experiment that a folder exp/<corpus>-<experiment>/decode/<schedule> belongs to."""
    name = decoded.parents[1].name
    for entry in entries:
        if name == f"{entry.corpus}-{entry.experiment}":
            return entry
    known = ", ".join(f"{entry.corpus}-{entry.experiment}" for entry in entries)
    raise InputError(f"{decoded}: {name} is no experiment of the catalogue ({known}); add its row")


def measurement(decoded: Path, stamps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the folder says of itself, in the form of `Measured`, without command and date."""
    means = read_json(decoded / "scores.json")["means"]
    result = stamps["decode"]["result"]
    first = read_json(decoded / f"{result['utterances'][0]}.json")
    return {
        "hardware": result["device"],
        "schedule": decoded.name,
        "utterances": len(result["utterances"]),
        "rtf": rounded(result["rtf"]),
        "checkpoint": first["checkpoint"],
        "scores": {
            system: {metric: statistics(values) for metric, values in metrics.items()}
            for system, metrics in means.items()
        },
    }


def cell_measurement(folder: Path) -> dict[str, Any]:
    """The same of a cell of `wg bench`, beside the floors of its corpus, with date and commit."""
    found = read_json(folder / CELL)
    if (found["kind"], found["state"]) != ("wg", "done"):
        raise InputError(
            f"{folder}: a cell of kind {found['kind']} that is {found['state']}; the catalogue "
            "takes finished ones of kind wg"
        )
    others = [read_json(path) for path in sorted(folder.parent.glob(f"*/{CELL}"))]
    floors = [c for c in others if c["kind"] in FLOORS and c["state"] == "done"]
    where, cell = found["environment"], found["cell"]
    systems = {"wg": found["means"], **{floor["system"]: floor["means"] for floor in floors}}
    set_up = found["system"].removeprefix(cell["vocoder"]).strip() or "its own schedule"
    return {
        "date": where["date"],
        "hardware": where["device"],
        "schedule": f"{set_up}, {cell['corpus']}",
        "utterances": len(found["utterances"]),
        "rtf": rounded(found["cost"]["rtf"]["p50"]),
        "commit": where["commit"],
        "scores": {
            system: {metric: statistics(values) for metric, values in metrics.items()}
            for system, metrics in systems.items()
        },
    }


def statistics(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `Statistics`, rounded; what is the default is left out."""
    kept = {key: rounded(values[key]) for key in ("mean", "low", "high")}
    kept = {key: value for key, value in kept.items() if key == "mean" or value is not None}
    return kept | ({"undefined": values["undefined"]} if values["undefined"] else {})


def rounded(value: float | None) -> float | None:
    """To 5 significant digits: more than an interval ever leaves meaning to."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def commit_of(root: Path) -> str:
    """The commit of the checkout, with `-dirty` where code or recipes differ from it."""
    code = ("wg", "recipes", "tools", "pyproject.toml")
    calls = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--", *code])
    done = [
        subprocess.run(["git", "-C", str(root), *call], capture_output=True, text=True)
        for call in calls
    ]
    if any(run.returncode for run in done):
        return ""
    return done[0].stdout.strip() + ("-dirty" if done[1].stdout.strip() else "")


def append_measured(text: str, entry: CatalogueEntry, row: Mapping[str, Any]) -> str:
    """The text of a catalogue with one more measured row; comments and layout stay.

    PyYAML says where the list of the entry ends; the row goes there as text.
    """
    rows = mapping(yaml.compose(text, yaml.SafeLoader))["experiments"].value
    node = next(
        keys["measured"]
        for keys in map(mapping, rows)
        if (keys["recipe"].value, keys["experiment"].value) == (entry.recipe, entry.experiment)
    )
    block = yaml.safe_dump(
        [dict(row)], sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000
    )
    indented = re.sub(r"^", "  ", block.rstrip("\n"), flags=re.MULTILINE)
    if node.value:
        end = last_character(text, node)
        return f"{text[:end]}\n{indented}{text[end:]}"
    start, end = node.start_mark.index, node.end_mark.index
    return f"{text[:start].rstrip(' ')}\n{indented}{text[end:]}"


def mapping(node: Any) -> dict[str, Any]:
    """The values of a mapping node by key."""
    return {key.value: value for key, value in node.value}


def last_character(text: str, node: Any) -> int:
    """Index of the end of the line on which a block list ends (its own mark lies beyond it)."""
    while not isinstance(node, yaml.ScalarNode) and node.value and not node.flow_style:
        node = node.value[-1] if isinstance(node, yaml.SequenceNode) else node.value[-1][1]
    index = node.end_mark.index
    if node.end_mark.column == 0:  # a block scalar: its mark stands on the next line
        return index - 1
    end = text.find("\n", index)
    return len(text) if end < 0 else end
