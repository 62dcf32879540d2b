"""What the metrics cost: CPU seconds a second of audio, and whether processes change a value.

    python benchmarks/metric_speed.py FOLDER [CLIPS]

First the set that is the default of `wg score` and `wg bench`, then all, then each alone: of the
first clips of a folder against themselves with noise at 20 dB. CPU time of one thread is what a
core would take alone; a busy machine does not change it much. PESQ of more than 19 s is computed by
a process of its own, whose time is counted too. Fails, with exit code 1, where all metrics together
take more than a fifth of real time, and where two processes give other values.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from wg.bench.folders import Scoring, audio_files, pairs, score_pairs
from wg.bench.plan import METRICS
from wg.metrics import SIGNAL, score

LIMIT = 0.2  # of real time, a core


def cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def same(one: Mapping[str, Mapping[str, float]], two: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether scores are equal to the last bit; undefined equals undefined."""
    return repr(one) == repr(two)


def main() -> None:
    """Prints the costs."""
    torch.set_num_threads(1)
    folder, clips = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as made:
        waves = []
        for name, path in list(audio_files(folder).items())[:clips]:
            wave, rate = soundfile.read(path)
            noise = generator.standard_normal(len(wave)) * np.sqrt(np.mean(wave**2)) / 10
            soundfile.write(Path(made) / f"{name}.wav", wave + noise, rate, subtype="FLOAT")
            waves.append((wave, wave + noise, rate))
        seconds = sum(len(wave) / rate for wave, _, rate in waves)
        score(*waves[0])  # imports, tables

        def cost(names: Sequence[str]) -> float:
            """CPU seconds a second of audio."""
            started = cpu_s()
            for wave, noisy, rate in waves:
                score(wave, noisy, rate, names)
            return (cpu_s() - started) / seconds

        whole = cost(SIGNAL)
        print(f"{clips} clips, {seconds:.1f} s at {waves[0][2]} Hz, CPU seconds a second of audio")
        print(f"the default {len(METRICS)}: {cost(METRICS):.3f}; all {len(SIGNAL)}: {whole:.3f}")
        for name in SIGNAL:
            print(f"{name:18} {cost([name]):.4f}")
        found = pairs(folder, Path(made))[0]
        scoring = Scoring(SIGNAL)
        equal = same(score_pairs(found, scoring, 1), score_pairs(found, scoring, 2))
        print(f"two processes give {'identical' if equal else 'DIFFERENT'} values")
    if whole > LIMIT:
        print(f"slower than {LIMIT} times real time")
    sys.exit(0 if equal and whole <= LIMIT else 1)


if __name__ == "__main__":  # processes import this file
    main()
