"""`wg score bound`: how probable a trained model finds recordings, level by level."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wg.bench.bound import Example, banded, bound_of
from wg.bench.folders import audio_files
from wg.commands.clips import read_clip
from wg.commands.options import Options
from wg.commands.sampling import device_of
from wg.diffusion.bound import Bound, bits
from wg.diffusion.plan import sampling_levels
from wg.errors import InputError, stage_label
from wg.files import check_file, write_json
from wg.inference.generator import Generator
from wg.inference.kinds import load_trained
from wg.inference.text_to_speech import TextToSpeech
from wg.inference.vocoder import Vocoder
from wg.metrics.statistics import summarise
from wg.report.scores import defined
from wg.report.table import markdown, number


def parser() -> Options:
    """Command-line options of `wg score bound`."""
    options = Options(prog="wg score bound", allow_abbrev=False)
    options.add_argument(
        "--model", required=True, help=f"folder from {stage_label('pack')}, hub id or name"
    )
    options.add_argument("--ref", type=Path, required=True, help="folder of recordings")
    options.add_argument(
        "--steps",
        default="100",
        help="whose levels: step count, quantiles-N, published name or file [%(default)s]",
    )
    options.add_argument("--limit", type=int, help="first recordings only")
    options.add_argument("--seed", type=int, default=0, help="of the noise [%(default)s]")
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [%(default)s]")
    options.add_argument("-o", "--output", type=Path, help=".json to write")
    return options


def opened(source: str, device: torch.device) -> Vocoder | Generator:
    """The model; InputError for one that reads text, whose timing has no density here."""
    model = load_trained(source)
    if isinstance(model, TextToSpeech):
        raise InputError(f"--model {source}: reads text; give a vocoder, or a model without a mel")
    return model.to(device)


def bound(arguments: Sequence[str]) -> None:
    """Checks, bounds each recording, prints and writes."""
    options = parser().parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit {options.limit}: give at least 1")
    if options.output:
        check_file(options.output, (".json",), (), "-o")
    model = opened(options.model, device_of(options.device))
    levels = sampling_levels(options.steps, "ancestral", model.diffusion)
    paths = dict(list(audio_files(options.ref).items())[: options.limit])
    clips = [
        Example(name, read_clip(path, model.mel_spec.sample_rate)) for name, path in paths.items()
    ]
    found: dict[str, Bound] = {}
    for clip in clips:
        found[clip.id] = bound_of(model, clip, levels, options.seed)
        print(f"{clip.id}: {number(found[clip.id].nats.item())} nats a sample", flush=True)
    gaussian = {clip.id: of_loudness(clip.wave) for clip in clips}
    show(found, levels, gaussian)
    if options.output:
        write_json(options.output, content(options, levels, found, gaussian))
        print(options.output)


def show(found: Mapping[str, Bound], levels: Tensor, gaussian: Mapping[str, float]) -> None:
    """Prints the bound by bands of levels [N + 1], and as a whole."""
    rows = [
        [f"{low:.4f} to {high:.4f}", number(nats), number(error)]
        for low, high, nats, error in banded(list(found.values()), levels)
    ]
    start = torch.cat([item.terms[:, 0] for item in found.values()]).mean().item()
    rows.append(["what x_N tells", number(start), ""])
    print(markdown(["levels", "nats a sample", "squared error"], rows))
    total = summarise(item.nats.item() for item in found.values())
    interval = "" if math.isnan(total.low) else f" ({number(total.low)} to {number(total.high)})"
    print(
        f"-ln p <= {number(total.mean)}{interval} nats a sample, {number(bits(total.mean))} bits a "
        f"16-bit sample: {len(found)} recordings, {len(levels) - 1} levels"
    )
    plain = summarise(gaussian.values()).mean
    print(f"white noise as loud as each of them: {number(plain)} nats a sample")


def of_loudness(wave: Tensor) -> float:
    """-ln p in nats a sample of white noise as loud as a recording [T]; nan for silence."""
    power = wave.double().square().mean().item()
    return math.log(2 * math.pi * math.e * power) / 2 if power else math.nan


def content(
    options: Namespace, levels: Tensor, found: Mapping[str, Bound], gaussian: Mapping[str, float]
) -> dict[str, Any]:
    """What the file holds; terms [N + 1] and errors [N] are means over the recordings."""
    nats = {name: item.nats.item() for name, item in found.items()}
    total = summarise(nats.values())
    rows = {name: {"nats": value, "gaussian": gaussian[name]} for name, value in nats.items()}
    return {
        "model": options.model,
        "schedule": options.steps,
        "seed": options.seed,
        "nats": defined(asdict(total)),
        "bits": bits(total.mean),
        "levels": levels.tolist(),
        "terms": torch.cat([item.terms for item in found.values()]).mean(0).tolist(),
        "errors": torch.cat([item.errors for item in found.values()]).mean(0).tolist(),
        "utterances": defined(rows),
    }
