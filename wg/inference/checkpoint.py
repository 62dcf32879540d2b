"""Training checkpoints: finding them, and the trained model in one."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any, TypeVar

import torch

from wg.config import Experiment, compose, flatten, to_dict
from wg.errors import InputError, stage_label
from wg.inference.history import History, Start
from wg.inference.model import SamplingConfig, TrainedModel
from wg.models import build_network, config_class
from wg.models.network import Network
from wg.reading import torn

Kind = TypeVar("Kind", bound=TrainedModel)
LOSS = re.compile(r"step-(\d+)-loss-([\d.]+)\.ckpt")
IDENTITY = ("model", "mel", "diffusion")  # sections that a checkpoint and its user must share
FREE = ("cache", "fractional")  # keys of a model that change how it is used, not what it is


def find_checkpoint(exp: Path, which: str) -> Path:
    """The checkpoint `best` (least validation loss), `last`, or of a path.

    In place of a torn one the next best is taken, or the one after the last, and this is said.
    """
    folder = exp / "checkpoints"
    if which in ("best", "last"):
        found = [(LOSS.fullmatch(path.name), path) for path in folder.glob("*.ckpt")]
        scored = [(float(match[2]), -int(match[1]), path) for match, path in found if match]
        if which == "last":  # then the newest
            scored = [(step, loss, path) for loss, step, path in scored]
        last = [folder / "last.ckpt"] * (which == "last" and (folder / "last.ckpt").is_file())
        ordered = [*last, *(path for *_, path in sorted(scored))]
        damaged = []
        for path in ordered:
            if (reason := torn(path)) is None:
                if damaged:
                    print(f"damaged: {'; '.join(damaged)}; taking {path.name}", file=sys.stderr)
                return path
            damaged.append(f"{path.name} ({reason})")
        if damaged:
            raise InputError(f"{folder}: no sound checkpoint: {'; '.join(damaged)}; train again")
    if which not in ("best", "last") and Path(which).is_file():
        return Path(which)
    raise InputError(
        f"decode.checkpoint {which!r}: none in {folder}; run {stage_label('train')} first, or "
        "give decode.checkpoint=PATH"
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents; plain data only, no pickled code is run."""
    if (reason := torn(path)) is not None:
        raise InputError(f"{path}: not a readable checkpoint ({reason})")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable checkpoint ({reason})") from None
    kinds = {"experiment": dict, "state_dict": dict, "global_step": int}
    for key, kind in kinds.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise InputError(f"{path}: not a checkpoint of wg (no key {key!r})")
    return content


def check_identity(path: Path, stored: dict[str, Any], experiment: Experiment) -> None:
    """InputError naming the keys in which a checkpoint is of another model or MelSpec.

    A key that came after the checkpoint has its default there.
    """
    wanted = to_dict(experiment)
    stored = to_dict(compose([(str(path), stored)], config_class))
    for section in IDENTITY:
        have, want = flatten(stored[section]), flatten(wanted[section])
        keys = sorted({*have, *want} - set(FREE))
        different = [key for key in keys if have.get(key) != want.get(key)]
        if different:
            shown = ", ".join(
                f"{section}.{key}: {have.get(key)} there, {want.get(key)} here"
                for key in different[:3]
            )
            raise InputError(
                f"{path}: checkpoint of another {section} ({shown}); use the experiment it was "
                f"trained with, or run {stage_label('train')} of this one"
            )


def network_from_checkpoint(path: Path, experiment: Experiment) -> tuple[Network, History]:
    """The network in a checkpoint (averaged weights, where training kept them), and its past."""
    content = read_checkpoint(path)
    check_identity(path, content["experiment"], experiment)
    network = build_network(experiment.model, experiment.mel, experiment.diffusion)
    prefix = "network."
    weights = {
        name[len(prefix) :]: value
        for name, value in content["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: weights of another model: {reason}") from None
    start = Start(**content["start"]) if "start" in content else None
    return network, History(content["global_step"], path.name, start=start)


def model_from_checkpoint(
    kind: type[Kind], path: Path, experiment: Experiment, samples: int | None = None
) -> Kind:
    """The model in a checkpoint, sampled as the experiment's `decode` section says.

    `samples`: the length of its clips, of one that takes nothing to tell it.
    """
    network, history = network_from_checkpoint(path, experiment)
    decode = experiment.decode
    synthesis = SamplingConfig(
        decode.schedule, decode.sampler, decode.clip, decode.consistency, samples
    )
    model, mel, diffusion = experiment.model, experiment.mel, experiment.diffusion
    return kind(network, model, mel, diffusion, synthesis, history)
