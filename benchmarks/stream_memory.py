"""Peak memory and speed of a stream by its length: `python benchmarks/stream_memory.py`.

A small WaveGrad with random weights, each length in a process of its own. The memory is what the
process resides in after each piece, above what it did before the first chunk.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from wg.diffusion.process import DiffusionConfig
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.hub import named
from wg.models import build_network
from wg.models.wavegrad import WaveGradConfig

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
    return Vocoder(network, config, spec, DiffusionConfig(), SamplingConfig(STEPS, clip=0.9))


def chunk(number: int, bands: int) -> torch.Tensor:
    """A part of a mel that never exists as a whole."""
    generator = torch.Generator().manual_seed(number)
    return torch.randn(bands, CHUNK, generator=generator) - 3


def measure(minutes: float) -> None:
    """Streams, and prints peak and speed."""
    made = vocoder()
    spec = made.mel_spec
    count = round(minutes * 60 * spec.sample_rate / spec.hop_length / CHUNK)
    before = most = resident()
    started, samples = time.process_time(), 0
    for wave in made.stream(chunk(i, spec.n_mels) for i in range(count)):
        samples += len(wave)
        most = max(most, resident())
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{minutes:g} min: {samples} samples, peak of the process {peak:.1f} MiB, the stream at "
        f"most {most - before:.1f} MiB; {seconds * spec.sample_rate / samples:.3f} CPU s a second",
        flush=True,
    )


def resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def difference() -> None:
    """Prints how far a stream of 30 s is from one call."""
    made = vocoder()
    count = round(30 * made.mel_spec.sample_rate / made.mel_spec.hop_length / CHUNK)
    mel = torch.cat([chunk(i, made.mel_spec.n_mels) for i in range(count)], 1)
    full = made(mel, seed=0)
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
