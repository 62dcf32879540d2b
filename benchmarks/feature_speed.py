"""What preparing a corpus and its features cost: CPU seconds, and where they go.

    python benchmarks/feature_speed.py CORPUS_DIR [RECIPE EXPERIMENT [section.key=value ...]]

Runs stages 1 and 2 of a recipe with one process in a folder of its own. Times are CPU seconds of
one thread, which a busy machine changes little, and wall-clock seconds; then the functions that
take most of stage 2.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import re
import sys
import tempfile
import time
from contextlib import redirect_stdout

import torch

from wg.commands.recipe import recipe as run

SHOWN = 12  # functions of the profile


def stage(name: str, arguments: list[str]) -> tuple[float, float, str]:
    """CPU and wall-clock seconds of a stage, and what it printed."""
    before, started, printed = os.times()[:4], time.perf_counter(), io.StringIO()
    with redirect_stdout(printed):
        run([*arguments, "--stage", name, "--stop-stage", name, "--jobs", "1"])
    return sum(os.times()[:4]) - sum(before), time.perf_counter() - started, printed.getvalue()


def main() -> None:
    """Prints the costs."""
    torch.set_num_threads(1)
    corpus, *rest = sys.argv[1:]
    recipe, experiment, *overrides = rest or ["recipes/ljspeech", "spectral"]
    with tempfile.TemporaryDirectory() as folder:
        given = [recipe, "--model", experiment, "--corpus-dir", corpus, "--work-dir"]
        import lhotse  # noqa: F401 - a second that is not the stage's
        import torchaudio  # noqa: F401

        prepare = stage("prepare", [*given, folder, *overrides])
        profile = cProfile.Profile()
        features = profile.runcall(stage, "features", [*given, folder, *overrides])
    found = re.search(r"([\d.]+) h of audio", features[2])
    assert found is not None
    seconds = 3600 * float(found[1])
    print(f"{recipe} {experiment}: {seconds:.0f} s of audio, one process")
    for name, (cpu, wall, _) in (("prepare", prepare), ("features", features)):
        print(f"{name:9} {cpu:6.2f} s of CPU, {wall:6.2f} s: {seconds / cpu:.0f} times real time")
    together = prepare[0] + features[0]
    print(f"both      {together:6.2f} s of CPU: {seconds / together:.0f} times real time a core")
    pstats.Stats(profile).sort_stats("tottime").print_stats(SHOWN)


if __name__ == "__main__":
    main()
