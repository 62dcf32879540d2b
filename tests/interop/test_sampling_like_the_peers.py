"""An imported folder samples as its project: the whole loop, restated, with the same noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import (
    IVANVOVK,
    LMNT,
    State,
    lmnt_diffwave,
    lmnt_diffwave_state,
    philsyn_diffwave,
    philsyn_state,
    speechbrain_diffwave,
    speechbrain_state,
    wavegrad,
    wavegrad_state,
)
from torch import Tensor

from wg import Vocoder
from wg.diffusion.noise import PositionalNoise
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop.imported import read_foreign

LAYERS, CYCLE = 5, 10
Eps = Callable[[Tensor, int, float], Tensor]  # (y, step from 0, level)


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "their.ckpt")
    return folder / "their.ckpt"


def clamping(eps: Eps, betas: Tensor, noise: Callable[[int], Tensor], clamp: bool) -> Tensor:
    """lmnt's loop, and SpeechBrain's and coqui's: the noisy state between -1 and 1 at every step.

    Without `clamp`, philsyn's. noise(0) is where it starts, noise(n) what step n adds.
    """
    alpha, alpha_cum = 1 - betas, (1 - betas).cumprod(0)
    y = noise(0)
    for n in range(len(betas) - 1, -1, -1):
        level = float(alpha_cum[n] ** 0.5)
        c1, c2 = 1 / alpha[n] ** 0.5, (1 - alpha[n]) / (1 - alpha_cum[n]) ** 0.5
        y = float(c1) * (y - float(c2) * eps(y, n, level))
        if n > 0:
            sigma = ((1 - alpha_cum[n - 1]) / (1 - alpha_cum[n]) * betas[n]) ** 0.5
            y = y + float(sigma) * noise(n + 1)
        y = y.clamp(-1, 1) if clamp else y
    return y


def bounding(eps: Eps, betas: Tensor, noise: Callable[[int], Tensor]) -> Tensor:
    """ivanvovk's loop: the posterior's mean of an estimate of y_0 between -1 and 1."""
    alpha_cum = (1 - betas).cumprod(0)
    before = torch.cat([torch.ones(1).double(), alpha_cum[:-1]])
    y = noise(0)
    for n in range(len(betas) - 1, -1, -1):
        level = float(alpha_cum[n] ** 0.5)
        spread = float((1 / alpha_cum[n] - 1) ** 0.5)
        y_0 = (y / level - spread * eps(y, n, level)).clamp(-1, 1)
        to_y_0 = float(betas[n] * before[n] ** 0.5 / (1 - alpha_cum[n]))
        to_y = float((1 - before[n]) * (1 - betas[n]) ** 0.5 / (1 - alpha_cum[n]))
        y = to_y_0 * y_0 + to_y * y
        if n > 0:
            variance = betas[n] * (1 - before[n]) / (1 - alpha_cum[n])
            y = y + float(variance**0.5) * noise(n + 1)
    return y


def agrees(voc: Vocoder, loop: Callable[..., Tensor], eps: Eps, betas: Tensor) -> None:
    """The folder's defaults against a loop over the project's own betas."""
    assert len(voc.levels(voc.synthesis)) == len(betas) + 1
    source = PositionalNoise([7])
    length = 4 * voc.mel_spec.hop_length
    theirs = loop(eps, betas, lambda k: source(k, length))[0]
    ours = voc(MEL[: voc.mel_spec.n_mels], seed=7)
    error, loudest = float((ours - theirs).abs().max()), float(theirs.abs().max())
    print(f"{voc.model.name}: {len(betas)} steps agree to {error:.1e} (up to {loudest:.2f})")
    assert loudest > 0.05 and error < 2e-4 * max(1, loudest)


MEL = torch.rand(128, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("clip", ["state", None])
@torch.inference_mode()
def test_lmnts_wavegrad_by_the_schedule_of_its_params(tmp_path: Path, clip: str | None) -> None:
    betas = torch.linspace(1e-4, 0.05, 12, dtype=torch.float64)
    state = wavegrad_state(LMNT, 128)
    content = {"model": state, "params": {"noise_schedule": betas.tolist()}}
    found = read_foreign("lmnt-wavegrad", saved(tmp_path, content))
    synthesis: Any = replace(found.synthesis, clip=clip)
    voc: Any = replace(found, synthesis=synthesis).build()

    def eps(y: Tensor, n: int, level: float) -> Tensor:
        return wavegrad(state, LMNT, y, MEL[None], torch.tensor([level]))

    agrees(voc, partial(clamping, clamp=clip == "state"), eps, betas)


@torch.inference_mode()
def test_lmnts_and_speechbrains_diffwave_by_all_their_steps(tmp_path: Path) -> None:
    betas = torch.linspace(1e-4, 0.05, 50, dtype=torch.float64)
    for kind, state, forward in (
        ("lmnt-diffwave", lmnt_diffwave_state(80, 6, LAYERS), lmnt_diffwave),
        ("speechbrain-diffwave", speechbrain_state(80, 6, LAYERS), speechbrain_diffwave),
    ):
        found = read_foreign(kind, saved(tmp_path, {"model": state}))
        assert found.synthesis.clip == 1.0
        synthesis = replace(found.synthesis, clip="state")
        voc: Any = replace(found, synthesis=synthesis).build()
        agrees(voc, partial(clamping, clamp=True), steps_of(forward, state), betas)


@torch.inference_mode()
def test_philsyns_diffwave_by_all_its_steps(tmp_path: Path) -> None:
    state = philsyn_state(80, 64, LAYERS)
    found = read_foreign("philsyn-diffwave", saved(tmp_path, {"model_state_dict": state}))
    betas = torch.linspace(1e-4, 0.05, 50, dtype=torch.float64)
    voc: Any = found.build()
    agrees(voc, partial(clamping, clamp=False), steps_of(philsyn_diffwave, state), betas)


@torch.inference_mode()
def test_ivanvovks_wavegrad_by_its_test_schedule(tmp_path: Path) -> None:
    state = wavegrad_state(IVANVOVK, 80)
    voc: Any = read_foreign("ivanvovk-wavegrad", saved(tmp_path, {"model": state})).build()

    def eps(y: Tensor, n: int, level: float) -> Tensor:
        return wavegrad(state, IVANVOVK, y, MEL[None, :80], torch.tensor([level]))

    agrees(voc, bounding, eps, torch.linspace(1e-6, 0.01, 50, dtype=torch.float64))


def steps_of(forward: Callable[..., Tensor], state: State) -> Eps:
    """A DiffWave's eps, of the 80 bands."""
    return lambda y, n, level: forward(state, y, torch.tensor([n]), MEL[None, :80], LAYERS, CYCLE)


def test_a_clip_that_is_none_is_named(tmp_path: Path) -> None:
    found = read_foreign("lmnt-wavegrad", saved(tmp_path, {"model": wavegrad_state(LMNT, 128)}))
    voc: Any = found.build()
    options: Any = SamplingConfig("2", clip="State")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="clip 'State': give a bound on the estimate of x_0, or"):
        voc(MEL, options)


@torch.inference_mode()
def test_a_bounded_state_streams_as_it_is_made_at_once(tmp_path: Path) -> None:
    found = read_foreign("lmnt-wavegrad", saved(tmp_path, {"model": wavegrad_state(LMNT, 128)}))
    voc: Any = found.build()
    options = SamplingConfig("2", clip="state")
    mel = torch.rand(128, 24, generator=torch.Generator().manual_seed(2))
    pieces = list(voc.stream(mel.split(8, 1), options, seed=3))
    whole = voc(mel, options, seed=3)
    assert float(whole.abs().max()) <= 1
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-4, rtol=0)
