"""What a mel says of the power of bins: learnt from recordings, and true of others."""

from __future__ import annotations

import pytest
import torch
from tiny_vocoder import MEL, SPECTRAL
from torch import Tensor

from wg.diffusion.power import LATER, QUIETEST, MelPower
from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.spec import MelSpec
from wg.models import build_network
from wg.training.power import fit_power, gathered, linear_map, low_passed

LOW = MelSpec(
    sample_rate=8000,
    n_fft=256,
    win_length=256,
    hop_length=64,
    n_mels=20,
    fmax=2000.0,
    framing="hop",
)


def noise(count: int, seed: int = 0, frames: int = 60) -> list[tuple[Tensor, Tensor]]:
    """Clips of noise that falls with frequency, 60 dB between the loudest and the quietest."""
    generator = torch.Generator().manual_seed(seed)
    clips = []
    for loudness in torch.linspace(-3, 0, count):
        spectrum = torch.fft.rfft(torch.randn(64 * frames, generator=generator))
        falling = torch.linspace(0, -3, len(spectrum)).exp()
        wave = 10**loudness * torch.fft.irfft(spectrum * falling)
        clips.append((wave, log_mel(wave, LOW)))
    return clips


def measured(power: MelPower, wave: Tensor) -> Tensor:
    """Power of the bins, over the frames whose windows meet no edge, [K]."""
    return power.frames.analyse(wave[None])[..., 3:-3].square().sum(1).mean((0, 2))


def test_the_power_of_clips_is_learnt_and_needs_clips() -> None:
    power, clips = MelPower(LOW), noise(30)
    assert not power.fitted
    fit_power(power, clips, len(clips), LOW)
    for wave, mel in noise(5, seed=1):
        said = power(mel[None])[..., 3:-3].mean((0, 2))
        ratio = said / measured(power, wave)
        assert float(ratio.log().abs().mean()) < 0.25
    with pytest.raises(InputError, match="no clip is long enough"):
        fit_power(power, [(torch.zeros(128), torch.zeros(20, 2))], 1, LOW)


def test_the_same_clips_give_the_same_numbers_whatever_was_drawn_before() -> None:
    found = []
    for _ in range(2):
        torch.rand(7)
        power = MelPower(LOW)
        fit_power(power, noise(6), 6, LOW)
        found.append(power.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_nothing_is_expected_above_where_a_recording_ends() -> None:
    # The mels end at 2 kHz, those recordings at 1.6 kHz: that shows in the highest bands.
    power, clips = MelPower(LOW), noise(60, frames=120)
    fit_power(power, clips, len(clips), LOW)
    ended = []
    for wave, _ in noise(5, seed=2)[2:]:
        spectrum = torch.fft.rfft(wave)
        spectrum[int(0.4 * len(spectrum)) :] = 0
        ended.append(torch.fft.irfft(spectrum))
    for whole, cut in zip(noise(5, seed=2)[2:], ended, strict=True):
        above = slice(80, 128)
        expected = power(log_mel(cut, LOW)[None])[0, above, 3:-3].mean()
        there = measured(power, whole[0])[above].mean()
        assert float(power(whole[1][None])[0, above, 3:-3].mean()) > 0.3 * float(there)
        assert float(expected) < 0.03 * float(there), expected / there


def test_the_linear_map_is_the_most_likely_one() -> None:
    # The gradient of the mean of log P + p / P is zero there, but for the ridge's part; below fmax,
    # above which copies end where the mel does not show it, no p is `FAR` above P.
    mel, target = gathered(noise(20), 20, LOW)
    weight, bias = linear_map(mel, target)
    below = slice(0, int(LOW.top / LOW.sample_rate * LOW.n_fft) - 4)
    surplus = (target / (weight @ mel + bias[:, None]).exp() - 1)[below]
    assert float(surplus.mean(1).abs().max()) < 1e-3
    assert float((surplus @ (mel - mean_of(mel)).T / mel.shape[1]).abs().max()) < 0.02


def mean_of(mel: Tensor) -> Tensor:
    return mel.mean(1, keepdim=True)


def test_a_low_passed_copy_keeps_what_lies_below_and_has_16_bits() -> None:
    generator = torch.Generator().manual_seed(3)
    wave = 0.1 * torch.randn(8000, generator=generator)
    before = torch.fft.rfft(wave.double()).abs()
    tops = set()
    for _ in range(20):
        copy = low_passed(wave, 8000, generator)
        assert torch.equal((copy * 32768).round(), copy * 32768)
        after = torch.fft.rfft(copy.double()).abs()
        there = after > 0.1 * before
        top = int(there.nonzero().max())
        tops.add(top)
        lower = slice(0, int(0.85 * top))
        torch.testing.assert_close(after[lower], before[lower], atol=0.01, rtol=0.01)
        assert float(after[top + 20 :].square().mean()) < 1e-5 * float(before.square().mean())
    assert len(tops) > 10


def test_weights_of_before_the_hidden_layer_are_read_as_a_linear_map() -> None:
    diffusion = DiffusionConfig(precondition="mel", prior="mel")
    network = build_network(SPECTRAL, MEL, diffusion)
    state = {name: torch.randn(value.shape) for name, value in network.state_dict().items()}
    old = {name: value for name, value in state.items() if name not in LATER}
    assert len(old) == len(state) - 3
    network.load_state_dict(old)
    power = network.mel_power
    assert isinstance(power, MelPower)
    mel = torch.randn(1, MEL.n_mels, 5)
    linear = power.weight @ mel + power.bias[:, None]
    torch.testing.assert_close(power(mel), linear.exp().clamp(QUIETEST, 1e3))
    del old["mel_power.bias"]
    with pytest.raises(RuntimeError, match=r"mel_power\.bias"):
        network.load_state_dict(old)
