"""`wg bench FILE`: vocoders side by side on the same recordings, as a YAML file says.

`wg bench CLIPS` compares the vocoder that ships with Griffin-Lim and WORLD on clips of the user's.
`wg bench latency` measures streaming, `wg bench speed` ways to run a network.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wg.bench.cells import Workspace, check, forget, recorded, resume, run_cell, state
from wg.bench.page import write_page
from wg.bench.plan import Cell, cells_of, read_bench, shipped_bench
from wg.bench.results import finished, overview, write_results
from wg.commands.clips import read_clip
from wg.commands.latency import latency
from wg.commands.options import Options
from wg.commands.speed import speed
from wg.commands.vocode import named_outputs
from wg.data.audio import protect_peak, write_audio
from wg.errors import InputError
from wg.files import check_filled, own
from wg.inference.pretrained import DEFAULT
from wg.inference.vocoder import Vocoder
from wg.processes.devices import Devices
from wg.processes.launch import end_with_launcher, place, torchrun, wait_for_all
from wg.processes.progress import progress
from wg.processes.threads import usable_cores
from wg.report.table import number, print_table

POLL_S = 1.0
TAKEN = "taken"
CLIPS = "clips"  # the corpus, and its folder in the results
ENDED = ("done", "failed")


def parser() -> Options:
    """Command-line options of `wg bench`."""
    options = Options(prog="wg bench", allow_abbrev=False)
    options.add_argument(
        "what",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="what to measure, a YAML file (docs/benchmark.md); or audio files and folders of "
        "such, for the vocoder that ships, Griffin-Lim and WORLD",
    )
    options.add_argument("--texts", type=Path, help="of audio files: metadata.csv of id|text")
    options.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    options.add_argument("--only", default="", help="vocoders to run, names with commas [all]")
    options.add_argument("--retry", action="store_true", help="run cells that failed before again")
    options.add_argument("--list", action="store_true", help="check and list the cells only")
    options.add_argument("--ngpu", type=int, default=0, help="GPUs that share the cells [CPU]")
    options.add_argument("--nodes", type=int, default=1, help="machines [%(default)s]")
    options.add_argument("--jobs", type=int, default=usable_cores(), help="to score with")
    return options


def bench(arguments: Sequence[str]) -> None:
    """A file's cells, the latency of streaming, or ways to run a network."""
    if arguments[:1] == ["latency"]:
        latency(arguments[1:])
    elif arguments[:1] == ["speed"]:
        speed(arguments[1:])
    else:
        compare(arguments)


def compare(arguments: Sequence[str]) -> None:
    """Checks everything, runs the cells that are not there yet, writes tables, plots and pages."""
    options = parser().parse_args(arguments)
    end_with_launcher()
    Devices(options.ngpu, options.nodes).check()
    here = place()
    device = torch.device(f"cuda:{here.local}" if options.ngpu else "cpu")
    work = workspace_of(options, device)
    cells = cells_of(work.bench, [name for name in options.only.split(",") if name])
    if here.rank == 0:
        check_output(work)
        check(work, cells)
    if options.list:
        rows = [[cell.name, state(work, cell)] for cell in cells]
        print_table(["corpus/system", "state"], rows)
        return
    if options.retry and here.rank == 0:
        for cell in cells:
            forget(work, cell)
    if options.ngpu * options.nodes > 1 and here.world == 1:
        further = [word for word in arguments if word != "--retry"]
        torchrun(["bench", *further], options.ngpu, options.nodes)
        return
    if here.rank == 0:
        own(work.out, later=("*",))
    run_cells(work, cells[here.rank :: here.world])
    if here.rank == 0:
        report(work, cells)


def workspace_of(options: Namespace, device: torch.device) -> Workspace:
    """The benchmark of a file, or of clips, which are copied into the results at one rate."""
    first, out = options.what[0], options.output
    if len(options.what) == 1 and first.suffix.lower() in (".yaml", ".yml"):
        if options.texts:
            raise InputError("--texts: of audio files; a YAML file has corpora.NAME.texts")
        return Workspace(read_bench(first), first.resolve().parent, out, device, options.jobs)
    clips = named_outputs(options.what)
    rate = Vocoder.from_pretrained(DEFAULT).mel_spec.sample_rate
    check_filled(out, f"-o {out}")
    if place().rank == 0:
        own(out, later=("*",))
        shutil.rmtree(out / CLIPS, ignore_errors=True)
        for source, name in clips:
            safe, _ = protect_peak(read_clip(source, rate))
            write_audio(out / CLIPS / TAKEN / name, safe.numpy(), rate)
        # Other clips are another folder: what was measured of these is not taken for theirs.
        (out / CLIPS / TAKEN).rename(out / CLIPS / digest_of(out / CLIPS / TAKEN))
    wait_for_all()
    (folder,) = (out / CLIPS).iterdir()
    texts = "" if options.texts is None else str(options.texts.resolve())
    bench = shipped_bench(CLIPS, f"{CLIPS}/{folder.name}", texts, len(clips))
    return Workspace(bench, out, out, device, options.jobs)


def digest_of(folder: Path) -> str:
    """A short name for the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.wav")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def check_output(work: Workspace) -> None:
    """InputError for results that would lie among recordings, or in a folder of other things."""
    check_filled(work.out, f"-o {work.out}")
    for folder in work.inputs():
        if folder.resolve() in (work.out.resolve(), *work.out.resolve().parents):
            raise InputError(
                f"-o {work.out}: lies in the recordings {folder}, which it would mix with; "
                "choose another folder"
            )


def run_cells(work: Workspace, cells: Sequence[Cell]) -> None:
    """Runs what is to run, a line a cell."""
    with progress("cells", len(cells)) as shown:
        for count, cell in enumerate(cells, 1):
            where = f"[{count}/{len(cells)}] {cell.corpus}, {cell.system}"
            if (before := resume(work, cell)) != "to run":
                shown.line(f"{where}: {before} before")
            else:
                started = time.monotonic()
                result = run_cell(work, cell)
                shown.line(f"{where}: {outcome(result)} ({time.monotonic() - started:.1f} s)")
            shown.advance()


def outcome(result: dict[str, Any]) -> str:
    """What came of a cell in a line: its first metric and its speed, or why it failed."""
    if result["state"] == "failed":
        return f"failed, {result['error']}"
    metric, values = next(iter(result["means"].items()))
    mean = "undefined" if values["mean"] is None else number(values["mean"])
    return f"{metric} {mean}, real-time factor {number(result['cost']['rtf']['p50'])}"


def report(work: Workspace, cells: Sequence[Cell]) -> None:
    """Waits for the other processes' cells, writes all that can be read, names what failed."""
    while any(state(work, cell) not in ENDED for cell in cells):
        time.sleep(POLL_S)
    known = [recorded(work, cell) for cell in cells_of(work.bench)]
    found = [result for result in known if result and result["state"] in ENDED]
    write_results(work.out, work.bench, found)
    for corpus in work.bench.corpora:
        if mine := finished(found, corpus):
            count = len(mine[0]["utterances"])
            print(f"{corpus}, {count} clip{'' if count == 1 else 's'}:")
            print_table(*overview(mine, work.bench.metrics))
    print(work.out / "results.md")
    with progress("page"):
        page = write_page(work, found)
    if page:
        print(page)
    failed = [result for result in found if result["state"] == "failed"]
    if failed:
        names = "; ".join(f"{r['cell']['corpus']}, {r['system']}: {r['error']}" for r in failed)
        raise InputError(
            f"{len(failed)} of {len(found)} cells failed ({names}); the rest is in {work.out}; "
            "--retry runs them again"
        )
