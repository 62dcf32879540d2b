"""Modules and classes that have another name now: the old one still imports, with one notice."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "wg.aligner": "wg.alignment.aligner",
    "wg.alignment.search": "wg.alignment.monotonic",
    "wg.checkpoint": "wg.inference.checkpoint",
    "wg.folder": "wg.inference.folder",
    "wg.generator": "wg.inference.generator",
    "wg.history": "wg.inference.history",
    "wg.hub": "wg.inference.pretrained",
    "wg.reach": "wg.inference.receptive_field",
    "wg.speech": "wg.inference.text_to_speech",
    "wg.streaming": "wg.inference.streaming",
    "wg.systems": "wg.training.modules",
    "wg.tasks.recogniser": "wg.metrics.recogniser",
    "wg.training.devices": "wg.processes.devices",
    "wg.vocoder": "wg.inference.vocoder",
}
# Classes, wherever they are imported from.
RENAMED = {
    "Line": "Transcript",
    "Synthesis": "SamplingConfig",
    "TrainingSchedule": "DiffusionConfig",
}


def renamed(module: str, name: str) -> Any:
    """What `module` had under an old name, for its `__getattr__`; AttributeError for any other.

    From then on the module has it: an import asks twice, and the notice is given once.
    """
    if name not in RENAMED:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    new = RENAMED[name]
    warnings.warn(f"{module}.{name} is {new} now", DeprecationWarning, stacklevel=3)
    found = getattr(sys.modules[module], new)
    setattr(sys.modules[module], name, found)
    return found


class Forwarding(MetaPathFinder, Loader):
    """Gives the module itself for its old name, so that there are no two of any class."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of an old name; None for any other."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module of the new name, and a DeprecationWarning where the old one is imported."""
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {new} now", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It ran under its new name; only its specification, which import replaced, is put back."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state
