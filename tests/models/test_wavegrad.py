"""WaveGrad against the parameter counts of its ports and a re-statement of its forward pass."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wg.errors import InputError
from wg.mel.hub import named
from wg.models.wavegrad import DBlock, WaveGradConfig, WaveGradNetwork, derive_factors

PAPER = named("wavegrad-paper")
LMNT = WaveGradConfig(dilations="lmnt", level_scale=1.0)
SMALL = WaveGradConfig(
    mel_channels=24,
    up_channels=(16, 16, 12, 8, 8),
    wave_channels=4,
    down_channels=(8, 8, 12, 16),
    factors=(5, 5, 3, 2, 2),
)


def network(config: WaveGradConfig, seed: int = 0, mel=PAPER) -> WaveGradNetwork:
    torch.manual_seed(seed)
    built = WaveGradNetwork(config, mel).eval()
    torch.nn.init.normal_(built.out_conv.weight)  # it starts at zero, which would hide the rest
    return built


def count(config: WaveGradConfig, bands: int) -> int:
    with torch.device("meta"):
        built = WaveGradNetwork(config, replace(PAPER, n_mels=bands))
    return sum(parameter.numel() for parameter in built.parameters())


def test_parameter_counts_are_those_of_the_ports_and_the_paper() -> None:
    assert count(LMNT, 128) == 15_920_993
    assert count(replace(LMNT, up="linear", down="linear", level_scale=5000.0), 80) == 15_810_401
    large = WaveGradConfig(up_repeats=2, dilations="large")
    assert round(count(large, 128) / 1e6) == 23  # the paper's 23M


# Base, Large (twice the UBlocks), and Large with a 1x1 convolution beside the further ones.
READINGS = {
    "every n-th sample, widened first": ({}, 15_920_993, 23_398_241, 24_022_369),
    "every n-th sample, widened last": ({"last": True}, 14_353_313, 21_830_561, 22_454_689),
    "strided, first": ({"strided": True}, 17_957_249, 25_434_497, 26_058_625),
    "strided, last": ({"strided": True, "last": True}, 15_513_569, 22_990_817, 23_614_945),
    "strided by 3, last": (
        {"strided": True, "last": True, "kernel": 3},
        *(15_120_353, 22_597_601, 23_221_729),
    ),
}


@pytest.mark.parametrize("name", READINGS)
def test_each_reading_of_the_dblock_has_its_parameter_count(name: str) -> None:
    said, base, large, with_conv = READINGS[name]
    config = WaveGradConfig(
        down="strided" if "strided" in said else "nearest",
        down_widening="last" if "last" in said else "first",
        down_kernel=3 if "kernel" in said else None,
    )
    doubled = replace(config, up_repeats=2, dilations="large")
    assert count(config, 128) == base
    assert count(doubled, 128) == large
    assert count(replace(doubled, repeat_shortcut="conv"), 128) == with_conv


def test_a_dblock_that_widens_last_downsamples_with_its_own_weights() -> None:
    torch.manual_seed(0)
    config = WaveGradConfig(down="strided", down_widening="last", down_kernel=3)
    block = DBlock(4, 6, 5, config)
    weights = {name: torch.randn_like(value) for name, value in block.state_dict().items()}
    block.load_state_dict(weights)

    def conv(name: str, y: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        padding = dilation * (weight.shape[-1] // 2)
        return F.conv1d(y, weight, bias, stride, padding, dilation)

    x = torch.randn(2, 4, 45)
    expected = conv("shortcut_down.conv", conv("shortcut", x), stride=5)  # 4 -> 4 -> 6 channels
    main = conv("main_down.conv", x, stride=5)
    for i in range(3):
        main = conv(f"convs.{i}", F.leaky_relu(main, 0.2), dilation=2**i)
    with torch.no_grad():
        got = block(x, None, None)
    assert got.shape == (2, 6, 9)
    torch.testing.assert_close(got, expected + main)


def test_a_kernel_without_strided_convolution_is_refused() -> None:
    with pytest.raises(InputError, match="model.down_kernel is 3, but model.down is 'nearest'"):
        WaveGradConfig(down_kernel=3)
    with pytest.raises(InputError, match="model.down_kernel is 4; give an odd number, or null"):
        WaveGradConfig(down="strided", down_kernel=4)


def test_dilations_follow_the_paper_or_its_reverse() -> None:
    near_mel, near_wave = (1, 2, 4, 8), (1, 2, 1, 2)
    assert WaveGradConfig().resolved_dilations() == (near_mel,) * 3 + (near_wave,) * 2
    assert LMNT.resolved_dilations() == (near_wave,) * 2 + (near_mel,) * 3
    assert WaveGradConfig(dilations="large").resolved_dilations() == (near_mel,) * 5


def plain_forward(net: WaveGradNetwork, x: Tensor, mel: Tensor, level: float) -> Tensor:
    """Section by section of the paper's figures, with functional calls on the same weights."""

    def conv(layer, y: Tensor) -> Tensor:
        pad = layer.dilation[0] * (layer.kernel_size[0] // 2)
        return F.conv1d(y, layer.weight, layer.bias, padding=pad, dilation=layer.dilation)

    def act(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    factors = net.factors
    features = [conv(net.wave_conv, x[:, None])]
    for blocks, factor in zip(net.dblocks, factors[:0:-1], strict=True):
        (block,) = blocks  # pyright: ignore[reportGeneralTypeIssues]
        y = features[-1]
        main = y[..., ::factor]
        for layer in block.convs:
            main = conv(layer, act(main))
        features.append(conv(block.shortcut, y)[..., ::factor] + main)
    h = conv(net.mel_conv, mel)
    for i, (blocks, factor) in enumerate(zip(net.ublocks, factors, strict=True)):
        (block,) = blocks  # pyright: ignore[reportGeneralTypeIssues]
        film, y = net.films[len(factors) - 1 - i], features[-1 - i]
        width = y.shape[1]
        encoding = torch.tensor(
            [math.sin(5000 * level * 10 ** (-4 * k / (width / 2))) for k in range(width // 2)]
            + [math.cos(5000 * level * 10 ** (-4 * k / (width / 2))) for k in range(width // 2)],
            dtype=y.dtype,
        )
        u = act(conv(film.input, y)) + encoding[:, None]
        out = conv(film.output, u)
        xi, gamma = out[:, : out.shape[1] // 2], out[:, out.shape[1] // 2 :]
        up = act(h).repeat_interleave(factor, -1)
        shortcut = conv(block.shortcut, h.repeat_interleave(factor, -1))
        main = conv(block.convs[0], up)
        main = conv(block.convs[1], act(gamma * main + xi))
        h = shortcut + main
        main = conv(block.convs[2], act(gamma * h + xi))
        h = h + conv(block.convs[3], act(gamma * main + xi))
    return conv(net.out_conv, h)[:, 0]


def test_network_is_the_papers_equations_on_the_same_weights() -> None:
    net = network(SMALL).double()
    x = torch.randn(2, 300 * 7, dtype=torch.float64)
    mel = torch.randn(2, 128, 7, dtype=torch.float64)
    level = torch.full((2,), 0.4, dtype=torch.float64)
    with torch.no_grad():
        got = net.denoise(x, level, net.condition({"mel": mel}))
        expected = plain_forward(net, x, mel, 0.4)
    assert (got - expected).abs().max() / expected.abs().max() < 1e-10


@pytest.mark.parametrize("down", ["nearest", "linear", "strided"])
@pytest.mark.parametrize("up", ["nearest", "linear"])
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("widening", ["first", "last"])
def test_every_resampling_keeps_frames_times_hop_samples(up, down, repeats, widening) -> None:
    config = replace(SMALL, up=up, down=down, up_repeats=repeats, down_repeats=repeats)
    config = replace(config, down_widening=widening)
    net = network(config)
    with torch.no_grad():
        cond = net.condition({"mel": torch.randn(1, 128, 5)})
        eps = net.denoise(torch.randn(1, 1500), torch.tensor([0.5]), cond)
    assert eps.shape == (1, 1500) and torch.isfinite(eps).all()


@pytest.mark.parametrize("down", ["nearest", "strided"])
@pytest.mark.parametrize("up", ["nearest", "linear"])
@pytest.mark.parametrize("kernel", [None, 3])
def test_padding_does_not_reach_an_utterance(up: str, down: str, kernel: int | None) -> None:
    kernel = kernel if down == "strided" else None
    config = replace(SMALL, up=up, down=down, down_kernel=kernel, up_repeats=2, down_repeats=2)
    net = network(config)
    mel, x, level = torch.randn(2, 128, 20), torch.randn(2, 6000), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        padded = net.condition({"mel": mel, "frames": torch.tensor([12, 20])})
        together = net.denoise(x, level, padded)[0, :3600]
        alone = net.condition({"mel": mel[:1, :, :12]})
        expected = net.denoise(x[:1, :3600], level[:1], alone)[0]
        unmasked = net.denoise(x, level, net.condition({"mel": mel}))[0, :3600]
    scale = expected.abs().max()
    assert (together - expected).abs().max() / scale < 1e-5
    assert (unmasked - expected).abs().max() / scale > 1e-3  # the test can fail


def test_level_is_heard_and_its_scale_is_a_switch() -> None:
    x, mel = torch.randn(1, 600), torch.randn(1, 128, 2)
    outputs = []
    for scale in (5000.0, 1.0):
        net = network(replace(SMALL, level_scale=scale))
        with torch.no_grad():
            cond = net.condition({"mel": mel})
            outputs += [net.denoise(x, torch.tensor([level]), cond) for level in (0.3, 0.9)]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(outputs) for b in outputs[i + 1 :])


def test_coquis_encoding_adds_the_bare_level_and_a_sinusoid_of_time() -> None:
    from wg.models.wavegrad import LevelEncoding

    encoding = LevelEncoding(6, "coqui", 5000.0)
    got = encoding(torch.zeros(1, 6, 9), torch.tensor([0.7]))[0] - 0.7
    for channel in range(6):
        wave = math.sin if channel % 2 == 0 else math.cos
        for t in range(9):
            angle = t / 10_000 ** (2 * (channel // 2) / 6)
            assert got[channel, t].item() == pytest.approx(wave(angle) / 5000, abs=1e-7)


def test_blocks_start_orthogonal_with_zero_biases_and_no_output() -> None:
    torch.manual_seed(0)
    net = WaveGradNetwork(SMALL, PAPER)
    weight = net.dblocks[3][0].convs[1].weight.flatten(1)  # pyright: ignore
    assert torch.allclose(weight @ weight.T, torch.eye(16), atol=1e-5)
    assert all((p == 0).all() for name, p in net.named_parameters() if name.endswith("bias"))
    cond = net.condition({"mel": torch.randn(1, 128, 2)})
    assert (net.denoise(torch.randn(1, 600), torch.tensor([0.5]), cond) == 0).all()


@pytest.mark.parametrize(
    ("hop", "factors"),
    [
        (300, (5, 5, 3, 2, 2)),
        (256, (4, 4, 4, 2, 2)),
        (200, (5, 5, 2, 2, 2)),
        (512, (4, 4, 4, 4, 2)),
    ],
)
def test_factors_follow_from_the_hop(hop: int, factors: tuple[int, ...]) -> None:
    assert derive_factors(hop, 5) == factors


@pytest.mark.parametrize(
    ("hop", "values", "message"),
    [
        (275, {}, "mel.hop_length 275 has 3 prime factors"),
        (300, {"factors": (4, 4, 4, 2, 2)}, r"multiply to 256, but mel.hop_length is 300"),
        (300, {"factors": (300,)}, "has 1 entries; model.up_channels asks for 5"),
    ],
)
def test_factors_that_do_not_make_the_hop_are_an_error(hop, values, message) -> None:
    with pytest.raises(InputError, match=message):
        WaveGradConfig(**values).check(replace(PAPER, hop_length=hop, framing="centre"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"down_channels": (4, 2)}, "one DBlock less than UBlocks"),
        ({"wave_channels": 31}, "even"),
        ({"up_repeats": 0}, "at least 1"),
    ],
)
def test_a_bad_architecture_names_the_key(values, message) -> None:
    with pytest.raises(InputError, match=message):
        WaveGradConfig(**values)


def test_a_mel_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[1, 80, 5\]; this model takes \[B, 128, frames\]"):
        network(SMALL).condition({"mel": torch.zeros(1, 80, 5)})


def test_the_first_weights_are_ours_or_a_ports() -> None:
    def begun(kind: Literal["zero", "orthogonal", "lmnt"] | None) -> WaveGradNetwork:
        torch.manual_seed(0)
        return WaveGradNetwork(replace(SMALL, initialisation=kind), PAPER)

    ours, zero, orthogonal, lmnt = (begun(kind) for kind in (None, "zero", "orthogonal", "lmnt"))
    assert not ours.out_conv.weight.any()
    for name, value in ours.state_dict().items():
        assert value.equal(zero.state_dict()[name])
    assert orthogonal.out_conv.weight.norm().item() == pytest.approx(1)  # its only row
    assert lmnt.out_conv.weight.equal(orthogonal.out_conv.weight)
    assert lmnt.mel_conv.weight.equal(ours.mel_conv.weight)
    for name, value in lmnt.films.named_parameters():
        if name.endswith("weight"):
            fan = (value.shape[0] + value.shape[1]) * value.shape[2]
            assert value.abs().max().item() <= (6 / fan) ** 0.5  # Glorot and Bengio's bound
            assert not value.equal(orthogonal.films.get_parameter(name))
