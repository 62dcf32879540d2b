"""`wg export`: a vocoder as an ONNX or torch.export graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wg.commands.options import FORCE, Options
from wg.commands.sampling import add_sampling, chosen
from wg.files import MODEL_FILES, check_file, check_sidecar
from wg.inference.pretrained import DEFAULT
from wg.inference.vocoder import Vocoder
from wg.interop.export import DESCRIBED, described, save_program
from wg.interop.onnx_file import save_onnx
from wg.processes.progress import progress

KINDS = {"onnx": (save_onnx, ".onnx"), "torch": (save_program, ".pt2")}


def export(arguments: Sequence[str]) -> None:
    """Writes the graph and the JSON that describes it: `wg export onnx --vocoder DIR -o FILE`."""
    options_parser = Options(prog="wg export", allow_abbrev=False)
    options_parser.add_argument("kind", choices=list(KINDS), help="onnx, or torch (torch.export)")
    options_parser.add_argument(
        "--vocoder", default=DEFAULT, help="folder, hub id or name [%(default)s]"
    )
    options_parser.add_argument("-o", "--output", type=Path, required=True, help=".onnx or .pt2")
    options_parser.add_argument("--part", choices=["loop", "step"], default="loop")
    add_sampling(options_parser)
    options_parser.add_argument("--force", action="store_true", help=FORCE)
    options_parser.add_argument(
        "--consistency", type=int, default=0, help="0: graphs have no mel-consistent sampling"
    )
    options = options_parser.parse_args(arguments)
    save, suffix = KINDS[options.kind]
    inputs = [Path(options.vocoder) / name for name in MODEL_FILES]
    check_file(options.output, (suffix,), inputs, "-o")
    check_sidecar(described(options.output), DESCRIBED, inputs, options.force)
    vocoder = Vocoder.from_pretrained(options.vocoder)
    synthesis, _ = chosen(vocoder, options, options.consistency)
    with progress(f"export to {options.output}"):
        save(vocoder, options.part, synthesis, options.output)
    print(f"{options.output}: {options.part}, {options.output.stat().st_size / 1e6:.1f} MB")
    print(f"{described(options.output)}: its inputs, levels and mel")
