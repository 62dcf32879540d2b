"""The catalogue of experiments, `egs.yaml`: its form, its reading, its agreement with the tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from wg.config import DecodeConfig, read_yaml
from wg.diffusion.schedules import schedule_label
from wg.errors import InputError, nearest
from wg.metrics import COLUMNS

FILE = "egs.yaml"
NAMES = {str: "text", int: "a whole number", float: "a number", type(None): "null"}


@dataclass(frozen=True)
class Statistics:
    """Mean of a metric over utterances, its 95% interval, and how many values are undefined."""

    mean: float | None  # None: undefined everywhere
    low: float | None = None  # None: a single utterance has no interval
    high: float | None = None
    undefined: int = 0


@dataclass(frozen=True)
class Published:
    """A number that somebody else printed, and where."""

    what: str
    value: float | str
    source: str


@dataclass(frozen=True)
class Measured:
    """Scores of one decoded test set, and what it takes to get them again."""

    command: str
    date: str  # YYYY-MM-DD
    hardware: str
    schedule: str
    utterances: int
    rtf: float
    scores: Mapping[str, Mapping[str, Statistics]]  # system -> metric
    checkpoint: str = ""
    commit: str = ""
    note: str = ""


@dataclass(frozen=True)
class CatalogueEntry:
    """One experiment: a configuration file of a recipe, and what is known of it."""

    recipe: str
    experiment: str  # recipes/<recipe>/conf/<experiment>.yaml
    corpus: str
    model: str
    config: str
    stages: tuple[str, ...]  # that have something to do
    schedules: tuple[str, ...] = ()  # that stage decode goes through, where there are several
    published: tuple[Published, ...] = ()
    measured: tuple[Measured, ...] = ()

    @property
    def name(self) -> str:
        """How tables and messages call it."""
        return f"{self.recipe}/{self.experiment}"

    @property
    def latest(self) -> tuple[Measured, ...]:
        """The last measurement of each schedule."""
        return tuple({item.schedule: item for item in self.measured}.values())

    @property
    def waiting(self) -> tuple[str, ...]:
        """Names of the folders of the schedules that were not measured yet; "": of its only one."""
        if not self.schedules:
            return () if self.measured else ("",)
        known = {item.schedule for item in self.measured}
        return tuple(label for label in map(schedule_label, self.schedules) if label not in known)


def read_catalogue(path: Path) -> tuple[CatalogueEntry, ...]:
    """The experiments of a catalogue file.

    InputError for an unknown or missing key and a wrong type, with the place and the remedy.
    """
    content = read_yaml(path)
    if list(content) != ["experiments"]:
        raise InputError(f"{path}: keys {list(content)}; it has one, 'experiments'")
    return convert(content["experiments"], tuple[CatalogueEntry, ...], str(path))


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotated type: dataclasses, tuples, mappings, text and numbers."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{where} is {value!r}; write a list")
        places = [f"{where}, {label(item, number)}" for number, item in enumerate(value, 1)]
        return tuple(
            convert(item, arguments[0], place) for item, place in zip(value, places, strict=True)
        )
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {value!r}; write keys with values")
        return {key: convert(item, arguments[1], f"{where}.{key}") for key, item in value.items()}
    return scalar(value, hint, where)


def scalar(value: Any, hint: Any, where: str) -> Any:
    """Text, a number or None, as annotated; a whole number serves as a float."""
    options = set(get_args(hint) or (hint,))
    if type(value) not in (options | {int} if float in options else options):
        names = " or ".join(sorted(NAMES[option] for option in options))
        raise InputError(f"{where} is {value!r}; write {names}")
    return float(value) if float in options and isinstance(value, int) else value


def label(item: Any, number: int) -> str:
    """What a message calls an item of a list."""
    known = isinstance(item, Mapping) and "recipe" in item and "experiment" in item
    return f"{item['recipe']}/{item['experiment']}" if known else f"item {number}"


def build(schema: type, content: Any, where: str) -> Any:
    """A dataclass from a mapping whose keys are its fields."""
    if not isinstance(content, Mapping):
        raise InputError(f"{where} is {content!r}; write keys with values")
    fields = {field.name: field for field in dataclasses.fields(schema)}
    hints = get_type_hints(schema)
    for key in content:
        if key not in fields:
            raise InputError(f"{where}: unknown key {key!r}; {nearest(str(key), fields)}")
    for name, field in fields.items():
        required = field.default is field.default_factory  # both are MISSING
        if name not in content and required:
            raise InputError(f"{where}: key {name!r} is missing; write it")
    values = {key: convert(value, hints[key], f"{where}, {key}") for key, value in content.items()}
    return schema(**values)


def disagreements(
    entries: Sequence[CatalogueEntry], root: Path, stages: Sequence[str]
) -> list[str]:
    """What the catalogue says and the tree below `root` does not, a line each; [] is good."""
    found = [line for entry in entries for line in entry_problems(entry, root, stages)]
    names = [entry.name for entry in entries]
    found += [f"{name}: stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return found


def unlisted(entries: Sequence[CatalogueEntry], root: Path) -> list[str]:
    """Experiments below `root` that have no row, as RECIPE/EXPERIMENT: a user's own."""
    names = {entry.name for entry in entries}
    paths = sorted(root.glob("recipes/*/conf/*.yaml"))
    return [name for path in paths if (name := f"{path.parents[1].name}/{path.stem}") not in names]


