"""`wg vocode`: audio (analysed first) or a mel through a trained vocoder."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wg.commands.clips import open_array, read_clip, write_stream
from wg.commands.options import FORCE, Options
from wg.diffusion.samplers import Clip, sampler
from wg.errors import InputError
from wg.files import MODEL_FILES, check_file, check_sidecar, write_json
from wg.inference.model import Synthesis
from wg.inference.pretrained import DEFAULT, SHIPPED
from wg.inference.vocoder import Vocoder
from wg.mel.convert import obstacles, refusal
from wg.mel.extract import log_mel
from wg.mel.hub import changed, named
from wg.mel.spec import MelSpec

DESCRIBED = ("vocoder", "sampler", "levels", "seed")  # in the JSON beside a wav


def parser() -> Options:
    """Options."""
    options = Options(prog="wg vocode", allow_abbrev=False)
    options.add_argument("input", type=Path, help="audio file, or mel as .npy [bands, frames]")
    options.add_argument("-o", "--output", type=Path, required=True, help="16-bit wav to write")
    options.add_argument(
        "--vocoder",
        default=DEFAULT,
        help=f"folder from stage 7 (pack), hub id, or one that ships: {', '.join(SHIPPED)} "
        "[%(default)s]",
    )
    options.add_argument(
        "--mel",
        metavar="SPEC",
        help="what the .npy is, if not the vocoder's own: a named spec (docs/mels.md), log=log10 "
        "and the like, or a JSON file; wg check-mel tells",
    )
    options.add_argument(
        "--accept",
        nargs="+",
        default=[],
        metavar="FIELD",
        help="differences to bear (docs/mels.md)",
    )
    options.add_argument("--steps", help="step count, quantiles-N, published name or file")
    options.add_argument("--sampler", help="ancestral, ddim, ddim-ETA or dpm++2m")
    options.add_argument("--clip", help="bound on the estimate of x_0; state: of 1 on the state")
    options.add_argument(
        "--consistency",
        type=int,
        metavar="K",
        help="iterations that make estimates agree with the mel; 0: none [the vocoder's own]",
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--chunk", type=int, help="stream, so many frames at a time [all at once]")
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    options.add_argument("--force", action="store_true", help=FORCE)
    return options


def check_output(options: argparse.Namespace) -> None:
    """InputError for an output that is an input, or whose JSON would replace a foreign file."""
    inputs = [options.input, *(Path(options.vocoder) / name for name in MODEL_FILES)]
    inputs += [Path(name) for name in (options.mel, options.steps) if name]
    check_file(options.output, (".wav",), inputs, "-o")
    check_sidecar(options.output.with_suffix(".json"), DESCRIBED, inputs, options.force)


def read_mel(options: argparse.Namespace, vocoder: Vocoder) -> np.ndarray:
    """The mel [M, F] of an audio file, or the array in a .npy file, which stays on disk."""
    path = options.input
    if path.suffix == ".npy":
        mel = open_array(path)
        if mel.ndim == 3:
            raise InputError(
                f"mel of shape {list(mel.shape)}; save one mel a file, [bands, frames]: mel[0], ..."
            )
        return mel
    if options.mel is not None:
        raise InputError(f"--mel {options.mel}: for a .npy file; {path} is analysed here")
    spec = vocoder.mel_spec
    return log_mel(read_clip(path, spec.sample_rate), spec).numpy()


def converter(options: argparse.Namespace, spec: MelSpec) -> Callable[[np.ndarray], Tensor]:
    """From a part of the array to a mel of the vocoder's spec; InputError if there is no way."""

    def plain(part: np.ndarray) -> Tensor:
        return torch.from_numpy(part.astype(np.float32))

    if options.mel is None:
        return plain
    source = spec_of(options.mel, spec)
    if blocking := obstacles(source, spec, options.accept):
        raise InputError(refusal(source, spec, blocking))
    return lambda part: source.convert(plain(part), spec, options.accept)


def split(mel: np.ndarray, frames: int) -> Iterator[np.ndarray]:
    """Chunks of a mel [M, F], so many frames each; something that is no mel whole."""
    last = mel.shape[-1] if mel.ndim else 1
    for first in range(0, max(1, last), frames):
        yield mel[..., first : first + frames]


def spec_of(text: str, own: MelSpec) -> MelSpec:
    """A named spec, `own` with other values, or a JSON file's (of `wg check-mel --save`)."""
    if "=" in text and not Path(text).exists():
        try:
            return changed(own, text)
        except InputError as error:
            raise InputError(f"--mel {text}: {error}") from None
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


def clip_of(text: str) -> Clip:
    """A bound as the command line has it; InputError for none."""
    if text == "state":
        return "state"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise InputError(f"--clip {text}: give a positive number, or state")
    return value


def chosen(
    vocoder: Vocoder, steps: str | None, name: str | None, consistency: int | None = None
) -> tuple[Synthesis, Tensor]:
    """The vocoder's way to sample with what is asked for, and its levels."""
    try:
        synthesis = vocoder.synthesis.override(None, steps, name, consistency)
    except InputError as error:
        raise InputError(f"--consistency {consistency}: {error}") from None
    try:
        sampler(synthesis.sampler)
    except InputError as error:
        raise InputError(f"--sampler: {error}") from None
    try:
        return synthesis, vocoder.levels(synthesis)
    except InputError as error:
        raise InputError(f"--steps: {error}") from None


def vocode(arguments: Sequence[str]) -> None:
    """Reads, synthesises, writes; says how fast."""
    options = parser().parse_args(arguments)
    check_output(options)
    if options.chunk is not None and options.chunk < 1:
        raise InputError(f"--chunk {options.chunk}: give at least 1 frame")
    vocoder = Vocoder.from_pretrained(options.vocoder).to(device_of(options.device))
    synthesis, levels = chosen(vocoder, options.steps, options.sampler, options.consistency)
    if options.clip is not None:
        synthesis = replace(synthesis, clip=clip_of(options.clip))

    def pieces() -> Iterator[Tensor]:
        try:
            mel = read_mel(options, vocoder)
            convert = converter(options, vocoder.mel_spec)
            if options.chunk is None:
                yield vocoder(convert(mel), synthesis, seed=options.seed)
            else:
                chunks = map(convert, split(mel, options.chunk))
                yield from vocoder.stream(chunks, synthesis, options.seed)
        except InputError as error:
            prefix = "" if str(error).startswith((str(options.input), "--")) else options.input
            raise InputError(f"{prefix}: {error}" if prefix else str(error)) from None

    write_stream(options.output, pieces(), vocoder.mel_spec.sample_rate)
    made = {
        "vocoder": str(options.vocoder),
        "sampler": synthesis.sampler,
        "levels": levels.tolist(),
        "clip": synthesis.clip,
        "consistency": asdict(synthesis.consistency) if synthesis.consistency else None,
        "seed": options.seed,
    }
    write_json(options.output.with_suffix(".json"), made)
