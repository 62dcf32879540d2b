"""DiffWave from schedule to waveform: what the network is told, and what the vocoder makes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from wg.config import load_experiment
from wg.diffusion.plan import sampling_levels
from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.hub import named
from wg.models import build_network, config_class
from wg.models.diffwave import DiffWaveConfig

ROOT = Path(__file__).resolve().parents[2]
MEL = replace(named("diffwave-paper"), n_mels=6, hop_length=16)
BASE = DiffusionConfig(start=1e-4, end=0.05, steps=50, conditioning="discrete")
LARGE = DiffusionConfig(start=1e-4, end=0.02, steps=200, conditioning="discrete")
CONFIG = DiffWaveConfig(channels=4, layers=4, dilation_cycle=2)


def vocoder(config: DiffWaveConfig, training: DiffusionConfig, schedule: str) -> Vocoder:
    torch.manual_seed(0)
    network = build_network(config, MEL)
    nn.init.normal_(network.output.weight, std=0.05)  # pyright: ignore
    return Vocoder(network, config, MEL, training, SamplingConfig(schedule))


def told(made: Vocoder, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The steps that a synthesis tells the network, in order."""
    steps: list[float] = []
    plain = made.network.denoise

    def spy(x, noise_input, cond):
        steps.append(noise_input[0].item())
        return plain(x, noise_input, cond)  # pyright: ignore

    monkeypatch.setattr(made.network, "denoise", spy)
    made(torch.zeros(6, 4))
    return steps


@pytest.mark.parametrize(
    ("training", "schedule", "expected"),
    [
        (BASE, "diffwave-fast-base", [43.918643, 23.992493, 11.451817, 5.086654, 1.894134, 1]),
        (LARGE, "diffwave-fast-large", [171.605126, 74.982461, 34.820288, 14.430277, 4.20068, 1]),
    ],
)
def test_fast_sampling_tells_the_papers_aligned_steps(
    training, schedule, expected, monkeypatch
) -> None:
    steps = told(vocoder(CONFIG, training, schedule), monkeypatch)
    assert steps == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("model", ["diffwave_unconditional", "diffwave_class"])
def test_the_papers_sc09_recipes_sample_through_every_trained_step(model: str) -> None:
    made = load_experiment(ROOT / "recipes" / "sc09", model, [], config_class)
    decode, training = made.decode, made.diffusion
    levels = sampling_levels(decode.schedule, decode.sampler, training)
    assert torch.equal(levels, training.levels()) and len(levels) == 201
    assert training.network_input(levels[1:]).tolist() == list(range(1, 201))


@pytest.mark.parametrize("steps", [1, 2, 6, 50, 300])
@pytest.mark.parametrize("training", [BASE, LARGE])
def test_every_step_count_stays_inside_the_trained_range(steps, training, monkeypatch) -> None:
    made = vocoder(CONFIG, training, str(steps))
    found = told(made, monkeypatch)
    assert len(found) == steps
    assert min(found) == pytest.approx(1) or steps == 1
    assert max(found) == pytest.approx(training.steps)


def test_a_schedule_outside_the_trained_range_is_refused_with_the_range() -> None:
    short = DiffusionConfig(start=1e-4, end=0.05, steps=20, conditioning="discrete")
    with pytest.raises(InputError, match=r"0\.613014 lies outside .* 0\.774996 to 0\.999950"):
        vocoder(CONFIG, short, "diffwave-fast-base")(torch.zeros(6, 4))


def test_fast_sampling_equals_algorithm_2_with_the_papers_symbols() -> None:
    made = vocoder(CONFIG, BASE, "diffwave-fast-base")
    mel = torch.randn(6, 10)
    eta = [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]
    align = [1, 1.894134, 5.086654, 11.451817, 23.992493, 43.918643]
    from wg.diffusion.noise import PositionalNoise

    noise = PositionalNoise([7])
    network = made.network
    with torch.no_grad():
        cond = network.condition({"mel": mel[None]})  # pyright: ignore
        x = noise(0, 160)
        for s in range(5, -1, -1):
            bar, before = 1.0, 1.0
            for i in range(s + 1):
                before, bar = bar, bar * (1 - eta[i])
            eps = network.denoise(x, torch.tensor([align[s]]), cond)  # pyright: ignore
            x = (x - eta[s] / (1 - bar) ** 0.5 * eps) / (1 - eta[s]) ** 0.5
            if s > 0:
                variance = (1 - before) / (1 - bar) * eta[s]
                x = x + variance**0.5 * noise(s + 1, 160)
    got = made(mel, seed=7)
    assert (got - x[0]).abs().max() < 1e-4


def test_an_utterance_sounds_the_same_in_a_batch() -> None:
    made = vocoder(CONFIG, BASE, "6")
    mel = torch.randn(2, 6, 12)
    together = made(mel, seed=[1, 2], lengths=torch.tensor([8, 12]))[0, :128]
    assert torch.allclose(together, made(mel[0, :, :8], seed=1), atol=1e-5)


def test_what_is_cached_does_not_change_the_waveform() -> None:
    mel = torch.randn(6, 12)
    waves = [
        vocoder(replace(CONFIG, cache=cache), BASE, "diffwave-fast-base")(mel)  # pyright: ignore
        for cache in ("full", "upsampled", "none")
    ]
    assert all((wave - waves[0]).abs().max() < 1e-6 for wave in waves[1:])


def test_a_vocoder_folder_gives_the_same_waveform(tmp_path) -> None:
    made = vocoder(replace(CONFIG, residual_quirk=True), BASE, "diffwave-fast-base")
    made.save_pretrained(tmp_path, "card")
    mel = torch.randn(6, 5)
    loaded = Vocoder.from_pretrained(tmp_path)
    assert loaded.model == made.model and torch.equal(loaded(mel), made(mel))
