"""DiffWave against the parameter counts of the paper and its ports, and its own equations."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.mel.hub import named
from wg.models import check_conditioning, conditions_of
from wg.models.diffwave import (
    DiffWaveConfig,
    DiffWaveNetwork,
    ResidualLayer,
    StepEmbedding,
    gated,
    two_factors,
)
from wg.models.wavegrad import WaveGradConfig

MEL = named("diffwave-paper")
TINY_MEL = replace(MEL, n_mels=6, hop_length=12)
TINY = DiffWaveConfig(channels=8, layers=5, dilation_cycle=3)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LMNT = {"upsampler": "shared", "weight_norm": False}
SC09 = DiffWaveConfig(conditions="none", channels=256, layers=36, dilation_cycle=12)
CLASS = replace(SC09, conditions="class", classes=DIGITS)


def network(config: DiffWaveConfig, mel=TINY_MEL) -> DiffWaveNetwork:
    torch.manual_seed(0)
    built = DiffWaveNetwork(config, mel).eval().requires_grad_(False)
    nn.init.normal_(built.output.weight)  # it starts at zero, which would hide the rest
    for parameter in built.parameters():
        parameter.add_(0.01 * torch.randn_like(parameter))
    return built


def count(config: DiffWaveConfig) -> int:
    with torch.device("meta"):
        built = DiffWaveNetwork(config, MEL)
    return sum(parameter.numel() for parameter in built.parameters())


@pytest.mark.parametrize(("channels", "millions"), [(64, 2.64), (128, 6.91)])
def test_the_defaults_have_the_papers_parameter_counts(channels: int, millions: float) -> None:
    assert round(count(DiffWaveConfig(channels=channels)) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (DiffWaveConfig(), 2_637_305),
        (DiffWaveConfig(channels=128), 6_914_297),
        (DiffWaveConfig(weight_norm=False), 2_625_597),
        (DiffWaveConfig(channels=128, weight_norm=False), 6_890_941),
        (DiffWaveConfig(**LMNT), 2_619_971),
        (DiffWaveConfig(channels=128, **LMNT), 6_885_315),
        (SC09, 24_071_681),
        (replace(SC09, weight_norm=False), 24_034_305),
        (replace(SC09, channels=128, layers=48), 9_838_337),
        # a 128-wide embedding of ten labels, and a 1x1 convolution of it in each layer
        (
            replace(CLASS, weight_norm=False),
            24_034_305 + 10 * 128 + 36 * (128 + 1) * 512,
        ),
        # the same with gains, one for each of the 512 outputs of that convolution
        (CLASS, 24_071_681 + 10 * 128 + 36 * (128 + 1 + 1) * 512),
        (replace(CLASS, channels=128, layers=48), 9_838_337 + 10 * 128 + 48 * (128 + 1 + 1) * 256),
    ],
)
def test_parameter_counts_are_those_of_the_fact_sheet(config, expected: int) -> None:
    assert count(config) == expected


def receptive_field(config: DiffWaveConfig) -> int:
    net = network(config, replace(MEL, hop_length=12)).double()
    x = torch.zeros(1, 1200, dtype=torch.float64, requires_grad=True)
    cond = net.condition({"mel": torch.zeros(1, 80, 100, dtype=torch.float64)})
    net.denoise(x, torch.ones(1), cond)[0, 600].backward()
    assert x.grad is not None
    reached = x.grad[0].nonzero()
    return int(reached.max() - reached.min()) + 1


def test_the_receptive_field_is_the_sum_of_the_dilations() -> None:
    # The paper's 6139 samples are 30 layers of cycle 10: 1 + 2 * 3 * 1023.
    assert receptive_field(DiffWaveConfig(channels=4, layers=12, dilation_cycle=6)) == 1 + 2 * 126
    assert 1 + 2 * 3 * (2**10 - 1) == 6139


def plain_step(net: DiffWaveNetwork, index: float, sign: int) -> Tensor:
    """Equation of the step embedding with Python's own functions; index counts from 0."""
    angles = [index * 10 ** (sign * 4 * i / 63) for i in range(64)]
    wave = torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
    fc1, fc2 = net.embedding.fc1, net.embedding.fc2
    y = fc1.weight @ wave.to(fc1.weight) + fc1.bias
    y = fc2.weight @ (y * torch.sigmoid(y)) + fc2.bias
    return y * torch.sigmoid(y)


