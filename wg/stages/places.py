"""Where a run writes: that it can, and that nothing of the user's is in its way.

Asked before any stage runs, of the stages that will.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from wg.errors import InputError
from wg.files import MANIFESTS, MODEL, PAGE, check_filled, check_folder, check_writable
from wg.stages.durations import textgrids_folder
from wg.stages.phonemes import lexicon_path
from wg.stages.prepare import corpus_before
from wg.tasks.context import Context
from wg.tasks.registry import task_of


def check_places(context: Context, stages: Collection[str]) -> None:
    """InputError for a place that cannot be written, or where an input or a foreign file lies."""
    check_writable(context.work, f"--work-dir {context.work}")
    inputs = inputs_of(context)
    if "prepare" in stages:
        check_folder(context.data, MANIFESTS, inputs, str(context.data))
    if "features" in stages:
        check_filled(context.dump, str(context.dump))
    if "train" in stages:
        for path in inputs:
            if context.exp.resolve() in (path.resolve(), *path.resolve().parents):
                raise InputError(
                    f"{context.exp}: is where the model goes, and the input {path} lies in it; "
                    "move the input"
                )
    if set(stages) - {"prepare", "features", "phonemes"}:
        check_filled(context.exp, str(context.exp))
    if "pack" in stages:
        target = context.exp / task_of(context).folder
        check_folder(target, MODEL, inputs, str(target))
        check_folder(context.exp / "page", PAGE, inputs, str(context.exp / "page"))


def inputs_of(context: Context) -> list[Path]:
    """What the user gave the run to read."""
    given = (
        context.recipe,
        context.corpus_dir or corpus_before(context),
        textgrids_folder(context),
        lexicon_path(context),
    )
    return [path for path in given if path is not None]
