"""Our samplers against diffusers' schedulers on the same levels, with the same noise."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.samplers import sampler
from wg.diffusion.schedules import PUBLISHED, levels_from_betas, linear

diffusers = pytest.importorskip("diffusers", reason="pip install --no-deps diffusers")
T = 300
BETAS = {
    "diffwave-fast-base": PUBLISHED["diffwave-fast-base"](),
    "wavegrad-fibonacci-25": PUBLISHED["wavegrad-fibonacci-25"](),
    "linear-50": linear(1e-4, 0.05, 50),
}
SOURCE = PositionalNoise([11])


def noise(step: int) -> Tensor:
    return SOURCE(step, T).double()


def denoise(x: Tensor, level: float) -> Tensor:
    """Something nonlinear that depends on the level."""
    return torch.tanh(x * (1 + level)) * (1 - level**2) ** 0.5


def ours(name: str, betas: Tensor, clip: float | None = None) -> Tensor:
    return sampler(name)(denoise, noise(0), levels_from_betas(betas), noise, clip)


def theirs(kind: type, betas: Tensor, step: dict, **config) -> Tensor:
    """diffusers' loop over the same levels; its timestep t is our step t + 1."""
    scheduler = kind(
        num_train_timesteps=len(betas),
        trained_betas=betas.numpy(),
        timestep_spacing="trailing",
        **config,
    )
    # It stores them in float32, which near level 1 loses digits of s.
    scheduler.alphas, scheduler.alphas_cumprod = 1 - betas, torch.cumprod(1 - betas, 0)
    scheduler.set_timesteps(len(betas))
    assert scheduler.timesteps.tolist() == list(range(len(betas) - 1, -1, -1))
    levels, x = levels_from_betas(betas).tolist(), noise(0)
    for t in scheduler.timesteps.tolist():
        eps, z = denoise(x, levels[t + 1]), noise(t + 1)
        with (
            patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, z=z, **k: z),
            patch("diffusers.schedulers.scheduling_ddim.randn_tensor", lambda *a, z=z, **k: z),
        ):
            x = scheduler.step(eps, t, x, **step).prev_sample
    return x


DDPM = {"variance_type": "fixed_small"}
DPM = {
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "solver_type": "midpoint",
    "final_sigmas_type": "zero",
    "lower_order_final": False,
}
THEIRS: dict[str, tuple[type, dict, dict]] = {  # their class, what each step is told, its config
    "ancestral": (diffusers.DDPMScheduler, {}, {**DDPM, "clip_sample": False}),
    "ddim": (diffusers.DDIMScheduler, {"eta": 0.0}, {"clip_sample": False}),
    "ddim-0.5": (diffusers.DDIMScheduler, {"eta": 0.5}, {"clip_sample": False}),
    "ddim-1": (diffusers.DDIMScheduler, {"eta": 1.0}, {"clip_sample": False}),
    "dpm++2m": (diffusers.DPMSolverMultistepScheduler, {}, DPM),
}


@pytest.mark.parametrize("schedule", BETAS)
@pytest.mark.parametrize("name", THEIRS)
def test_samplers_agree_with_theirs(name: str, schedule: str) -> None:
    kind, step, config = THEIRS[name]
    other = theirs(kind, BETAS[schedule], step, **config)
    assert (ours(name, BETAS[schedule]) - other).abs().max().item() < 1e-5


@pytest.mark.parametrize("schedule", BETAS)
def test_clipping_agrees_with_theirs(schedule: str) -> None:
    config = {**DDPM, "clip_sample": True, "clip_sample_range": 0.6}
    other = theirs(diffusers.DDPMScheduler, BETAS[schedule], {}, **config)
    mine = ours("ancestral", BETAS[schedule], clip=0.6)
    assert (mine - other).abs().max().item() < 1e-5
