"""Preconditioning by the mel: Wiener's filter without a network, unit variance with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny_vocoder import BY_MEL, DIFFWAVE, MEL, SPECTRAL, WAVEGRAD, give_power, random_mel
from torch import Tensor

from wg.diffusion.power import MelPower
from wg.diffusion.prior import SpectralPrior, blurred
from wg.diffusion.process import DiffusionConfig, diffuse
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.spec import MelSpec
from wg.models import build_network, check_conditioning
from wg.models.denoiser import Denoiser, DenoiserCondition
from wg.training.power import fit_power

SPEECH = Path(__file__).resolve().parents[3] / "shared/data/ljspeech/LJSpeech-1.1/wavs"
LJ = MelSpec(
    sample_rate=22050,
    n_fft=1024,
    win_length=1024,
    hop_length=256,
    framing="hop",
    magnitude_eps=1e-9,
    n_mels=80,
    fmax=8000.0,
)
WHITE = replace(BY_MEL, prior="standard")
KINDS = {"spectral": SPECTRAL, "wavegrad": WAVEGRAD, "diffwave": DIFFWAVE}


def denoiser(name: str, diffusion: DiffusionConfig, mel: MelSpec = MEL) -> Denoiser:
    """Random weights, and a power that was not fitted to anything."""
    if name == "diffwave":
        diffusion = replace(diffusion, conditioning="discrete")
    torch.manual_seed(0)
    network = build_network(KINDS[name], mel, diffusion)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    give_power(network)
    return Denoiser(network, diffusion, mel)


@pytest.mark.parametrize("prior", ["standard", "mel"])
@pytest.mark.parametrize("level", [0.2, 0.8, 0.999])
def test_without_a_network_it_is_wieners_filter(prior: str, level: float) -> None:
    model = denoiser("spectral", replace(BY_MEL, prior=prior))  # pyright: ignore
    model.run = lambda y, *rest: torch.zeros_like(y)
    mel, x = random_mel(12)[None], torch.randn(1, 12 * 64)
    condition = model.condition({"mel": mel})
    eps = model.estimate(x, torch.tensor([level], dtype=torch.float64), condition)

    # Again with numpy: each bin times l P / (l^2 P + s^2 N), joined by least squares.
    assert model.power is not None
    weight, bias, inner, shift, outer = (
        value.double().numpy() for value in model.power.state_dict().values()
    )
    log_mels = mel[0].double().numpy()
    hidden = np.tanh(inner @ log_mels + shift[:, None])
    power = np.exp(weight @ log_mels + outer @ hidden + bias[:, None])
    rest = power if prior == "mel" else np.ones_like(power)
    if prior == "mel":
        assert condition.noise is not None and condition.power is not None
        rest = condition.noise[0].double().numpy()  # blurred: tested below
    gain = level * power / (level**2 * power + (1 - level**2) * rest)
    hann = np.hanning(257)[:-1]
    padded, total, cover = np.pad(x[0].double().numpy(), 96), np.zeros(960), np.zeros(960)
    for i in range(12):
        frame = np.fft.rfft(padded[64 * i : 64 * i + 256] * hann) * gain[:, i]
        total[64 * i : 64 * i + 256] += np.fft.irfft(frame) * hann
        cover[64 * i : 64 * i + 256] += hann**2
    clean = (total / np.maximum(cover, 1e-9))[96:-96]
    expected = (x[0].double().numpy() - level * clean) / np.sqrt(1 - level**2)
    np.testing.assert_allclose(eps[0].numpy(), expected, atol=2e-4)


def test_noise_of_the_mels_colour_is_as_loud_as_it_says() -> None:
    power = MelPower(LJ)
    give_power(torch.nn.ModuleDict({"mel_power": power}))
    # Bands that jump by 40 dB from frame 100 to the next.
    mel = torch.full((1, 80, 200), -8.0)
    mel[..., 100:] = 1.0
    expected = power(mel)
    prior = SpectralPrior(1.0, power.frames, expected)
    measured = torch.zeros_like(expected)
    for seed in range(20):
        z = torch.randn(1, 200 * 256, generator=torch.Generator().manual_seed(seed))
        measured += power.frames.analyse(prior.colour(z)).square().sum(1) / 20
    smooth = blurred(expected, power.frames)
    ratio = (measured / smooth)[0, 8:-8]
    for part in (slice(10, 90), slice(96, 104), slice(110, 190)):
        assert float(ratio[:, part].mean()) == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def fitted() -> tuple[MelPower, list[tuple[Tensor, Tensor]]]:
    """Power learnt from clips of LJSpeech, and 20 others with their mels."""
    clips = []
    for path in sorted(SPEECH.glob("*.wav")):
        wave = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        wave = wave[: len(wave) // 256 * 256].float()
        clips.append((wave, log_mel(wave, LJ)))
    power = MelPower(LJ)
    fit_power(power, clips[20:], len(clips) - 20, LJ)
    return power, clips[:20]


@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"no {SPEECH}")
@pytest.mark.parametrize("prior", ["standard", "mel"])
def test_speech_has_unit_variance_for_the_network_in_every_band_at_every_level(
    prior: str, fitted: tuple[MelPower, list[tuple[Tensor, Tensor]]]
) -> None:
    diffusion = DiffusionConfig(3e-4, 5.3e-3, precondition="mel", prior=prior)  # pyright: ignore
    power, clips = fitted
    network = build_network(SPECTRAL, LJ, diffusion)
    model = Denoiser(network, diffusion, LJ)
    assert model.power is not None
    model.power.load_state_dict(power.state_dict())
    for level in (0.3, 0.9, 0.999):
        inputs, targets = [], []
        for number, (wave, mel) in enumerate(clips):
            condition = model.condition({"mel": mel[None]})
            z = torch.randn(1, len(wave), generator=torch.Generator().manual_seed(number))
            noise = condition.prior.colour(z)
            column = torch.tensor([level], dtype=torch.float64)
            x = diffuse(wave[None], column, noise)
            inputs.append(network_input(model, x, column, condition)[..., 3:-3])
            # What F has to be for x_0 to come out: solved from the formula of the module.
            targets.append(network_target(model, x, wave[None], level, condition)[..., 3:-3])
        for values in (torch.cat(inputs, -1), torch.cat(targets, -1)):
            bins = values.square().sum(1)[0, :512].mean(1)
            edge = int(8000 / 11025 * 512)  # fmax
            bands = torch.stack([part.mean() for part in bins[:edge].split(32)])
            # Noise of the mel's colour comes out .9 of what `blurred` says where it is steep.
            least = 0.78 if prior == "mel" else 0.8
            assert bool(((bands > least) & (bands < 1.2)).all()), (level, bands)
            # Above, recordings differ in what their mels do not show.
            assert 0.5 < float(bins[edge:].mean()) < 2, (level, bins[edge:])


def network_input(
    model: Denoiser, x: Tensor, level: Tensor, condition: DenoiserCondition
) -> Tensor:
    """Bins that the network is shown."""
    seen = []
    model.run = lambda y, *rest: seen.append(y) or torch.zeros_like(y)
    model.estimate(x, level, condition)
    return seen[0]


def network_target(
    model: Denoiser, x: Tensor, clean: Tensor, level: float, condition: DenoiserCondition
) -> Tensor:
    """F of x_0 = iSTFT[ l P / V X - s sqrt(P N / V) F ], in bins."""
    assert model.power is not None and condition.power is not None and condition.noise is not None
    frames, power, noise = model.power.frames, condition.power, condition.noise
    square = 1 - level**2
    variance = level**2 * power + square * noise
    linear = (level * power / variance)[:, None] * frames.analyse(x)
    scale = (square * power * noise / variance).sqrt()[:, None]
    return (linear - frames.analyse(clean)) / scale


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("diffusion", [BY_MEL, WHITE], ids=["mel noise", "white noise"])
def test_every_network_works_whitened_alone_and_in_a_batch(
    name: str, diffusion: DiffusionConfig
) -> None:
    model = denoiser(name, diffusion)
    mels = torch.stack([random_mel(12, 0), random_mel(12, 1)])
    x, level = torch.randn(2, 12 * 64), torch.tensor([0.5, 0.9], dtype=torch.float64)
    ends = torch.tensor([12, 7])
    both = model.condition({"mel": mels, "frames": ends})
    x = both.prior.colour(x)
    eps = model.estimate(x, level, both)
    alone = model.estimate(x[1:, : 7 * 64], level[1:], model.condition({"mel": mels[1:, :, :7]}))
    torch.testing.assert_close(eps[1:, : 7 * 64], alone, atol=1e-4, rtol=0)
    model.run = lambda y, *rest: torch.zeros_like(y)
    linear = model.estimate(x, level, both)
    assert float((linear - eps)[0].abs().max().detach()) > 1e-3  # the network has a say


def test_mixed_precision_is_for_the_network_alone() -> None:
    model = denoiser("spectral", BY_MEL)
    mel, x = random_mel(12)[None], torch.randn(1, 12 * 64)
    level = torch.tensor([0.999], dtype=torch.float64)
    model.run = lambda y, *rest: 0.1 * y
    exact = model.estimate(x, level, model.condition({"mel": mel}))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.estimate(x, level, model.condition({"mel": mel}))
    torch.testing.assert_close(mixed, exact, atol=1e-5, rtol=0)


def test_the_power_is_never_kept_in_16_bits() -> None:
    network: Any = denoiser("spectral", BY_MEL).network.half()
    assert network.leave.weight.dtype == torch.float16
    assert network.mel_power.weight.dtype == torch.float32
    assert network.double().mel_power.weight.dtype == torch.float64


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"precondition": "rms"}, "'rms' needs an RMS"),
        ({"precondition": "mel", "data_rms": 0.1}, "take none"),
        ({"prior": "mel"}, "diffusion.precondition has to be 'mel' too"),
        ({"precondition": "mel", "prior": "energy"}, "diffusion.prior is 'energy' and"),
    ],
)
def test_contradictions_are_named(keys: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DiffusionConfig(**keys)  # pyright: ignore


def test_models_that_cannot_be_preconditioned_so_are_refused() -> None:
    unconditional = replace(DIFFWAVE, conditions="none")
    discrete = replace(WHITE, conditioning="discrete")
    with pytest.raises(InputError, match="computed from the mel, but this diffwave has none"):
        check_conditioning(unconditional, discrete)
    with pytest.raises(InputError, match="spectral works on bins.*diffusion.precondition=mel"):
        check_conditioning(SPECTRAL, DiffusionConfig())
    assert DiffusionConfig(data_rms=0.1).preconditioning == "rms"
    assert DiffusionConfig().preconditioning == "none"
