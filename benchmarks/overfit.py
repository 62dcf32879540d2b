"""Overfitting one real segment: fixed-noise loss, and PESQ of what it synthesises.

`python benchmarks/overfit.py RECIPE CONF WAV [section.key=value ...]` trains the recipe's
experiment on the middle two seconds of one file. The loss it prints is at the levels of the
experiment's training schedule in the paper's linear spacing, whatever its own spacing is, with
noise fixed by seed. Then it scores the copy synthesis of the same two seconds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wg.config import load_experiment
from wg.data.audio import load_audio
from wg.data.dump import Dump, write_shard
from wg.data.index import Utterance
from wg.diffusion.noise import PositionalNoise
from wg.diffusion.process import diffuse
from wg.inference.checkpoint import find_checkpoint, model_from_checkpoint
from wg.inference.vocoder import Vocoder
from wg.mel.extract import log_mel
from wg.metrics import score
from wg.models import config_class
from wg.processes.devices import Devices
from wg.training.modules import build_module
from wg.training.trainer import fit

SECONDS = 2
METRICS = ("pesq_wb", "stoi", "ls_mse", "mcd")


def main() -> None:
    """Trains, validates and prints the scores at several step counts."""
    recipe, conf, wav, *overrides = sys.argv[1:]
    experiment = load_experiment(Path(recipe), conf, overrides, config_class)
    spec = experiment.mel
    whole = torch.from_numpy(load_audio(Path(wav)))
    start = (len(whole) - SECONDS * spec.sample_rate) // 2
    audio = whole[start : start + SECONDS * spec.sample_rate].clone()
    mel = log_mel(audio, spec)
    with tempfile.TemporaryDirectory() as folder:
        entry = Utterance(Path(wav).stem, len(audio), mel.shape[1])
        write_shard(Path(folder) / "dump" / "shard-0.safetensors", [(entry, audio, mel)], spec, "")
        dump = Dump(Path(folder) / "dump")
        torch.manual_seed(experiment.train.seed)
        started = time.monotonic()
        fit(experiment, build_module(experiment), (dump, dump), Path(folder), Devices())
        print(f"trained for {time.monotonic() - started:.0f} s")
        best = find_checkpoint(Path(folder), "best")
        vocoder = model_from_checkpoint(Vocoder, best, experiment)
    print(f"best checkpoint {best.name}")
    for kind, power in (("L1", 1), ("L2", 2)):
        print(f"fixed-noise {kind} loss {fixed_noise_loss(vocoder, audio, mel, power):.4f}")
    for schedule in ("6", "12", "25", "50"):
        wave = vocoder(mel, vocoder.synthesis.with_schedule(schedule), seed=0).numpy()
        scores = score(audio.numpy()[: len(wave)], wave, spec.sample_rate, METRICS)
        print(f"{schedule} steps", {name: round(value, 3) for name, value in scores.items()})


@torch.inference_mode()
def fixed_noise_loss(vocoder: Vocoder, audio: Tensor, mel: Tensor, power: int) -> float:
    """Mean |eps - estimate|^power over ten levels of the paper's schedule."""
    network: Any = vocoder.network
    samples = mel.shape[1] * vocoder.mel_spec.hop_length
    cond = network.condition({"mel": mel[None]})
    paper = replace(vocoder.diffusion, spacing="linear")
    losses = []
    for number, level in enumerate(paper.quantiles(10)[:, None]):
        noise = PositionalNoise([0])(number, samples)
        x = diffuse(audio[None, :samples], level, noise)
        eps = vocoder.diffusion.estimate(
            lambda scaled, told: network.denoise(scaled, told, cond), x, level
        )
        losses.append((eps - noise).abs().pow(power).mean())
    return float(torch.stack(losses).mean())


if __name__ == "__main__":
    main()
