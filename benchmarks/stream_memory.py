"""Peak memory and speed of a stream by its length: `python benchmarks/stream_memory.py`.

A small WaveGrad with random weights, each length in a process of its own. The peak is that of the
process above what it held before the first chunk.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import torch

from wg.diffusion.process import TrainingSchedule
from wg.mel.hub import named
from wg.models import build_network
from wg.models.wavegrad import WaveGradConfig
from wg.vocoder import Synthesis, Vocoder

MINUTES = (0.5, 10, 30)
CHUNK = 100  # frames
STEPS = "2"


def vocoder() -> Vocoder:
    """80 bands at 22,050 Hz, few channels."""
    spec = named("hifigan")
    config = WaveGradConfig(
        mel_channels=16, up_channels=(16, 16, 8, 8, 4), wave_channels=4, down_channels=(4, 8, 8, 16)
    )
    torch.manual_seed(0)
    network = build_network(config, spec)
    torch.nn.init.normal_(network.out_conv.weight, std=0.05)  # pyright: ignore
    return Vocoder(network, config, spec, TrainingSchedule(), Synthesis(STEPS, clip=0.9))


def chunk(number: int, bands: int) -> torch.Tensor:
    """A part of a mel that never exists as a whole."""
    generator = torch.Generator().manual_seed(number)
    return torch.randn(bands, CHUNK, generator=generator) - 3


def measure(minutes: float) -> None:
    """Streams, and prints peak and speed."""
    made = vocoder()
    spec = made.mel_spec
    count = round(minutes * 60 * spec.sample_rate / spec.hop_length / CHUNK)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, samples = time.perf_counter(), 0
    for wave in made.stream(chunk(i, spec.n_mels) for i in range(count)):
        samples += len(wave)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rtf = seconds * spec.sample_rate / samples
    print(
        f"{minutes:g} min: {samples} samples, peak {peak / 1024:.1f} MiB, of which "
        f"{(peak - before) / 1024:.1f} MiB for the stream; real-time factor {rtf:.3f}"
    )


def difference() -> None:
    """Prints how far a stream of 30 s is from one call."""
    made = vocoder()
    count = round(30 * made.mel_spec.sample_rate / made.mel_spec.hop_length / CHUNK)
    mel = torch.cat([chunk(i, made.mel_spec.n_mels) for i in range(count)], 1)
    full = made(mel, seeds=[0])
    wave = torch.cat(list(made.stream(mel.split(CHUNK, 1), seed=0)))
    print(f"30 s: differs from one call by {(wave - full).abs().max().item():.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        measure(float(sys.argv[1]))
    else:
        difference()
        for length in MINUTES:
            subprocess.run([sys.executable, __file__, str(length)], check=True)
