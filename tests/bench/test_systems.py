"""Vocoders under test give what their own functions give, alone and in a batch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from tiny_recipe import tone
from tiny_vocoder import MEL, int8_of_any_size, random_mel, tiny_vocoder
from torch import Tensor, nn

from wg.bench import external
from wg.bench.plan import Cell, Speed, VocoderEntry
from wg.bench.speed import cost, excerpt, multiply_adds, peak_memory, percentiles, timings
from wg.bench.systems import AUTOCAST, FromMel, World, griffin_lim_system, system_of
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.streaming import Stream
from wg.inference.vocoder import Vocoder
from wg.mel.extract import log_mel
from wg.mel.griffinlim import griffin_lim
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.metrics import score
from wg.models.int8 import int8_layers
from wg.processes.devices import computes_in_int8

CPU = torch.device("cpu")
SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=10)
WAVES = [0.4 * tone(number).astype(np.float32) for number in (1, 5)]


class Hold(nn.Module):
    """A vocoder that holds each frame's first band: 64 samples a frame, 10 * 10 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(10, 10, 1, bias=False)
        nn.init.dirac_(self.mix.weight)

    def forward(self, mels: Tensor) -> Tensor:
        return self.mix(mels)[:, 0].repeat_interleave(64, dim=1)


def hold() -> FromMel:
    network = Hold()
    return FromMel(SPEC, lambda mels, frames, seeds: network(mels), network, CPU, "32")


def test_griffin_lim_is_the_function_s_own_and_ignores_its_batch() -> None:
    made = griffin_lim_system(SPEC, 2)
    mels = [made.features(wave, 8000) for wave in WAVES]
    together = made.synthesise(mels, [3, 4])
    for wave, mel, seed in zip(together, mels, [3, 4], strict=True):
        np.testing.assert_array_equal(wave, griffin_lim(mel, SPEC, 2, seed).numpy())


def test_a_batch_is_padded_and_cut_to_each_length() -> None:
    made = hold()
    mels = [log_mel(torch.from_numpy(wave), SPEC) for wave in WAVES]
    for wave, mel in zip(made.synthesise(mels, [0, 0]), mels, strict=True):
        np.testing.assert_allclose(wave, mel[0].repeat_interleave(64).numpy(), atol=1e-6)


def test_world_sounds_like_the_recording_and_not_like_another() -> None:
    rate = 16000  # D4C judges voicing by bands that reach 7.9 kHz
    t = np.arange(rate) / rate
    voices = [
        np.sum([0.1 * np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 30)], axis=0)
        for hz in (120, 200)
    ]
    made = World()
    copies = made.synthesise([made.features(voice, rate) for voice in voices], [0, 0])
    names = ["f0_rmse_cents", "vde"]
    own, other = (score(voices[0], copy[:rate], rate, names) for copy in copies)
    assert own["f0_rmse_cents"] < 30 and own["vde"] < 0.1
    assert other["f0_rmse_cents"] > 500


def test_precision_is_that_of_the_products() -> None:
    seen: list[torch.dtype] = []
    network = Hold()

    def run(mels: Tensor, frames: Tensor, seeds: Any) -> Tensor:
        seen.append(network.mix(mels).dtype)
        return network(mels)

    made = FromMel(SPEC, run, network, CPU, "bf16")
    (wave,) = made.synthesise([made.features(WAVES[0], 8000)], [0])
    assert seen == [AUTOCAST["bf16"]] and wave.dtype == np.float32
    with pytest.raises(InputError, match="precision 16 needs a GPU"):
        system_of(VocoderEntry("recording"), Cell("c", "v", precision="16"), Path(), CPU)


def test_8_bits_are_of_our_vocoders_on_a_cpu_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell("c", "v", precision="int8")
    with pytest.raises(InputError, match="is of vocoders of kind wg"):
        system_of(VocoderEntry("external", factory="m:f", mel="hifigan"), cell, tmp_path, CPU)
    monkeypatch.setattr("wg.bench.systems.computes_in_int8", lambda: False)
    with pytest.raises(InputError, match="precision int8 needs a CPU with avx512_vnni"):
        system_of(VocoderEntry("wg", folder="v"), cell, tmp_path, CPU)


@pytest.mark.skipif(not computes_in_int8(), reason="a CPU without products in 8 bits")
def test_a_cell_in_8_bits_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_vocoder().save_pretrained(tmp_path / "v")
    entry, found = VocoderEntry("wg", folder="v"), {}
    with pytest.raises(InputError, match="precision int8: no convolution is large enough"):
        system_of(entry, Cell("c", "v", precision="int8"), tmp_path, CPU)
    int8_of_any_size(monkeypatch)
    for name in ("32", "int8"):
        made = system_of(entry, Cell("c", "v", precision=name), tmp_path, CPU)
        assert made.network is not None and bool(int8_layers(made.network)[0].int8) == (
            name != "32"
        )
        (found[name],) = made.synthesise([random_mel(8)], [0])
    error = np.abs(found["32"] - found["int8"]).mean() / np.abs(found["32"]).mean()
    assert 0 < error < 0.15


