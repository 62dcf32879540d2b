"""What the metrics cost: CPU seconds a second of audio, and whether processes change a value.

    python benchmarks/metric_speed.py FOLDER [CLIPS]

Scores the first clips of a folder against themselves with noise at 20 dB. CPU time of one thread
is what a core would take alone; a busy machine does not change it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from wg.bench.folders import Scoring, audio_files, pairs, score_pairs
from wg.metrics import SIGNAL, score


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
        started = time.process_time()
        for wave, noisy, rate in waves:
            score(wave, noisy, rate)
        whole = (time.process_time() - started) / seconds
        print(f"{clips} clips, {seconds:.1f} s at {rate} Hz: all {len(SIGNAL)} metrics {whole:.3f}")
        for name in SIGNAL:
            started = time.process_time()
            score(*waves[0], [name])
            print(
                f"{name:18} {(time.process_time() - started) * waves[0][2] / len(waves[0][0]):.3f}"
            )
        found = pairs(folder, Path(made))[0]
        scoring = Scoring(SIGNAL)
        same = score_pairs(found, scoring, 1) == score_pairs(found, scoring, 2)
        print(f"two processes give {'identical' if same else 'DIFFERENT'} values")


if __name__ == "__main__":  # processes import this file
    main()
