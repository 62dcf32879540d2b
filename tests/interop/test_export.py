"""Exported graphs against the vocoder they came of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipe import wg
from tiny_vocoder import MEL, random_mel, tiny_vocoder

from wg.diffusion.prior import ambiguity
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.interop.export import (
    ExportedLoop,
    ExportedStep,
    loop_noise,
    save_program,
    to_program,
)
from wg.interop.onnx_file import save_onnx

MODELS = ("wavegrad", "diffwave", "spectral")
AGREEMENT = 1e-4
STEPS = 2


def short(vocoder: Vocoder) -> SamplingConfig:
    return vocoder.synthesis.override(STEPS, None, None, 0)


def mels(frames: int, count: int) -> torch.Tensor:
    return torch.stack([random_mel(frames, seed) for seed in range(count)])


@pytest.mark.parametrize("name", MODELS)
def test_the_loop_as_a_module_is_the_vocoder(name: str) -> None:
    vocoder = tiny_vocoder(name)
    mel, seeds = mels(5, 2), [3, 4]
    synthesis = vocoder.synthesis.override(None, None, None, 0)
    wave = ExportedLoop(vocoder, synthesis)(mel, loop_noise(seeds, 6, 5, MEL.hop_length))
    expected = vocoder(mel, synthesis, seed=seeds)
    torch.testing.assert_close(wave.flatten(1), expected, atol=1e-5, rtol=0)


@pytest.fixture(scope="module", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a vocoder and its loop and step in ONNX."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="pip install 'wg[export]' onnxruntime")
    folder = tmp_path_factory.mktemp(request.param)
    vocoder = tiny_vocoder(request.param)
    vocoder.save_pretrained(folder / "voc")
    # Whitened by the mel, the network alone makes no step.
    for part in ("loop",) if request.param == "spectral" else ("loop", "step"):
        save_onnx(vocoder, part, short(vocoder), folder / f"{part}.onnx")
    return folder


def test_the_loop_in_onnxruntime_agrees_for_every_length_and_batch(exported: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "loop.onnx")
    vocoder = Vocoder.from_pretrained(exported / "voc")
    for frames, count in ((1, 1), (9, 3)):
        mel, seeds = mels(frames, count), list(range(count))
        noise = loop_noise(seeds, STEPS, frames, MEL.hop_length)
        (wave,) = session.run(None, {"mel": mel.numpy(), "noise": noise.numpy()})
        error = (
            (torch.from_numpy(wave).flatten(1) - vocoder(mel, short(vocoder), seed=seeds))
            .abs()
            .max()
        )
        print(f"loop of {vocoder.model.name}, {frames} frames, batch {count}: {error:.1e}")
        assert float(error) < AGREEMENT
    described = json.loads((exported / "loop.onnx.json").read_text())
    assert described["mel"] == MEL.to_dict() and len(described["levels"]) == STEPS + 1


def test_the_step_in_onnxruntime_agrees(exported: Path) -> None:
    import onnxruntime

    if not (exported / "step.onnx").is_file():
        pytest.skip("this model's step is refused")
    session = onnxruntime.InferenceSession(exported / "step.onnx")
    vocoder = Vocoder.from_pretrained(exported / "voc")
    mel, x = mels(9, 3), torch.randn(3, 9, MEL.hop_length)
    told = vocoder.diffusion.network_input(vocoder.diffusion.levels()[[5, 20, 40]]).float()
    inputs = {"x": x.numpy(), "told": told.numpy(), "mel": mel.numpy()}
    (eps,) = session.run(None, inputs)
    error = (torch.from_numpy(eps) - ExportedStep(vocoder)(x, told, mel)).abs().max()
    print(f"step of {vocoder.model.name}: {error:.1e}")
    assert float(error) < AGREEMENT


@pytest.mark.parametrize("name", MODELS)
def test_the_loop_through_torch_export_agrees(name: str, tmp_path: Path) -> None:
    vocoder = tiny_vocoder(name)
    save_program(vocoder, "loop", short(vocoder), tmp_path / "loop.pt2")
    loaded = torch.export.load(tmp_path / "loop.pt2").module()
    mel, seeds = mels(9, 3), [0, 1, 2]
    wave = loaded(mel, loop_noise(seeds, STEPS, 9, MEL.hop_length))
    expected = vocoder(mel, short(vocoder), seed=seeds)
    torch.testing.assert_close(wave.flatten(1), expected, atol=1e-4, rtol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loop.pt2", "loop.pt2.json"]


def test_the_command_says_what_it_wrote_and_names_mistakes(tmp_path: Path) -> None:
    tiny_vocoder("diffwave").save_pretrained(tmp_path / "voc")
    begin = ("export", "torch", "--vocoder", str(tmp_path / "voc"), "-o")
    outcome = wg(*begin, str(tmp_path / "step.pt2"), "--part", "step")
    assert outcome.code == 0 and f"{tmp_path / 'step.pt2'}: step, " in outcome.out
    assert "give a name that ends in .pt2" in wg(*begin, "a.onnx").complaint()
    assert "no folder" in wg(*begin, str(tmp_path / "no" / "a.pt2")).complaint()
    line = wg(*begin, str(tmp_path / "a.pt2"), "--steps", "0").complaint()
    assert "--steps: steps is 0" in line


def test_however_many_steps_the_network_is_traced_once_and_nobody_is_warned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="pip install 'wg[export]'")
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    vocoder, traced = tiny_vocoder("diffwave"), []
    run = vocoder.network.denoise

    def counted(*inputs: Any) -> torch.Tensor:
        traced.append(torch.onnx.is_in_onnx_export())
        return run(*inputs)

    monkeypatch.setattr(vocoder.network, "denoise", counted)
    save_onnx(vocoder, "loop", vocoder.synthesis.override(5, None, None, 0), tmp_path / "a.onnx")
    assert traced.count(True) == 1
    onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert capfd.readouterr() == ("", "") and not list(recwarn)


def test_what_is_computed_once_is_no_part_of_the_graph(tmp_path: Path) -> None:
    ambiguity.cache_clear()  # as in the process of a command, which has sampled nothing before
    vocoder = tiny_vocoder("spectral")
    program = to_program(vocoder, "loop", short(vocoder))
    exponents = [node for node in program.graph.nodes if str(node.target) == "aten.exp.default"]
    assert not any(node.meta["val"].is_complex() for node in exponents)


def test_what_no_graph_can_have_is_refused(tmp_path: Path) -> None:
    vocoder = tiny_vocoder("spectral")
    with pytest.raises(InputError, match="consistent sampling is not exported.*consistency 0"):
        save_program(vocoder, "loop", vocoder.synthesis, tmp_path / "a.pt2")
    with pytest.raises(InputError, match="the network alone makes no step.*--part loop"):
        save_program(vocoder, "step", short(vocoder), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_without_the_exporter_onnx_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    vocoder = tiny_vocoder()
    with pytest.raises(InputError, match=r"pip install 'wg\[export\]'"):
        save_onnx(vocoder, "loop", vocoder.synthesis, tmp_path / "a.onnx")
