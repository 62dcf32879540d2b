"""Streams: the same waveform as in one call, in bounded memory, whatever the chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_vocoder import BY_MEL, SPECTRAL, give_power
from torch import Tensor, nn

from wg.diffusion.consistency import Consistency
from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.receptive_field import receptive_field_of
from wg.inference.streaming import Stream, WindowStream
from wg.inference.vocoder import Vocoder
from wg.mel.spec import MelSpec
from wg.models import build_network
from wg.models.diffwave import DiffWaveConfig
from wg.models.wavegrad import WaveGradConfig

MEL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=6)
WAVEGRAD = WaveGradConfig(
    mel_channels=8, up_channels=(8, 8, 8, 4, 4), wave_channels=4, down_channels=(4, 4, 8, 8)
)
DISCRETE = DiffusionConfig(start=1e-4, end=0.05, steps=50, conditioning="discrete")
DIFFWAVE = DiffWaveConfig(channels=4, layers=6, dilation_cycle=3)
GENTLE = SamplingConfig("diffwave-fast-base", clip=0.8)
MODELS = {
    "wavegrad": (WAVEGRAD, DiffusionConfig()),
    "wavegrad linear": (replace(WAVEGRAD, up="linear", down="linear"), DiffusionConfig()),
    "wavegrad strided": (replace(WAVEGRAD, down="strided"), DiffusionConfig()),
    "wavegrad rms": (WAVEGRAD, DiffusionConfig(data_rms=0.1, spacing="log_snr")),
    "wavegrad prior": (WAVEGRAD, DiffusionConfig(prior="energy", energy_max=2.0)),
    "wavegrad mel": (WAVEGRAD, replace(BY_MEL, prior="standard")),
    "spectral": (SPECTRAL, BY_MEL),
    "spectral consistent": (SPECTRAL, BY_MEL),
    "diffwave": (DIFFWAVE, DISCRETE),
    "diffwave mel": (DIFFWAVE, replace(DISCRETE, precondition="mel", prior="mel")),
    "diffwave shared": (replace(DIFFWAVE, upsampler="shared", cache="upsampled"), DISCRETE),
}


def vocoder(name: str, options: SamplingConfig = GENTLE) -> Vocoder:
    config, training = MODELS[name]
    torch.manual_seed(0)
    network = build_network(config, MEL, training)
    last = {"wavegrad": "out_conv", "diffwave": "output", "spectral": "leave"}[config.name]
    # Preconditioned, larger weights amplify the rounding of float32 (in float64 nothing differs).
    std = 0.1 if training.preconditioning == "none" else 0.02
    nn.init.normal_(network.get_submodule(last).weight, std=std)  # pyright: ignore
    give_power(network)
    if name == "spectral consistent":
        options = replace(options, schedule="3", consistency=Consistency(3, snr_to=20.0))
    elif training.preconditioning == "mel":
        options = replace(options, schedule="6")
    return Vocoder(network, config, MEL, training, options)


def mel(frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, frames, generator=generator) - 3


def chunks(whole: Tensor, sizes: list[int]) -> list[Tensor]:
    assert sum(sizes) == whole.shape[1]
    return list(whole.split(sizes, 1))


@pytest.mark.parametrize("name", MODELS)
def test_the_pieces_join_to_full_synthesis(name: str) -> None:
    voc, whole = vocoder(name), mel(150)
    full = voc(whole, seed=5)
    streamed = torch.cat(list(voc.stream(chunks(whole, [60, 7, 1, 40, 42]), seed=5)))
    assert full.abs().max() > 0.03
    assert (streamed - full).abs().max() < 1e-4
    other = torch.cat(list(voc.stream(chunks(whole, [150]), seed=6)))
    assert (other - full).abs().max() > 5e-3


def test_streams_that_wait_for_seconds_are_refused() -> None:
    voc = vocoder("spectral")
    with pytest.raises(InputError, match=r"start \d+\.\d s late.*context 32.*--consistency 0"):
        next(iter(voc.stream([mel(9)], consistency=100)))


@pytest.mark.parametrize("name", ["ancestral", "ddim", "ddim-0.5", "dpm++2m", "heun", "langevin-2"])
@pytest.mark.parametrize("schedule", ["1", "2", "9"])
def test_every_sampler_and_step_count_streams(name: str, schedule: str) -> None:
    voc, whole = vocoder("wavegrad", SamplingConfig(schedule, name, clip=0.8)), mel(90)
    if name == "heun":  # its two estimates a step amplify rounding
        nn.init.normal_(voc.network.get_submodule("out_conv").weight, std=0.02)  # pyright: ignore
    streamed = torch.cat(list(voc.stream(chunks(whole, [30, 30, 30]), seed=2)))
    assert (streamed - voc(whole, seed=2)).abs().max() < 1e-4


@pytest.mark.parametrize("sizes", [[1] * 20, [3, 17], [20], [1, 19]])
def test_an_utterance_shorter_than_the_reach_streams(sizes: list[int]) -> None:
    voc, whole = vocoder("diffwave"), mel(20)
    streamed = torch.cat(list(voc.stream(chunks(whole, sizes))))
    assert (streamed - voc(whole)).abs().max() < 1e-4


def test_audio_comes_as_soon_as_the_reach_allows() -> None:
    voc = vocoder("wavegrad")
    stream = Stream(voc, GENTLE, 0)
    assert stream.latency == 6 * receptive_field_of(voc.denoiser).ahead > 0
    known, given = 0, 0
    while given < stream.latency + 60:
        given += 20
        known += len(stream.push(mel(20)))
        assert known == max(0, given - stream.latency) * 64
    assert known + len(stream.push(None)) == given * 64


@pytest.mark.parametrize("sizes", [[50, 50, 50], [7, 90, 53], [150]])
@pytest.mark.parametrize("name", ["wavegrad", "spectral", "spectral consistent", "diffwave mel"])
def test_pieces_that_see_all_that_matters_join_to_full_synthesis(
    name: str, sizes: list[int]
) -> None:
    voc, whole = vocoder(name), mel(150)
    far = Stream(voc, voc.synthesis, 5).latency
    streamed = torch.cat(list(voc.stream(chunks(whole, sizes), seed=5, context=far)))
    assert (streamed - voc(whole, seed=5)).abs().max() < 1e-4


def test_with_a_context_audio_comes_so_much_later_and_nearly_as_of_one_call() -> None:
    voc, whole = vocoder("spectral consistent"), mel(150)
    full, errors = voc(whole, seed=3), []
    for context in (2, 8, 16):
        stream = WindowStream(voc, voc.synthesis, 3, context)
        made, given = [], 0
        for chunk in chunks(whole, [10] * 15):
            given += 10
            made.append(stream.push(chunk))
            assert sum(map(len, made)) == max(0, given - context) * 64
            assert stream.mel.end - stream.mel.first <= 2 * context + 10
        made.append(stream.push(None))
        wave = torch.cat(made)
        assert len(wave) == len(full)
        errors.append(float((wave - full).square().mean() / full.square().mean()))
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0


def test_a_piece_goes_over_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def window(self: WindowStream, first: int, last: int) -> Tensor:
        made.append(first)
        return torch.full(((last - first) * 64,), float(len(made)))

    monkeypatch.setattr(WindowStream, "_window", window)
    wave = torch.cat(list(vocoder("wavegrad").stream([mel(10)] * 5, context=6)))
    assert len(wave) == 50 * 64 and (wave[0], wave[-1]) == (1, len(made))
    # Of ones, twos .. : never a jump, from piece to piece within four frames.
    assert float(wave.diff().abs().max()) == pytest.approx(1 / (4 * 64 + 1), rel=1e-3)
    assert float((wave == wave.round()).float().mean()) > 0.6


def test_a_context_lets_a_stream_begin_that_would_be_refused() -> None:
    pieces = vocoder("spectral").stream([mel(9)], consistency=100, context=4)
    assert len(torch.cat(list(pieces))) == 9 * 64


BAD_CONTEXTS = {
    **{0: "give at least 1 frame", -3: "give at least 1 frame"},
    **{2.5: "give a whole", "4": "give a whole"},
    10**20: r"streaming would start .* s late, over 8 s; take fewer frames",
}


@pytest.mark.parametrize("context", BAD_CONTEXTS)
def test_a_context_that_is_none_is_refused(context: Any) -> None:
    with pytest.raises(InputError, match=f"context {context!r}: {BAD_CONTEXTS[context]}"):
        vocoder("wavegrad").stream([mel(9)], context=context)
    vocoder("wavegrad").stream([mel(9)], context=np.int64(3))  # pyright: ignore


def test_the_reach_is_that_of_the_gradients() -> None:
    # Independent of NaN: which inputs the output of a middle frame has gradients to.
    for name in ("wavegrad", "diffwave", "wavegrad strided"):
        voc = vocoder(name)
        reach, frames = receptive_field_of(voc.denoiser), 81
        x = torch.randn(1, frames * 64, requires_grad=True)
        given = mel(frames)[None].clone().requires_grad_()
        network = voc.network
        out = network.denoise(x, torch.ones(1), network.condition({"mel": given}))  # pyright: ignore
        out[0, 40 * 64 : 41 * 64].sum().backward()
        assert x.grad is not None and given.grad is not None
        seen = (x.grad[0].view(frames, 64) != 0).any(1) | (given.grad[0] != 0).any(0)
        first, last = seen.nonzero().min().item(), seen.nonzero().max().item()
        assert 40 - first <= reach.behind <= 40 - first + 1
        assert last - 40 <= reach.ahead <= last - 40 + 1


def test_what_is_kept_does_not_grow_with_the_stream() -> None:
    voc = vocoder("diffwave", replace(GENTLE, sampler="dpm++2m"))
    stream = Stream(voc, voc.synthesis, 0)

    def kept() -> int:
        lines = [stream.mel, *stream.lines, *stream.estimates]
        stored = [
            line.values.untyped_storage().nbytes() for line in lines if line.values is not None
        ]
        return sum(stored)

    sizes = []
    for _ in range(16):
        stream.push(mel(20))
        sizes.append(kept())
    assert len(set(sizes[8:])) == 1 and sizes[-1] <= max(sizes[:8])


def test_a_positional_encoding_in_time_cannot_be_streamed() -> None:
    coqui = replace(WAVEGRAD, level_encoding="coqui")
    torch.manual_seed(0)
    network = build_network(coqui, MEL)
    nn.init.normal_(network.out_conv.weight, std=0.1)  # pyright: ignore
    voc = Vocoder(network, coqui, MEL, DiffusionConfig(), GENTLE)
    for context in (None, 3):
        with pytest.raises(InputError, match="depends on the position in the utterance"):
            voc.stream([mel(5)], context=context)


def test_numpy_chunks_stream_too() -> None:
    voc, whole = vocoder("wavegrad"), mel(30)
    streamed = torch.cat(list(voc.stream(part.numpy() for part in whole.split(10, 1))))
    assert (streamed - voc(whole)).abs().max() < 1e-4


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "bands": (
        lambda: torch.zeros(5, 4),
        r"chunk 2: shape \[5, 4\]; this vocoder takes \[6, frames",
    ),
    "turned": (lambda: mel(4).T, r"chunk 2: shape \[4, 6\]"),
    "empty": (lambda: mel(0), r"chunk 2: shape \[6, 0\]; .* at least one frame"),
    "batch": (lambda: mel(4)[None], r"chunk 2: shape \[1, 6, 4\]"),
    "nan": (lambda: mel(4).log(), "chunk 2: NaN or infinite"),
    "numpy": (lambda: np.zeros((6, 0)), r"chunk 2: shape \[6, 0\]"),
    "whole numbers": (lambda: torch.ones(6, 4, dtype=torch.int64), "chunk 2: torch.int64; a mel"),
    "complex": (lambda: np.ones((6, 4), complex), "chunk 2: complex128; a mel holds floating"),
    "words": (lambda: np.array([["a"] * 4] * 6), "chunk 2: <U1; a mel holds floating"),
    "row": (lambda: mel(4)[0], r"chunk 2: shape \[4\].*; of a whole mel give mel.split\(20, 1\)"),
    "list": (lambda: mel(4).tolist(), "chunk 2: a list; give a torch tensor or numpy array"),
    "nothing": (lambda: None, "chunk 2: a NoneType; give a torch tensor"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_chunk_that_is_none_is_named(name: str) -> None:
    make, message = BAD[name]
    stream = vocoder("wavegrad").stream([mel(3), make()])  # pyright: ignore
    with pytest.raises(InputError, match=message):
        list(stream)


def test_a_stream_without_chunks_is_refused_and_options_are_checked_at_once() -> None:
    voc = vocoder("wavegrad")
    with pytest.raises(InputError, match="a stream without chunks"):
        list(voc.stream([]))
    with pytest.raises(InputError, match="steps is 0"):
        voc.stream([mel(3)], SamplingConfig("0"))
    with pytest.raises(InputError, match="steps is -2"):
        voc.stream([mel(3)], steps=-2)
    with pytest.raises(InputError, match="seed 'x': give a whole number"):
        voc.stream([mel(3)], seed="x")  # pyright: ignore[reportArgumentType]


def test_a_stream_is_told_how_to_sample_as_a_call_is() -> None:
    voc, whole = vocoder("wavegrad"), mel(30)
    options = {"steps": 3, "sampler": "ddim"}
    streamed = torch.cat(list(voc.stream(whole.split(7, 1), seed=2, **options)))  # pyright: ignore
    assert (streamed - voc(whole, seed=2, **options)).abs().max() < 1e-4  # pyright: ignore
    assert (streamed - voc(whole, seed=2)).abs().max() > 1e-2


def test_a_source_that_breaks_off_passes_its_error_on_after_what_is_certain() -> None:
    voc, whole = vocoder("wavegrad", SamplingConfig("1", clip=0.8)), mel(60)

    def source() -> Iterator[Tensor]:
        yield whole[:, :50]
        raise ConnectionError("gone")

    got = []
    with pytest.raises(ConnectionError, match="gone"):
        for piece in voc.stream(source()):
            got.append(piece)
    made = torch.cat(got)
    assert (made - voc(whole)[: len(made)]).abs().max() < 1e-4 and len(made) > 0
