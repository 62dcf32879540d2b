"""A vocoder's graph as an ONNX file.

The loop has the network once a step, and to trace and to lower it is nearly all that an export
takes. So that is done once: the loop around it is traced with calls in its place, and what is
called takes their place afterwards. What it computes of the mel alone is kept once.

Shapes: B batch, M bands, F frames, T = F * hop samples.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wg.diffusion.prior import Prior
from wg.errors import InputError
from wg.files import replacing
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.interop.export import FRAMES, ExportedLoop, Part, describe, traceable
from wg.models.denoiser import Denoiser, DenoiserCondition

if TYPE_CHECKING:
    import onnx_ir as ir

EXTRA = "pip install 'wg[export]'"
DOMAIN = "wg"  # of the calls
ESTIMATE, COLOUR = "Estimate", "Colour"


class OneEstimate(nn.Module):
    """What the loop asks for at a step: eps [B, T] of x [B, T], and noise like x in colour."""

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.network, self.denoiser = vocoder.network, vocoder.denoiser

    def forward(
        self, x: Tensor, mel: Tensor, level: Tensor, noise_input: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of a mel [B, M, F], a level [1] in float64, and what the network is told of it [1]."""
        condition = self.denoiser.condition({"mel": mel})
        eps = self.denoiser.estimate(x, level, condition, noise_input)
        return eps, condition.prior.colour(x)


class CalledDenoiser(Denoiser):
    """Stands where a denoiser does; calls `ESTIMATE` and `COLOUR`, which the graph defines."""

    def __init__(self) -> None:
        """There is no network: `estimate` is a node, defined once for all steps."""

    def condition(self, batch: Mapping[str, Any]) -> DenoiserCondition:
        """The mel [B, M, F], for the calls."""
        mel = batch["mel"]
        return DenoiserCondition(None, CalledPrior(mel=mel), mel=mel)

    def estimate(
        self,
        x: Tensor,
        level: Tensor,
        condition: DenoiserCondition,
        noise_input: Tensor | None = None,
    ) -> Tensor:
        """eps [B, T] of the level and mel, by the node `ESTIMATE`."""
        assert condition.mel is not None and noise_input is not None
        return call(ESTIMATE, x, condition.mel, level, noise_input)


@dataclass(frozen=True)
class CalledPrior(Prior):
    """Noise in the colour that `COLOUR` gives it for a mel [B, M, F]."""

    mel: Tensor = torch.empty(0)

    def colour(self, noise: Tensor) -> Tensor:
        """White noise [B, T] in the mel's colour, by the node `COLOUR`."""
        return call(COLOUR, noise, self.mel)


def call(name: str, x: Tensor, *rest: Tensor) -> Tensor:
    """A node of that name, whose output is like x [B, T]."""
    op, inputs = f"{DOMAIN}::{name}", (x, *rest)
    return torch.onnx.ops.symbolic(op, inputs, dtype=x.dtype, shape=x.shape, version=1)


def save_onnx(vocoder: Vocoder, part: Part, synthesis: SamplingConfig, path: Path) -> None:
    """Writes an ONNX file and its description; InputError where the exporter is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"export to ONNX needs {error.name}: {EXTRA}") from None
    module, inputs, shapes = traceable(vocoder, part, synthesis)
    if isinstance(module, ExportedLoop):
        module.denoiser = CalledDenoiser()
        program = exported(module, inputs, shapes, ["wave"])
        put_in_place(program.model, one_estimate(vocoder))
    else:
        program = exported(module, inputs, shapes, ["eps"])
    with replacing(path, path.suffix) as temporary:
        program.save(temporary, external_data=False)
    describe(vocoder, part, synthesis, path)


def one_estimate(vocoder: Vocoder) -> ir.Model:
    """The graph of one estimate and of the noise's colour, traced at any batch and length."""
    hop, bands = vocoder.mel_spec.hop_length, vocoder.mel_spec.n_mels
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    x, mel = torch.zeros(2, FRAMES * hop), torch.zeros(2, bands, FRAMES)
    level = vocoder.diffusion.levels()[1:2]
    noise_input = vocoder.diffusion.network_input(level)
    shapes = {"x": {0: batch, 1: hop * frames}, "mel": {0: batch, 2: frames}}
    shapes |= {"level": {}, "noise_input": {}}
    module = OneEstimate(vocoder).eval()
    return exported(module, (x, mel, level, noise_input), shapes, [ESTIMATE, COLOUR]).model


def exported(
    module: nn.Module, inputs: Sequence[Tensor], shapes: Mapping[str, Any], outputs: Sequence[str]
) -> torch.onnx.ONNXProgram:
    """The graph of a module, its inputs named as in `shapes`."""
    # It says of packages that are not installed, and not needed, that they are not.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Its own deprecations, and that two inputs share the axes that are given one name.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(inputs),
            input_names=list(shapes),
            output_names=list(outputs),
            dynamic_shapes=dict(shapes),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program


def put_in_place(loop: ir.Model, estimate: ir.Model) -> None:
    """Replaces the calls in the loop's graph by what they call."""
    import onnx_ir as ir
    from onnx_ir.passes import common

    weights: dict[str, ir.Value] = {}  # of the estimate's graph, now in the loop's
    for name, old in estimate.graph.initializers.items():
        new = ir.Value(name=f"{DOMAIN}.{name}", const_value=old.const_value)
        new.shape, new.type = old.shape, old.type
        loop.graph.register_initializer(new)
        weights[name] = new
    inputs = list(estimate.graph.inputs)
    for op, given in ((ESTIMATE, inputs), (COLOUR, inputs[:2])):
        part = ir.convenience.extract(estimate.graph, given, [op])
        used = list(part.initializers)
        # A function has no weights: it is given them.
        part.inputs.extend(part.initializers[name] for name in used)
        part.initializers.clear()
        loop.functions[DOMAIN, op, ""] = ir.Function(DOMAIN, op, graph=part, attributes=[])
        for node in loop.graph:
            if (node.domain, node.op_type) == (DOMAIN, op):
                node.resize_inputs(len(given) + len(used))
                for i, name in enumerate(used, len(given)):
                    node.replace_input_with(i, weights[name])
    for clean in (
        common.InlinePass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedOpsetsPass(),
    ):
        clean(loop)