def test_with_a_context_a_listener_waits_for_less(tmp_path: Path) -> None:
    tiny_vocoder("spectral").save_pretrained(tmp_path / "v")
    mel, waits = random_mel(400), {}
    for context in (None, 40, 4):
        made = system_of(VocoderEntry("wg", "v", context=context), Cell("c", "v"), tmp_path, CPU)
        waits[context] = made.begin(mel, 0.01)
    frame = MEL.hop_length / MEL.sample_rate
    assert waits[4] == pytest.approx(5 * frame) and waits[40] == pytest.approx(41 * frame)
    assert waits[None] > waits[40]


# -- plug-ins --------------------------------------------------------------------------------


def entry(factory: str, mel: str = "hifigan", **options: str | int) -> VocoderEntry:
    return VocoderEntry("external", mel=mel, factory=factory, options=options)


def test_a_user_s_factory_is_given_the_mel_spec_and_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_vocoder.py").write_text(
        "import torch\n"
        "def make(spec, gain):\n"
        "    return lambda mels: gain * torch.ones(len(mels), mels.shape[2] * spec.hop_length)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = system_of(entry("my_vocoder:make", gain=2), Cell("c", "v"), Path(), CPU)
    (wave,) = made.synthesise([torch.zeros(80, 3)], [0])
    assert made.rate == named("hifigan").sample_rate
    np.testing.assert_array_equal(wave, np.full(3 * 256, 2.0))
    with pytest.raises(InputError, match="my_vocoder has no such function; did you mean 'make'"):
        system_of(entry("my_vocoder:mak"), Cell("c", "v"), Path(), CPU)
    with pytest.raises(InputError, match="cannot import 'no_such'"):
        system_of(entry("no_such:make"), Cell("c", "v"), Path(), CPU)


class Vocos(nn.Module):
    """As the package's: `decode` of mels [B, M, F]."""

    @classmethod
    def from_pretrained(cls, checkpoint: str) -> Vocos:
        if checkpoint == "absent":
            raise OSError("not in the cache\nand offline")
        return cls()

    def decode(self, mels: Tensor) -> Tensor:
        return mels.sum(dim=1).repeat_interleave(256, dim=1)


class BigVGAN(Vocos):
    """As the package's: a call gives [B, 1, T]; `h` says what it was trained on."""

    h = SimpleNamespace(
        sampling_rate=22050, hop_size=256, win_size=1024, n_fft=1024, num_mels=80, fmin=0, fmax=8000
    )

    def remove_weight_norm(self) -> None:
        self.plain = True

    def forward(self, mels: Tensor) -> Tensor:
        assert self.plain
        return self.decode(mels)[:, None]


class Hifi(Vocos):
    """As transformers': mels [B, F, M]."""

    def forward(self, mels: Tensor) -> Tensor:
        return self.decode(mels.mT)


class Generator(BigVGAN):
    """As parallel_wavegan's: `inference` of one mel [F, M] gives [T, 1]."""

    def inference(self, mel: Tensor, normalize_before: bool) -> Tensor:
        assert self.plain and normalize_before
        return self.decode(mel.mT[None])[0, :, None]


STAND_INS = {
    "vocos": ("vocos", "vocos", {"Vocos": Vocos}, {}),
    "bigvgan": ("bigvgan", "hifigan", {"BigVGAN": BigVGAN}, {}),
    "hifigan": ("transformers", "speecht5", {"SpeechT5HifiGan": Hifi}, {}),
    "parallel_wavegan": (
        "parallel_wavegan.utils",
        "parallel-wavegan",
        {"PRETRAINED_MODEL_LIST": {}, "load_model": lambda path: Generator()},
        {"checkpoint": "model.pkl"},
    ),
}


