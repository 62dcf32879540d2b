"""`wg egs`: the catalogue of experiments; the results of README.md; new measurements."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from wg.commands.options import Options
from wg.config import load_experiment
from wg.errors import InputError, nearest
from wg.files import write_bytes
from wg.models import config_class
from wg.processes.devices import Devices
from wg.report.catalogue import FILE, CatalogueEntry, disagreements, read_catalogue, unlisted
from wg.report.record import (
    CELL,
    append_measured,
    cell_measurement,
    commit_of,
    entry_of,
    measurement,
    stamps_of,
)
from wg.report.results import replace_block, results_block, summary_block
from wg.report.table import cell, print_table
from wg.stages.loop import BY_NAME
from wg.stages.stage import changes
from wg.tasks.context import Context

ROOT = Path(__file__).resolve().parents[2]
OVERRIDE = re.compile(r"[a-z_]+(\.[a-z_0-9]+)+=")
SHOWN = ("ls_mse", "mcd", "pesq_wb", "stoi")


def parser(program: str) -> Options:
    """What both forms of the command share."""
    options = Options(prog=program, allow_abbrev=False)
    options.add_argument("--root", type=Path, default=ROOT, help="checkout [that of wg]")
    return options


def read(root: Path) -> tuple[CatalogueEntry, ...]:
    """The catalogue of a checkout; InputError where it and the tree disagree."""
    if not (root / FILE).is_file():
        raise InputError(f"{root / FILE}: no such file; give a checkout of wg with --root")
    entries = read_catalogue(root / FILE)
    if problems := disagreements(entries, root, tuple(BY_NAME)):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{root / FILE}: {problems[0]}{more}")
    return entries


def egs(arguments: Sequence[str]) -> None:
    """Lists the catalogue, rewrites README.md's results, or (`wg egs record`) adds to it."""
    if arguments and arguments[0] == "record":
        record(arguments[1:])
        return
    options_parser = parser("wg egs")
    options_parser.epilog = "`wg egs record --help`: how a measurement gets into the catalogue"
    options_parser.add_argument(
        "--readme", action="store_true", help="rewrite the results of README.md and docs/results.md"
    )
    options = options_parser.parse_args(arguments)
    entries = read(options.root)
    if options.readme:
        print(f"README.md, docs/results.md: {rewrite_readme(options.root, entries)}")
    else:
        print_catalogue(entries)
        if others := unlisted(entries, options.root):
            print(f"not in {FILE}: {', '.join(others)}; only what has a row can be recorded")


def rewrite_readme(root: Path, entries: Sequence[CatalogueEntry]) -> str:
    """Puts the generated results between their pages' markers; "updated" or "unchanged"."""
    said = "unchanged"
    for page, block in (("README.md", summary_block), ("docs/results.md", results_block)):
        path = root / page
        before = path.read_text("utf-8")
        after = replace_block(before, "results", block(entries))
        if after != before:
            write_bytes(path, after.encode())
            said = "updated"
    return said


def print_catalogue(entries: Sequence[CatalogueEntry]) -> None:
    """A line for each experiment and each of its schedules."""
    rows = []
    for entry in entries:
        known = [entry.name, str(len(entry.published) or "")]
        for item in entry.latest:
            scores = item.scores["wg"]
            values = [cell(vars(scores[name])) if name in scores else "" for name in SHOWN]
            rows.append([*known, item.date, item.schedule, *values, f"{item.rtf:.3g}"])
        for schedule in entry.waiting:
            rows.append([*known, "not yet", schedule, *[""] * (len(SHOWN) + 1)])
    print_table(["experiment", "published", "measured", "schedule", *SHOWN, "RTF"], rows)


def record(arguments: Sequence[str]) -> None:
    """Appends what a decoded and scored folder measured to its row of the catalogue."""
    options_parser = parser("wg egs record")
    options_parser.add_argument(
        "folder", type=Path, help="exp/NAME/decode/SCHEDULE, or cells/CORPUS/SYSTEM of wg bench"
    )
    options_parser.add_argument("--experiment", help="of a cell: RECIPE/EXPERIMENT")
    options_parser.add_argument("--command", required=True, help="what makes these numbers again")
    options_parser.add_argument("--hardware", help="instead of what the decode stage noted")
    options_parser.add_argument("--note", help="anything a reader has to know")
    options = options_parser.parse_args(arguments)
    folder = options.folder.resolve()
    entries = read(options.root)
    if (folder / CELL).is_file():
        entry = named_entry(options.experiment, entries)
        if not options.command.startswith("wg bench "):
            raise InputError(f"--command {options.command!r}: a cell is made by wg bench FILE ...")
        row = {"command": options.command, **cell_measurement(folder)}
    else:
        stamps = stamps_of(folder)
        entry = entry_of(folder, entries)
        check_command(options.command, entry, options.root, stamps)
        about = {"command": options.command, "date": date.today().isoformat()}
        row = {**about, **measurement(folder, stamps), "commit": commit_of(options.root)}
    row |= {key: vars(options)[key] for key in ("hardware", "note") if vars(options)[key]}
    row = {key: value for key, value in row.items() if value != ""}
    row["scores"] = row.pop("scores")  # the longest part comes last
    path = options.root / FILE
    write_bytes(path, append_measured(path.read_text("utf-8"), entry, row).encode())
    count = len(next(item for item in read(options.root) if item.name == entry.name).measured)
    assert count == len(entry.measured) + 1
    print(f"{path}: {entry.name}, {row['schedule']} recorded; `wg egs --readme` shows it")


def named_entry(name: str | None, entries: Sequence[CatalogueEntry]) -> CatalogueEntry:
    """The experiment that `--experiment` names."""
    known = {entry.name: entry for entry in entries}
    if name not in known:
        raise InputError(f"--experiment {name}: {nearest(str(name), known)}")
    return known[name]


def choices(command: str) -> tuple[str, list[str]]:
    """The model and the overrides that a recipe's command line names."""
    try:
        words = shlex.split(command.replace("--model=", "--model "))
    except ValueError as error:
        raise InputError(f"--command {command!r}: not a command line ({error})") from None
    model = words[words.index("--model") + 1] if "--model" in words[:-1] else "wavegrad"
    return model, [word for word in words if OVERRIDE.match(word)]


def check_command(
    command: str, entry: CatalogueEntry, root: Path, stamps: Mapping[str, Mapping[str, Any]]
) -> None:
    """InputError unless the command's model and overrides give the settings that were run.

    Keys that the run did not know yet, or that are gone since, cannot be compared.
    """
    model, overrides = choices(command)
    if model != entry.experiment:
        raise InputError(f"--command names the model {model}; the folder is of {entry.experiment}")
    recipe = root / "recipes" / entry.recipe
    experiment = load_experiment(recipe, model, overrides, config_class)
    context = Context(recipe, recipe, model, experiment, Devices(), jobs=1)
    for name in ("train", "decode", "score"):
        ran, given = stamps[name]["settings"], BY_NAME[name].settings(context)
        shared = ran.keys() & given.keys()
        different = changes({k: given[k] for k in shared}, {k: ran[k] for k in shared})
        if different:
            raise InputError(
                f"--command does not give this run: {'; '.join(different)} (command -> run); "
                "add the overrides that were used"
            )
