"""`wg vocode`: audio (analysed first) or mels through a trained vocoder, one file or many."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wg.commands.clips import open_array, read_clip, write_stream, written
from wg.commands.options import FORCE, Options
from wg.commands.sampling import (
    add_device,
    add_sampling,
    add_vocoding,
    check_chunks,
    chosen,
    placed,
)
from wg.errors import InputError, PartlyDone, stage_label
from wg.files import MODEL_FILES, check_file, check_names, check_sidecar, own, write_json
from wg.inference.model import SamplingConfig
from wg.inference.pretrained import DEFAULT, SHIPPED, shipped_for
from wg.inference.vocoder import UnlikelyMel, Vocoder
from wg.mel.extract import log_mel
from wg.mel.hub import changed, named
from wg.mel.spec import MelSpec, obstacles, refusal
from wg.processes.progress import progress

READ = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".npy")  # of the files in a folder
ARRAYS = (".npy", ".npz", ".pt", ".pth")  # no audio; the last three are refused as mels
FRAMES_LOOKED_AT = 20_000  # of a mel that is streamed, for unlikely values
DESCRIBED = ("vocoder", "sampler", "levels", "seed")  # in the JSON beside a wav


def parser() -> Options:
    """Command-line options of `wg vocode`."""
    options = Options(prog="wg vocode", allow_abbrev=False)
    options.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="audio files of any rate, mels as .npy [bands, frames], and folders of such",
    )
    options.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="16-bit wav to write; of several inputs or a folder: a folder",
    )
    options.add_argument(
        "--vocoder",
        default=DEFAULT,
        help=f"folder from {stage_label('pack')}, hub id, or one that ships: {', '.join(SHIPPED)} "
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
    add_sampling(options)
    add_vocoding(options)
    options.add_argument("--seed", type=int, default=0)
    add_device(options)
    options.add_argument("--force", action="store_true", help=FORCE)
    return options


@dataclass(frozen=True)
class Job:
    """A file to read and the wav to write."""

    source: Path
    target: Path


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """What is to be done; InputError for outputs that must not or cannot be written."""
    inputs = options.inputs
    others = [Path(options.vocoder) / name for name in MODEL_FILES]
    others += [Path(name) for name in (options.mel, options.steps) if name]
    if len(inputs) == 1 and not inputs[0].is_dir():
        job = Job(inputs[0], options.output)
        check_file(job.target, (".wav",), [job.source, *others], "-o")
        check_sidecar(described(job), DESCRIBED, [job.source, *others], options.force)
        return [job]
    jobs = [Job(path, options.output / name) for path, name in named_outputs(inputs)]
    if options.output.suffix.lower() == ".wav":
        raise InputError(f"-o {options.output}: of several inputs or a folder; give a folder")
    files = {job.target.relative_to(options.output) for job in jobs}
    names = [str(name) for file in files for name in (file, file.with_suffix(".json"))]
    check_names(options.output, names, others, options.force)
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources:
            raise InputError(f"-o {options.output}: would replace the input {job.target}")
    own(options.output, names)
    return jobs


def named_outputs(inputs: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each file of the inputs, and the name of its wav; InputError where two have one name."""
    found: dict[Path, Path] = {}  # name -> source
    for given in inputs:
        inner = sorted(path for path in given.rglob("*") if path.suffix.lower() in READ)
        if given.is_dir() and not inner:
            raise InputError(f"{given}: no file that ends in {', '.join(READ)}")
        for path in inner if given.is_dir() else [given]:
            name = (path.relative_to(given) if given.is_dir() else Path(path.name)).with_suffix(
                ".wav"
            )
            if name in found:
                raise InputError(f"{found[name]} and {path}: both would become {name}; rename one")
            found[name] = path
    return [(source, name) for name, source in found.items()]


def described(job: Job) -> Path:
    """The JSON of what made a wav."""
    return job.target.with_suffix(".json")


