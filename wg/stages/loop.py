"""The stage loop: which stages run, which are up to date and why, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from wg import __version__
from wg.errors import InputError, nearest
from wg.stages import features, phonemes, prepare, speaking, train
from wg.stages.launch import place, wait_for_all
from wg.stages.places import check_places
from wg.stages.stage import Context, Stage, changes, digest, read_stamp, write_stamp

STAGES: tuple[Stage, ...] = (
    *(module.STAGE for module in (prepare, features, phonemes, train)),
    *speaking.STAGES,
)
BY_NAME = {stage.name: stage for stage in STAGES}


def number_of(text: str) -> int:
    """Stage number 1..7 of a number or a name."""
    if text.isdigit() and 1 <= int(text) <= len(STAGES):
        return int(text)
    names = [stage.name for stage in STAGES]
    if text in names:
        return names.index(text) + 1
    raise InputError(f"stage {text!r} is unknown; {nearest(text, names)} (or 1 to {len(STAGES)})")


@dataclass(frozen=True)
class Decision:
    """Whether a stage runs, and why."""

    runs: bool
    reason: str


def inputs_of(stage: Stage, context: Context) -> dict[str, str | None]:
    """Digest of each stage it needs; None where that never finished."""
    needed = stage.required(context)
    stamps = {name: read_stamp(BY_NAME[name].stamp_path(context)) for name in needed}
    return {name: stamp["digest"] if stamp else None for name, stamp in stamps.items()}


def decide(stage: Stage, context: Context, running: set[str]) -> Decision:
    """Compares a stage with its stamp; `running` holds the stages that run before it."""
    stamp = read_stamp(stage.stamp_path(context))
    if stamp is None:
        return Decision(True, "not done yet")
    if stage.name == "train" and context.restart:
        return Decision(True, "--restart")
    before = [name for name in stage.required(context) if name in running]
    if before:
        return Decision(True, f"{', '.join(before)} runs again")
    changed = changes(stamp["settings"], stage.settings(context))
    redone = [
        name
        for name, value in inputs_of(stage, context).items()
        if value != stamp["inputs"].get(name)
    ]
    if changed or redone:
        reasons = changed + [f"{name} was redone" for name in redone]
        return Decision(True, "changed " + "; ".join(reasons))
    return Decision(False, "up to date")


def finish(stage: Stage, context: Context) -> None:
    """Runs a stage and writes its stamp."""
    missing = [name for name, value in inputs_of(stage, context).items() if value is None]
    if missing:
        number = number_of(missing[0])
        raise InputError(
            f"stage {stage.name} needs stage {number} ({missing[0]}), which has not finished; "
            f"run --stage {number} first"
        )
    stage.stamp_path(context).unlink(missing_ok=True)
    result = dict(stage.run(context))
    # Written after the run: a stage may have moved its output folder aside.
    settings, inputs = stage.settings(context), inputs_of(stage, context)
    if "corpus_dir" in result:
        settings["--corpus-dir"] = result["corpus_dir"]
    content = {
        "settings": settings,
        "inputs": inputs,
        "result": result,
        "wg": __version__,
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    key = digest({"settings": settings, "inputs": inputs, "result": result})
    wait_for_all()  # under srun each process comes here, and the stamp says that all are done
    if place().rank == 0:
        write_stamp(stage.stamp_path(context), {**content, "digest": key})
    wait_for_all()


def run_stages(context: Context, first: str, last: str, dry_run: bool) -> None:
    """Runs stages first..last; finished ones whose inputs and settings stand are skipped."""
    start, stop = number_of(first), number_of(last)
    if start > stop:
        raise InputError(f"--stage {first} comes after --stop-stage {last}")
    chosen = STAGES[start - 1 : stop]
    if context.restart and train.STAGE not in chosen:
        raise InputError(f"--restart: is of stage train, which is not in {first}..{last}")
    for stage in chosen:
        stage.check(context)
    check_places(context, expected(chosen, context))
    running: set[str] = set()
    for number, stage in enumerate(chosen, start):
        decision = decide(stage, context, running)
        verb = "runs" if decision.runs else "skipped"
        title = f"stage {number} {stage.name}: {stage.summary}"
        print(f"{title} [{verb}: {decision.reason}]", flush=True)
        if not decision.runs:
            continue
        running.add(stage.name)
        if not dry_run:
            started = time.monotonic()
            finish(stage, context)
            print(f"stage {number} {stage.name}: {time.monotonic() - started:.1f} s\n", flush=True)


def expected(stages: Sequence[Stage], context: Context) -> set[str]:
    """The stages that will run."""
    running: set[str] = set()
    for stage in stages:
        if decide(stage, context, running).runs:
            running.add(stage.name)
    return running


def stage_table() -> Sequence[str]:
    """A line a stage, for --help."""
    return [f"{n}  {stage.name:9} {stage.summary}" for n, stage in enumerate(STAGES, 1)]
