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

from wg.bench.networks import Candidate, ExternalNetwork, OurNetwork
from wg.bench.systems import AUTOCAST
from wg.errors import InputError
from wg.inference.vocoder import Vocoder
from wg.interop.export import loop_noise
from wg.interop.onnx_file import save_onnx
from wg.models.denoiser import Denoiser
from wg.models.fused import fused_layers
from wg.models.int8 import int8_layers
from wg.processes.devices import computes_in_int8

Call = Callable[[Tensor], Tensor]
CHUNK = 20  # frames at a time, as `wg bench latency`
BUCKET = 128  # frames: lengths that share a CUDA graph differ by less


@dataclass(frozen=True)
class BackendContext:
    """Where a network runs: device, threads of a CPU, and a folder for what is made of it."""

    device: torch.device
    threads: int
    folder: Path


@dataclass(frozen=True)
class Backend:
    """A way to run a network, and the precision whose peak it is held against."""

    make: Callable[[Candidate, BackendContext], Call]
    precision: str = "32"  # of PRECISIONS of a benchmark's file


class BackendVocoder(Vocoder):
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


def eager(candidate: Candidate, context: BackendContext) -> Call:
    """As it comes, in float32."""
    return candidate


def by_kernels(candidate: Candidate, context: BackendContext) -> Call:
    """In float32 by what this CPU is fastest at."""
    if context.device.type != "cpu":
        raise InputError("kernels are for CPUs")
    # Not `optimize`, which keeps memory for the others too.
    vocoder = deepcopy(ours(candidate).vocoder).lower("fp32")
    if not fused_layers(vocoder.network):
        raise InputError("no layer gains by them in float32")
    return replace(ours(candidate), vocoder=vocoder)


def compiled(candidate: Candidate, context: BackendContext) -> Call:
    """By torch.compile for any length: our networks; of others all that they do."""
    if isinstance(candidate, OurNetwork):
        run = torch.compile(candidate.vocoder.network.denoise, dynamic=True)
        return replace(candidate, vocoder=BackendVocoder(candidate.vocoder, run))
    return replace(candidate, call=torch.compile(module_of(candidate), dynamic=True))


def graphs(candidate: Candidate, context: BackendContext) -> Call:
    """By torch.compile with CUDA graphs, one for each bucket of lengths."""
    if context.device.type != "cuda":
        raise InputError("CUDA graphs need --device cuda")
    network = ours(candidate).vocoder.network
    graph = torch.compile(network.denoise, mode="reduce-overhead", dynamic=False)

    def run(*inputs: Any) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return graph(*inputs).clone()  # the next call writes into the graph's own output

    return bucketed(replace(ours(candidate), vocoder=BackendVocoder(ours(candidate).vocoder, run)))