def read_mel(
    path: Path, options: argparse.Namespace, spec: MelSpec, say: Callable[[str], object]
) -> np.ndarray:
    """The mel [M, F] of an audio file, or the array in a .npy file, which stays on disk."""
    if path.suffix.lower() in ARRAYS:
        mel = open_array(path)
        if mel.ndim == 3 and len(mel) == 1:
            return mel[0]
        if mel.ndim == 3:
            raise InputError(
                f"mel of shape {list(mel.shape)}; save one mel a file, [bands, frames]: mel[0], ..."
            )
        others = shipped_for(len(mel)) if mel.ndim == 2 and spec.n_mels not in mel.shape else []
        if others:
            raise InputError(
                f"mel of shape {list(mel.shape)}; this vocoder takes [{spec.n_mels}, frames]; of "
                f"{len(mel)} bands are those of --vocoder {' or '.join(others)}"
            )
        if mel.ndim == 2 and mel.shape[1] == spec.n_mels != mel.shape[0]:
            raise InputError(
                f"mel of shape {list(mel.shape)}; this vocoder takes [{spec.n_mels}, frames]; it "
                "looks transposed"
            )
        return mel
    if options.mel is not None:
        raise InputError(f"--mel {options.mel}: for a .npy file; {path} is analysed here")
    return log_mel(read_clip(path, spec.sample_rate, say), spec).numpy()


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


def vocode(arguments: Sequence[str]) -> None:
    """Reads, synthesises, writes; says how fast. PartlyDone where some of many inputs failed."""
    options = parser().parse_args(arguments)
    jobs = jobs_of(options)
    check_chunks(options)
    vocoder = placed(Vocoder.from_pretrained(options.vocoder), options)
    synthesis, levels = chosen(vocoder, options, options.consistency)
    work = FileVocoder(options, vocoder, synthesis, levels)
    if len(jobs) == 1:
        print(written(jobs[0].target, *work.one(jobs[0], print)))
    else:
        work.many(jobs)


@dataclass(frozen=True)
class FileVocoder:
    """What all files have in common."""

    options: argparse.Namespace
    vocoder: Vocoder
    synthesis: SamplingConfig
    levels: Tensor

    def one(self, job: Job, say: Callable[[str], object]) -> tuple[float, float]:
        """Writes a wav and what made it: seconds, and the gain that kept it within full scale."""
        job.target.parent.mkdir(parents=True, exist_ok=True)
        rate = self.vocoder.mel_spec.sample_rate
        made = write_stream(job.target, self.pieces(job.source, say), rate)
        write_json(described(job), self.description())
        return made

    def many(self, jobs: Sequence[Job]) -> None:
        """Writes all that can be, names what cannot, and says how fast it was."""
        said: list[str] = []
        failed, audio, loud, started = 0, 0.0, 0, time.monotonic()
        with progress("vocode", len(jobs)) as shown:
            for job in jobs:
                try:
                    seconds, gain = self.one(job, said.append)
                    audio, loud = audio + seconds, loud + (gain < 1)
                except InputError as error:
                    failed += 1
                    print(f"wg: error: {error}", file=sys.stderr, flush=True)
                shown.advance()
        took = time.monotonic() - started
        speed = f", real-time factor {took / audio:.3g}" if audio else ""
        print(f"{len(jobs) - failed} files, {audio:.1f} s of audio in {took:.1f} s{speed}")
        if said:
            print(f"brought to {self.vocoder.mel_spec.sample_rate} Hz and one channel: {len(said)}")
        if loud:
            print(f"turned down to full scale: {loud}")
        if failed:
            raise PartlyDone(f"{failed} of {len(jobs)} files failed, named above")

    def pieces(self, path: Path, say: Callable[[str], object]) -> Iterator[Tensor]:
        """Audio [T] of a file, in one piece or by --chunk; InputError names the file."""
        options, vocoder = self.options, self.vocoder
        try:
            mel = read_mel(path, options, vocoder.mel_spec, say)
            convert = converter(options, vocoder.mel_spec)
            if options.chunk is None:
                looked_at = convert(mel)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UnlikelyMel)
                    wave = vocoder(looked_at, self.synthesis, seed=options.seed)
                yield wave
            else:
                chunks = map(convert, split(mel, options.chunk))
                yield from vocoder.stream(
                    chunks, self.synthesis, options.seed, context=options.context
                )
                looked_at = convert(mel[:, :FRAMES_LOOKED_AT])
            if problem := vocoder.oddity(looked_at):
                warnings.warn(f"{path}: {problem}", UnlikelyMel, stacklevel=2)
        except InputError as error:
            if str(error).startswith((str(path), "--")):
                raise
            raise InputError(f"{path}: {error}") from None

    def description(self) -> dict[str, Any]:
        """What makes the same wav again."""
        consistency, options = self.synthesis.consistency, self.options
        windows = {"chunk": options.chunk, "context": options.context} if options.context else {}
        return {
            "vocoder": str(options.vocoder),
            "sampler": self.synthesis.sampler,
            "levels": self.levels.tolist(),
            "clip": self.synthesis.clip,
            "consistency": asdict(consistency) if consistency else None,
            "seed": options.seed,
            "precision": options.precision,
            **windows,
        }
