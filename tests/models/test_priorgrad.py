"""PriorGrad with WaveGrad and DiffWave: its loss and sampling, stated in the paper's letters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_recipe import TinyRecipe
from torch import Tensor, nn

from wg.config import Experiment, compose
from wg.diffusion.noise import PositionalNoise
from wg.diffusion.prior import deviation
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.schedules import PUBLISHED
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.spec import MelSpec
from wg.models import build_network, check_conditioning, config_class
from wg.models.diffwave import DiffWaveConfig
from wg.models.network import Network
from wg.models.wavegrad import WaveGradConfig
from wg.training.modules import build_module

MEL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=6)
WAVEGRAD = WaveGradConfig(
    mel_channels=8, up_channels=(8, 8, 8, 4, 4), wave_channels=4, down_channels=(4, 4, 8, 8)
)
DIFFWAVE = DiffWaveConfig(channels=4, layers=4, dilation_cycle=2)
TOLD = {
    "wavegrad": DiffusionConfig(prior="energy", energy_max=2.0),
    "diffwave": DiffusionConfig(
        start=1e-4, end=0.05, steps=50, conditioning="discrete", prior="energy", energy_max=2.0
    ),
}
MODELS = {"wavegrad": WAVEGRAD, "diffwave": DIFFWAVE}


def random_network(name: str) -> Network:
    torch.manual_seed(0)
    network = build_network(MODELS[name], MEL)
    last = network.out_conv if name == "wavegrad" else network.output
    nn.init.normal_(last.weight, std=0.002 if name == "wavegrad" else 0.05)  # pyright: ignore
    return network


def speech(frames: int) -> Tensor:
    """A mel [6, frames] of which some frames are loud and some silent."""
    return torch.linspace(-11.5, 0.5, frames).expand(6, -1)


@pytest.mark.parametrize("name", MODELS)
def test_sampling_is_algorithm_2_of_priorgrad(name: str) -> None:
    training = TOLD[name]
    vocoder = Vocoder(
        random_network(name), MODELS[name], MEL, training, SamplingConfig("diffwave-fast-base")
    )
    mel, noise = speech(12), PositionalNoise([7])
    sigma = deviation(mel[None], MEL, training)
    assert isinstance(sigma, Tensor) and sigma.min() == pytest.approx(0.1) and sigma.max() > 0.5
    network = vocoder.network
    with torch.no_grad():
        cond = network.condition({"mel": mel[None]})  # pyright: ignore
        betas = PUBLISHED["diffwave-fast-base"]().tolist()
        bars = [1.0]
        for beta in betas:
            bars.append(bars[-1] * (1 - beta))
        x = sigma * noise(0, 768)
        for s in range(6, 0, -1):
            level = torch.tensor([bars[s] ** 0.5], dtype=torch.float64)
            eps = network.denoise(x, training.network_input(level), cond)  # pyright: ignore
            x = (x - betas[s - 1] / (1 - bars[s]) ** 0.5 * eps) / (1 - betas[s - 1]) ** 0.5
            if s > 1:
                std = ((1 - bars[s - 1]) / (1 - bars[s]) * betas[s - 1]) ** 0.5
                x = x + std * sigma * noise(s, 768)
    got = vocoder(mel, seed=7)
    assert (got - x[0]).abs().max() < 1e-4 * got.abs().max()


@pytest.mark.parametrize("name", MODELS)
def test_clipping_bounds_the_waveform_not_its_ratio_to_sigma(name: str) -> None:
    vocoder = Vocoder(random_network(name), MODELS[name], MEL, TOLD[name], SamplingConfig("6"))
    wave = vocoder(speech(12), replace(vocoder.synthesis, sampler="ddim", clip=0.05))
    assert 0.049 < wave.abs().max() < 0.05 + 1e-5


@pytest.mark.parametrize("loss", ["l1", "l2"])
@pytest.mark.parametrize("name", MODELS)
def test_the_loss_weighs_errors_by_sigma(name: str, loss: str) -> None:
    content = {
        "corpus": {"name": "tiny"},
        "mel": MEL.to_dict(),
        "model": {key: value for key, value in vars(MODELS[name]).items() if value is not None},
        "diffusion": vars(TOLD[name]),
        "train": {"segment_samples": 512, "loss": loss},
    }
    experiment: Experiment = compose([("tiny", content)], config_class)
    module = build_module(experiment)
    module.network.load_state_dict(random_network(name).state_dict())  # pyright: ignore
    mel, audio, z = speech(8)[None], 0.1 * torch.randn(1, 512), torch.randn(1, 512)
    level = experiment.diffusion.levels()[[30]]
    with torch.no_grad():
        got = module.losses({"mel": mel, "audio": audio}, level, z)["noise"]  # pyright: ignore
        sigma = torch.as_tensor(deviation(mel, MEL, experiment.diffusion))
        x = (level * audio + (1 - level**2).sqrt() * sigma * z).float()
        network = module.network
        told = experiment.diffusion.network_input(level)
        eps = network.denoise(x, told, network.condition({"mel": mel}))  # pyright: ignore
    error = (sigma * z - eps) / sigma
    expected = error.abs().mean() if loss == "l1" else (error**2).mean()
    assert got.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_model_without_a_mel_has_no_such_prior() -> None:
    training = TOLD["diffwave"]
    with pytest.raises(InputError, match="diffusion.prior is 'energy', .* set diffusion.prior=st"):
        check_conditioning(DiffWaveConfig(conditions="none"), training)


def test_a_recipe_trains_and_decodes_with_it(recipe: TinyRecipe, tmp_path: Path) -> None:
    short = ("train.max_steps=4", "decode.limit=1", "train.sample_every=4")
    outcome = recipe.run("diffusion.prior=energy", *short, "--stop-stage", "decode")
    assert outcome.code == 0, outcome
    assert (recipe.decoded / "tone-09.wav").is_file()
    assert list((recipe.exp / "samples").rglob("*.wav"))