def plain_forward(net: DiffWaveNetwork, x: Tensor, mel: Tensor, index: int) -> Tensor:
    """The paper's figure on the same weights, one sample at a time, eps [T] of x [T]."""
    layers, channels, length = net.config.layers, net.config.channels, len(x)
    step = plain_step(net, index, 1 if net.config.step_frequencies == "rising" else -1)
    h = torch.relu(net.input.weight[:, 0] * x + net.input.bias[:, None])  # pyright: ignore
    total = torch.zeros_like(h)
    for i, layer in enumerate(net.layers):
        assert isinstance(layer, ResidualLayer)
        up = mel[None, None]
        upsampler = net.upsamplers[i % len(net.upsamplers)]
        for factor, deconv in zip(net.upsamplers[0].factors, upsampler.layers, strict=True):  # pyright: ignore
            # a transposed convolution is a convolution of the mel with zeros between frames
            spread = torch.zeros(*up.shape[:3], (up.shape[3] - 1) * factor + 1).to(up)
            spread[..., ::factor] = up
            kernel = deconv.weight.flip(2, 3)
            pad = kernel.shape[3] - 1 - (factor + 1) // 2
            up = F.conv2d(spread, kernel, deconv.bias, padding=(1, pad))
            up = torch.where(up > 0, up, 0.4 * up)
        h_in = h + (layer.step.weight @ step + layer.step.bias)[:, None]
        d = 2 ** (i % net.config.dilation_cycle)
        padded = F.pad(h_in, (d, d))
        weight, y = layer.dilated.weight, layer.dilated.bias[:, None]  # pyright: ignore
        for k in range(3):
            y = y + weight[:, :, k] @ padded[:, k * d : k * d + length]  # pyright: ignore
        assert layer.condition is not None
        y = y + layer.condition.weight[:, :, 0] @ up[0, 0] + layer.condition.bias[:, None]  # pyright: ignore
        gated = torch.tanh(y[:channels]) * torch.sigmoid(y[channels:])
        both = layer.output.weight[:, :, 0] @ gated + layer.output.bias[:, None]  # pyright: ignore
        base = h_in if net.config.residual_quirk else h
        h, total = (base + both[:channels]) / math.sqrt(2), total + both[channels:]
    y = net.skip.weight[:, :, 0] @ (total / math.sqrt(layers)) + net.skip.bias[:, None]  # pyright: ignore
    return (net.output.weight[:, :, 0] @ torch.relu(y) + net.output.bias[:, None])[0]  # pyright: ignore


@pytest.mark.parametrize(
    "values",
    [
        {},
        LMNT,
        {"step_frequencies": "falling", "residual_quirk": True},
        {"factors": (3, 2, 2), "weight_norm": False},
        {"factors": (12,), "upsampler": "shared"},
    ],
)
def test_network_is_the_papers_equations_on_the_same_weights(values: dict) -> None:
    net = network(replace(TINY, **values)).double()
    x, mel = torch.randn(2, 84).double(), torch.randn(2, 6, 7).double()
    got = net.denoise(x, torch.tensor([3.0, 41.0]), net.condition({"mel": mel}))
    expected = torch.stack(
        [plain_forward(net, x[0], mel[0], 2), plain_forward(net, x[1], mel[1], 40)]
    )
    assert (got - expected).abs().max() / expected.abs().max() < 1e-6


def test_the_authors_quirk_changes_the_output() -> None:
    plain, quirky = network(TINY), network(replace(TINY, residual_quirk=True))
    x, batch, step = torch.randn(1, 84), {"mel": torch.randn(1, 6, 7)}, torch.tensor([5.0])
    difference = plain.denoise(x, step, plain.condition(batch)) - quirky.denoise(
        x, step, quirky.condition(batch)
    )
    assert difference.abs().max() > 0.01


