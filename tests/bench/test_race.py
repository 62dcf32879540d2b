"""`wg bench speed`: in turn, against eager, with reasons for what cannot run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from tiny_recipe import wg
from tiny_vocoder import MEL, int8_of_any_size, kernels_of_any_size, random_mel, tiny_vocoder
from torch import Tensor, nn

from wg.bench import backends, race
from wg.bench.backends import BACKENDS, Backend, BackendContext, Call, bucketed
from wg.bench.networks import Candidate, ExternalNetwork, OurNetwork, candidate_of
from wg.bench.peers import LmntLoop, lmnt_diffwave, lmnt_wavegrad
from wg.bench.race import Peak, Shape, SpeedResult, Timing, difference
from wg.bench.race_results import plain, print_race, spoken, summary, write_race
from wg.bench.roofline import Probe, Workload, operators, workload_of
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.mel.hub import named
from wg.models.fused import fused_layers
from wg.models.int8 import int8_layers
from wg.processes.devices import computes_in_int8
from wg.processes.progress import Bar

CPU = torch.device("cpu")
SHORT = Shape(0.25, 1, 1)


def tiny(name: str = "wavegrad") -> OurNetwork:
    vocoder = tiny_vocoder(name)
    return OurNetwork(
        f"tiny-{name}", vocoder, replace(vocoder.synthesis, schedule="3", consistency=None)
    )


def raced(
    networks: list[Candidate], names: list[str], repeats: int = 1, shape: Shape = SHORT
) -> tuple[list[SpeedResult], list[Peak]]:
    return race.race(networks, names, [shape], Timing(repeats, CPU), Bar("speed", None))


@pytest.fixture(autouse=True)
def small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wg.bench.roofline.SIZES", {"cpu": (16, 64, 64)})


def test_repetitions_are_interleaved_and_eager_comes_first(monkeypatch) -> None:
    called: list[str] = []

    def noted(name: str) -> Backend:
        def make(candidate: Candidate, context: BackendContext) -> Call:
            def call(mels: Tensor) -> Tensor:
                called.append(f"{candidate.name} {name}")
                return candidate(mels)

            return call

        return Backend(make)

    monkeypatch.setattr(race, "BACKENDS", {n: noted(n) for n in ("eager", "a", "b")})
    rows, _ = raced([tiny(), tiny("diffwave")], ["b", "a"], repeats=3)
    order = [f"tiny-{n} {b}" for n in ("wavegrad", "diffwave") for b in ("eager", "b", "a")]
    # Each alone until it is warm; three rounds; memory.
    assert called == order + 3 * order + order
    assert [len(row.times) for row in rows] == [3] * 6
    assert [row.faster for row in rows if row.backend == "eager"] == [1.0, 1.0]


def test_seconds_are_those_of_the_clock_that_is_given() -> None:
    ticks = iter(range(1000))
    timing = Timing(2, CPU, lambda: 0.5 * next(ticks))
    rows, peaks = race.race([tiny()], [], [Shape(0.25, 2, 1)], timing, Bar("speed", None))
    assert rows[0].times == [0.5, 0.5] and rows[0].rtf == 1.0
    assert all(peak.times == [0.5, 0.5] for peak in peaks)


def test_the_difference_of_a_wrong_backend_is_reported(monkeypatch) -> None:
    def louder(candidate: Candidate, context: BackendContext) -> Call:
        return lambda mels: candidate(mels) + 0.25

    def shorter(candidate: Candidate, context: BackendContext) -> Call:
        return lambda mels: candidate(mels)[:, :-1]

    wrong = {"louder": Backend(louder), "shorter": Backend(shorter)}
    monkeypatch.setattr(race, "BACKENDS", {**BACKENDS, **wrong})
    rows, peaks = raced([tiny()], ["louder", "shorter", "stream"])
    found = {row.backend: row.difference for row in rows}
    assert found["eager"] == 0
    assert found["louder"] == pytest.approx(0.25, abs=1e-6)
    assert found["shorter"] == float("inf")
    assert found["stream"] is not None and found["stream"] < 1e-4
    assert json.loads(json.dumps(plain(rows[2]), allow_nan=False))["difference"] is None


def test_what_cannot_run_here_is_a_row_with_its_reason(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    def broken(candidate: Candidate, context: BackendContext) -> Call:
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(race, "BACKENDS", {**BACKENDS, "broken": Backend(broken)})
    names = ["openvino", "onnxruntime", "fp16", "graphs", "broken"]
    rows, peaks = raced([tiny()], names)
    assert {row.backend: row.reason for row in rows} == {
        "eager": "",
        "openvino": "not installed: pip install openvino",
        "onnxruntime": "not installed: pip install onnxruntime",
        "fp16": "float16 needs --device cuda; a CPU has bf16",
        "graphs": "CUDA graphs need --device cuda",
        "broken": "fails: no kernel",
    }
    assert all(not row.times for row in rows if row.reason)
    print_race(rows, peaks)
    printed = capsys.readouterr().out
    assert "openvino: not installed: pip install openvino" in printed
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_kernels_are_of_a_copy_and_give_the_same_samples(monkeypatch) -> None:
    given = tiny()
    rows, _ = raced([given], ["kernels"])
    assert rows[1].reason == "no layer gains by them in float32"
    kernels_of_any_size(monkeypatch)
    rows, _ = raced([given], ["kernels"])
    assert [row.backend for row in rows] == ["eager", "kernels"] and rows[1].difference is not None
    assert rows[1].difference < 1e-4 and not rows[1].reason
    assert not fused_layers(given.vocoder.network)


@pytest.mark.skipif(not computes_in_int8(), reason="a CPU without products in 8 bits")
def test_8_bits_have_a_row_and_a_peak_of_their_own(monkeypatch) -> None:
    rows, _ = raced([tiny()], ["int8"])
    assert rows[1].reason == "no convolution is large enough"
    int8_of_any_size(monkeypatch)
    given = tiny("diffwave")
    rows, peaks = raced([given], ["int8"])
    assert rows[1].difference is not None and 0 < rows[1].difference < 0.3
    assert not any(layer.int8 for layer in int8_layers(given.vocoder.network))
    mine = [peak.probe.name for peak in peaks if peak.probe.precision == "int8"]
    assert mine == ["convolution"]
    monkeypatch.setattr("wg.bench.backends.computes_in_int8", lambda: False)
    rows, _ = raced([tiny()], ["int8"])
    assert rows[1].reason == "needs a CPU with avx512_vnni"


def test_a_network_whose_eager_call_fails_is_not_held_against_anything() -> None:
    def fails(mels: Tensor) -> Tensor:
        raise ValueError("broken")

    rows, _ = raced([ExternalNetwork("bad", MEL, fails), tiny()], ["bf16"])
    assert [row.reason for row in rows] == ["fails: broken"] * 2 + [""] * 2
    assert rows[3].faster is not None


def test_other_peoples_networks_run_where_ours_do_and_say_what_they_cannot() -> None:
    class Hold(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Conv1d(10, 64, 1)

        def forward(self, mels: Tensor) -> Tensor:
            return self.mix(mels).mT.flatten(1) + 0.1 * torch.randn(1)

    rows, _ = raced(
        [ExternalNetwork("hold", MEL, Hold().eval())], ["bf16", "onnxruntime", "stream"]
    )
    assert [row.reason for row in rows[2:]] == ["only networks of wg have it"] * 2
    frames = MEL.frames(2000)
    assert rows[0].work is not None and rows[0].difference == 0
    per_frame = rows[0].work.macs / (0.25 * MEL.sample_rate / MEL.hop_length)
    assert per_frame == pytest.approx(640) and frames


def test_onnx_runtime_gives_the_vocoder_s_waveforms() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    rows, _ = raced([tiny()], ["onnxruntime"], shape=Shape(0.25, 2, 1))
    assert rows[1].reason == "" and rows[1].difference is not None
    assert rows[1].difference < 1e-4


def test_openvino_is_given_threads_precision_and_the_loop_s_noise(tmp_path, monkeypatch) -> None:
    told: dict[str, Any] = {}

    class Core:
        def compile_model(self, path: str, device: str, settings: dict[str, Any]) -> Any:
            told.update(settings, path=path)

            def model(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
                told.update({key: value.shape for key, value in inputs.items()})
                return [inputs["noise"][0]]

            return model

    module = ModuleType("openvino")
    vars(module)["Core"] = Core
    monkeypatch.setitem(sys.modules, "openvino", module)
    monkeypatch.setattr(backends, "save_onnx", lambda v, part, s, path: path.touch())
    call = BACKENDS["openvino-bf16"].make(tiny(), BackendContext(CPU, 2, tmp_path))
    wave = call(torch.stack([random_mel(5), random_mel(5, 1)]))
    assert wave.shape == (2, 5 * 64)
    assert (told["INFERENCE_NUM_THREADS"], told["INFERENCE_PRECISION_HINT"]) == (2, "bf16")
    assert told["noise"] == (3, 2, 5, 64)


def test_a_bucket_changes_no_waveform(monkeypatch) -> None:
    monkeypatch.setattr(backends, "BUCKET", 16)
    for name in ("wavegrad", "spectral"):
        candidate = tiny(name)
        mels = torch.stack([random_mel(21), random_mel(21, 1)])
        assert difference(bucketed(candidate)(mels), candidate(mels)) < 1e-4


def test_a_compiled_network_runs_in_the_same_loop(monkeypatch, tmp_path) -> None:
    asked: list[Any] = []

    def compile_nothing(function: Any, **options: Any) -> Any:
        asked.append(options)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: asked.append("step"))
    candidate, mel = tiny(), random_mel(8)[None]
    call = BACKENDS["compiled"].make(candidate, BackendContext(CPU, 1, tmp_path))
    assert torch.equal(call(mel), candidate(mel))
    graphed = BACKENDS["graphs"].make(candidate, BackendContext(torch.device("cuda"), 1, tmp_path))
    assert difference(graphed(mel), candidate(mel)) < 1e-4
    assert asked[:2] == [{"dynamic": True}, {"mode": "reduce-overhead", "dynamic": False}]
    assert asked[2:] == ["step"] * 3


def test_work_is_counted_by_hand() -> None:
    x, y = torch.zeros(4, 8), torch.zeros(8, 2)
    assert workload_of(lambda: x @ y) == Workload(4 * 8 * 2, 4 * (32 + 16 + 8))
    assert workload_of(lambda: x.T) == Workload(0, 0)
    assert workload_of(lambda: x + x) == Workload(0, 4 * 3 * 32)


def test_a_profile_names_what_takes_the_time() -> None:
    x = torch.randn(600, 600)
    shares = operators(lambda: x @ x + 1, CPU)
    assert list(shares)[0] == "mm" and sum(shares.values()) == pytest.approx(1)
    assert race.profiled(tiny(), CPU).keys() & {"mkldnn_convolution", "_slow_conv2d_forward"}


def hand_made() -> tuple[list[SpeedResult], list[Peak]]:
    shape = Shape(2.0, 2, 1)
    work = Workload(macs=8e9, traffic=2e9)
    eager = SpeedResult("net", "eager", "32", shape, "", [4.0, 8.0, 6.0], 7.0, 100.0, 0.0, work)
    half = SpeedResult("net", "bf16", "bf16", shape, "", [1.0, 4.0, 2.0], 3.0, 50.0, 0.5, work)
    absent = SpeedResult("net", "openvino", "32", shape, "not installed: pip install openvino")
    rows = [eager, half, absent]
    race.compare(rows)

    def peak(name: str, precision: str, work: float) -> Peak:
        return Peak(Probe(name, precision, work, lambda: None), shape, [1.0, 3.0, 2.0])

    peaks = [
        peak("product", "32", 10e9),
        peak("convolution", "32", 20e9),
        peak("convolution", "bf16", 64e9),
        peak("copy", "32", 4e9),
    ]
    return rows, peaks


def test_figures_are_medians_and_ratios_of_rounds() -> None:
    rows, peaks = hand_made()
    eager, half, _ = rows
    assert (eager.rtf, eager.spread, half.rtf) == (1.5, (1.0, 2.0), 0.5)
    assert half.faster == 3.0  # of 4, 2 and 3, not 6 over 2 by chance
    assert (eager.rate, half.rate) == (16e9 / 6, 8e9)
    text = summary(rows, peaks, {"date": "today", "command": "wg bench speed"})
    assert "| net | 2 s, batch 2, 1 thread | bf16 | 0.5 (0.25 to 1) | 3.00 | 8 | 25% | 50 |" in text
    assert "convolution fp32 10 GFLOP/s" in text and "copy 2 GB/s" in text
    assert "| net | openvino | not installed: pip install openvino |" in text
    assert "command wg bench speed" in text
    assert spoken(eager.shape) == "2 s, batch 2, 1 thread"


def test_the_files_hold_figures_reasons_and_a_picture(tmp_path: Path) -> None:
    rows, peaks = hand_made()
    write_race(tmp_path, rows, peaks, {"date": "today"}, {"net": {"mm": 0.75, "add": 0.25}})
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["environment"] == {"date": "today"}
    first, half, absent = content["rows"]
    assert (first["rtf"], first["rtf_least"], first["rtf_greatest"]) == (1.5, 1.0, 2.0)
    assert (half["faster"], half["difference"], half["times"]) == (3.0, 0.5, [1.0, 4.0, 2.0])
    assert half["shape"] == {"seconds": 2.0, "batch": 2, "threads": 1}
    assert absent["reason"].startswith("not installed") and "times" not in absent
    assert [peak["rate"] for peak in content["peaks"]] == [5e9, 10e9, 32e9, 2e9]
    assert content["profiles"] == {"net": {"mm": 0.75, "add": 0.25}}
    assert "| operation | net |\n| --- | --- |\n| mm | 75% |" in (tmp_path / "speed.md").read_text()
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


# -- networks by name --------------------------------------------------------------------------


def test_experiments_have_random_weights_and_whole_outputs() -> None:
    candidate = candidate_of("mini/wavegrad", "2", None, CPU)
    assert isinstance(candidate, OurNetwork) and candidate.random
    mel = torch.zeros(1, candidate.spec.n_mels, 4) - 4
    wave = candidate(mel)
    assert torch.isfinite(wave).all() and wave.abs().max() > 0
    assert torch.equal(wave, candidate_of("mini/wavegrad", "2", None, CPU)(mel))


def factory(spec: Any, gain: int = 1, word: str = "") -> Any:
    return lambda mels: (gain * mels[:, 0].repeat_interleave(spec.hop_length, 1)) + len(word)


def test_a_factory_is_given_its_mel_and_options(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "a_peer", sys.modules[__name__])
    plain_one = candidate_of("a_peer:factory", "6", None, CPU)
    assert plain_one.spec == named("hifigan") and plain_one.name == "factory"
    made = candidate_of("a_peer:factory@lmnt-wavegrad,gain=3,word=ab", "6", None, CPU)
    assert made.spec == named("lmnt-wavegrad")
    assert torch.equal(made(torch.ones(1, 128, 2)), torch.full((1, 600), 5.0))


def test_the_loop_of_lmnt_is_its_own(monkeypatch) -> None:
    class Network(nn.Module):
        def forward(self, audio: Tensor, mels: Tensor, told: Tensor) -> Tensor:
            assert told.shape == (1,)
            return (0.1 * audio * told)[:, None]

    beta = np.array([0.01, 0.3])
    loop = LmntLoop(Network(), beta, [0.9, 0.5], 4)
    torch.manual_seed(0)
    found = loop(torch.zeros(1, 3, 2))
    torch.manual_seed(0)
    audio, noise = torch.randn(1, 8), torch.randn(1, 8)
    audio = (audio - 0.3 / (1 - 0.99 * 0.7) ** 0.5 * 0.05 * audio) / 0.7**0.5
    audio = (audio + (0.01 / (1 - 0.693) * 0.3) ** 0.5 * noise).clamp(-1, 1)
    audio = ((audio - 0.01 / 0.1 * 0.09 * audio) / 0.99**0.5).clamp(-1, 1)
    torch.testing.assert_close(found, audio)


@pytest.mark.parametrize(
    ("make", "package", "mel"),
    [
        (lmnt_wavegrad, "wavegrad", "lmnt-wavegrad"),
        (lmnt_diffwave, "diffwave", "lmnt-diffwave"),
    ],
)
def test_lmnt_networks_run_where_they_are_installed(make: Any, package: str, mel: str) -> None:
    pytest.importorskip(f"{package}.model")
    spec = named(mel)
    wave = make(spec, steps=1)(torch.zeros(1, spec.n_mels, 4))
    assert wave.shape == (1, 4 * spec.hop_length)


# -- the command -------------------------------------------------------------------------------


def test_the_command_writes_and_prints_what_it_measured(tmp_path: Path) -> None:
    tiny_vocoder().save_pretrained(tmp_path / "voc")
    options = ("--seconds", "0.3", "--steps", "2", "--backends", "stream", "--repeats", "2")
    options += ("--profile",)
    ran = wg("bench", "speed", str(tmp_path / "voc"), *options, "-o", str(tmp_path / "out"))
    assert ran.code == 0, ran
    assert "stream" in ran.out and "peaks, 0.3 s, batch 1, 1 thread" in ran.out
    content = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert [row["backend"] for row in content["rows"]] == ["eager", "stream"]
    (shares,) = content["profiles"].values()
    assert shares and list(shares)[0] in ran.out
    assert content["environment"]["command"].startswith("wg bench speed ")
    again = wg("bench", "speed", str(tmp_path / "voc"), *options, "-o", str(tmp_path / "out"))
    assert again.code == 0


def test_listing_checks_and_times_nothing(monkeypatch) -> None:
    monkeypatch.setattr(race, "race", None)
    ran = wg("bench", "speed", "ljspeech", "--seconds", "1,5", "--batch", "8", "--list")
    assert ran.code == 0 and len(ran.out.splitlines()) == 12
    assert "ljspeech openvino: 5 s, batch 8, threads 1" in ran.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ljspeach",), "ljspeach: no vocoder that ships"),
        (("ljspeech/wavegrod",), "did you mean 'ljspeech/wavegrad'"),
        (("ljspeech/wavegrad2",), "this model reads text"),
        (("no_such_module:net",), "cannot import 'no_such_module'"),
        (("wg.bench.external:vocos@vocos,x",), "'x' is no KEY=VALUE"),
        (("--backends", "egaer"), "did you mean 'eager'"),
        (("--threads", "0"), "--threads 0: give 1 to"),
        (("--threads", "1.5"), "--threads 1.5: give 1 to"),
        (("--seconds", "0"), "--seconds 0: give 0.2 to 600"),
        (("--seconds", "1,nan"), "--seconds 1,nan: give"),
        (("--batch", "0"), "--batch 0: give 1 to"),
        (("--repeats", "0"), "--repeats 0: give at least 1"),
        (("--consistency", "-1"), "--consistency -1: give 0 or more"),
        (("--steps", "0"), "steps is 0"),
        (("--device", "tpu"), "--device tpu"),
        (("--cpu-time", "--threads", "2"), "--cpu-time: of one thread"),
        (("-o", "/no/such/place"), "no folder /no/such"),
    ],
)
def test_what_cannot_be_timed_is_one_line_before_any_work(
    words: tuple[str, ...], message: str
) -> None:
    assert message in wg("bench", "speed", *words).complaint()


def test_a_package_of_a_peer_that_lacks_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wavegrad.model", None)
    found = wg("bench", "speed", "wg.bench.peers:lmnt_wavegrad@lmnt-wavegrad").complaint()
    assert "wavegrad.model cannot be imported" in found and "pip install wavegrad" in found


def test_consistency_is_the_network_s_own_unless_given() -> None:
    own = candidate_of("ljspeech", "6", None, CPU)
    none = candidate_of("ljspeech", "6", 0, CPU)
    assert isinstance(own, OurNetwork) and isinstance(none, OurNetwork)
    assert own.synthesis.consistency and own.synthesis.consistency.iterations == 24
    assert none.synthesis.consistency and none.synthesis.consistency.iterations == 0
    assert isinstance(own.synthesis, SamplingConfig)
    with pytest.raises(InputError, match="steps is 0"):
        candidate_of("ljspeech", "0", None, CPU)
