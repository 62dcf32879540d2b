"""Stage 1 of 20,000 clips beside 1,000: seconds and memory, of a first run and of one that goes on.

`python benchmarks/prepare.py [FOLDER]` writes clips of 0.1 s in the LJSpeech layout and prints a
table. What a run keeps of its findings is there for the second, as after a kill at the very end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from wg.report.table import markdown

SIZES = (1000, 20_000)
ROOT = Path(__file__).resolve().parents[1]
JOBS = 2


def make(folder: Path, count: int) -> None:
    """A corpus of so many clips."""
    (folder / "wavs").mkdir(parents=True)
    wave = 0.1 * np.sin(np.arange(2205) / 5)
    soundfile.write(folder / "clip.wav", wave, 22_050, subtype="PCM_16")
    content = (folder / "clip.wav").read_bytes()
    (folder / "clip.wav").unlink()
    names = [f"LJ001-{number:05d}" for number in range(count)]
    for name in names:
        (folder / "wavs" / f"{name}.wav").write_bytes(content)
    text = "He was a man of some fifty years, and of a quiet temper, as far as was known."
    (folder / "metadata.csv").write_text("".join(f"{name}|{text}\n" for name in names))


def prepare(corpus: Path, work: Path, result: Path, keep: bool) -> None:
    """What one run takes; `keep`: its findings, as if it were killed just before it is done."""
    from wg.__main__ import main
    from wg.processes.kept import Kept

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if keep:
        Kept.forget = lambda self: None
    splits = "corpus.valid=[LJ001-00001]", "corpus.test=[LJ001-00002]"
    folders = "--corpus-dir", str(corpus), "--work-dir", str(work), "--jobs", str(JOBS)
    recipe = str(ROOT / "recipes" / "ljspeech")
    sys.argv = ["wg", "recipe", recipe, *folders, "--stop-stage", "prepare", *splits]
    started = time.perf_counter()
    assert main() == 0
    seconds = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    result.write_text(json.dumps({"seconds": seconds, "grown": grown}))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    rows: dict[str, list[str]] = {"first run": [], "goes on after a kill": [], "memory": []}
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        for count in SIZES:
            corpus, work, result = (Path(root) / f"{name}-{count}" for name in ("c", "w", "r"))
            make(corpus, count)
            for name, keep in (("first run", True), ("goes on after a kill", False)):
                (work / "data" / "stage-prepare.json").unlink(missing_ok=True)
                process = spawn.Process(target=prepare, args=(corpus, work, result, keep))
                process.start()
                process.join()
                found = json.loads(result.read_text())
                rows[name].append(f"{found['seconds']:.1f} s")
                if keep:
                    rows["memory"].append(f"{found['grown']:.0f} MB")
    header = ["", *(f"{count:,} clips" for count in SIZES)]
    print(markdown(header, [[key, *values] for key, values in rows.items()]))


if __name__ == "__main__":
    main()
