"""The stage loop: which stages run, which are up to date and why, in order."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from wg import __version__
from wg.errors import STAGE_NAMES, InputError, nearest, stage_label
from wg.processes.kept import Kept
from wg.processes.launch import LAUNCHER, WHOLE, as_part, member, part, place, wait_for_all
from wg.processes.lock import locked
from wg.stages import decode, features, pack, phonemes, prepare, score, train
from wg.stages.places import check_places
from wg.stages.stage import FILES, Stage, changes, defaults_of, digest, write_stamp
from wg.tasks.context import Context, read_stamp

STAGES: tuple[Stage, ...] = tuple(
    module.STAGE for module in (prepare, features, phonemes, train, decode, score, pack)
)
BY_NAME = {stage.name: stage for stage in STAGES}
assert tuple(BY_NAME) == STAGE_NAMES, "the order that messages number stages by"
PATIENCE_S = 24 * 3600.0  # with another process that puts parts together: it may train an aligner


def number_of(text: str) -> int:
    """Stage number 1..7 of a number or a name."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= len(STAGES):
        return int(text)
    if text in STAGE_NAMES:
        return STAGE_NAMES.index(text) + 1
    known = nearest(text, STAGE_NAMES)
    raise InputError(f"stage {text!r} is unknown; {known} (or 1 to {len(STAGES)})")


@dataclass(frozen=True)
class Decision:
    """Whether a stage runs, and why."""

    runs: bool
    reason: str


def inputs_of(stage: Stage, context: Context) -> dict[str, str | None]:
    """Digest of each stage it needs; None where that never finished."""
    needed = stage.required(context)
    return {name: digest_of(BY_NAME[name], context) for name in needed}


def decide(stage: Stage, context: Context, running: set[Path]) -> Decision:
    """Compares a stage with its stamp; `running` holds the stamps of those that run before it."""
    stamp = read_stamp(stage.stamp_path(context))
    if stamp is None or not stamp.keys() >= {"settings", "inputs"}:
        return Decision(True, "not done yet")
    if stage.name == "train" and context.restart:
        return Decision(True, "--restart")
    before = [
        name
        for name in stage.required(context)
        if running & {BY_NAME[name].stamp_path(one) for one in BY_NAME[name].over(context)}
    ]
    if before:
        return Decision(True, f"{', '.join(before)} runs again")
    noted = {k: v for k, v in stamp["settings"].items() if k not in stage.free_keys}
    changed = changes(noted, stage.settings(context), defaults_of(context.experiment))
    redone = [
        name
        for name, value in inputs_of(stage, context).items()
        if value != stamp["inputs"].get(name)
    ]
    if changed or redone:
        reasons = changed + [f"{name} was redone" for name in redone]
        return Decision(True, "changed " + "; ".join(reasons))
    if FILES not in stamp["settings"] and FILES in stage.settings(context):
        return Decision(False, "up to date; whether the corpus's files changed was not noted then")
    return Decision(False, "up to date")


def keeping(stage: Stage, context: Context) -> Context:
    """The run with what a killed one of this stage, or parts of it, have found."""
    asked = {"asked": stage.asked(context), "inputs": inputs_of(stage, context)}
    return replace(context, kept=Kept(stem_of(stage, context), digest(asked)))


def stem_of(stage: Stage, context: Context) -> Path:
    """How the names of what is kept begin: beside the output, which may be replaced whole."""
    output = stage.output(context)
    return output.with_name(f".{output.name}.{stage.name}")