def entry_problems(entry: CatalogueEntry, root: Path, stages: Sequence[str]) -> list[str]:
    """The same for one experiment."""
    config = f"recipes/{entry.recipe}/conf/{entry.experiment}.yaml"
    if entry.config != config:
        return [f"{entry.name}: config is {entry.config}; it is {config}"]
    if not (root / config).is_file():
        return [f"{entry.name}: there is no {config}; remove the row"]
    corpus = read_yaml(root / "recipes" / entry.recipe / "corpus.yaml")["corpus"]["name"]
    content = read_yaml(root / config)
    model = content["model"]["name"]
    schedules = schedules_of(content["decode"] if "decode" in content else {})
    found = [
        f"{entry.name}: {key} is {have}; the recipe has {want}"
        for key, have, want in (
            ("corpus", entry.corpus, corpus),
            ("model", entry.model, model),
            ("schedules", list(entry.schedules), schedules),
        )
        if have != want
    ]
    order = [stage for stage in stages if stage in entry.stages]
    if order != list(entry.stages):
        found.append(f"{entry.name}: stages {list(entry.stages)}; choose in order from {stages}")
    for item in entry.published:
        if not item.source.strip():
            found.append(f"{entry.name}: {item.what!r} is published without source")
    return found + [line for item in entry.measured for line in measured_problems(entry, item)]


def schedules_of(decode: Mapping[str, Any]) -> list[str]:
    """The schedules of a `decode` section, where it has several."""
    if "schedules" not in decode:
        return []
    first = decode["schedule"] if "schedule" in decode else DecodeConfig.schedule
    return [str(first), *map(str, decode["schedules"])]


def measured_problems(entry: CatalogueEntry, item: Measured) -> list[str]:
    """The same for one measurement."""
    where = f"{entry.name}, measured {item.schedule}"
    found = [f"{where}: {key} is empty" for key in ("command", "hardware") if not vars(item)[key]]
    try:
        date.fromisoformat(item.date)
    except ValueError:
        found.append(f"{where}: date is {item.date!r}; write YYYY-MM-DD")
    metrics = sorted({name for scores in item.scores.values() for name in scores})
    found += [f"{where}: there is no metric {name!r}" for name in metrics if name not in COLUMNS]
    if "wg" not in item.scores:
        found.append(f"{where}: scores has no system 'wg'")
    return found
