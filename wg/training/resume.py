"""Where training goes on: the newest checkpoint that is whole."""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wg.errors import InputError
from wg.reading import torn

_STEP = re.compile(r"step-(\d+)-.*\.ckpt")
_NEEDED = {"global_step", "state_dict", "optimizer_states", "loops", "experiment"}
_DAMAGE = (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError)
_DAMAGE += (KeyError, ValueError, AttributeError, IndexError, TypeError)
NEW = "start anew with --restart, which keeps this run in another folder"


@dataclass(frozen=True)
class IntactCheckpoint:
    """A checkpoint that is whole, and the newer ones that are not."""

    path: Path
    step: int
    shapes: dict[str, tuple[int, ...]]
    damaged: tuple[str, ...]

    def line(self) -> str:
        """What is said of it."""
        if not self.damaged:
            return f"resuming from {self.path}"
        return f"damaged: {'; '.join(self.damaged)}; resuming from {self.path}, step {self.step}"

    def check_fits(self, module: nn.Module) -> None:
        """InputError for the weights of another model."""
        for name, value in module.state_dict().items():
            if name not in self.shapes or self.shapes[name] != tuple(value.shape):
                there = self.shapes[name] if name in self.shapes else "absent"
                raise InputError(
                    f"{self.path}: checkpoint of another model ({name}: {there} there, "
                    f"{tuple(value.shape)} here); move it, or {NEW}"
                )


def newest_intact(folder: Path) -> IntactCheckpoint | None:
    """The checkpoint to go on from; None for an empty or absent folder.

    InputError where files are there but none is sound, so that a run is never begun again over
    its own remains.
    """
    found = checkpoints_in(folder)
    damaged: list[str] = []
    best: IntactCheckpoint | None = None
    for path in sorted(found, key=_named_step, reverse=True):
        if best is not None and _named_step(path)[0] <= best.step:
            break
        content = read_intact(path)
        if isinstance(content, str):
            damaged.append(f"{path.name} ({content})")
        elif best is None or content["global_step"] > best.step:
            weights = content["state_dict"].items()
            shapes = {name: tuple(value.shape) for name, value in weights}
            best = IntactCheckpoint(path, content["global_step"], shapes, tuple(damaged))
    if found and best is None:
        raise InputError(
            f"{folder}: no sound checkpoint to go on from: {'; '.join(damaged)}; restore one, or "
            f"{NEW}"
        )
    return best


def checkpoints_in(folder: Path) -> list[Path]:
    """What training in a folder goes on from, sound or not; none: it begins."""
    return [path for path in folder.glob("*") if not path.name.startswith(".")]


def read_intact(path: Path) -> dict[str, Any] | str:
    """A checkpoint's contents, or why training cannot go on from it.

    Every byte is looked at: torch.load alone passes over changed ones.
    """
    if (reason := torn(path)) is not None:
        return reason
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        return "truncated or damaged" if not isinstance(error, OSError) else str(error.strerror)
    if not isinstance(content, dict) or not content.keys() >= _NEEDED:
        return "not a checkpoint of training by wg"
    return content


def step_of(folder: Path) -> int:
    """The step of the last checkpoint in a folder; 0 where there is none."""
    try:
        content = torch.load(folder / "last.ckpt", "cpu", weights_only=True, mmap=True)
        return int(content["global_step"])
    except _DAMAGE:
        return 0


def _named_step(path: Path) -> tuple[float, str]:
    """The step in a checkpoint's name; last.ckpt, and any other name, before all."""
    match = _STEP.fullmatch(path.name)
    return (float(match[1]) if match else float("inf"), path.name)