def finish(stage: Stage, context: Context) -> None:
    """Runs a stage, or a part of it, and writes its stamp."""
    missing = [name for name, value in inputs_of(stage, context).items() if value is None]
    if missing:
        raise InputError(
            f"stage {stage.name} needs {stage_label(missing[0])}, which has not finished; "
            f"run --stage {number_of(missing[0])} first"
        )
    if stage is prepare.STAGE and context.corpus_dir is None:  # which the stamp remembers
        before = prepare.corpus_before(context)
        if before and context.work / "downloads" not in before.parents:
            context = replace(context, corpus_dir=before)
    stage.stamp_path(context).unlink(missing_ok=True)
    context = keeping(stage, context)
    result = dict(stage.run(context))
    if mine := part():
        wait_for_all()
        if place().rank == 0:
            context.kept.end_part(result)
            print("part {}/{} is done".format(*mine))
        return
    # Written after the run: a stage may have moved its output folder aside.
    settings, inputs = stage.settings(context), inputs_of(stage, context)
    if "corpus_dir" in result:
        settings["--corpus-dir"] = result["corpus_dir"]
    if FILES in result:
        settings[FILES] = result.pop(FILES)
    content = {
        "settings": settings,
        "inputs": inputs,
        "result": result,
        "wg": __version__,
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    lasting = {name: value for name, value in settings.items() if name != FILES}
    key = digest({"settings": lasting, "inputs": inputs, "result": result})
    wait_for_all()  # under srun each process comes here, and the stamp says that all are done
    if place().rank == 0:
        write_stamp(stage.stamp_path(context), {**content, "digest": key})
        context.kept.forget()
    wait_for_all()


def put_together(stages: Sequence[Stage], context: Context, dry_run: bool) -> None:
    """Finishes those of these stages whose parts are all done; InputError naming one that is not.

    Of several processes, on any machines, the first one does it, and the others wait.
    """
    runs = [(stage, one) for stage in stages for one in stage.over(context)]
    for stage, one in runs:
        if digest_of(stage, one) is not None or not Kept(stem_of(stage, one)).any():
            continue
        missing = keeping(stage, one).kept.missing()
        if missing is None:
            continue
        if missing:
            name = stage.name
            raise InputError(
                f"{stage_label(name)}: {len(missing)} of its parts are not done; run --stage "
                f"{name} --stop-stage {name} --part {missing[0]}"
            )
        print(f"stage {number_of(stage.name)} {stage.name}: its parts are put together", flush=True)
        if dry_run:
            continue
        with as_part(WHOLE), locked(stage.output(one), patience=PATIENCE_S):
            if digest_of(stage, one) is None:
                finish(stage, one)


def digest_of(stage: Stage, context: Context) -> str | None:
    """The digest that the stages after this one depend on."""
    stamp = read_stamp(stage.stamp_path(context))
    return stamp["digest"] if stamp else None


def run_stages(context: Context, first: str, last: str, dry_run: bool) -> None:
    """Runs stages first..last; finished ones whose inputs and settings stand are skipped."""
    start, stop = number_of(first), number_of(last)
    if start > stop:
        raise InputError(f"--stage {first} comes after --stop-stage {last}")
    chosen = STAGES[start - 1 : stop]
    if context.restart and train.STAGE not in chosen:
        raise InputError(f"--restart: is of stage train, which is not in {first}..{last}")
    if part() and not (len(chosen) == 1 and chosen[0].parts):
        having = ", ".join(stage.name for stage in STAGES if stage.parts)
        raise InputError(
            f"--part: is of one stage, of {having}; give --stage features --stop-stage features"
        )
    put_together(STAGES[: start - 1], context, dry_run)
    jobs = [
        (number, stage, one)
        for number, stage in enumerate(chosen, start)
        for one in stage.over(context)
    ]
    for _, stage, one in jobs:
        stage.check(one)
    check_places(context, expected(jobs))
    running: set[Path] = set()
    for number, stage, one in jobs:
        decision = decide(stage, one, running)
        verb = "runs" if decision.runs else "skipped"
        title = f"stage {number} {stage.name}: {stage.summary}"
        title += f", {one.decoded.name}" if one is not context else ""
        print(f"{title} [{verb}: {decision.reason}]", flush=True)
        if not decision.runs:
            continue
        running.add(stage.stamp_path(one))
        if dry_run:
            lacking = [
                f"needs {stage_label(name)}, which has not finished"
                for name, done in inputs_of(stage, one).items()
                if done is None
                and not running
                & {BY_NAME[name].stamp_path(part) for part in BY_NAME[name].over(one)}
            ]
            print("".join(f"    {line}\n" for line in (*stage.plan(one), *lacking)), end="")
        else:
            started = time.monotonic()
            before = digest_of(stage, one)
            with held(stage, one):
                finish(stage, one)
            if before == digest_of(stage, one):
                running.discard(stage.stamp_path(one))  # what depends on it stands
            print(f"stage {number} {stage.name}: {time.monotonic() - started:.1f} s\n", flush=True)


def held(stage: Stage, context: Context) -> AbstractContextManager[None]:
    """The lock of what a stage, or a part of it, writes; the process that ran torchrun has it."""
    folder = keeping(stage, context).kept.path if part() else stage.output(context)
    if folder is None or LAUNCHER in os.environ:
        return nullcontext()
    return locked(folder, member=member(context.devices.nodes))


def expected(jobs: Sequence[tuple[int, Stage, Context]]) -> set[str]:
    """The stages that will run."""
    running: dict[Path, str] = {}
    for _, stage, context in jobs:
        if decide(stage, context, set(running)).runs:
            running[stage.stamp_path(context)] = stage.name
    return set(running.values())


def stage_table() -> Sequence[str]:
    """A line a stage, for --help."""
    return [f"{n}  {stage.name:9} {stage.summary}" for n, stage in enumerate(STAGES, 1)]
