"""What Langevin correctors give for the same calls: `python benchmarks/langevin.py WAV ...`.

The shipped vocoder, the first 1.9 s of each recording, without and with mel-consistent sampling.
"""

from __future__ import annotations

import sys

import soundfile
import torch

from wg import Vocoder
from wg.mel.extract import log_mel
from wg.metrics import score

METRICS = ("pesq_wb", "stoi", "ls_mse")
WAYS = (("ancestral", 4), ("ancestral", 7), ("langevin", 4))  # 4, 7 and 7 calls


def main(paths: list[str]) -> None:
    """Prints the means of each way."""
    vocoder = Vocoder.from_pretrained("ljspeech")
    for consistency in (0, 16):
        for sampler, steps in WAYS:
            rows = []
            for path in paths:
                wave, rate = soundfile.read(path, dtype="float32")
                wave = wave[: int(1.9 * rate)]
                mel = log_mel(torch.from_numpy(wave), vocoder.mel_spec)
                made = vocoder(mel, steps=steps, sampler=sampler, consistency=consistency)
                made = made.numpy()[: len(wave)]
                rows.append(score(wave[: len(made)], made, rate, METRICS))
            means = (f"{name} {sum(r[name] for r in rows) / len(rows):.3f}" for name in METRICS)
            print(f"consistency {consistency}, {sampler} {steps}: {', '.join(means)}")


if __name__ == "__main__":
    main(sys.argv[1:])
