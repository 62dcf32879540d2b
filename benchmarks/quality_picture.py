"""Spectrograms of one clip: the recording, Griffin-Lim, the network alone, the vocoder as it ships.

python benchmarks/quality_picture.py --features DUMP/test --clip LJ001-0002 -o PICTURE.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import librosa
import matplotlib
import numpy as np

matplotlib.use("agg")
import matplotlib.pyplot as plt

from wg.data.dump import Dump
from wg.inference.vocoder import Vocoder
from wg.mel.griffinlim import griffin_lim


def main() -> None:
    """Draws the picture."""
    options = argparse.ArgumentParser()
    options.add_argument("--features", type=Path, required=True)
    options.add_argument("--clip", required=True)
    options.add_argument("--vocoder", default="ljspeech")
    options.add_argument("-o", "--output", type=Path, required=True)
    given = options.parse_args()
    dump, vocoder = Dump(given.features), Vocoder.from_pretrained(given.vocoder)
    index = [entry.id for entry in dump.utterances].index(given.clip)
    mel, spec = dump.mel(index), dump.spec
    waves = {
        "recording": dump.recording(index),
        "Griffin-Lim, 32 iterations": griffin_lim(mel, spec, 32, 0),
        "network alone, 6 steps": vocoder(mel, steps=6, consistency=0),
        f"{given.vocoder}, as it ships": vocoder(mel),
    }
    figure, axes = plt.subplots(2, 2, figsize=(12, 6), sharex=True, sharey=True)
    for axis, (title, wave) in zip(axes.flat, waves.items(), strict=True):
        bins = np.abs(librosa.stft(wave.numpy(), n_fft=1024, hop_length=128))
        level = librosa.amplitude_to_db(bins, ref=20.0, top_db=None)
        seconds = len(wave) / spec.sample_rate
        extent = (0, seconds, 0, spec.sample_rate / 2000)
        axis.imshow(
            level, origin="lower", aspect="auto", extent=extent, vmin=-80, vmax=0, cmap="magma"
        )
        axis.set_title(title)
    for axis in axes[1]:
        axis.set_xlabel("s")
    for axis in axes[:, 0]:
        axis.set_ylabel("kHz")
    figure.tight_layout()
    figure.savefig(given.output, dpi=80)


if __name__ == "__main__":
    main()
