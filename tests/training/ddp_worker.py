"""One of several processes that train the tiny experiment; run by torchrun, for test_ddp.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tiny import experiment

from wg.data.dump import Dump
from wg.mel.hub import named
from wg.models.wavegrad2 import WaveGrad2Config, WaveGrad2Network, within
from wg.processes.devices import Devices
from wg.processes.launch import place
from wg.training.modules import DiffusionModule
from wg.training.trainer import fit

MADE = experiment(train={"processes": 2, "max_steps": 4, "valid_every": 2})


def gradients(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter's gradient."""
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


class Watched(DiffusionModule):
    """Keeps the gradients of its first step, as the optimiser gets them but for clipping."""

    first: dict[str, torch.Tensor] | None = None

    def on_after_backward(self) -> None:
        if self.first is None:
            self.first = gradients(self)


def untrained(kind: type[DiffusionModule]) -> DiffusionModule:
    """A module with the same random weights everywhere, and an output layer that is not zero."""
    torch.manual_seed(0)
    module = kind(MADE)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return module


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


def main(folder: Path) -> None:
    """Trains, and saves what this process saw."""
    train, valid = Dump(folder / "train"), Dump(folder / "valid")
    module = untrained(Watched)
    fit(MADE, module, (train, valid), folder / "exp", Devices())
    rank = place().rank
    seen = {"first": module.first, "last": module.state_dict()}
    seen["spoken"] = spoken([[0, 1], [2, 3]][rank])
    torch.save(seen, folder / f"rank-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
