"""Calling a vocoder: arrays, batches, precision, threads, progress, and bad input."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_vocoder import MEL, int8_of_any_size, random_mel, tiny_vocoder

from wg.errors import InputError
from wg.inference.vocoder import Vocoder
from wg.models.int8 import int8_layers, use_int8
from wg.processes.devices import computes_in_bfloat16, computes_in_int8

MODELS = ("wavegrad", "diffwave", "spectral")


@pytest.fixture(scope="module", params=MODELS)
def vocoder(request: pytest.FixtureRequest) -> Vocoder:
    return tiny_vocoder(request.param)


def test_numpy_gives_numpy_and_the_same_numbers(vocoder: Vocoder) -> None:
    mel = random_mel(9)
    wave = vocoder(mel.numpy())
    assert isinstance(wave, np.ndarray) and wave.dtype == np.float32
    assert np.array_equal(wave, vocoder(mel).numpy())
    assert np.array_equal(vocoder(mel.double().numpy()), wave)
    assert vocoder(mel[None].numpy()).shape == (1, 9 * 64)


def test_an_utterance_sounds_the_same_alone_padded_and_in_another_order(vocoder: Vocoder) -> None:
    lengths, seeds = [5, 12, 9], [3, 1, 2]
    mels = [random_mel(length, length) for length in lengths]
    alone = [vocoder(mel, seed=seed) for mel, seed in zip(mels, seeds, strict=True)]
    assert min(float(wave.abs().max()) for wave in alone) > 0.1
    for order in ([0, 1, 2], [2, 0, 1]):
        batch = torch.zeros(3, 10, 12)
        for row, i in enumerate(order):
            batch[row, :, : lengths[i]] = mels[i]
        ends = [lengths[i] for i in order]
        waves = vocoder(batch, seed=[seeds[i] for i in order], lengths=ends)
        for row, i in enumerate(order):
            end = lengths[i] * 64
            assert float((waves[row, :end] - alone[i]).abs().max()) < 1e-4
            assert not waves[row, end:].any()


def test_one_seed_is_everyones_and_each_can_have_its_own(vocoder: Vocoder) -> None:
    mel = random_mel(6)
    same = vocoder(torch.stack([mel, mel]), seed=4)
    torch.testing.assert_close(same[0], same[1], atol=1e-5, rtol=0)
    different = vocoder(torch.stack([mel, mel]), seed=[4, 5])
    torch.testing.assert_close(different[0], same[0], atol=1e-5, rtol=0)
    assert float((different[1] - same[1]).abs().max()) > 0.01


def test_steps_schedule_and_sampler_are_heard(vocoder: Vocoder) -> None:
    mel = random_mel(6)
    default = vocoder(mel)
    own = vocoder.synthesis
    assert torch.equal(default, vocoder(mel, schedule=own.schedule, sampler="ancestral"))
    assert torch.equal(vocoder(mel, steps=7), vocoder(mel, schedule="7"))
    assert not torch.allclose(default, vocoder(mel, steps=7), atol=1e-3)


@pytest.mark.parametrize("cast, most", [("bfloat16", 0.1), ("half", 0.02)])
@pytest.mark.parametrize("name", MODELS)
def test_half_precision_sounds_much_the_same(name: str, cast: str, most: float) -> None:
    full, mel = tiny_vocoder(name), random_mel(8)
    short: Vocoder = getattr(tiny_vocoder(name), cast)()
    batch, lengths = torch.stack([mel, mel]), [8, 6]
    expected, got = full(batch, lengths=lengths), short(batch, lengths=lengths)
    assert got.dtype == torch.float32
    error = (got - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert 0 < float(error) < most


@pytest.mark.parametrize("name", MODELS)
def test_an_optimised_vocoder_sounds_the_same(name: str) -> None:
    plain, optimised, mel = tiny_vocoder(name), tiny_vocoder(name).optimize(), random_mel(8)
    torch.testing.assert_close(optimised(mel), plain(mel), rtol=0, atol=1e-6)
    names = plain.network.state_dict().keys()
    assert optimised.network.state_dict().keys() == names


def test_an_optimised_vocoder_is_in_bfloat16_where_asked_and_where_the_cpu_computes_in_it() -> None:
    dtype = torch.bfloat16 if computes_in_bfloat16() else torch.float32
    assert tiny_vocoder().optimize("bf16").dtype == dtype


@pytest.mark.skipif(not computes_in_int8(), reason="a CPU without products in 8 bits")
@pytest.mark.parametrize("name", MODELS)
def test_in_8_bits_it_sounds_much_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    int8_of_any_size(monkeypatch)
    full, short, mel = tiny_vocoder(name), tiny_vocoder(name).optimize("int8"), random_mel(8)
    assert int8_layers(short.network) and all(layer.int8 for layer in int8_layers(short.network))
    batch, lengths = torch.stack([mel, mel]), [8, 6]
    expected = full(batch, lengths=lengths)
    got = short(batch, lengths=lengths)
    error = (got - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert got.dtype == torch.float32 and 0 < float(error) < 0.15
    assert torch.equal(deepcopy(short)(batch, lengths=lengths), got)
    assert "and int8 on cpu" in repr(short) and "int8" not in repr(full)
    with pytest.raises(InputError, match="precision is 'fp16'; give 'fp32', 'bf16' or 'int8'"):
        short.optimize("fp16")  # pyright: ignore
    whole, pieces = short(mel, seed=3), torch.cat(list(short.stream(mel.split(4, 1), seed=3)))
    assert float((pieces - whole).square().mean() / whole.square().mean()) < 0.02


@pytest.mark.skipif(not computes_in_int8(), reason="a CPU without products in 8 bits")
@pytest.mark.parametrize("name", MODELS)
def test_in_8_bits_an_utterance_does_not_depend_on_its_batch(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    int8_of_any_size(monkeypatch)
    vocoder = tiny_vocoder(name)
    torch.manual_seed(0)  # one in six has a value so near to a half that a batch rounds it apart
    for parameter in vocoder.network.parameters():
        if parameter.ndim == 1:  # biases, which fill the padding
            torch.nn.init.normal_(parameter)
    # Of float32 besides: sums in bfloat16 may go another way in a batch.
    use_int8(vocoder.network)
    mels, seeds = [random_mel(12), random_mel(5, seed=1)], [3, 4]
    batch = torch.nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True).mT
    waves = vocoder(batch, seed=seeds, lengths=[12, 5])
    for wave, mel, seed in zip(waves, mels, seeds, strict=True):
        alone = vocoder(mel, seed=seed)
        torch.testing.assert_close(wave[: len(alone)], alone, rtol=0, atol=1e-4)


def test_without_large_convolutions_or_such_a_cpu_int8_is_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mel = random_mel(8)
    wanted = tiny_vocoder().optimize("bf16")(mel)
    assert torch.equal(tiny_vocoder().optimize("int8")(mel), wanted)
    int8_of_any_size(monkeypatch)
    monkeypatch.setattr("wg.inference.model.computes_in_int8", lambda: False)
    assert torch.equal(tiny_vocoder().optimize("int8")(mel), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_network_gives_the_same_for_every_length(name: str) -> None:
    eager, compiled = tiny_vocoder(name), tiny_vocoder(name).compile(backend="eager")
    for frames in (5, 8):
        torch.testing.assert_close(compiled(random_mel(frames)), eager(random_mel(frames)))


@pytest.mark.recipe
@pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++")), reason="torch.compile needs a C++ compiler"
)
def test_inductor_gives_the_same_for_every_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DiffWave: the C++ of a WaveGrad's five UBlocks takes minutes to compile.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    eager, compiled = tiny_vocoder("diffwave"), tiny_vocoder("diffwave").compile()
    for frames in (5, 8, 13):
        mel = random_mel(frames)
        torch.testing.assert_close(compiled(mel), eager(mel), atol=1e-4, rtol=0)
    assert list(tmp_path.rglob("*.so"))


def test_progress_is_told_after_every_step(vocoder: Vocoder) -> None:
    told: list[tuple[int, int]] = []
    vocoder(random_mel(4), steps=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_threads_can_share_a_vocoder(vocoder: Vocoder) -> None:
    def speak(i: int) -> torch.Tensor:
        return vocoder(random_mel(4 + i, i), steps=2 + i % 3, seed=i)

    expected = [speak(i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for wave, other in zip(expected, pool.map(speak, range(8)), strict=True):
            torch.testing.assert_close(wave, other, atol=1e-6, rtol=0)


def test_info_says_what_it_is() -> None:
    info = tiny_vocoder().info()
    assert info["parameters"] == sum(p.numel() for p in tiny_vocoder().network.parameters())
    assert info | {"parameters": 0} == {
        "model": "wavegrad",
        "conditions": "mel",
        "parameters": 0,
        "device": "cpu",
        "dtype": "float32",
        "sample_rate": 8000,
        "bands": 10,
        "hop_length": 64,
        "schedule": "diffwave-fast-base",
        "sampler": "ancestral",
    }


def test_a_wave_can_be_changed_and_differentiated(vocoder: Vocoder) -> None:
    mel = random_mel(6)
    for wave in (vocoder(mel), vocoder(mel[None])[0], *vocoder.stream([mel], consistency=0)):
        wave /= wave.abs().max()
        gain = torch.ones(1, requires_grad=True)
        (gain * wave).square().sum().backward()
        assert gain.grad is not None and float(wave.abs().max()) == 1


def test_an_array_of_any_layout_is_a_mel(vocoder: Vocoder) -> None:
    mel = random_mel(6).numpy()
    readonly = mel.copy()
    readonly.flags.writeable = False
    layouts = (readonly, mel[::-1].copy()[::-1], np.asfortranarray(mel), mel.astype(">f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for same in layouts:
            assert np.array_equal(vocoder(same), vocoder(mel))
            (wave,) = vocoder.stream([same], consistency=0)
            assert torch.equal(wave, *vocoder.stream([mel], consistency=0))


def test_one_frame_is_a_mel(vocoder: Vocoder) -> None:
    assert vocoder(random_mel(1)).shape == (64,)


MELS: dict[str, tuple[Callable[[], Any], str]] = {
    "bands": (lambda: torch.zeros(80, 9), r"mel of shape \[80, 9\]; this vocoder takes \[10, "),
    "transposed": (lambda: torch.zeros(9, 10), r"shape \[9, 10\]; .*; it looks transposed"),
    "nan": (lambda: torch.full((10, 9), torch.nan), "NaN or infinite"),
    "infinite": (lambda: np.full((10, 9), np.inf), "NaN or infinite"),
    "empty": (lambda: torch.zeros(10, 0), r"mel of shape \[10, 0\]"),
    "no batch": (lambda: torch.zeros(0, 10, 4), r"mel of shape \[0, 10, 4\]"),
    "integer": (lambda: torch.zeros(10, 9, dtype=torch.int64), "mel of torch.int64; a mel holds"),
    "integer array": (lambda: np.zeros((10, 9), np.int16), "mel of int16"),
    "objects": (lambda: np.array([[None]]), "mel of object"),
    "list": (lambda: [[0.0]], "mel is a list; give a torch tensor or numpy array"),
    "a million frames": (
        lambda: torch.zeros(1).expand(10, 1_000_000),
        "mel of 1000000 frames, 133 minutes of audio; give at most 30 minutes at a time, or stream "
        r"it \(Vocoder.stream, wg vocode --chunk\)",
    ),
}


@pytest.mark.parametrize("name", MELS)
def test_a_mel_that_cannot_be_used_is_one_line(vocoder: Vocoder, name: str) -> None:
    make, message = MELS[name]
    with pytest.raises(InputError, match=message) as caught:
        vocoder(make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 3, "schedule": "ivanvovk-6"}, "steps 3 and schedule 'ivanvovk-6' both given"),
        ({"steps": 0}, "steps is 0"),
        ({"sampler": "eular"}, "sampler 'eular' is unknown"),
        ({"sampler": 3}, "sampler 3: give a name"),
        ({"synthesis": 6}, r"synthesis is 6; give a SamplingConfig, such as SamplingConfig\('6'\)"),
        ({"schedule": 6}, "schedule 6: a step count is steps=6"),
        ({"seed": [1, 2, 3]}, "3 seeds for 2 utterances"),
        ({"seed": 1.5}, "seed 1.5: give a whole number"),
        ({"seed": "ab"}, "seed 'ab': give a whole number"),
        ({"seed": 2**64}, "beyond 64 bits"),
        ({"lengths": [4]}, r"lengths \[4\]; give 2 whole numbers"),
        ({"lengths": [4.0, 5.0]}, "give 2 whole numbers"),
        ({"lengths": [0, 5]}, r"lengths \[0, 5\]; each is 1 to 6 frames"),
        ({"lengths": [7, 5]}, "each is 1 to 6 frames"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(
    vocoder: Vocoder, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        vocoder(torch.zeros(2, 10, 6), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:99", "warp", "cuda:x"])
def test_a_device_that_does_not_exist_is_named(device: str) -> None:
    made = tiny_vocoder()
    with pytest.raises(InputError, match=f"device '{device}' cannot be used: ") as caught:
        made.to(device)
    assert "\n" not in str(caught.value)
    assert made(random_mel(2)).shape == (2 * MEL.hop_length,)
