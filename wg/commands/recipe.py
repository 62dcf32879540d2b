"""`wg recipe` and `wg stage`: a recipe's stages; `recipes/<corpus>/run.sh` ends here."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wg.commands.options import Options
from wg.config import as_yaml, load_experiment
from wg.errors import InputError
from wg.models import check_conditioning, config_class
from wg.processes.devices import Devices
from wg.processes.launch import as_part, end_with_launcher
from wg.processes.threads import usable_cores
from wg.stages.loop import STAGES, held, keeping, number_of, run_stages, stage_table
from wg.tasks.context import Context

OVERRIDES = (
    "section.key=value changes the configuration, after corpus.yaml and conf/MODEL.yaml, as in",
    "  train.max_steps=20000 train.precision=bf16 decode.steps=6 corpus.test=[id-1,id-7..id-9]",
    "Every key: docs/configuration.md. What it means for the stages: --dry-run.",
)


def recipe_parser(program: str) -> argparse.ArgumentParser:
    """Options of a recipe; everything else is `section.key=value`."""
    parser = Options(
        prog=program,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", default="wavegrad", help="conf/NAME.yaml [%(default)s]")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs on each machine [0: CPU]")
    parser.add_argument("--nodes", type=int, default=1, help="machines [1]")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="processes [cores]")
    parser.add_argument(
        "--max-time", metavar="HH:MM:SS", help="end training in time, to go on later"
    )
    parser.add_argument("--corpus-dir", type=Path, help="corpus on disk, instead of a download")
    parser.add_argument("--work-dir", type=Path, help="where data, dump and exp go [the recipe]")
    parser.add_argument("--textgrids", type=Path, help="durations from Montreal Forced Aligner")
    parser.add_argument("--skip-bad", action="store_true", help="leave unusable clips out")
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="changes of the configuration"
    )
    return parser


def context_of(recipe: Path, options: argparse.Namespace) -> Context:
    """The run that a recipe folder and the options describe."""
    for name, least in (("ngpu", 0), ("nodes", 1), ("jobs", 1)):
        if vars(options)[name] < least:
            raise InputError(f"--{name} {vars(options)[name]}: give at least {least}")
    if not (recipe / "corpus.yaml").is_file():
        raise InputError(f"{recipe}: not a recipe folder, which has corpus.yaml, conf, prepare.py")
    overrides = list(options.overrides)
    if options.skip_bad:
        overrides.append("corpus.skip_bad=true")
    if options.textgrids:
        overrides.append(f"phonemes.textgrids={options.textgrids.resolve()}")
    recipe = recipe.resolve()
    experiment = load_experiment(recipe, options.model, overrides, config_class)
    check_conditioning(experiment.model, experiment.diffusion)
    return Context(
        recipe=recipe,
        work=(options.work_dir or recipe).resolve(),
        name=options.model,
        experiment=experiment,
        devices=Devices(options.ngpu, options.nodes, time_by(options.max_time)),
        jobs=options.jobs,
        corpus_dir=options.corpus_dir,
        overrides=tuple(overrides),
    )


def time_by(text: str | None) -> float | None:
    """The time, in seconds since the epoch, that is so many hours, minutes and seconds from now."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5}):([0-5]\d):([0-5]\d)", text, re.ASCII)
    if match is None:
        raise InputError(f"--max-time {text[:60]!r}: give HH:MM:SS, such as 11:30:00")
    hours, minutes, seconds = map(int, match.groups())
    return time.time() + 3600 * hours + 60 * minutes + seconds


def part_of(text: str | None) -> str | None:
    """I/N of --part as it is, None if not given; InputError for what is no part."""
    match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text or "1/1", re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--part {(text or '')[:60]!r}: give I/N with I from 1 to N, such as 3/16")
    return text


def recipe(arguments: Sequence[str]) -> None:
    """Stages of a recipe: `wg recipe FOLDER [options] [section.key=value ...]`."""
    folder = Path(arguments[0]) if arguments and not arguments[0].startswith("-") else None
    parser = recipe_parser(f"{folder}/run.sh" if folder else "wg recipe FOLDER")
    parser.add_argument("--stage", default="1", help="first stage, number or name [1]")
    parser.add_argument("--stop-stage", default="7", help="last stage [7]")
    parser.add_argument(
        "--restart", action="store_true", help="train anew; the run before is kept aside"
    )
    parser.add_argument(
        "--part", metavar="I/N", help="the I-th of N parts of a stage, for array jobs"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and why")
    parser.add_argument("--show", action="store_true", help="print the configuration; run nothing")
    models = sorted(path.stem for path in folder.glob("conf/*.yaml")) if folder else []
    stages = ["stages:", *stage_table(), "", "models: " + ", ".join(models)]
    parser.epilog = "\n".join([*OVERRIDES, "", *stages])
    options = parser.parse_intermixed_args(arguments[1:] if folder else arguments)
    if folder is None:
        raise InputError("wg recipe: give a recipe folder first, then the options")
    context = replace(context_of(folder, options), restart=options.restart)
    if options.show:
        print(as_yaml(context.experiment), end="")
        return
    with as_part(part_of(options.part)):
        run_stages(context, options.stage, options.stop_stage, options.dry_run)


def stage(arguments: Sequence[str]) -> None:
    """One stage, without looking whether it is needed: `wg stage NAME FOLDER [options]`."""
    parser = recipe_parser("wg stage NAME FOLDER")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.epilog = "\n".join([*OVERRIDES, "", "stages:", *stage_table()])
    if {"-h", "--help"} & {*arguments[:2]}:
        parser.parse_args(["--help"])
    if len(arguments) < 2:
        raise InputError("wg stage: give the stage and the recipe folder")
    chosen = STAGES[number_of(arguments[0]) - 1]
    context = context_of(Path(arguments[1]), parser.parse_intermixed_args(arguments[2:]))
    runs = chosen.over(context)
    for one in runs:
        chosen.check(one)
    end_with_launcher()
    for one in runs:
        with held(chosen, one):
            chosen.run(keeping(chosen, one))
