"""Overfitting one real segment: fixed-noise loss and PESQ of what it synthesises.

`python benchmarks/overfit.py RECIPE CONF WAV [section.key=value ...]` trains the recipe's
experiment on the middle two seconds of one file, validates on the same two seconds with fixed
noise at fixed levels, and scores their copy synthesis.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch

from wg.checkpoint import find_checkpoint, vocoder_from_checkpoint
from wg.config import load_experiment
from wg.data.audio import load_audio
from wg.data.dump import Dump, Utterance, write_shard
from wg.mel.extract import log_mel
from wg.metrics import score
from wg.models import config_class
from wg.systems import build_system
from wg.training.devices import Devices
from wg.training.trainer import fit

SECONDS = 2
METRICS = ("pesq_wb", "stoi", "ls_mse", "mcd")
SCHEDULES = {
    "wavegrad": ("6", "25", "100", "wavegrad-fibonacci-25", "wavegrad-linear-50"),
    "diffwave": ("6", "25", "50", "diffwave-fast-base"),
}


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
        write_shard(Path(folder) / "dump" / "0.safetensors", [(entry, audio, mel)], spec, "")
        dump = Dump(Path(folder) / "dump")
        torch.manual_seed(experiment.train.seed)
        started = time.monotonic()
        fit(experiment, build_system(experiment), (dump, dump), Path(folder), Devices())
        print(f"trained for {time.monotonic() - started:.0f} s")
        best = find_checkpoint(Path(folder), "best")
        vocoder = vocoder_from_checkpoint(best, experiment)
    print(f"best checkpoint {best.name}")
    for schedule in SCHEDULES[experiment.model.name]:
        wave = vocoder(mel, vocoder.synthesis.with_schedule(schedule), seeds=[0])
        wave = wave.clamp(-1, 1).numpy()
        scores = score(audio.numpy()[: len(wave)], wave, spec.sample_rate, METRICS)
        print(schedule, {name: round(value, 3) for name, value in scores.items()})
        soundfile.write(f"/tmp/overfit-{schedule}.wav", wave, spec.sample_rate)


if __name__ == "__main__":
    main()