@pytest.mark.parametrize("frequencies", ["rising", "falling"])
def test_a_table_is_interpolated_between_whole_steps_and_a_sinusoid_is_not(frequencies) -> None:
    embeddings = {}
    for kind in ("table", "sinusoid"):
        torch.manual_seed(0)
        config = DiffWaveConfig(step_frequencies=frequencies, fractional=kind)  # pyright: ignore
        embeddings[kind] = StepEmbedding(config)
    table, wave = embeddings["table"], embeddings["sinusoid"]
    whole = torch.tensor([1.0, 2.0, 44.0])
    assert torch.allclose(table(whole), wave(whole), atol=1e-6)
    between = torch.tensor([1.894134])
    mixture = 0.105866 * wave.sinusoid(torch.zeros(1)) + 0.894134 * wave.sinusoid(torch.ones(1))
    expected = F.silu(table.fc2(F.silu(table.fc1(mixture.float()))))
    assert torch.allclose(table(between), expected, atol=1e-6)
    assert wave.sinusoid(torch.tensor([0.894134]))[0, 0] == pytest.approx(math.sin(0.894134))
    assert (table(between) - wave(between)).abs().max() > 1e-4


@pytest.mark.parametrize("upsampler", ["shared", "per_layer"])
def test_what_is_cached_does_not_change_the_output(upsampler: str) -> None:
    outputs, kept = [], []
    x, mel = torch.randn(2, 84), torch.randn(2, 6, 7)
    batch = {"mel": mel, "frames": torch.tensor([4, 7])}
    for cache in ("full", "upsampled", "none"):
        net = network(replace(TINY, upsampler=upsampler, cache=cache))  # pyright: ignore
        cond = net.condition(batch)
        kept.append((len(cond.projections), len(cond.upsampled), cond.mel is not None))
        outputs.append(net.denoise(x, torch.tensor([3.0, 7.5]), cond))
    layers = TINY.layers
    ups = 1 if upsampler == "shared" else layers
    assert kept == [(layers, 0, False), (0, ups, False), (0, 0, True)]
    for output in outputs[1:]:
        assert (output - outputs[0]).abs().max() / outputs[0].abs().max() < 1e-6


@pytest.mark.parametrize("values", [{}, {"upsampler": "shared"}, {"factors": (3, 4)}])
def test_padding_does_not_reach_an_utterance(values: dict) -> None:
    net = network(replace(TINY, **values))
    mel, x, step = torch.randn(2, 6, 20), torch.randn(2, 240), torch.tensor([5.0, 5.0])
    together = net.denoise(x, step, net.condition({"mel": mel, "frames": torch.tensor([12, 20])}))
    unmasked = net.denoise(x, step, net.condition({"mel": mel}))[0, :144]
    alone = net.denoise(x[:1, :144], step[:1], net.condition({"mel": mel[:1, :, :12]}))[0]
    scale = alone.abs().max()
    assert (together[0, :144] - alone).abs().max() / scale < 1e-5
    assert (unmasked - alone).abs().max() / scale > 1e-3  # the test can fail


def test_padding_does_not_reach_an_unconditional_utterance() -> None:
    net = network(replace(TINY, conditions="none"))
    x, step = torch.randn(2, 240), torch.tensor([5.0, 5.0])
    together = net.denoise(x, step, net.condition({"frames": torch.tensor([12, 20])}))[0, :144]
    alone = net.denoise(x[:1, :144], step[:1], net.condition({}))[0]
    assert (together - alone).abs().max() / alone.abs().max() < 1e-5


def test_classes_are_heard() -> None:
    net = network(replace(TINY, conditions="class", classes=("yes", "no", "maybe")))
    x, step = torch.randn(1, 60).expand(3, -1), torch.full((3,), 2.0)
    eps = net.denoise(x, step, net.condition({"class": torch.tensor([0, 1, 0])}))
    assert torch.equal(eps[0], eps[2]) and (eps[0] - eps[1]).abs().max() > 1e-3


