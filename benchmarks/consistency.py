"""Scores against steps, iterations of mel-consistent sampling, and the levels at which they act.

    python benchmarks/consistency.py --vocoder DIR --features DUMP/test --steps 6 12 \
        --iterations 0 8 32 --snr-to inf 20 --floors -o TABLE.json

`--no-network` puts F = 0, the estimate of the mel alone, in the network's place: what the rest of
the sampler makes without it. `--replace-to` is the form of GLA-Grad++ (2511.22293): Griffin-Lim
runs once beforehand, and what it makes stands for the estimate up to these levels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wg.data.dump import Dump
from wg.diffusion.consistency import Consistency
from wg.diffusion.noise import PositionalNoise
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.griffinlim import griffin_lim
from wg.metrics import score

METRICS = ("pesq_wb", "stoi", "ls_mse", "mcd", "vde", "f0_rmse_cents")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--vocoder", required=True)
    options.add_argument("--features", type=Path, required=True)
    options.add_argument("--steps", nargs="+", default=["6"], help="step counts or schedules")
    options.add_argument("--sampler", nargs="+", default=["ancestral"])
    options.add_argument("--iterations", nargs="+", type=int, default=[0, 8, 32])
    options.add_argument("--snr-to", nargs="+", type=float, default=[math.inf])
    options.add_argument("--snr-from", nargs="+", type=float, default=[-math.inf])
    options.add_argument("--magnitudes", nargs="+", default=["bands"])
    options.add_argument("--replace-to", nargs="+", type=float, default=[], help="dB")
    options.add_argument("--utterances", type=int, default=5)
    options.add_argument("--no-network", action="store_true")
    options.add_argument("--floors", action="store_true", help="Griffin-Lim too")
    options.add_argument("-o", "--output", type=Path)
    return options


def finite(bound: float) -> float | None:
    """A bound in dB, or None."""
    return None if math.isinf(bound) else bound


def replaced(
    vocoder: Vocoder, mel: Tensor, options: SamplingConfig, seed: int, to: float
) -> Tensor:
    """A waveform [T] whose estimates are Griffin-Lim's waveform at levels up to `to` dB."""
    made = griffin_lim(mel, vocoder.mel_spec, 32, 0)[None]

    def correct(x_0: Tensor, level: float) -> Tensor:
        return made if 10 * math.log10(level**2 / (1 - level**2)) <= to else x_0

    condition = vocoder.denoiser.condition({"mel": mel[None]})
    noise, levels = PositionalNoise([seed], vocoder.device), vocoder.levels(options)
    with torch.inference_mode():
        return vocoder.reverse(condition, levels, noise, options, made.shape[1], correct=correct)[0]


def scored(dump: Dump, count: int, synthesise: Any) -> dict[str, float]:
    """Means over the first utterances, and the real-time factor."""
    rows, seconds, audio = [], 0.0, 0.0
    for index in range(min(count, len(dump))):
        recording = dump.recording(index).numpy()
        started = time.perf_counter()
        wave = synthesise(index)
        seconds += time.perf_counter() - started
        audio += len(wave) / dump.spec.sample_rate
        wave = np.clip(wave[: len(recording)], -1, 1)
        rows.append(score(recording, wave, dump.spec.sample_rate, METRICS))
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in METRICS}
    return means | {"rtf": seconds / audio}


def main() -> None:
    """Prints a line a setting."""
    options = parser().parse_args()
    dump, vocoder = Dump(options.features), Vocoder.from_pretrained(options.vocoder)
    if options.no_network:
        network: Any = vocoder.network
        network.denoise = lambda y, *rest: torch.zeros_like(y)
    table: list[dict[str, Any]] = []

    def add(label: dict[str, Any], synthesise: Any) -> None:
        values = scored(dump, options.utterances, synthesise)
        table.append(label | values)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        print(" ".join(f"{key}={value}" for key, value in label.items()), shown, flush=True)

    if options.floors:
        add(
            {"system": "griffin-lim-32"},
            lambda index: griffin_lim(dump.mel(index), dump.spec, 32, 0).numpy(),
        )
    for steps, sampler in itertools.product(options.steps, options.sampler):
        settings = [
            Consistency(k, finite(low), finite(high), magnitudes=kind)
            for k, low, high, kind in itertools.product(
                options.iterations, options.snr_from, options.snr_to, options.magnitudes
            )
        ]
        # Without iterations the rest makes no difference.
        for chosen in dict.fromkeys(c if c.iterations else Consistency() for c in settings):
            synthesis = SamplingConfig(steps, sampler, 1.0, chosen)
            label = {"steps": steps, "sampler": sampler, "consistency": chosen.label}
            add(label, lambda index, s=synthesis: vocoder(dump.mel(index), s, seed=index).numpy())
        for to in options.replace_to:
            label = {"steps": steps, "sampler": sampler, "consistency": f"replaced-to{to:g}"}
            synthesis = SamplingConfig(steps, sampler, 1.0)
            add(
                label,
                lambda index, s=synthesis, to=to: replaced(
                    vocoder, dump.mel(index), s, index, to
                ).numpy(),
            )
    if options.output is not None:
        options.output.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
