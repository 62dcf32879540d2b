"""Kernels of several passes in one are what the passes are."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_vocoder import kernels_of_any_size, random_mel, tiny_vocoder
from torch import Tensor, nn

from wg.bench.speed import multiply_adds
from wg.models import fused, int8, kernels, winograd
from wg.models.convolution import Conv1d
from wg.models.diffwave import gated, turned
from wg.models.fused import fused_layers
from wg.models.int8 import rounded
from wg.models.winograd import Winograd
from wg.processes.devices import computes_in_bfloat16

CLOSE = {torch.float32: {"rtol": 0, "atol": 1e-5}, torch.bfloat16: {"rtol": 2**-7, "atol": 1e-5}}
MODELS = ["wavegrad", "diffwave", "spectral"]
SIZES = [(1, 1), (2, 7), (3, 64), (2, 83)]  # batch, places


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def count(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many threads torch has, and so kernels."""
    if request.param > kernels.NUMBA_NUM_THREADS:
        pytest.skip("one core")
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """That layers compute in."""
    return request.param


@pytest.mark.parametrize(("batch", "length"), SIZES)
def test_layer_norm_is_torchs(batch: int, length: int, dtype: torch.dtype, count: int) -> None:
    torch.manual_seed(0)
    x = (3 * torch.randn(batch, length, 5, 12) + 1).to(dtype)
    weight, bias = torch.randn(batch, 12).to(dtype), torch.randn(batch, 12).to(dtype)
    out = fused.layer_norm(x, weight, bias, 1e-5)
    normal = F.layer_norm(x.float(), (12,), None, None, 1e-5)
    wanted = torch.addcmul(bias[:, None, None].float(), normal, weight[:, None, None].float())
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), wanted, **CLOSE[dtype])


@pytest.mark.parametrize(("batch", "length"), SIZES)
def test_modulation_is_film_and_a_leaky_relu(
    batch: int, length: int, dtype: torch.dtype, count: int
) -> None:
    torch.manual_seed(0)
    x, scale, shift = torch.randn(3, batch, 6, length).to(dtype)
    out = fused.modulated(x, scale, shift, 0.2)
    wanted = F.leaky_relu(shift.float() + scale.float() * x.float(), 0.2)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), wanted, **CLOSE[dtype])


@pytest.mark.parametrize("told", ["nothing", "a class", "a mel"])
@pytest.mark.parametrize(("batch", "length"), SIZES)
def test_a_gate_is_that_of_a_tanh(
    batch: int, length: int, told: str, dtype: torch.dtype, count: int
) -> None:
    torch.manual_seed(0)
    y = (3 * torch.randn(batch, 8, length)).to(dtype)
    width = {"nothing": 0, "a class": 1, "a mel": length}[told]
    condition = torch.randn(batch, 8, width).to(dtype) if width else None
    out = fused.gated(y, None if condition is None else condition * turned(condition))
    main, gate = (y.double() if condition is None else y.double() + condition.double()).chunk(2, 1)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), main.tanh() * gate.sigmoid(), **CLOSE[dtype])


def test_a_gate_is_as_exact_as_torchs_and_knows_no_limits() -> None:
    torch.manual_seed(0)
    y = 4 * torch.randn(1, 8, 4000)
    y[..., :6] = torch.tensor([0, 1e4, -1e4, 1e38, -1e38, 1e-30])
    main, gate = y.double().chunk(2, 1)
    exact = main.tanh() * gate.sigmoid()
    ours, usual = (made.double() - exact for made in (fused.gated(y, None), gated(y, None)))
    assert float(ours.abs().max()) < 3e-7
    assert float(ours.square().mean()) <= float(usual.square().mean())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_not_hidden(value: float, dtype: torch.dtype) -> None:
    x = torch.zeros(1, 4, 9).to(dtype)
    x[0, 1, 3] = value
    one = torch.ones_like(x)
    out = fused.modulated(x, one, one, 0.5)[0, 1, 3]
    torch.testing.assert_close(out, torch.tensor(value).to(dtype), equal_nan=True)
    norm = fused.layer_norm(x.transpose(1, 2), one[..., 0], one[..., 0], 1e-5)
    assert norm[0, 3].isnan().all() and norm[0, 4].isfinite().all()
    made = fused.gated(x, None)[0, 1, 3]
    wanted = (x[0, 1, 3].tanh() * 0.5).to(dtype)
    torch.testing.assert_close(made, wanted, equal_nan=True)


def test_no_nan_of_any_bits_becomes_a_number() -> None:
    bits = torch.tensor([0x7FC00001, 0x7FC00080, 0x7F800001, -1], dtype=torch.int32)
    y = bits.view(torch.float32).repeat(1, 2, 1)
    assert y.isnan().all() and fused.gated(y, None).isnan().all()


def test_what_does_not_fit_is_refused() -> None:
    x, short = torch.zeros(2, 4, 9), torch.zeros(2, 4, 8)
    for wrong in (short, x[:1], x[:, :2]):
        with pytest.raises(ValueError, match="shapes"):
            fused.modulated(x, x, wrong, 0.2)
        with pytest.raises(ValueError, match="shapes"):
            fused.gated(x, wrong)


