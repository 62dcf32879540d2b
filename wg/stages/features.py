"""Stage 2, features: manifests to a dump of audio at the target rate and mels."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wg.data.audio import CONTENT, load_audio
from wg.data.dump import Utterance, fit, shard_fingerprint, write_shard
from wg.data.splits import SPLITS
from wg.errors import InputError
from wg.files import ABANDONED, own
from wg.mel.extract import log_mel
from wg.mel.spec import MelSpec
from wg.processes.launch import place, wait_for_all
from wg.processes.pool import in_processes
from wg.stages.stage import Stage, digest
from wg.tasks.context import Context

SHARD = "shard-{}.safetensors"


@dataclass(frozen=True)
class Clip:
    """An utterance before resampling."""

    id: str
    path: str
    sample_rate: int
    start: int
    samples: int
    text: str
    speaker: str
    content: str = ""  # digest of the file; "": of a manifest that has none


@dataclass(frozen=True)
class ShardJob:
    """One shard to write."""

    path: Path
    clips: tuple[Clip, ...]
    spec: MelSpec
    fingerprint: str
    samples: int | None = None  # to which each clip is padded


def read_clips(manifest: Path) -> list[Clip]:
    """Clips of a manifest, in its order."""
    from lhotse import CutSet

    clips = []
    for cut in CutSet.from_file(manifest):
        spoken = cut.supervisions[0] if cut.supervisions else None
        clips.append(
            Clip(
                id=cut.id,
                path=cut.recording.sources[0].source,
                sample_rate=cut.sampling_rate,
                start=round(cut.start * cut.sampling_rate),
                samples=cut.num_samples,
                text=(spoken.text if spoken else None) or "",
                speaker=(spoken.speaker if spoken else None) or "",
                content=(cut.custom or {}).get(CONTENT, ""),
            )
        )
    return clips


def padded(audio: torch.Tensor, samples: int | None, path: str) -> torch.Tensor:
    """Audio with zeros up to `corpus.samples`; InputError where it is longer than that."""
    if samples is None:
        return audio
    if len(audio) > samples:
        raise InputError(f"{path}: {len(audio)} samples, corpus.samples is {samples}; cut it")
    return fit(audio, samples)


def write_job(job: ShardJob) -> float:
    """Computes and writes one shard; seconds of audio in it."""
    entries, seconds = [], 0.0
    for clip in job.clips:
        audio = torch.from_numpy(load_audio(Path(clip.path), clip.start, clip.samples))
        if clip.sample_rate != job.spec.sample_rate:
            from torchaudio.functional import resample

            audio = resample(audio, clip.sample_rate, job.spec.sample_rate)
        audio = padded(audio, job.samples, clip.path)
        try:
            mel = log_mel(audio, job.spec)
        except InputError as error:
            raise InputError(f"{clip.path}: {error}") from None
        entry = Utterance(clip.id, len(audio), mel.shape[-1], clip.text, clip.speaker)
        entries.append((entry, audio, mel))
        seconds += len(audio) / job.spec.sample_rate
    write_shard(job.path, entries, job.spec, job.fingerprint)
    return seconds


def plan(context: Context, split: str) -> list[ShardJob]:
    """The shards of a split."""
    experiment = context.experiment
    clips = read_clips(context.data / f"{split}.jsonl.gz")
    size = experiment.features.shard
    jobs = []
    for number, first in enumerate(range(0, len(clips), size)):
        part = tuple(clips[first : first + size])
        # Manifests without contents keep the fingerprints that they had.
        clips_of = [{k: v for k, v in vars(clip).items() if k != CONTENT or v} for clip in part]
        content = {"clips": clips_of, "spec": experiment.mel.to_dict()}
        samples = experiment.corpus.samples
        if samples is not None:
            content["samples"] = samples
        path = context.dump / split / SHARD.format(f"{number:05d}")
        jobs.append(ShardJob(path, part, experiment.mel, digest(content), samples))
    return jobs


def run(context: Context) -> Mapping[str, Any]:
    """Writes the shards that are not there yet, over `--jobs` processes.

    Under torchrun or srun each process takes every world-th shard.
    """
    if place().rank == 0:
        own(context.dump, later=("*",))
    jobs = [job for split in SPLITS for job in plan(context, split)]
    note_resampling(jobs)
    remove_leftovers(context.dump, {job.path for job in jobs})
    # Shared out before looking what is there: other processes may have begun to write.
    mine = jobs[place().rank :: place().world]
    missing = [job for job in mine if shard_fingerprint(job.path) != job.fingerprint]
    if len(missing) < len(mine):
        print(f"{len(mine) - len(missing)} of {len(mine)} shards are there already")
    started = time.monotonic()
    seconds = sum(in_processes(write_job, missing, context.jobs, "features, shards"))
    if seconds:
        elapsed = time.monotonic() - started
        print(f"{seconds / 3600:.2f} h of audio in {elapsed:.1f} s ({len(missing)} shards)")
    wait_for_all()
    shards = {str(job.path.relative_to(context.dump)): job.fingerprint for job in jobs}
    return {"shards": digest(shards)}


def remove_leftovers(dump: Path, wanted: set[Path]) -> None:
    """Deletes shards of another plan, and half files that a killed run left."""
    for path in dump.glob(f"*/{SHARD.format('*')}"):
        if path not in wanted:
            path.unlink(missing_ok=True)
    for path in dump.glob(f"*/{SHARD.format('*')}.*.tmp"):
        with contextlib.suppress(OSError):  # another process may be done with it just now
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def note_resampling(jobs: list[ShardJob]) -> None:
    """Prints which rates are resampled, and how many clips have each."""
    target = jobs[0].spec.sample_rate
    rates = Counter(clip.sample_rate for job in jobs for clip in job.clips)
    for rate in sorted(rates.keys() - {target}):
        share = f"{rates[rate]} of {rates.total()} clips"
        empty = "; the band above its Nyquist frequency stays empty" if rate < target else ""
        print(f"resampling {share} from {rate} to {target} Hz{empty}")


STAGE = Stage(
    name="features",
    summary="manifests to audio at the target rate and mels",
    keys=("mel", "features.shard", "corpus.samples"),
    needs=("prepare",),
    output=lambda context: context.dump,
    run=run,
)
