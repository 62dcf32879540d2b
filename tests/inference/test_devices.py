"""A GPU gives what the CPU gives. The same tests run on the CPU, so that nothing in them is new."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_vocoder import random_mel, tiny_vocoder

from wg.bench.backends import BACKENDS, BackendContext
from wg.bench.networks import OurNetwork
from wg.bench.race import difference

NAMES = ("wavegrad", "diffwave", "spectral")
CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # 10 bits, else
    return torch.device(request.param)


def on(name: str, device: torch.device) -> OurNetwork:
    vocoder = tiny_vocoder(name).to(device)
    return OurNetwork(name, vocoder, vocoder.synthesis)


@pytest.mark.parametrize("name", NAMES)
def test_a_device_gives_the_cpu_s_waveforms(name: str, device: torch.device) -> None:
    mels = torch.stack([random_mel(30), random_mel(30, 1)])
    wave = on(name, device)(mels.to(device))
    assert wave.device.type == device.type
    assert difference(wave.cpu(), on(name, torch.device("cpu"))(mels)) < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_padding_and_a_seed_mean_the_same_on_a_device(name: str, device: torch.device) -> None:
    vocoder, mel = tiny_vocoder(name).to(device), random_mel(40).to(device)
    padded = torch.nn.functional.pad(mel, (0, 9))
    alone = vocoder(mel, seed=3)
    batch = vocoder(torch.stack([padded, padded]), seed=[3, 4], lengths=[40, 40])
    assert difference(batch[0, : len(alone)].cpu(), alone.cpu()) < 1e-3
    assert difference(batch[0].cpu(), batch[1].cpu()) > 1e-2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["bf16", "fp16", "graphs", "stream"])
def test_ways_to_run_it_stay_near_float32(
    name: str, backend: str, device: torch.device, tmp_path: Path
) -> None:
    if device.type == "cpu" and backend in ("fp16", "graphs"):
        pytest.skip("needs a CUDA device")
    candidate, context = on(name, device), BackendContext(device, 1, tmp_path)
    call = BACKENDS[backend].make(candidate, context)
    for frames in (90, 70, 150):  # two in one bucket, one in the next
        mels = random_mel(frames)[None].to(device)
        most = 0.2 if backend.endswith("16") else 1e-3
        assert difference(call(mels).float().cpu(), candidate(mels).cpu()) < most