def test_bfloat16_is_rounded_to_the_nearest() -> None:
    torch.manual_seed(0)
    values = torch.randn(1, 16, 4000) * 10.0 ** torch.randint(-30, 30, (1, 16, 4000))
    one, zero = torch.ones(2, 1, 16, 4000).bfloat16().unbind()
    zero = zero * 0
    # A sum that bfloat16 does not hold, of numbers that it does.
    a, b = values.bfloat16(), (values * 0.003).bfloat16()
    out = fused.modulated(a, one, b, 1.0)
    assert torch.equal(out, (a.float() + b.float()).bfloat16())
    assert torch.equal(fused.modulated(a, one, zero, 1.0), a)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("repeat", [1, 2])
def test_rounding_by_kernel_is_rounding_by_pieces(
    rows: int, repeat: int, dtype: torch.dtype, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x = torch.randn(rows, 301, 7).to(dtype)
    ours = rounded(x, (rows - 1, 4), repeat)
    monkeypatch.setattr(int8, "ready", lambda: False)
    plain = rounded(x, (rows - 1, 4), repeat)
    assert ours[1:] == plain[1:]
    off = (ours.whole.int() - plain.whole.int()).abs()
    assert int(off.max()) <= 1 and float(off.float().mean()) < 1e-3  # halves may go either way


@pytest.mark.parametrize("dilation", [1, 2, 8])
@pytest.mark.parametrize("length", [1, 7, 64, 83])
def test_winograds_sums_are_exact(length: int, dilation: int, count: int) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=size) for size in ((length, 6), (4, 6, 3), (4,)))
    fours = -(-length // (4 * dilation)) * dilation
    entered, out = np.zeros((6, fours, 6)), np.full((length, 4), np.nan)
    kernels.enter_fours(x, 0, dilation, entered, fused.threads())
    factors = winograd.products(torch.from_numpy(weight)).numpy()
    made = tuple(entered @ factors.swapaxes(1, 2))
    kernels.leave_fours(made, bias, 0, dilation, out, fused.threads())
    told, taps, offset = (torch.from_numpy(t) for t in (x.T, weight, bias))
    wanted = F.conv1d(told, taps, offset, padding=dilation, dilation=dilation).T
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("dilation", [1, 2, 8])
@pytest.mark.parametrize(("batch", "length"), SIZES)
def test_winograds_convolution_is_the_direct_one(
    dilation: int, batch: int, length: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "TILE", 8)
    torch.manual_seed(0)
    layer, x = nn.Conv1d(6, 4, 3, 1, dilation, dilation), torch.randn(batch, 6, length)
    assert layer.bias is not None
    out = Winograd(layer.weight, layer.bias, dilation)(x)
    torch.testing.assert_close(out, layer(x), rtol=0, atol=1e-5)


def test_what_is_large_enough_in_float32_takes_winograds_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    ours, plain = Conv1d(128, 256, 3, padding=4, dilation=4), nn.Conv1d(128, 256, 3, 1, 4, 4)
    plain.load_state_dict(ours.state_dict())
    x, taken = torch.randn(2, 128, 301), []

    def counted(layer: Winograd, x: Tensor) -> Tensor:
        taken.append(layer.dilation)
        return way(layer, x)

    way = Winograd.__call__
    monkeypatch.setattr(Winograd, "__call__", counted)
    wanted = plain(x)
    with torch.no_grad():
        ours(x)
    assert not taken  # before it is asked to
    fused.fuse(ours)
    torch.testing.assert_close(ours(x), wanted, rtol=0, atol=1e-5)
    assert not taken  # with gradients
    with torch.no_grad():
        ours(x[..., :99])
        with torch.autocast("cpu", torch.bfloat16):
            ours(x)
        deepcopy(ours).bfloat16()(x.bfloat16())
        assert not taken
        torch.testing.assert_close(ours(x), wanted, rtol=0, atol=1e-5)
    assert taken == [4]


@torch.no_grad()
def test_halves_by_winograd_are_those_of_all_channels() -> None:
    torch.manual_seed(0)
    layer, x = Conv1d(64, 256, 3, padding=1), torch.randn(2, 64, 301)
    layer.in_halves = True
    wanted = F.conv1d(x, layer.weight, layer.bias, padding=1)
    fused.fuse(layer)
    assert len(layer.winograd) == 2
    torch.testing.assert_close(torch.cat(layer.halves(x), 1), wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-5)


def test_small_strided_and_unusual_layers_are_left_alone() -> None:
    few = [
        Conv1d(32, 512, 3, padding=1),
        Conv1d(64, 64, 3, padding=1),
        Conv1d(128, 128, 5, padding=2),
        Conv1d(128, 128, 3, padding=0),
        Conv1d(128, 128, 3, 2, 1),
        Conv1d(128, 128, 3, padding=1, groups=2),
        Conv1d(128, 128, 3, padding=1, bias=False),
        Conv1d(128, 128, 3, padding=1, padding_mode="reflect"),
        Conv1d(128, 128, 3, padding=1).bfloat16(),
    ]
    for layer in few:
        fused.fuse(layer)
    assert not any(layer.winograd for layer in few)


@pytest.mark.parametrize("name", MODELS)
def test_a_network_by_kernels_sounds_the_same(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels_of_any_size(monkeypatch)
    plain, optimised, mel = tiny_vocoder(name), tiny_vocoder(name).optimize(), random_mel(8)
    batch, lengths = torch.stack([mel, mel]), [8, 6]
    out = optimised(batch, lengths=lengths)
    torch.testing.assert_close(out, plain(batch, lengths=lengths), rtol=0, atol=2e-5)
    taken = fused_layers(optimised.network)
    assert bool(taken) == (name != "spectral")  # whose layers gain too little in float32
    alone = optimised(mel[:, :6], seed=0)
    torch.testing.assert_close(out[1, : len(alone)], alone, rtol=0, atol=2e-5)
    whole, pieces = optimised(mel), torch.cat(list(optimised.stream(mel.split(3, 1))))
    torch.testing.assert_close(pieces, whole, rtol=0, atol=2e-5)


@pytest.mark.skipif(not computes_in_bfloat16(), reason="a CPU that only stores bfloat16")
@pytest.mark.parametrize("name", MODELS)
def test_by_kernels_16_bits_cost_no_more_than_without(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels_of_any_size(monkeypatch)
    mel = random_mel(20)
    exact = tiny_vocoder(name)(mel, consistency=0)
    short = tiny_vocoder(name).bfloat16(), tiny_vocoder(name).optimize("bf16")
    assert fused_layers(short[1].network) and not fused_layers(short[0].network)
    plain, ours = ((v(mel, consistency=0) - exact).square().mean() for v in short)
    assert 0 < float(ours) < 1.5 * float(plain)


@pytest.mark.parametrize("name", ["wavegrad", "spectral"])  # torch pickles no weight norm
def test_an_optimised_vocoder_is_copied_and_pickled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels_of_any_size(monkeypatch)
    vocoder, mel = tiny_vocoder(name).optimize(), random_mel(5)
    wanted = vocoder(mel)
    assert torch.equal(deepcopy(vocoder)(mel), wanted)
    file = io.BytesIO(pickle.dumps(vocoder))
    assert torch.equal(pickle.load(file)(mel), wanted)  # noqa: S301


@torch.no_grad()
def test_new_weights_are_convolved_as_they_are() -> None:
    torch.manual_seed(0)
    layer, other = Conv1d(64, 128, 3, padding=1), Conv1d(64, 128, 3, padding=1)
    fused.fuse(layer)
    x = torch.randn(1, 64, 301)
    assert layer.winograd
    layer.load_state_dict(other.state_dict())
    assert torch.equal(layer(x), other(x))


def test_products_by_kernels_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_of_any_size(monkeypatch)
    plain, optimised, mel = tiny_vocoder(), tiny_vocoder().optimize(), random_mel(8)
    wanted = multiply_adds(lambda: plain(mel))
    taken = fused_layers(optimised.network)
    assert multiply_adds(lambda: optimised(mel), optimised.network) == wanted > 0
    assert taken and fused_layers(optimised.network) == taken


THREADS = """
import sys; sys.path.insert(0, "tests")
import torch
from tiny_vocoder import random_mel, tiny_vocoder
from wg.models import fused, winograd
fused.NARROWEST = winograd.LEAST = winograd.SHORTEST = winograd.FEWEST = 1
torch.set_num_threads(2)
plain, optimised, mel = tiny_vocoder(), tiny_vocoder().optimize(), random_mel(9)
close = float((plain(mel) - optimised(mel)).abs().max()) < 2e-5
print(close, bool(fused.fused_layers(optimised.network)), torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("THREADING_LAYER", "omp", True),
        ("THREADING_LAYER", "workqueue", False),
        ("THREADING_LAYER", "safe", False),
        ("NUM_THREADS", "1", False),
        ("NUM_THREADS", "4", True),
        ("NUM_THREADS", "0", False),
        ("DISABLE_JIT", "1", False),
    ],
)
def test_kernels_have_torchs_threads_or_are_left_alone(key: str, value: str, taken: bool) -> None:
    if taken and (os.cpu_count() or 1) < 2:
        pytest.skip("one core")
    ran = subprocess.run(
        [sys.executable, "-c", THREADS],
        env={**os.environ, f"NUMBA_{key}": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.split() == ["True", str(taken), "2"], ran.stderr


@pytest.mark.parametrize("name", MODELS)
def test_without_numba_an_optimised_vocoder_computes_as_ever(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "kernels", lambda: None)
    plain, optimised, mel = tiny_vocoder(name), tiny_vocoder(name).optimize(), random_mel(5)
    assert torch.equal(optimised(mel), plain(mel))
