"""`wg listen`: a listening page of any folders of audio, and what listeners said on one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wg.bench.folders import Pair, Scoring, listed, read_at, usable
from wg.commands.options import Options
from wg.commands.score import check_rate, systems
from wg.errors import InputError, nearest
from wg.files import PAGE, check_file, check_folder, check_name, fresh_folder, write_bytes
from wg.report.listening import read_ratings, summary
from wg.report.page import RECORDING, Audio, PageRow, write_page
from wg.report.scores import read_scores

ROWS = 10


def listen(arguments: Sequence[str]) -> None:
    """`wg listen page ...` or `wg listen summarize ...`."""
    forms = {"page": page, "summarize": summarize}
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: wg listen page --help; wg listen summarize --help")
        return
    if arguments[0] not in forms:
        raise InputError(f"wg listen {arguments[0]!r} is unknown; {nearest(arguments[0], forms)}")
    forms[arguments[0]](arguments[1:])


def summarize(arguments: Sequence[str]) -> None:
    """Prints the tables of saved ratings."""
    options = Options(prog="wg listen summarize", allow_abbrev=False)
    options.add_argument("ratings", type=Path, nargs="+", help="CSV files that a page saved")
    options.add_argument("-o", "--output", type=Path, help="Markdown file to write, too")
    chosen = options.parse_args(arguments)
    if chosen.output:
        check_file(chosen.output, (".md",), chosen.ratings, "-o")
    text = summary(read_ratings(chosen.ratings))
    print(text)
    if chosen.output:
        write_bytes(chosen.output, (text + "\n").encode())


def page(arguments: Sequence[str]) -> None:
    """Writes a page of a folder of recordings and one or more of syntheses."""
    options = Options(prog="wg listen page", allow_abbrev=False)
    options.add_argument("--ref", type=Path, required=True, help="folder of recordings")
    options.add_argument("--syn", action="append", required=True, help="folder, or NAME=folder")
    options.add_argument("--match", default="stem", help="as in wg score")
    options.add_argument("--rate", type=int, help="resample everything to it, Hz")
    options.add_argument("--rows", type=int, default=ROWS, help="utterances [%(default)s]")
    options.add_argument("--scores", type=Path, help=".json that wg score wrote of these folders")
    options.add_argument("--title", default="Listening page")
    options.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    chosen = options.parse_args(arguments)
    check_rate(chosen.rate)
    if chosen.rows < 1:
        raise InputError(f"--rows {chosen.rows}: give at least 1")
    folders = systems(chosen.syn)
    inputs = [chosen.ref, *folders.values(), *([chosen.scores] if chosen.scores else [])]
    check_folder(chosen.output, PAGE, inputs, f"-o {chosen.output}")
    found: dict[str, dict[str, Pair]] = {}
    for name, folder in folders.items():
        check_name(name, f"--syn {name}={folder}: the name")
        if name == RECORDING:
            raise InputError(f"--syn {folder}: the page calls --ref {name!r}; write NAME={folder}")
        kept, lines = usable(chosen.ref, folder, chosen.match, Scoring((), rate=chosen.rate), 1)
        if lines:
            raise InputError(f"{len(lines)} files cannot be used: {listed(lines)}")
        found[name] = {pair.id: pair for pair in kept}
    first = next(iter(found.values()))
    names = list(first)[: chosen.rows]
    audio: dict[str, Audio] = {
        RECORDING: partial(audio_of, {name: first[name].reference for name in names}, chosen.rate)
    }
    for system, pairs in found.items():
        files = {name: pair.synthesis for name, pair in pairs.items()}
        audio[system] = partial(audio_of, files, chosen.rate)
    scores: dict[str, Any] = {}
    if chosen.scores:
        scores = read_scores(chosen.scores, "give --scores what wg score -o NAME.json writes")
    by_system = scores.get("utterances", {})
    rows = [
        PageRow(
            name, "", {system: rows[name] for system, rows in by_system.items() if name in rows}
        )
        for name in names
    ]
    with fresh_folder(chosen.output, PAGE, inputs) as folder:
        write_page(folder, chosen.title, rows, audio, scores.get("means", {}))
    print(chosen.output / "index.html")


def audio_of(files: dict[str, Path], rate: int | None, name: str) -> tuple[np.ndarray, int]:
    """An utterance within full scale, float32 [T], and its rate."""
    audio, own = read_at(files[name], rate)
    return np.clip(audio, -1, 1).astype(np.float32), own
