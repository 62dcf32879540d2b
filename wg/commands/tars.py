"""`wg tars`: the training features as tars, for `features.stream`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wg.commands.options import Options
from wg.data.dump import Dump
from wg.data.tars import INDEX, plan_tars, write_index, write_tar
from wg.errors import InputError, stage_label
from wg.files import check_filled, own
from wg.processes.pool import in_processes
from wg.processes.threads import usable_cores
from wg.tasks.context import STAMP, read_stamp


def tars(arguments: Sequence[str]) -> None:
    """Writes a tar for each training shard, and their index: `wg tars DUMP -o FOLDER`."""
    options_parser = Options(prog="wg tars", allow_abbrev=False)
    options_parser.add_argument(
        "dump", type=Path, help="folder below dump/ that has stage-features.json"
    )
    options_parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    options_parser.add_argument(
        "--jobs", type=int, default=usable_cores(), help="processes [cores]"
    )
    options = options_parser.parse_args(arguments)
    if options.jobs < 1:
        raise InputError(f"--jobs {options.jobs}: give at least 1")
    stamp = read_stamp(options.dump / STAMP.format(name="features"))
    if stamp is None:
        raise InputError(
            f"{options.dump}: no finished features there; give the folder below dump/ that "
            f"{stage_label('features')} of the recipe wrote"
        )
    dump, target = Dump(options.dump / "train"), options.output
    check_filled(target, f"-o {target}")
    own(target, later=("*.tar", INDEX))
    (target / INDEX).unlink(missing_ok=True)
    entries = in_processes(write_tar, plan_tars(dump, target), options.jobs, "tars")
    write_index(target, dump.spec, entries, stamp["digest"])
    size = sum((target / entry.name).stat().st_size for entry in entries)
    print(f"{target}: {len(dump)} utterances in {len(entries)} tars, {size / 1e6:.1f} MB")
    print(f"training reads them by features.stream={target}, or by the URL where they are put")
