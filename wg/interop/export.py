"""A vocoder as a graph without wg: one denoising step, or the whole sampling loop.

The loop is unrolled over the levels of one schedule and has its noise as an input, so that the
same noise gives the same waveform as the vocoder. Any number of frames; batches of any size.

Shapes: B batch, M bands, F frames, N steps, H hop; a waveform [B, F, H] is [B, F * H] cut in hops.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.sampling import reverse
from wg.errors import InputError
from wg.files import replacing, write_json
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder

Part = Literal["step", "loop"]
DESCRIBED = ("part", "sampler", "schedule", "levels", "told", "mel")  # in the JSON beside a graph
FRAMES = 6  # of the example that a graph is traced with


class ExportedStep(nn.Module):
    """eps [B, F, H] of x [B, F, H], what the network is told [B], and a mel [B, M, F]."""

    inputs = ("x", "told", "mel")

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.network = vocoder.network

    def forward(self, x: Tensor, told: Tensor, mel: Tensor) -> Tensor:
        """The network alone; `told` is `diffusion.network_input(level)` in float32."""
        eps = self.network.denoise(x.flatten(1), told, self.network.condition({"mel": mel}))
        return eps.reshape(x.shape)


class ExportedLoop(nn.Module):
    """Waveform [B, F, H] of a mel [B, M, F] and noise [N, B, F, H]; noise[0] is where it starts."""

    inputs = ("mel", "noise")

    def __init__(self, vocoder: Vocoder, synthesis: SamplingConfig) -> None:
        super().__init__()
        self.network = vocoder.network
        self.denoiser, self.synthesis = vocoder.denoiser, synthesis
        self.levels = vocoder.levels(synthesis)
        # One element, not one a row: then everything that depends on the level is a constant.
        inputs = vocoder.diffusion.network_input(self.levels[1:]).split(1)
        self.noise_inputs = dict(zip(self.levels[1:].tolist(), inputs, strict=True))

    def forward(self, mel: Tensor, noise: Tensor) -> Tensor:
        """As the vocoder's call, with the noise of its steps stacked (see `loop_noise`)."""
        condition = self.denoiser.condition({"mel": mel})

        def denoise(x: Tensor, level: float) -> Tensor:
            column = torch.tensor([level], dtype=torch.float64)
            return self.denoiser.estimate(x, column, condition, self.noise_inputs[level])

        def of_step(k: int) -> Tensor:  # the start, then steps N .. 2
            return noise[max(0, k - 1)].flatten(1)

        name, clip = self.synthesis.sampler, self.synthesis.clip
        wave = reverse(denoise, self.levels, of_step, condition.prior, name, clip)
        return wave.reshape(noise.shape[1:])


def loop_noise(seeds: Sequence[int], steps: int, frames: int, hop: int) -> Tensor:
    """The noise [N, B, F, H] that the vocoder draws for these seeds."""
    source = PositionalNoise(seeds)
    rows = [source(0 if k == 1 else k, frames * hop) for k in range(1, steps + 1)]
    return torch.stack(rows).reshape(steps, len(seeds), frames, hop)


def module_of(
    vocoder: Vocoder, part: Part, synthesis: SamplingConfig
) -> ExportedStep | ExportedLoop:
    """The module to export; InputError for what a graph cannot have."""
    if vocoder.diffusion.prior == "energy":
        raise InputError("diffusion.prior is 'energy', which is not exported; take another model")
    if part == "loop":
        if synthesis.consistency is not None and synthesis.consistency.iterations:
            raise InputError(
                "mel-consistent sampling is not exported: it needs complex numbers, which ONNX "
                "lacks; export with consistency 0, and correct the waveform with "
                "wg.diffusion.consistency"
            )
        if (
            synthesis.sampler.partition("-")[0] == "langevin"
            or synthesis.sampler == "ancestral-full"
        ):
            raise InputError(
                f"sampler {synthesis.sampler!r} draws more noise than a graph is given; it is not "
                "exported"
            )
        return ExportedLoop(vocoder, synthesis)
    if vocoder.diffusion.preconditioning == "mel":
        raise InputError(
            "diffusion.precondition is 'mel', so the network alone makes no step; export the "
            "whole loop (--part loop)"
        )
    return ExportedStep(vocoder)


def example(
    vocoder: Vocoder, module: ExportedStep | ExportedLoop
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """(inputs, dynamic dimensions) to trace with: the inputs of a step or loop, zeros of B = 2.

    x [B, F, H], level input [B], mel [B, M, F]; or mel [B, M, F], noise [N, B, F, H].
    """
    spec = vocoder.mel_spec
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    mel, wave = torch.zeros(2, spec.n_mels, FRAMES), torch.zeros(2, FRAMES, spec.hop_length)
    if isinstance(module, ExportedStep):
        level = vocoder.diffusion.levels()[1:2]
        noise_input = vocoder.diffusion.network_input(level).float().expand(2)
        shapes = {"x": {0: batch, 1: frames}, "told": {0: batch}, "mel": {0: batch, 2: frames}}
        return (wave, noise_input.clone(), mel), shapes
    noise = wave.repeat(len(module.noise_inputs), 1, 1, 1)
    return (mel, noise), {"mel": {0: batch, 2: frames}, "noise": {1: batch, 2: frames}}


def traceable(
    vocoder: Vocoder, part: Part, synthesis: SamplingConfig
) -> tuple[ExportedStep | ExportedLoop, tuple[Tensor, ...], dict[str, Any]]:
    """(module, inputs [B, ...] of `example`, dynamic dimensions), its constants computed."""
    module = module_of(vocoder, part, synthesis).eval()
    inputs, shapes = example(vocoder, module)
    with torch.no_grad():
        module(*inputs)  # what is computed once, with complex numbers too, is no part of the graph
    return module, inputs, shapes


def to_program(
    vocoder: Vocoder, part: Part, synthesis: SamplingConfig
) -> torch.export.ExportedProgram:
    """The graph of a step or of the loop by torch.export, with B and F free."""
    module, inputs, shapes = traceable(vocoder, part, synthesis)
    return torch.export.export(module, inputs, dynamic_shapes=shapes)


def save_program(vocoder: Vocoder, part: Part, synthesis: SamplingConfig, path: Path) -> None:
    """Writes a .pt2 file for torch.export.load, and its description."""
    program = to_program(vocoder, part, synthesis)
    with replacing(path, path.suffix) as temporary:
        torch.export.save(program, temporary)
    describe(vocoder, part, synthesis, path)


def described(path: Path) -> Path:
    """The JSON beside a graph; its whole name is in it, so that no two graphs share one."""
    return path.with_name(f"{path.name}.json")


def describe(vocoder: Vocoder, part: Part, synthesis: SamplingConfig, path: Path) -> None:
    """The JSON beside a graph: what its inputs mean, and the mel it takes."""
    levels = vocoder.levels(synthesis)
    content = {
        "part": part,
        "sampler": synthesis.sampler,
        "schedule": synthesis.schedule,
        "levels": levels.tolist(),
        "told": vocoder.diffusion.network_input(levels[1:]).tolist(),
        "mel": vocoder.mel_spec.to_dict(),
    }
    write_json(described(path), content)
