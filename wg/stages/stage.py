"""What a stage is, where a run keeps its files, and the stamp of a finished stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wg.config import Experiment, flatten, to_dict
from wg.data.dump import Dump
from wg.diffusion.schedules import schedule_label
from wg.errors import InputError
from wg.files import write_bytes
from wg.models import conditions_of
from wg.processes.devices import Devices
from wg.processes.launch import torchrun

FILES = "corpus files"
STAMP = "stage-{name}.json"


@dataclass(frozen=True)
class Context:
    """One run: the recipe, its experiment, and where things are."""

    recipe: Path
    work: Path  # data, dump and exp go below it
    name: str  # conf/<name>.yaml
    experiment: Experiment
    devices: Devices
    jobs: int
    corpus_dir: Path | None = None
    overrides: tuple[str, ...] = ()
    restart: bool = False  # train from the start; the run before is kept in another folder

    @property
    def data(self) -> Path:
        """Manifests."""
        return self.work / "data"

    @property
    def dump(self) -> Path:
        """Features."""
        return self.work / "dump" / self.experiment.features_name

    @property
    def phonemes(self) -> Path:
        """Symbols and durations of the utterances; not below exp, which training moves aside."""
        name = f"{self.experiment.model.name}-{self.experiment.features_name}"
        return self.data / "phonemes" / name

    @property
    def exp(self) -> Path:
        """The trained model and all that comes of it."""
        return self.work / "exp" / f"{self.experiment.corpus.name}-{self.name}"

    @property
    def decoded(self) -> Path:
        """Synthesised audio of one schedule."""
        decode = self.experiment.decode
        label = schedule_label(decode.schedule)
        if decode.sampler != "ancestral":
            label += f"-{decode.sampler}"
        if decode.consistency is not None and decode.consistency.iterations:
            label += f"-{decode.consistency.label}"
        if decode.durations != "predicted":
            label += f"-{decode.durations}-durations"
        return (
            self.exp / "decode" / (label if decode.split == "test" else f"{label}-{decode.split}")
        )


def features_of(context: Context, split: str) -> Dump:
    """The features of a split; InputError where none or those of another MelSpec are there."""
    dump = Dump(context.dump / split)
    if dump.spec != context.experiment.mel:
        raise InputError(f"{dump.folder}: features of another MelSpec; run stage 2 (features)")
    return dump


def relaunch(context: Context, stage: str, processes: int) -> None:
    """Runs a stage again under torchrun, `processes` on each node."""
    arguments = [
        *("stage", stage, str(context.recipe), "--model", context.name),
        *("--work-dir", str(context.work), "--ngpu", str(context.devices.gpus)),
        *("--nodes", str(context.devices.nodes), "--jobs", str(context.jobs), *context.overrides),
    ]
    torchrun(arguments, processes, context.devices.nodes)


@dataclass(frozen=True)
class Stage:
    """A step of a recipe. `run` returns what is worth keeping in the stamp."""

    name: str
    summary: str
    keys: tuple[str, ...]  # config keys or sections whose change makes it run again
    needs: tuple[str, ...]  # earlier stages
    output: Callable[[Context], Path]
    run: Callable[[Context], Mapping[str, Any]]
    needs_for_text: tuple[str, ...] = ()  # further ones, of models that read text
    free_keys: tuple[str, ...] = ()  # keys below `keys` that change nothing
    # Files whose content it depends on.
    reads: Callable[[Context], Sequence[Path]] = lambda context: ()
    # What changes without a setting: then it runs again, and others if its result is another one.
    state: Callable[[Context], Mapping[str, Any]] = lambda context: {}
    # InputError for what `run` would fail on; asked before any stage runs.
    check: Callable[[Context], None] = lambda context: None

    def required(self, context: Context) -> tuple[str, ...]:
        """The earlier stages that it needs."""
        reads_text = conditions_of(context.experiment.model) == "text"
        return self.needs + self.needs_for_text if reads_text else self.needs

    def stamp_path(self, context: Context) -> Path:
        """Where its stamp lies."""
        return self.output(context) / STAMP.format(name=self.name)

    def settings(self, context: Context) -> dict[str, Any]:
        """The config values that it depends on."""
        flat = flatten(to_dict(context.experiment))
        chosen = {
            key: value
            for key, value in flat.items()
            if any(key == wanted or key.startswith(f"{wanted}.") for wanted in self.keys)
            and key not in self.free_keys
        }
        if self.name == "prepare" and context.corpus_dir is not None:
            chosen["--corpus-dir"] = str(context.corpus_dir.resolve())
        chosen |= self.state(context)
        for path in self.reads(context):
            chosen[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return chosen


def read_stamp(path: Path) -> dict[str, Any] | None:
    """A stage's stamp; None if it never finished."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def write_stamp(path: Path, content: Mapping[str, Any]) -> None:
    """A stamp, written last and atomically: it is what makes a stage finished."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def digest(content: Mapping[str, Any]) -> str:
    """Short hash of settings."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`key: before -> after` for every setting that differs; one that is null is as one unset."""
    # A run that does not say --corpus-dir means the one prepared before.
    keys = [key for key in sorted({*old, *new}) if key != "--corpus-dir" or key in new]
    if FILES not in old:  # of a version that did not note it
        keys = [key for key in keys if key != FILES]
    return [
        f"{key}: {old[key] if key in old else 'unset'} -> {new[key] if key in new else 'unset'}"
        for key in keys
        if old.get(key) != new.get(key)
    ]
