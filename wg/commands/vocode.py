"""`wg vocode`: audio (analysed first) or a mel through a trained vocoder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from wg.commands.clips import read_array, read_clip, write_clip
from wg.commands.options import Options
from wg.diffusion.schedules import inference_levels
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.vocoder import Synthesis, Vocoder


def parser() -> Options:
    """Options."""
    options = Options(prog="wg vocode", allow_abbrev=False)
    options.add_argument("input", type=Path, help="audio file, or mel as .npy [bands, frames]")
    options.add_argument("-o", "--output", type=Path, required=True, help="16-bit wav to write")
    options.add_argument("--vocoder", required=True, help="folder from stage 7 (pack), or hub id")
    options.add_argument(
        "--mel", help="what the .npy is, if not the vocoder's own: a named spec, or JSON"
    )
    options.add_argument(
        "--accept",
        nargs="+",
        default=[],
        metavar="FIELD",
        help="differences to bear (docs/mels.md)",
    )
    options.add_argument("--steps", help="step count, published schedule or JSON file of betas")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    return options


def read_mel(options: argparse.Namespace, vocoder: Vocoder) -> Tensor:
    """The mel [M, F] of an audio file, or the one in a .npy file, converted if `--mel` is given."""
    path, spec = options.input, vocoder.mel_spec
    if path.suffix == ".npy":
        mel = read_array(path)
        if options.mel is None:
            return mel
        source = spec_of(options.mel)
        try:
            return source.convert(mel, spec, options.accept)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if options.mel is not None:
        raise InputError(f"--mel {options.mel}: for a .npy file; {path} is analysed here")
    clip = read_clip(path, spec.sample_rate)
    try:
        return log_mel(clip, spec)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def spec_of(text: str) -> MelSpec:
    """A named spec, or the one in a JSON file (of `wg check-mel --save`)."""
    if not text.endswith(".json"):
        return named(text)
    try:
        content = json.loads(Path(text).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--mel {text}: not readable JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"--mel {text}: holds no object; write the keys of a mel spec")
    try:
        return MelSpec.from_dict(content)
    except InputError as error:
        raise InputError(f"--mel {text}: {error}") from None


def device_of(name: str) -> torch.device:
    """The device; InputError for one that this machine has not."""
    kind, _, number = name.partition(":")
    found = torch.cuda.device_count()
    if name != "cpu" and (kind != "cuda" or (number and not number.isdigit())):
        raise InputError(f"--device {name}: give cpu, cuda or cuda:NUMBER")
    if kind == "cuda" and int(number or 0) >= found:
        raise InputError(f"--device {name}: this machine has {found} CUDA devices")
    return torch.device(name)


def check_synthesis(vocoder: Vocoder, synthesis: Synthesis) -> None:
    """InputError naming --steps for a schedule that the vocoder cannot use."""
    try:
        inference_levels(synthesis.schedule, vocoder.diffusion.levels())
    except InputError as error:
        raise InputError(f"--steps: {error}") from None


def vocode(arguments: Sequence[str]) -> None:
    """Reads, synthesises, writes; says how fast."""
    options = parser().parse_args(arguments)
    if not options.output.parent.is_dir():
        raise InputError(f"-o {options.output}: no folder {options.output.parent}")
    vocoder = Vocoder.from_pretrained(options.vocoder).to(device_of(options.device))
    synthesis = vocoder.synthesis.override(None, options.steps, None)
    check_synthesis(vocoder, synthesis)
    mel = read_mel(options, vocoder)
    try:
        wave = vocoder(mel, synthesis, seed=options.seed)
    except InputError as error:
        raise InputError(f"{options.input}: {error}") from None
    write_clip(options.output, wave, vocoder.mel_spec.sample_rate)
