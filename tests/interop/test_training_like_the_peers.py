"""Training is that of lmnt's WaveGrad and DiffWave: loss, every gradient, and 20 optimiser steps.

Their loss and loop are restated on plain state dicts, in double precision; ours is the training
step that the trainer runs. Both see the same weights, batches, levels and noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import LMNT, State, lmnt_diffwave, lmnt_diffwave_state, wavegrad, wavegrad_state
from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from wg.config import CorpusConfig, Experiment, TrainConfig
from wg.diffusion.noise import PositionalNoise, shares_of
from wg.interop import lmnt_diffwave as diffwave_importer
from wg.interop import lmnt_wavegrad as wavegrad_importer
from wg.interop.imported import Imported, read_foreign
from wg.interop.layers import translate
from wg.training.modules import build_module

STEPS, LAYERS, CYCLE = 20, 5, 10
RELATIVE = 1e-5


@dataclass(frozen=True)
class Peer:
    """A project: its weights, its estimate of the noise, its optimiser's clipping."""

    kind: str
    state: Callable[[], State]
    eps: Callable[[State, Tensor, Tensor, Tensor, Tensor], Tensor]  # (state, y, mel, level, step)
    table: Callable[[Mapping[str, Tensor]], Any]
    bands: int
    clip: float  # of the gradients' norm; 0: none


PEERS = {
    "wavegrad": Peer(
        "lmnt-wavegrad",
        lambda: wavegrad_state(LMNT, 128),
        lambda state, y, mel, level, step: wavegrad(state, LMNT, y, mel, level),
        wavegrad_importer.table,
        128,
        1.0,
    ),
    "diffwave": Peer(
        "lmnt-diffwave",
        lambda: lmnt_diffwave_state(80, 6, LAYERS),
        lambda state, y, mel, level, step: lmnt_diffwave(state, y, step, mel, LAYERS, CYCLE),
        diffwave_importer.table,
        80,
        0.0,
    ),
}


def experiment_of(found: Imported, peer: Peer) -> Experiment:
    """Their training: L1, Adam at 2e-4, no average of weights."""
    train = TrainConfig(seed=3, loss="l1", learning_rate=2e-4, clip_norm=peer.clip, ema=0)
    corpus = CorpusConfig("none")
    return Experiment(corpus, found.mel, found.model, diffusion=found.diffusion, train=train)


def batches(peer: Peer, hop: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(5)
    return [
        {
            "audio": 0.3 * torch.randn(2, 3 * hop, generator=generator, dtype=torch.float64),
            "mel": torch.rand(2, peer.bands, 3, generator=generator, dtype=torch.float64),
            "seeds": [2 * number, 2 * number + 1],
            "rows": [0, 1],
        }
        for number in range(STEPS)
    ]


def their_loss(peer: Peer, state: State, found: Imported, batch: dict[str, Any]) -> Tensor:
    """mean |eps - eps(l y + sqrt(1 - l^2) eps)| at the level and noise that our step draws."""
    level = found.diffusion.drawn(shares_of(batch["seeds"]), torch.tensor(batch["rows"]), 2)
    noise = PositionalNoise(batch["seeds"])(0, batch["audio"].shape[1]).double()
    table = found.diffusion.levels()[1:]
    step = (table[None] - level[:, None]).abs().argmin(1)
    noisy = level[:, None] * batch["audio"] + (1 - level[:, None] ** 2).sqrt() * noise
    return (noise - peer.eps(state, noisy, batch["mel"], level, step)).abs().mean()


def load(name: str, folder: Path) -> tuple[Peer, State, Imported, Any]:
    """(peer, its weights as leaves, the import, our system), both in double precision."""
    peer = PEERS[name]
    torch.save({"model": peer.state()}, folder / "their.ckpt")
    found = read_foreign(peer.kind, folder / "their.ckpt")
    state = {key: value.double().requires_grad_() for key, value in peer.state().items()}
    system: Any = build_module(experiment_of(found, peer))
    system.network.load_state_dict(found.weights)
    return peer, state, found, system.double()


def compare(what: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Each tensor against the largest of its values."""
    assert ours.keys() == theirs.keys() and ours
    errors = {
        key: float((ours[key].detach() - value).abs().max() / value.abs().max())
        for key, value in theirs.items()
    }
    worst = max(errors, key=lambda key: errors[key])
    print(f"{what}: {len(errors)} tensors, the worst off by {errors[worst]:.1e} ({worst})")
    assert errors[worst] < RELATIVE


@pytest.mark.parametrize("name", PEERS)
def test_loss_and_every_gradient_are_theirs(tmp_path: Path, name: str) -> None:
    peer, state, found, system = load(name, tmp_path)
    batch = batches(peer, found.mel.hop_length)[0]
    expected = their_loss(peer, state, found, batch)
    expected.backward()
    system.log = lambda *_, **__: None
    loss = system.training_step(batch, 0)
    loss.backward()
    print(f"{name}: loss {loss.item():.6f}, off by {abs(loss.item() / expected.item() - 1):.1e}")
    assert loss.item() == pytest.approx(expected.item(), rel=RELATIVE)
    given = {key: value.grad for key, value in state.items() if value.grad is not None}
    assert len(given) == len(state)
    wanted, _ = translate(given, peer.table(state))
    gradients = {key: value.grad for key, value in system.network.named_parameters()}
    compare(f"{name}, gradients", gradients, wanted)


@pytest.mark.parametrize("name", PEERS)
def test_twenty_steps_of_the_optimiser_are_theirs(tmp_path: Path, name: str) -> None:
    peer, state, found, system = load(name, tmp_path)
    fed = batches(peer, found.mel.hop_length)
    before = {key: value.detach().clone() for key, value in state.items()}
    optimiser = torch.optim.Adam(state.values(), lr=2e-4)
    for batch in fed:
        optimiser.zero_grad()
        their_loss(peer, state, found, batch).backward()
        if peer.clip:
            torch.nn.utils.clip_grad_norm_(state.values(), peer.clip)
        optimiser.step()
    assert all(bool((state[key] != value).any()) for key, value in before.items())
    trainer = Trainer(
        accelerator="cpu",
        precision="64-true",
        max_steps=STEPS,
        gradient_clip_val=peer.clip or None,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(system, DataLoader(fed, batch_size=None))  # pyright: ignore
    assert trainer.global_step == STEPS
    wanted, _ = translate({k: v.detach() for k, v in state.items()}, peer.table(state))
    compare(f"{name}, weights after {STEPS} steps", dict(system.network.named_parameters()), wanted)
