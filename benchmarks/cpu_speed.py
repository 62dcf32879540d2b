"""What the networks' arithmetic gains on a CPU over the same networks as ports compute them.

`python benchmarks/cpu_speed.py [wavegrad | diffwave] [--rounds 5] [--threads 1] [--wall]
[--recipe ljspeech] [--ways ...]`: CPU seconds a second of audio for 6 steps of the recipe's
network (random weights), medians; `--wall`: seconds of the wall, for several threads on a quiet
machine. Each way runs in a process of its own, as its user would have it, and they take turns, so
that a slow moment hits all.

- ports: eager float32, `nn.Conv1d`'s order, all anew in each step, as lmnt's WaveGrad and DiffWave;
  kept: the same, in a process that keeps freed memory.
- lmnt (not by default): that package's own network; its WaveGrad is of `--recipe libritts`.
- fp32: `wg`; optimised: after `Vocoder.optimize()`; bf16, int8: after `optimize("bf16")` ...
- openvino, openvino-bf16 (not by default): `wg export onnx --part step`, run by OpenVINO.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wg.bench.backends import installed
from wg.bench.peers import lmnt_diffwave, lmnt_wavegrad
from wg.config import load_experiment
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.interop.onnx_file import save_onnx
from wg.mel.hub import named
from wg.models import build_network, config_class
from wg.processes.memory import keep_freed

SECONDS, STEPS = 2, 6
WAYS = ("ports", "kept", "fp32", "optimised", "bf16")
HINTS = {"openvino": "f32", "openvino-bf16": "bf16"}


def plain(layer: Any, x: Tensor) -> Tensor:
    """A layer as torch computes it."""
    return F.conv1d(x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation)


def repeated(x: Tensor, factor: int) -> Tensor:
    """[B, C, L * factor]."""
    return x if factor == 1 else F.interpolate(x, scale_factor=float(factor))


def wavegrad(network: Any, x: Tensor, level: Tensor, mel: Tensor) -> Tensor:
    """lmnt's `WaveGrad.forward`."""

    def film(module: Any, y: Tensor) -> tuple[Tensor, Tensor]:
        y = module.encoding(F.leaky_relu(plain(module.input, y), 0.2), level)
        shift, scale = plain(module.output, y).chunk(2, 1)
        return shift, scale

    y = plain(network.wave_conv, x[:, None])
    films = [film(network.films[0], y)]
    factors = network.factors[:0:-1]
    for (block,), factor, module in zip(network.dblocks, factors, network.films[1:], strict=True):
        shortcut = plain(block.shortcut, y)[..., ::factor]
        y = y[..., ::factor]
        for layer in block.convs:
            y = plain(layer, F.leaky_relu(y, 0.2))
        y = y + shortcut
        films.append(film(module, y))
    y = plain(network.mel_conv, mel)
    blocks = zip(network.ublocks, network.factors, films[::-1], strict=True)
    for (block,), factor, (shift, scale) in blocks:
        shortcut = plain(block.shortcut, repeated(y, factor))
        y = plain(block.convs[0], repeated(F.leaky_relu(y, 0.2), factor))
        y = plain(block.convs[1], F.leaky_relu(shift + scale * y, 0.2))
        y = hidden = shortcut + y
        for layer in block.convs[2:]:
            y = plain(layer, F.leaky_relu(shift + scale * y, 0.2))
        y = hidden + y
    return plain(network.out_conv, y)[:, 0]


def diffwave(network: Any, x: Tensor, step: Tensor, mel: Tensor) -> Tensor:
    """lmnt's `DiffWave.forward`, which has one upsampler of the mel, not one a layer."""
    h, told = F.relu(plain(network.input, x[:, None])), network.embedding(step)
    upsampled, skips = network.upsamplers[0](mel, None), []
    for layer in network.layers:
        y = plain(layer.dilated, h + layer.step(told)[..., None])
        main, gate = (y + plain(layer.condition, upsampled)).chunk(2, 1)
        out = plain(layer.output, torch.tanh(main) * torch.sigmoid(gate))
        residual, skip = out.chunk(2, 1)
        h = (h + residual) / 2**0.5
        skips.append(skip)
    total = torch.stack(skips).sum(0) / len(skips) ** 0.5
    return plain(network.output, F.relu(plain(network.skip, total)))[:, 0]


REFERENCES = {"wavegrad": wavegrad, "diffwave": diffwave}


