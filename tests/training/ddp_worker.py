"""One of several processes that train the tiny experiment; run by torchrun, for test_ddp.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tiny import experiment

from wg.data.dump import Dump
from wg.processes.devices import Devices
from wg.processes.launch import place
from wg.training.modules import WaveGrad
from wg.training.trainer import fit

MADE = experiment(train={"processes": 2, "max_steps": 4, "valid_every": 2})


def gradients(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter's gradient."""
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


class Watched(WaveGrad):
    """Keeps the gradients of its first step, as the optimiser gets them but for clipping."""

    first: dict[str, torch.Tensor] | None = None

    def on_after_backward(self) -> None:
        if self.first is None:
            self.first = gradients(self)


def untrained(kind: type[WaveGrad]) -> WaveGrad:
    """A module with the same random weights everywhere, and an output layer that is not zero."""
    torch.manual_seed(0)
    module = kind(MADE)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return module


def main(folder: Path) -> None:
    """Trains, and saves what this process saw."""
    train, valid = Dump(folder / "train"), Dump(folder / "valid")
    module = untrained(Watched)
    fit(MADE, module, (train, valid), folder / "exp", Devices())
    seen = {"first": module.first, "last": module.state_dict()}
    torch.save(seen, folder / f"rank-{place().rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
