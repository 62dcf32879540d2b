"""Stage 6, score: what was synthesised against recordings, beside floors to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wg.files import write_json
from wg.processes.launch import part
from wg.report.table import print_scores
from wg.stages.stage import Stage
from wg.tasks.context import Context, decoded_result
from wg.tasks.registry import task_of


def check(context: Context) -> None:
    """InputError for an unknown metric, baseline or judge."""
    task_of(context).check_score(context)


def run(context: Context) -> Mapping[str, Any]:
    """Writes scores.json, and prints the table of means."""
    task = task_of(context)
    names = {name: name for name in decoded_result(context)["utterances"]}
    rows = context.kept.of(names, lambda new: task.measure(context, new))
    if part():
        return {}
    content = task.score(context, rows)
    write_json(context.decoded / "scores.json", content)
    print_scores(content["means"])
    return {"means": content["means"]["wg"], **{key: content[key] for key in task.noted}}


STAGE = Stage(
    name="score",
    summary="scores against the recordings, beside floors to beat",
    keys=("score",),
    needs=("decode",),
    output=lambda context: context.decoded,
    over=lambda context: context.by_schedule,
    run=run,
    check=check,
    parts=True,
)