def test_training_starts_from_kaiming_weights_and_no_output() -> None:
    torch.manual_seed(0)
    net = DiffWaveNetwork(DiffWaveConfig(channels=64, layers=2), MEL)
    weight = net.layers[1].dilated.weight  # pyright: ignore
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 3)), rel=0.02)  # pyright: ignore
    cond = net.condition({"mel": torch.randn(1, 80, 2)})
    assert (net.denoise(torch.randn(1, 512), torch.ones(1), cond) == 0).all()


@pytest.mark.parametrize(
    ("hop", "factors"), [(256, (16, 16)), (300, (20, 15)), (200, (20, 10)), (275, (25, 11))]
)
def test_two_factors_follow_from_the_hop(hop: int, factors: tuple[int, int]) -> None:
    assert two_factors(hop) == factors
    mel = replace(MEL, hop_length=hop, framing="centre")
    net = network(replace(TINY, layers=1), mel)
    cond = net.condition({"mel": torch.randn(1, 80, 3)})
    assert net.denoise(torch.randn(1, 3 * hop), torch.ones(1), cond).shape == (1, 3 * hop)


@pytest.mark.parametrize(
    ("hop", "values", "message"),
    [
        (257, {}, r"257 is prime.*model.factors=\[257\]"),
        (300, {"factors": (16, 16)}, r"multiply to 256, but mel.hop_length is 300"),
        (256, {"conditions": "none", "factors": (16, 16)}, "leave model.factors out"),
        (256, {"conditions": "class"}, "class conditions need names"),
        (256, {"classes": ("a",)}, r"conditions is 'mel' and model.classes \['a'\]"),
        (256, {"conditions": "class", "classes": ("a", "a")}, "names a class twice"),
        (256, {"layers": 0}, "model.layers is 0"),
    ],
)
def test_a_contradiction_names_the_keys(hop: int, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DiffWaveConfig(**values).check(replace(MEL, hop_length=hop, framing="centre"))


@pytest.mark.parametrize(
    ("values", "batch", "message"),
    [
        ({}, {}, "no mel was given, but this model takes a mel"),
        ({}, {"class": torch.zeros(1).long()}, "a class was given"),
        ({}, {"mel": torch.zeros(1, 80, 5)}, r"\[1, 80, 5\]; this model takes \[B, 6, frames\]"),
        ({"conditions": "none"}, {"mel": torch.zeros(1, 6, 5)}, "a mel was given"),
        (
            {"conditions": "class", "classes": ("a", "b")},
            {"class": torch.tensor([2])},
            r"class labels \[2\]; give \[B\] of 0 to 1",
        ),
        (
            {"conditions": "class", "classes": ("a", "b")},
            {"class": torch.tensor([1.0])},
            r"class labels \[1.0\]; give \[B\] of 0 to 1, whole numbers",
        ),
        ({"conditions": "class", "classes": ("a", "b")}, {"class": [-1]}, r"class labels \[-1\]"),
        ({"conditions": "class", "classes": ("a", "b")}, {}, "no class was given"),
    ],
)
def test_a_condition_that_the_model_does_not_take_is_refused(values, batch, message) -> None:
    net = network(replace(TINY, **values))
    with pytest.raises(InputError, match=message):
        net.condition(batch)


def test_an_unknown_class_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="class 'sevn' is unknown; did you mean 'seven'"):
        replace(SC09, conditions="class", classes=DIGITS).class_index("sevn")


def test_the_registry_knows_what_a_model_is_conditioned_on_and_told() -> None:
    assert conditions_of(WaveGradConfig()) == "mel"
    assert conditions_of(DiffWaveConfig()) == "mel" and conditions_of(SC09) == "none"
    check_conditioning(WaveGradConfig(), DiffusionConfig())
    with pytest.raises(InputError, match="set diffusion.conditioning=discrete"):
        check_conditioning(DiffWaveConfig(), DiffusionConfig())


def test_a_compiled_gate_is_of_any_length() -> None:
    made = []

    def counted(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> torch.fx.GraphModule:
        made.append(graph)
        return graph

    compiled = torch.compile(gated, dynamic=True, backend=counted)
    with torch.inference_mode():
        for length in (5000, 9000, 20_000, 40_000):
            compiled(torch.zeros(1, 6, length).bfloat16(), None)
    assert len(made) == 1
