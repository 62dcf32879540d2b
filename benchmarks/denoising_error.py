"""Errors of a vocoder's estimates over those of F = 0, at ten levels.

python benchmarks/denoising_error.py --vocoder DIR --features DUMP/valid

For models with diffusion.precondition=mel. Squared errors of bins in units of the noise, weighted
by P^0.5 as in training, without the two frames at either end. 1.000 is Wiener's filter.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from wg.data.dump import Dump
from wg.diffusion.noise import PositionalNoise, seed_of
from wg.diffusion.power import EDGE
from wg.diffusion.process import diffuse
from wg.inference.vocoder import Vocoder
from wg.models.denoiser import Denoiser


def weighted_error(
    denoiser: Denoiser, wave: Tensor, mel: Tensor, level: Tensor, noise: Tensor
) -> float:
    """Sum over the bins of one clip [1, T]."""
    condition = denoiser.condition({"mel": mel})
    assert (
        denoiser.power is not None and condition.power is not None and condition.noise is not None
    )
    coloured = condition.prior.colour(noise)
    eps = denoiser.estimate(diffuse(wave, level, coloured), level, condition)
    bins = denoiser.power.frames.analyse(eps - coloured)
    squares = bins.square().sum(1) / condition.noise * condition.power.sqrt()
    return float(squares[..., EDGE:-EDGE].sum())


def main() -> None:
    """Prints a line a level."""
    options = argparse.ArgumentParser()
    options.add_argument("--vocoder", default="ljspeech")
    options.add_argument("--features", type=Path, required=True)
    options.add_argument("--utterances", type=int, default=10)
    given = options.parse_args()
    dump, vocoder = Dump(given.features), Vocoder.from_pretrained(given.vocoder)
    network = vocoder.denoiser
    linear = Denoiser(
        vocoder.network, vocoder.diffusion, vocoder.mel_spec, lambda y, *rest: torch.zeros_like(y)
    )
    for number, level in enumerate(vocoder.diffusion.quantiles(10).split(1)):
        sums = [0.0, 0.0]
        for index in range(min(given.utterances, len(dump))):
            entry = dump.utterances[index]
            wave, mel = dump.audio(index)[None], dump.mel(index)[None]
            noise = PositionalNoise([seed_of(entry.id, 0)])(number, wave.shape[1])
            with torch.inference_mode():
                for place, denoiser in enumerate((network, linear)):
                    sums[place] += weighted_error(denoiser, wave, mel, level, noise)
        snr = 10 * math.log10(float(level) ** 2 / (1 - float(level) ** 2))
        print(f"{snr:6.1f} dB  {sums[0] / sums[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
