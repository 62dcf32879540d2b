"""Models that take no mel: what they make, and what they refuse."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.generator import Generator
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.hub import named
from wg.models import build_network
from wg.models.diffwave import DiffWaveConfig
from wg.models.network import Network

MEL = replace(named("diffwave-paper"), n_mels=6, hop_length=16)
TRAINING = DiffusionConfig(start=1e-4, end=0.05, steps=20, conditioning="discrete")
PLAIN = DiffWaveConfig(conditions="none", channels=4, layers=4, dilation_cycle=2)
WORDS = replace(PLAIN, conditions="class", classes=("yes", "no"))
SYNTHESIS = SamplingConfig("4", samples=160)
FAST = SamplingConfig("diffwave-fast-base", samples=9)  # below the least of the 20 trained levels


def generator(config: DiffWaveConfig) -> Generator:
    torch.manual_seed(0)
    network = build_network(config, MEL)
    nn.init.normal_(network.output.weight, std=0.3)  # pyright: ignore
    return Generator(network, config, MEL, TRAINING, SYNTHESIS)


class Oracle(Network):
    """Knows the clean signal, and so the noise in x_t at any trained step."""

    def __init__(self, signal: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.signal, self.levels = signal, TRAINING.levels()

    def condition(self, batch: dict) -> None:
        assert not batch

    def denoise(self, x: Tensor, noise_input: Tensor, cond: None) -> Tensor:
        level = self.levels[noise_input.round().long()][:, None]
        return ((x - level * self.signal) / (1 - level**2).sqrt()).float()


def oracle(signal: Tensor) -> Generator:
    return Generator(Oracle(signal), PLAIN, MEL, TRAINING, SYNTHESIS)


def test_what_is_made_can_be_changed_in_place() -> None:
    made = generator(PLAIN)
    clip = made(seeds=[3])
    for wave in (clip, made.denoise(clip, 5), made.interpolate((clip[0], clip[0]), 0.5, 5)):
        wave *= 0.5
        assert not wave.is_inference()


def test_a_sample_depends_on_its_seed_alone() -> None:
    made = generator(PLAIN)
    together = made(seeds=[3, 4, 5])
    assert together.shape == (3, 160)
    assert torch.allclose(together[1], made(seeds=[4])[0], atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_a_class_changes_the_sample() -> None:
    made = generator(WORDS)
    waves = made(seeds=[7, 7, 7], classes=["yes", "no", "yes"])
    assert torch.equal(waves[0], waves[2]) and (waves[0] - waves[1]).abs().max() > 1e-3


def test_denoising_undoes_the_steps_from_the_one_given() -> None:
    signal = torch.sin(torch.arange(160) / 9)
    level = TRAINING.levels()[5]
    noisy = level * signal + (1 - level**2).sqrt() * PositionalNoise([1])(0, 160)[0]
    clean = oracle(signal).denoise(noisy.float()[None], 5)[0]
    assert (noisy - signal).abs().max() > 0.2
    assert (clean - signal).abs().max() < 1e-4


def test_interpolation_ends_at_the_clips_themselves() -> None:
    a, b = torch.sin(torch.arange(160) / 9), torch.cos(torch.arange(160) / 5)
    for share, expected in ((0.0, a), (1.0, b), (0.25, 0.75 * a + 0.25 * b)):
        got = oracle(expected).interpolate((a, b), share, 8)
        assert (got - expected).abs().max() < 1e-4


def test_interpolated_noise_is_as_strong_as_the_step_says() -> None:
    seen = []
    made = generator(PLAIN)
    plain = made.network.denoise

    def spy(x, noise_input, cond):
        seen.append(x.clone())
        return plain(x, noise_input, cond)  # pyright: ignore

    made.network.denoise = spy  # pyright: ignore
    made.interpolate((torch.zeros(20_000), torch.zeros(20_000)), 0.5, 20)
    spread = (1 - TRAINING.levels()[20] ** 2).sqrt().item()
    assert seen[0].std().item() == pytest.approx(spread, rel=0.02)


def test_a_folder_gives_the_same_samples(tmp_path) -> None:
    made = generator(WORDS)
    made.save_pretrained(tmp_path, "card")
    loaded = Generator.from_pretrained(tmp_path)
    assert torch.equal(loaded([1], ["no"]), made([1], ["no"]))
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]  # who may read one may load it
    with pytest.raises(InputError, match="takes a class, not a mel: use wg sample --class"):
        Vocoder.from_pretrained(tmp_path)


def test_a_vocoder_is_no_generator() -> None:
    config = DiffWaveConfig(channels=4, layers=2)
    with pytest.raises(InputError, match="takes a mel: use wg vocode"):
        Generator(build_network(config, MEL), config, MEL, TRAINING, SYNTHESIS)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda g, c: g([1], synthesis=replace(SYNTHESIS, samples=0)), "length of 0 samples"),
        (lambda g, c: g([1], ["yes"]), "class 'yes' given, but the model is unconditional"),
        (lambda g, c: g([1], []), "class list given, but the model is unconditional"),
        (lambda g, c: g([]), "no seeds; give one for each clip"),
        (lambda g, c: c([1], [2]), "class 2 is unknown; choose from: no, yes"),
        (lambda g, c: c([1]), "needs a class; choose from: yes, no"),
        (lambda g, c: c([1], ["nein"]), "class 'nein' is unknown"),
        (lambda g, c: c([1, 2], ["yes"]), "1 classes for 2 clips"),
        (
            lambda g, c: g([1], synthesis=SamplingConfig("diffwave-fast-base", samples=9)),
            "trained range",
        ),
        (lambda g, c: g.denoise(torch.zeros(1, 0), 3), r"shape \[1, 0\]"),
        (lambda g, c: g.denoise(torch.full((1, 9), torch.nan), 3), "NaN"),
        (lambda g, c: g.denoise(torch.zeros(1, 9), 21), "step 21; .* steps 1 to 20"),
        (lambda g, c: g.denoise(torch.zeros(1, 9), 0), "step 0; .* steps 1 to 20"),
        (lambda g, c: g.interpolate((torch.zeros(9), torch.zeros(8)), 0.5, 3), "same length"),
        (lambda g, c: g.interpolate((torch.zeros(9), torch.zeros(9)), 1.5, 3), "share 1.5"),
    ],
)
def test_what_cannot_be_made_is_an_error_that_says_why(act, message) -> None:
    with pytest.raises(InputError, match=message):
        act(generator(PLAIN), generator(WORDS))
