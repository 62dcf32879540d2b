"""Ways to run one network: what `wg bench speed` compares.

Each makes a call of mels [B, M, F] that gives waveforms [B, T]; InputError says why it cannot, here
or of this network.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from wg.bench.networks import Ours, Subject, Theirs
from wg.bench.systems import AUTOCAST
from wg.errors import InputError
from wg.inference.vocoder import Vocoder
from wg.interop.export import loop_noise, save_onnx
from wg.models.denoiser import Denoiser

Call = Callable[[Tensor], Tensor]
CHUNK = 20  # frames at a time, as `wg bench latency`
BUCKET = 128  # frames: lengths that share a CUDA graph differ by less


@dataclass(frozen=True)
class Place:
    """Where a network runs: device, threads of a CPU, and a folder for what is made of it."""

    device: torch.device
    threads: int
    folder: Path


@dataclass(frozen=True)
class Backend:
    """A way to run a network, and the precision whose peak it is held against."""

    make: Callable[[Subject, Place], Call]
    precision: str = "32"  # of PRECISIONS of a benchmark's file


class Replaced(Vocoder):
    """A vocoder whose network is run by something else."""

    def __init__(self, vocoder: Vocoder, run: Callable[..., Tensor]) -> None:
        super().__init__(
            vocoder.network,
            vocoder.model,
            vocoder.mel_spec,
            vocoder.diffusion,
            vocoder.synthesis,
            vocoder.history,
        )
        self.run = run

    @property
    def denoiser(self) -> Denoiser:
        """As the vocoder's, but for what runs the network."""
        return Denoiser(self.network, self.diffusion, self.mel_spec, self.run)


def eager(subject: Subject, place: Place) -> Call:
    """As it comes, in float32."""
    return subject


def compiled(subject: Subject, place: Place) -> Call:
    """By torch.compile for any length: our networks; of others all that they do."""
    if isinstance(subject, Ours):
        run = torch.compile(subject.vocoder.network.denoise, dynamic=True)
        return replace(subject, vocoder=Replaced(subject.vocoder, run))
    return replace(subject, call=torch.compile(module_of(subject), dynamic=True))


def graphs(subject: Subject, place: Place) -> Call:
    """By torch.compile with CUDA graphs, one for each bucket of lengths."""
    if place.device.type != "cuda":
        raise InputError("CUDA graphs need --device cuda")
    network = ours(subject).vocoder.network
    graph = torch.compile(network.denoise, mode="reduce-overhead", dynamic=False)

    def run(*inputs: Any) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return graph(*inputs).clone()  # the next call writes into the graph's own output

    return bucketed(replace(ours(subject), vocoder=Replaced(ours(subject).vocoder, run)))


def bucketed(subject: Ours) -> Call:
    """Pads mels with silence to a whole number of buckets, and cuts the waveform."""

    def call(mels: Tensor) -> Tensor:
        count, bands, frames = mels.shape
        length = -(-frames // BUCKET) * BUCKET
        padded = subject.spec.silence.to(mels)[None, :, None].repeat(count, 1, length)
        padded[..., :frames] = mels
        waves = subject.vocoder(
            padded, subject.synthesis, seed=range(count), lengths=[frames] * count
        )
        return waves[:, : frames * subject.spec.hop_length]

    return call


def autocast(make: Callable[[Subject, Place], Call], precision: str) -> Backend:
    """Another way to run it, with products and convolutions in 16 bits."""

    def made(subject: Subject, place: Place) -> Call:
        if precision == "16" and place.device.type != "cuda":
            raise InputError("float16 needs --device cuda; a CPU has bf16")
        call = make(subject, place)

        def run(mels: Tensor) -> Tensor:
            with torch.autocast(place.device.type, AUTOCAST[precision]):
                return call(mels)

        return run

    return Backend(made, precision)


def stream(subject: Subject, place: Place) -> Call:
    """Frame by frame as they come, in float32; utterances one after another."""
    mine = ours(subject)

    def call(mels: Tensor) -> Tensor:
        waves = [
            torch.cat(list(mine.vocoder.stream(mel.split(CHUNK, 1), mine.synthesis, seed=seed)))
            for seed, mel in enumerate(mels)
        ]
        return torch.stack(waves)

    return call


def onnxruntime(subject: Subject, place: Place) -> Call:
    """The exported loop by ONNX Runtime."""
    runtime = installed("onnxruntime")
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[place.device.type]
    if provider not in runtime.get_available_providers():
        raise InputError(f"this onnxruntime has no {provider}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = place.threads
    session = runtime.InferenceSession(str(graph_of(subject, place)), options, [provider])
    return looped(ours(subject), lambda inputs: session.run(None, inputs)[0])


def openvino(subject: Subject, place: Place, precision: str = "f32") -> Call:
    """The exported loop by OpenVINO."""
    runtime = installed("openvino")
    if place.device.type != "cpu":
        raise InputError("OpenVINO runs on CPUs here")
    settings = {
        "INFERENCE_NUM_THREADS": place.threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = runtime.Core().compile_model(str(graph_of(subject, place)), "CPU", settings)
    return looped(ours(subject), lambda inputs: model(inputs)[0])


def looped(subject: Ours, run: Callable[[dict[str, Any]], Any]) -> Call:
    """A call of an exported loop, which is given the noise that the vocoder would draw."""
    steps = len(subject.vocoder.levels(subject.synthesis)) - 1

    def call(mels: Tensor) -> Tensor:
        count, frames = len(mels), mels.shape[-1]
        noise = loop_noise(range(count), steps, frames, subject.spec.hop_length)
        waves = run({"mel": mels.cpu().numpy(), "noise": noise.numpy()})
        return torch.from_numpy(waves).flatten(1)

    return call


def graph_of(subject: Subject, place: Place) -> Path:
    """The ONNX file of a network and its loop, exported once a run."""
    mine = ours(subject)
    name = hashlib.sha256(repr((mine.name, mine.synthesis)).encode()).hexdigest()[:12]
    path = place.folder / f"{name}.onnx"
    if not path.is_file():
        save_onnx(deepcopy(mine.vocoder).to("cpu"), "loop", mine.synthesis, path)
    return path


def ours(subject: Subject) -> Ours:
    """InputError for a network that is not of wg, whose loop is not known."""
    if isinstance(subject, Theirs):
        raise InputError("only networks of wg have it")
    return subject


def module_of(subject: Theirs) -> nn.Module:
    """InputError for a factory's function, in which there is nothing to compile."""
    if not isinstance(subject.call, nn.Module):
        raise InputError("the factory makes no nn.Module")
    return subject.call


def installed(package: str) -> ModuleType:
    """InputError for a package that is not there."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(f"not installed: pip install {package}") from None


BACKENDS: dict[str, Backend] = {
    "eager": Backend(eager),
    "bf16": autocast(eager, "bf16"),
    "fp16": autocast(eager, "16"),
    "compiled": Backend(compiled),
    "compiled-bf16": autocast(compiled, "bf16"),
    "compiled-fp16": autocast(compiled, "16"),
    "graphs": Backend(graphs),
    "graphs-bf16": autocast(graphs, "bf16"),
    "onnxruntime": Backend(onnxruntime),
    "openvino": Backend(openvino),
    "openvino-bf16": Backend(lambda subject, place: openvino(subject, place, "bf16"), "bf16"),
    "stream": Backend(stream),
}