@pytest.mark.parametrize("name", STAND_INS)
def test_ready_entries_call_their_packages_as_these_want(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, mel, contents, options = STAND_INS[name]
    monkeypatch.setitem(sys.modules, package, SimpleNamespace(**contents))
    spec = named(mel)
    made = system_of(
        entry(f"wg.bench.external:{name}", mel, **options), Cell("c", "v"), Path(), CPU
    )
    mels = [torch.randn(spec.n_mels, count) for count in (3, 2)]
    for wave, given in zip(made.synthesise(mels, [0, 0]), mels, strict=True):
        expected = given.sum(dim=0).repeat_interleave(spec.hop_length)
        np.testing.assert_allclose(wave, expected, atol=1e-5)


def test_ready_entries_name_what_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vocos", None)
    with pytest.raises(InputError, match=r"vocos cannot be imported .*; pip install vocos"):
        external.vocos(named("vocos"))
    monkeypatch.setitem(sys.modules, "vocos", SimpleNamespace(Vocos=Vocos))
    with pytest.raises(InputError, match=r"absent: its weights .* \(not in the cache\)"):
        external.vocos(named("vocos"), "absent")
    with pytest.raises(InputError, match="differs from vocos in sample_rate"):
        external.vocos(named("hifigan"))
    monkeypatch.setitem(sys.modules, "bigvgan", SimpleNamespace(BigVGAN=BigVGAN))
    with pytest.raises(InputError, match=r"takes mels of sample_rate 22050, n_mels 80, fmax 8000"):
        external.bigvgan(named("vocos"))


# -- cost ------------------------------------------------------------------------------------


def test_multiply_adds_and_parameters_are_those_of_the_convolution() -> None:
    made = hold()
    mel = made.features(WAVES[0], 8000)
    assert multiply_adds(lambda: made.synthesise([mel], [0])) == 10 * 10 * mel.shape[1]
    found = cost(made, WAVES, 8000, Speed(seconds=1.0, batch=2, repeats=3, chunk=0.1))
    frames = SPEC.frames(8000)
    assert (found["parameters"], found["gmacs"]) == (100, pytest.approx(100 * frames / 1e9))
    assert 0 < found["rtf"]["p50"] <= found["rtf"]["p90"] <= found["rtf"]["p99"]
    assert cost(World(), WAVES, 8000, Speed(0.5, 1, 1, 0.1))["parameters"] is None


def streamed_cell(folder: Path, name: str, steps: str) -> FromMel:
    tiny_vocoder(name).save_pretrained(folder)
    made = system_of(VocoderEntry("wg", str(folder)), Cell("c", "v", steps), Path(), CPU)
    assert isinstance(made, FromMel)
    return made


@pytest.mark.parametrize("name", ["wavegrad", "diffwave"])
def test_the_first_audio_is_what_a_listener_of_a_stream_waits_for(
    tmp_path: Path, name: str
) -> None:
    made = streamed_cell(tmp_path, name, "2")
    vocoder = Vocoder.from_pretrained(tmp_path)
    ahead = Stream(vocoder, SamplingConfig("2"), 0).latency
    mel = random_mel(8 * ahead)
    chunks = ahead // 5 + 1  # the first at which more than the look-ahead is there
    assert made.begin(mel, 5 * 64 / 8000) == pytest.approx(chunks * 5 * 64 / 8000)
    assert made.begin(mel[:, :ahead], 1.0) == pytest.approx(ahead * 64 / 8000), "its end"


def test_what_does_not_stream_is_timed_on_the_first_chunk_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, lengths = hold(), []
    run = made.run
    monkeypatch.setattr(made, "run", lambda m, f, s: lengths.append(m.shape[2]) or run(m, f, s))
    found = cost(made, WAVES, 8000, Speed(seconds=0.8, batch=1, repeats=2, chunk=0.08))
    assert found["first_chunk_after_s"] == 0.08
    assert lengths.count(SPEC.frames(640)) == 3, "once untimed, twice timed"
    streams = streamed_cell(tmp_path, "wavegrad", "1")
    monkeypatch.setattr(streams, "stream", lambda chunks: fail("cannot be streamed"))
    assert streams.begin(random_mel(20), 0.1) is None


def fail(message: str) -> NoReturn:
    raise InputError(message)


def test_the_first_call_is_not_timed() -> None:
    import time

    calls: list[int] = []

    def call() -> None:
        calls.append(0)
        time.sleep(0.2 if len(calls) == 1 else 0.001)

    assert len(timings(call, CPU, 3)) == 3 and len(calls) == 4
    assert percentiles(np.arange(101.0)) == {"p50": 50, "p90": 90, "p99": 99}


def test_peak_memory_is_that_of_the_call_and_not_of_one_before() -> None:
    def take(megabytes: int) -> float | None:
        return peak_memory(lambda: np.ones(megabytes * 125_000).sum(), CPU)

    first = take(200)
    if first is None:
        pytest.skip("this kernel does not let a process reset its peak")
    assert first == pytest.approx(200, abs=20)
    small = [np.ones(10_000) for _ in range(500)]  # 40 MB in blocks that malloc keeps when freed
    del small
    assert take(40) == pytest.approx(40, abs=20)


def test_an_excerpt_repeats_short_recordings() -> None:
    assert excerpt([np.arange(3), np.arange(2)], 7).tolist() == [0, 1, 2, 0, 1, 0, 1]