def exported(vocoder: Vocoder, hint: str, inputs: dict[str, Tensor]) -> Callable[[], Tensor]:
    """A step's graph by OpenVINO."""
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        save_onnx(vocoder, "step", SamplingConfig(), path)
        step = installed("openvino").Core().compile_model(str(path), "CPU", settings)
    given = {name: value.numpy() for name, value in inputs.items()}
    return lambda: torch.from_numpy(step(given)[0]).flatten(1)


def call_of(model: str, way: str, recipe: str = "ljspeech") -> Callable[[], Tensor]:
    """One step of a network."""
    overrides = ["model.upsampler=shared"] if model == "diffwave" else []
    experiment = load_experiment(Path("recipes") / recipe, model, overrides, config_class)
    spec = experiment.mel
    torch.manual_seed(0)
    network = build_network(experiment.model, spec)
    last = network.out_conv if model == "wavegrad" else network.output
    torch.nn.init.normal_(last.weight, std=0.05)  # pyright: ignore
    vocoder = Vocoder(network, experiment.model, spec, experiment.diffusion, SamplingConfig())
    frames = SECONDS * spec.sample_rate // spec.hop_length
    mel = torch.randn(1, spec.n_mels, frames)
    x, told = torch.randn(1, frames * spec.hop_length), torch.tensor([20.0])
    told = told if model == "diffwave" else told / 40
    if way == "lmnt":
        lmnt = {"wavegrad": lmnt_wavegrad, "diffwave": lmnt_diffwave}[model]
        theirs = lmnt(named(f"lmnt-{model}")).network
        return lambda: theirs(x, mel, told).flatten(1)
    if way == "kept":
        keep_freed()
    if way in ("ports", "kept"):
        return lambda: REFERENCES[model](network, x, told, mel)
    if way in HINTS:
        hops = x.unflatten(1, (frames, -1))
        return exported(vocoder, HINTS[way], {"x": hops, "told": told, "mel": mel})
    if way != "fp32":
        vocoder.optimize(way if way in ("bf16", "int8") else "fp32")
    cond = network.condition({"mel": mel.to(vocoder.dtype)})
    return lambda: network.denoise(x.to(vocoder.dtype), told, cond)


@torch.inference_mode()
def serve(model: str, way: str, recipe: str, threads: int, wall: bool, turn: Connection) -> None:
    """Answers each turn with its time and output."""
    torch.set_num_threads(threads)
    clock = time.perf_counter if wall else time.process_time
    call = call_of(model, way, recipe)
    call()
    turn.send(None)  # ready: what starts must not disturb what is timed
    while turn.recv():
        started = clock()
        out = call()
        turn.send(((clock() - started) * STEPS / SECONDS, out.float().numpy()))


def main() -> None:
    """Times all ways in turn."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("models", nargs="*", default=list(REFERENCES))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--recipe", default="ljspeech", help="whose networks [%(default)s]")
    options.add_argument("--wall", action="store_true", help="not CPU seconds")
    options.add_argument("--ways", default=",".join(WAYS), help="the first is held against")
    given = options.parse_args()
    ways, unit = given.ways.split(","), "s/s" if given.wall else "CPU-s/s"
    spawn = multiprocessing.get_context("spawn")
    for model in given.models:
        turns = []
        for way in ways:
            here, there = spawn.Pipe()
            told = model, way, given.recipe, given.threads, given.wall, there
            spawn.Process(target=serve, args=told, daemon=True).start()
            there.close()  # so that the end of a process that fails is seen
            here.recv()
            turns.append(here)
        times: dict[str, list[float]] = {way: [] for way in ways}
        outputs = {}
        for _ in range(given.rounds):
            for way, turn in zip(ways, turns, strict=True):
                turn.send(True)
                taken, outputs[way] = turn.recv()
                times[way].append(taken)
        for turn in turns:
            turn.send(False)
        base = statistics.median(times[ways[0]])
        for way, taken in times.items():
            median, wanted = statistics.median(taken), outputs[ways[0]]
            differs = abs(outputs[way] - wanted).max() / abs(wanted).max()
            print(
                f"{model:9} {way:13} {median:6.3f} {unit} ({min(taken):.3f} to {max(taken):.3f})  "
                f"{base / median:.2f} times as fast  differs by {differs:.1e} of the greatest"
            )


if __name__ == "__main__":
    main()
