"""`wg sample`, `wg denoise` and `wg interpolate`: what a model that takes no mel can do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wg.commands.clips import read_clip, write_clip
from wg.commands.options import FORCE, Options
from wg.commands.sampling import add_device, add_sampling, chosen, placed
from wg.diffusion.noise import seed_of
from wg.errors import InputError, stage_label
from wg.files import MODEL_FILES, check_file, check_names, own
from wg.inference.generator import Generator


def parser(name: str, output: str) -> Options:
    """Options that the three share."""
    options = Options(prog=f"wg {name}", allow_abbrev=False)
    options.add_argument("-o", "--output", type=Path, required=True, help=output)
    options.add_argument(
        "--model", required=True, help=f"generator folder of {stage_label('pack')}, or hub id"
    )
    options.add_argument("--class", dest="kind", help="of a class-conditional model")
    options.add_argument("--seed", type=int, default=0)
    add_device(options)
    return options


def load(options: argparse.Namespace) -> Generator:
    """The model on its device."""
    return placed(Generator.from_pretrained(options.model), options)


def load_for_one(options: argparse.Namespace, *clips: Path) -> Generator:
    """The model, for a command that writes one wav made of these."""
    inputs = [*clips, *(Path(options.model) / name for name in MODEL_FILES)]
    check_file(options.output, (".wav",), inputs, "-o")
    return load(options)


def classes(options: argparse.Namespace, count: int) -> list[str] | None:
    """The class of each clip; None where --class is not given."""
    return None if options.kind is None else [options.kind] * count


def sample(arguments: Sequence[str]) -> None:
    """Generates clips into a folder: `wg sample --model DIR -n 10 [--class seven] -o OUT`."""
    asked = parser("sample", "folder to write wavs into")
    asked.add_argument("-n", "--count", type=int, default=1, help="clips [%(default)s]")
    asked.add_argument("--samples", type=int, help="length of a clip [as trained]")
    add_sampling(asked)
    asked.add_argument("--batch-size", type=int, default=8, help="clips at a time [%(default)s]")
    asked.add_argument("--force", action="store_true", help=FORCE)
    options = asked.parse_args(arguments)
    for name in ("count", "batch_size"):
        if vars(options)[name] < 1:
            raise InputError(f"--{name.replace('_', '-')} {vars(options)[name]}: give at least 1")
    if options.samples is not None and options.samples < 1:
        raise InputError(f"--samples {options.samples}: give at least 1")
    names = [f"{options.kind or 'sample'}-{number:05d}" for number in range(1, options.count + 1)]
    files = [f"{name}.wav" for name in names]
    check_names(options.output, files, (), options.force)
    generator = load(options)
    synthesis, _ = chosen(generator, options)
    if options.samples is not None:
        synthesis = replace(synthesis, samples=options.samples)
    for first in range(0, len(names), options.batch_size):
        batch = names[first : first + options.batch_size]
        seeds = [seed_of(name, options.seed) for name in batch]
        waves = generator(seeds, classes(options, len(batch)), synthesis)
        own(options.output, files)
        for name, wave in zip(batch, waves, strict=True):
            write_clip(options.output / f"{name}.wav", wave, generator.mel_spec.sample_rate)


def denoise(arguments: Sequence[str]) -> None:
    """Zero-shot denoising of a clip: `wg denoise NOISY --model DIR -o OUT.wav`."""
    asked = parser("denoise", "16-bit wav to write")
    asked.add_argument("input", type=Path, help="noisy clip at the model's rate")
    asked.add_argument("--step", type=int, help="where to start [an eighth, the paper's 25 of 200]")
    options = asked.parse_args(arguments)
    generator = load_for_one(options, options.input)
    rate, total = generator.mel_spec.sample_rate, generator.diffusion.steps
    noisy = read_clip(options.input, rate)
    step = max(1, total // 8) if options.step is None else options.step
    wave = generator.denoise(noisy[None], step, classes(options, 1), options.seed)[0]
    write_clip(options.output, wave, rate)


def interpolate(arguments: Sequence[str]) -> None:
    """A clip between two: `wg interpolate A B --share 0.5 --model DIR -o OUT.wav`."""
    asked = parser("interpolate", "16-bit wav to write")
    asked.add_argument("first", type=Path, help="clip at the model's rate")
    asked.add_argument("second", type=Path, help="clip of the same length")
    asked.add_argument("--share", type=float, default=0.5, help="of the second [%(default)s]")
    asked.add_argument("--step", type=int, help="where to mix [a quarter, the paper's 50 of 200]")
    options = asked.parse_args(arguments)
    generator = load_for_one(options, options.first, options.second)
    rate, total = generator.mel_spec.sample_rate, generator.diffusion.steps
    clips = read_clip(options.first, rate), read_clip(options.second, rate)
    if clips[0].shape != clips[1].shape:
        raise InputError(
            f"{options.first} has {len(clips[0])} samples and {options.second} {len(clips[1])}; "
            "cut or pad one"
        )
    step = max(1, total // 4) if options.step is None else options.step
    kind = classes(options, 1)
    wave = generator.interpolate(clips, options.share, step, kind, options.seed)
    write_clip(options.output, wave, rate)
