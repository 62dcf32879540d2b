"""What a stage is, and the stamp of a finished one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wg.config import Experiment, flatten, to_dict
from wg.files import write_bytes
from wg.processes.launch import torchrun
from wg.tasks.context import STAMP, Context

FILES = "corpus files"


def relaunch(context: Context, stage: str, processes: int) -> None:
    """Runs a stage again under torchrun, `processes` on each node."""
    arguments = [
        *("stage", stage, str(context.recipe), "--model", context.name),
        *("--work-dir", str(context.work), "--ngpu", str(context.devices.gpus)),
        *("--nodes", str(context.devices.nodes), "--jobs", str(context.jobs), *context.overrides),
    ]
    if context.devices.until is not None:
        left = max(0, round(context.devices.until - time.time()))
        arguments += ["--max-time", f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"]
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
    further: Callable[[Context], Sequence[str]] = lambda context: ()  # that this run needs
    free_keys: tuple[str, ...] = ()  # keys below `keys` that change nothing
    # Files whose content it depends on.
    reads: Callable[[Context], Sequence[Path]] = lambda context: ()
    # What changes without a setting: then it runs again, and others if its result is another one.
    state: Callable[[Context], Mapping[str, Any]] = lambda context: {}
    # The runs that one of this stage is made of.
    over: Callable[[Context], Sequence[Context]] = lambda context: (context,)
    # InputError for what `run` would fail on; asked before any stage runs.
    check: Callable[[Context], None] = lambda context: None
    # Whether several jobs, that know nothing of each other, can share it: `run` then does what
    # `wg.processes.launch.shared` and `Context.kept` leave it, and writes nothing of the whole.
    parts: bool = False
    # What `run` would move, or go on from; for --dry-run.
    plan: Callable[[Context], Sequence[str]] = lambda context: ()

    def required(self, context: Context) -> tuple[str, ...]:
        """The earlier stages that it needs."""
        return (*self.needs, *self.further(context))

    def stamp_path(self, context: Context) -> Path:
        """Path of its stamp, in its output: what makes the stage finished."""
        return self.output(context) / STAMP.format(name=self.name)

    def settings(self, context: Context) -> dict[str, Any]:
        """The values that it depends on."""
        return {**self.asked(context), **self.state(context)}

    def asked(self, context: Context) -> dict[str, Any]:
        """Those of the configuration, and the contents of files that are part of it."""
        flat = flatten(to_dict(context.experiment))
        chosen = {
            key: value
            for key, value in flat.items()
            if any(key == wanted or key.startswith(f"{wanted}.") for wanted in self.keys)
            and key not in self.free_keys
        }
        for path in self.reads(context):
            chosen[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return chosen


def write_stamp(path: Path, content: Mapping[str, Any]) -> None:
    """A stamp, written last and atomically: it is what makes a stage finished."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def digest(content: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of settings, whatever their order: stamps tell by it what changed."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def defaults_of(experiment: Experiment) -> dict[str, Any]:
    """Flat config values of an experiment that sets nothing, of sections that may set nothing."""
    plain = {}
    for section, content in vars(experiment).items():
        with suppress(TypeError):
            plain[section] = to_dict(type(content)())
    return flatten(plain)


def changes(
    old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """`key: before -> after` for every setting that differs; one that is null is as one unset.

    A key that wg did not have then had its default.
    """
    old = {**{key: value for key, value in (defaults or {}).items() if key in new}, **old}
    # A run that does not say --corpus-dir means the one prepared before.
    keys = [key for key in sorted({*old, *new}) if key != "--corpus-dir" or key in new]
    if FILES not in old:  # of a version that did not note it
        keys = [key for key in keys if key != FILES]
    return [
        f"{key}: {old[key] if key in old else 'unset'} -> {new[key] if key in new else 'unset'}"
        for key in keys
        if old.get(key) != new.get(key)
    ]
