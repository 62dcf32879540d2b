"""One of several processes that train the tiny experiments; run by torchrun, for test_ddp.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from tiny import CONTENT, experiment

from wg.config import Experiment, compose
from wg.data.dump import Dump
from wg.data.phonemes import Phonemes
from wg.data.speech import SpokenDump
from wg.mel.hub import named
from wg.models import config_class
from wg.models.wavegrad2 import WaveGrad2Config, WaveGrad2Network, within
from wg.processes.devices import Devices
from wg.processes.launch import place
from wg.training.modules import build_module
from wg.training.power import fit_power
from wg.training.trainer import fit

STEPS = 10
LONG = {"segment_samples": 64 * 27}  # longer than some utterances
DIFFWAVE = {
    "model": {"name": "diffwave", "channels": 8, "layers": 4, "dilation_cycle": 4},
    "diffusion": {"start": 1e-4, "end": 0.05, "steps": 50, "conditioning": "discrete"},
}
SPECTRAL = {
    "model": {"name": "spectral", "channels": 8, "blocks": 2},
    "diffusion": {"precondition": "mel", "prior": "mel"},
}
SPEAKING = {
    "name": "wavegrad2",
    "encoder_channels": 8,
    "predictor_channels": 4,
    "speaker_channels": 4,
    "speakers": ["anna", "bert"],
    "mel_channels": 8,
    "up_channels": [8, 8, 8, 4, 4],
    "wave_channels": 4,
    "down_channels": [4, 4, 8, 8],
}
# Everything that is drawn, or counted over a batch; segments with padding.
WITH_MEL = {"mel_weight": 1.0, "mel_blocks": 2, "mel_width": 8, "duration_mean": "symbols"}
WITH_MEL |= {"predictor_zoneout": 0.1, "mask_frames": 3, "mask_channels": 3, "pitch_weight": 1.0}
OTHERS = {
    "diffwave": DIFFWAVE,
    "spectral": SPECTRAL,
    "wavegrad2": {"model": SPEAKING},
    "wavegrad2-mel": {"model": {**SPEAKING, **WITH_MEL}},
}


def made(name: str, processes: int) -> Experiment:
    """One of the experiments: each model; accumulation with an average; segments with padding."""
    train = {"max_steps": STEPS, "valid_every": STEPS // 2, "keep": 5, "processes": processes}
    if name == "accumulated":
        return experiment(train={**train, "accumulate": 2}, diffusion={"draws": "stratified"})
    if name == "padded":
        return experiment(train={**train, **LONG})
    train["ema"] = 0
    if name in OTHERS:
        further = LONG if name == "wavegrad2-mel" else {}
        content = {**CONTENT, **OTHERS[name], "train": {**CONTENT["train"], **train, **further}}
        return compose([(name, content)], config_class)
    return experiment(train=train)


# With the largest difference of weights. The biases before WaveGrad 2's batch norms have no
# gradient but rounding, of which Adam makes steps.
NAMES = {"wavegrad": 1e-9, "diffwave": 1e-9, "spectral": 1e-9, "accumulated": 1e-9, "padded": 1e-9}
NAMES |= {"wavegrad2": 1e-6, "wavegrad2-mel": 1e-6}


def split_of(folder: Path, split: str, experiment: Experiment) -> Dump:
    """A split; for a model that reads text with symbols that last some frames each."""
    dump = Dump(folder / split)
    model = experiment.model
    if not isinstance(model, WaveGrad2Config):
        return dump
    spoken = {}
    for number, entry in enumerate(dump.utterances):
        symbols = ("sil", *("T", "OW1", "N")[: 1 + number % 3], ".", "eos")
        each = entry.frames // len(symbols)
        durations = (each + entry.frames % len(symbols), *[each] * (len(symbols) - 1))
        spoken[entry.id] = Phonemes(entry.id, "", entry.speaker, symbols, durations)
    return SpokenDump(folder / split, spoken, model)


def train(name: str, processes: int, folder: Path, gpus: int = 0) -> dict[str, Any]:
    """Trains; the gradients of the first step, the weights after, validation, the segments seen.

    In double precision: Adam makes steps as large as any of gradients that are rounding errors.
    """
    experiment = made(name, processes)
    train, valid = (split_of(folder, split, experiment) for split in ("train", "valid"))
    torch.manual_seed(0)
    module: Any = build_module(experiment)
    with torch.no_grad():
        for parameter in module.parameters():  # an output layer that is not zero
            parameter += 0.05 * torch.randn_like(parameter)
    if module.denoiser.power is not None:
        clips = ((train.audio(i), train.mel(i)) for i in range(6))
        fit_power(module.denoiser.power, clips, 6, experiment.mel)
    module.double()
    seen: dict[str, Any] = {"seeds": [], "valid": [], "gradients": {}}

    def before_step(optimizer: Any) -> None:
        if not seen["gradients"]:
            named = module.named_parameters()
            seen["gradients"] = {key: value.grad.cpu().clone() for key, value in named}

    def after_validation() -> None:
        seen["valid"].append({k: float(v) for k, v in module.trainer.callback_metrics.items()})

    def batch_start(batch: Any, _: int) -> None:
        seen["seeds"] += batch["seeds"]

    def doubled(batch: Any, _: int) -> Any:
        waves = ("audio", "mel", "utterance_mel")
        return {key: v.double() if key in waves else v for key, v in batch.items()}

    module.on_after_batch_transfer = doubled
    module.on_before_optimizer_step = before_step
    module.on_validation_end = after_validation
    module.on_train_batch_start = batch_start
    fit(experiment, module, (train, valid), folder / f"{name}-{processes}", Devices(gpus))
    return {**seen, "weights": {key: v.cpu() for key, v in module.state_dict().items()}}


def spoken(rows: list[int]) -> dict[str, torch.Tensor]:
    """Gradients and running statistics of WaveGrad 2's text side after a batch of texts."""
    steady = WaveGrad2Config(
        encoder_channels=8,
        predictor_channels=4,
        mel_channels=8,
        up_channels=(8, 8, 8, 4, 4),
        wave_channels=4,
        down_channels=(4, 4, 8, 8),
        dropout=0.0,
        zoneout=0.0,
        duration_mean="symbols",
    )
    torch.manual_seed(0)
    network = WaveGrad2Network(steady, named("wavegrad-paper"))
    lengths = torch.tensor([9, 2, 4, 7])
    symbols, durations = torch.randint(1, 40, (4, 9)), torch.randint(0, 5, (4, 9))
    durations = durations * (torch.arange(9) < lengths[:, None])
    told = {"symbols": symbols, "symbol_lengths": lengths, "durations": durations}
    batch = {name: value[rows] for name, value in told.items()}
    known = network.condition(batch)
    size = known.features.square().sum(1) * within(known.frames, known.features.shape[2])
    (network.duration_loss(batch, known) + size.sum(1)).mean().backward()
    found = {f"gradient {name}": p.grad for name, p in network.named_parameters()}
    found |= dict(network.named_buffers())
    return {name: value for name, value in found.items() if value is not None}


def main(folder: Path, device: str = "cpu") -> None:
    """Trains each, and saves what this process saw."""
    rank, gpus = place().rank, 2 if device == "cuda" else 0
    for name in NAMES:
        torch.save(train(name, 2, folder, gpus), folder / f"{name}-{rank}.pt")
    if gpus:
        return
    torch.save(spoken([[0, 1], [2, 3]][rank]), folder / f"spoken-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
