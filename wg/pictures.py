"""Spectrogram pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FLOOR_DB = -100.0


def decibels(audio: Tensor) -> Tensor:
    """Log-magnitude spectrogram in dB, [bins, frames]; 1024-point Hann window, hop 256."""
    window = torch.hann_window(1024)
    spectrum = torch.stft(
        audio.float(), 1024, 256, window=window, pad_mode="constant", return_complex=True
    ).abs()
    return (20 * torch.log10(spectrum.clamp_min(1e-5))).clamp_min(FLOOR_DB)


def spectrogram_pair(reference: Tensor, synthesis: Tensor, sample_rate: int, path: Path) -> None:
    """Picture of a recording [T] above its synthesis [T'], on one time axis and colour scale."""
    from matplotlib.figure import Figure

    longest = max(len(reference), len(synthesis)) / sample_rate
    figure = Figure(figsize=(10, 6), layout="constrained")
    for axis, audio, title in zip(
        figure.subplots(2, 1, sharex=True),
        (reference, synthesis),
        ("recording", "synthesis"),
        strict=True,
    ):
        extent = (0, len(audio) / sample_rate, 0, sample_rate / 2000)
        axis.imshow(
            decibels(audio), origin="lower", aspect="auto", extent=extent, vmin=-80, vmax=30
        )
        axis.set(title=title, ylabel="kHz", xlim=(0, longest))
    figure.supxlabel("s")
    figure.savefig(path, dpi=100)


def spectrogram(audio: Tensor, sample_rate: int, path: Path) -> None:
    """Small picture of the spectrogram of audio [T], without axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 1.8))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    extent = (0, len(audio) / sample_rate, 0, sample_rate / 2000)
    axis.imshow(decibels(audio), origin="lower", aspect="auto", extent=extent, vmin=-80, vmax=30)
    figure.savefig(path, dpi=100)


def difference(reference: Tensor, synthesis: Tensor, path: Path) -> None:
    """Small picture of the synthesis' level above the reference's, -30 dB blue to 30 dB red.

    Of waveforms [T], [T'] at one rate, over the samples that both have.
    """
    from matplotlib.figure import Figure

    length = min(len(reference), len(synthesis))
    surplus = decibels(synthesis[:length]) - decibels(reference[:length])
    figure = Figure(figsize=(4.8, 1.8))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.imshow(surplus, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-30, vmax=30)
    figure.savefig(path, dpi=100)


def pixels_of(path: Path) -> np.ndarray:
    """A picture file as [height, width, colours]."""
    from matplotlib.image import imread

    return imread(path)


def alignment(
    mel: Tensor,
    symbols: Sequence[str],
    durations: Sequence[int],
    soft: np.ndarray | None,
    path: Path,
) -> None:
    """Picture of a log-mel [M, F] and its symbols, above the soft alignment [F, N] if any."""
    from matplotlib.figure import Figure

    ends = np.cumsum(durations)
    figure = Figure(figsize=(14, 7 if soft is not None else 3.5), layout="constrained")
    axes = figure.subplots(1 if soft is None else 2, 1, sharex=True, squeeze=False)[:, 0]
    axes[0].imshow(mel.numpy(), origin="lower", aspect="auto", interpolation="none")
    axes[0].set(ylabel="mel band")
    for symbol, frames, end in zip(symbols, durations, ends, strict=True):
        if frames:
            axes[0].axvline(end - 0.5, color="white", linewidth=0.5)
            place = end - frames / 2
            axes[0].text(place, len(mel), symbol, ha="center", va="bottom", fontsize=6)
    if soft is not None:
        axes[1].imshow(soft.T, origin="lower", aspect="auto", interpolation="none")
        axes[1].step(np.arange(int(ends[-1])), np.repeat(np.arange(len(ends)), durations), "w")
        axes[1].set(ylabel="symbol")
    figure.supxlabel("frame")
    figure.savefig(path, dpi=100)