def bucketed(candidate: OurNetwork) -> Call:
    """Pads mels with silence to a whole number of buckets, and cuts the waveform."""

    def call(mels: Tensor) -> Tensor:
        count, bands, frames = mels.shape
        length = -(-frames // BUCKET) * BUCKET
        padded = candidate.spec.silence.to(mels)[None, :, None].repeat(count, 1, length)
        padded[..., :frames] = mels
        waves = candidate.vocoder(
            padded, candidate.synthesis, seed=range(count), lengths=[frames] * count
        )
        return waves[:, : frames * candidate.spec.hop_length]

    return call


def autocast(make: Callable[[Candidate, BackendContext], Call], precision: str) -> Backend:
    """Another way to run it, with products and convolutions in 16 bits."""

    def made(candidate: Candidate, context: BackendContext) -> Call:
        if precision == "16" and context.device.type != "cuda":
            raise InputError("float16 needs --device cuda; a CPU has bf16")
        call = make(candidate, context)

        def run(mels: Tensor) -> Tensor:
            with torch.autocast(context.device.type, AUTOCAST[precision]):
                return call(mels)

        return run

    return Backend(made, precision)


def int8(candidate: Candidate, context: BackendContext) -> Call:
    """Large convolutions in 8 bits, all else in bfloat16 where the CPU computes in it."""
    if context.device.type != "cpu" or not computes_in_int8():
        raise InputError("needs a CPU with avx512_vnni")
    mine = ours(candidate)
    if not int8_layers(mine.vocoder.network):
        raise InputError("no convolution is large enough")
    return replace(mine, vocoder=deepcopy(mine.vocoder).lower("int8"))


def stream(candidate: Candidate, context: BackendContext) -> Call:
    """Frame by frame as they come, in float32; utterances one after another."""
    mine = ours(candidate)

    def call(mels: Tensor) -> Tensor:
        waves = [
            torch.cat(list(mine.vocoder.stream(mel.split(CHUNK, 1), mine.synthesis, seed=seed)))
            for seed, mel in enumerate(mels)
        ]
        return torch.stack(waves)

    return call


def onnxruntime(candidate: Candidate, context: BackendContext) -> Call:
    """The exported loop by ONNX Runtime."""
    runtime = installed("onnxruntime")
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[context.device.type]
    if provider not in runtime.get_available_providers():
        raise InputError(f"this onnxruntime has no {provider}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = context.threads
    session = runtime.InferenceSession(str(graph_of(candidate, context)), options, [provider])
    return looped(ours(candidate), lambda inputs: session.run(None, inputs)[0])


def openvino(candidate: Candidate, context: BackendContext, precision: str = "f32") -> Call:
    """The exported loop by OpenVINO."""
    runtime = installed("openvino")
    if context.device.type != "cpu":
        raise InputError("OpenVINO runs on CPUs here")
    settings = {
        "INFERENCE_NUM_THREADS": context.threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = runtime.Core().compile_model(str(graph_of(candidate, context)), "CPU", settings)
    return looped(ours(candidate), lambda inputs: model(inputs)[0])


def looped(candidate: OurNetwork, run: Callable[[dict[str, Any]], Any]) -> Call:
    """A call of an exported loop, which is given the noise that the vocoder would draw."""
    steps = len(candidate.vocoder.levels(candidate.synthesis)) - 1

    def call(mels: Tensor) -> Tensor:
        count, frames = len(mels), mels.shape[-1]
        noise = loop_noise(range(count), steps, frames, candidate.spec.hop_length)
        waves = run({"mel": mels.cpu().numpy(), "noise": noise.numpy()})
        return torch.from_numpy(waves).flatten(1)

    return call


def graph_of(candidate: Candidate, context: BackendContext) -> Path:
    """The ONNX file of a network and its loop, exported once a run."""
    mine = ours(candidate)
    name = hashlib.sha256(repr((mine.name, mine.synthesis)).encode()).hexdigest()[:12]
    path = context.folder / f"{name}.onnx"
    if not path.is_file():
        save_onnx(deepcopy(mine.vocoder).to("cpu"), "loop", mine.synthesis, path)
    return path


def ours(candidate: Candidate) -> OurNetwork:
    """InputError for a network that is not of wg, whose loop is not known."""
    if isinstance(candidate, ExternalNetwork):
        raise InputError("only networks of wg have it")
    return candidate


def module_of(candidate: ExternalNetwork) -> nn.Module:
    """InputError for a factory's function, in which there is nothing to compile."""
    if not isinstance(candidate.call, nn.Module):
        raise InputError("the factory makes no nn.Module")
    return candidate.call


def installed(package: str) -> ModuleType:
    """InputError for a package that is not there."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(f"not installed: pip install {package}") from None


BACKENDS: dict[str, Backend] = {
    "eager": Backend(eager),
    "kernels": Backend(by_kernels),
    "bf16": autocast(eager, "bf16"),
    "fp16": autocast(eager, "16"),
    "int8": Backend(int8, "int8"),
    "compiled": Backend(compiled),
    "compiled-bf16": autocast(compiled, "bf16"),
    "compiled-fp16": autocast(compiled, "16"),
    "graphs": Backend(graphs),
    "graphs-bf16": autocast(graphs, "bf16"),
    "onnxruntime": Backend(onnxruntime),
    "openvino": Backend(openvino),
    "openvino-bf16": Backend(
        lambda candidate, context: openvino(candidate, context, "bf16"), "bf16"
    ),
    "stream": Backend(stream),
}
