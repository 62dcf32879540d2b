"""Stage 2, features: manifests to a dump of audio at the target rate and mels."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wg.data.audio import CONTENT, load_audio
from wg.data.dump import damage, damaged, fit, make_index, shard_fingerprint, write_shard
from wg.data.index import INDEX, Record, Utterance, read_index
from wg.data.splits import SPLITS
from wg.data.state import content_of
from wg.errors import InputError, stage_label
from wg.files import ABANDONED, check_name, own
from wg.mel.extract import log_mel
from wg.mel.spec import MelSpec
from wg.processes.launch import part, place, shared, wait_for_all
from wg.processes.pool import in_processes
from wg.rates import check_rates
from wg.stages.stage import Stage, digest
from wg.tasks.context import Context

SHARD = "shard-{}.safetensors"
NAMED = 3  # shards spelt out in a message
ROUNDED = 2  # frames by which a mel from elsewhere may differ from its audio's


@dataclass(frozen=True)
class Clip:
    """An utterance as its manifest has it: where its audio lies, before resampling."""

    id: str
    path: str
    sample_rate: int
    start: int
    samples: int
    text: str
    speaker: str
    content: str = ""  # digest of the file; "": of a manifest that has none
    mel: str = ""  # file of its mel; "": the audio's own
    mel_content: str = ""  # digest of that


@dataclass(frozen=True)
class ShardJob:
    """A shard to write: its clips, and what their audio is made into."""

    path: Path
    clips: tuple[Clip, ...]
    spec: MelSpec
    fingerprint: str
    samples: int | None = None  # to which each clip is padded


def read_clips(manifest: Path) -> list[Clip]:
    """Clips of a manifest, in its order; InputError for an id that is no name."""
    try:
        return _clips(manifest)
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises almost anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{manifest}: damaged, or not a manifest ({reason}); run {stage_label('prepare')} again"
        ) from None


def _clips(manifest: Path) -> list[Clip]:
    from lhotse import CutSet

    clips = []
    for cut in CutSet.from_file(manifest):
        check_name(cut.id, f"{manifest}: id")
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
    if not clips:
        raise InputError(f"{manifest}: holds no utterance; run {stage_label('prepare')} again")
    return clips


def padded(audio: torch.Tensor, samples: int | None, path: str) -> torch.Tensor:
    """Audio with zeros up to `corpus.samples`; InputError where it is longer than that."""
    if samples is None:
        return audio
    if len(audio) > samples:
        raise InputError(f"{path}: {len(audio)} samples, corpus.samples is {samples}; cut it")
    return fit(audio, samples)


def stands(job: ShardJob, noted: Mapping[str, Mapping[str, Record]]) -> bool:
    """Whether a job's shard is there, made of the same, and as it was written."""
    if shard_fingerprint(job.path) != job.fingerprint:
        return False
    records = noted[job.path.parent.name]
    return job.path.name not in records or not damage(job.path, records[job.path.name])


def aligned(path: Path, own: torch.Tensor) -> torch.Tensor:
    """A mel [M, F] from elsewhere in place of the audio's `own`; InputError unless it fits it.

    Acoustic models round: up to `ROUNDED` frames more or less are cut, from it or from the audio.
    """
    try:
        mel = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a plain .npy array ({error})") from None
    bands, frames = own.shape
    if not isinstance(mel, np.ndarray) or mel.ndim != 2 or mel.dtype.kind != "f":
        raise InputError(f"{path}: not floats [{bands}, frames]; save one mel a file")
    if mel.shape[0] != bands:
        turned = "; it is transposed" if mel.shape[1] == bands else ""
        raise InputError(f"{path}: shape {list(mel.shape)}, [{bands}, {frames}] is needed{turned}")
    if abs(mel.shape[1] - frames) > ROUNDED:
        raise InputError(
            f"{path}: {mel.shape[1]} frames, its audio has {frames}; make the mels with the true "
            "durations (teacher forcing), at this hop"
        )
    if not np.isfinite(mel).all():
        raise InputError(f"{path}: holds NaN or infinite values")
    return torch.from_numpy(mel[:, : min(mel.shape[1], frames)].astype(np.float32))


def with_mels(clips: list[Clip], folder: Path) -> list[Clip]:
    """Clips with the mels of a folder; InputError where one has none."""
    absent = [clip.id for clip in clips if not (folder / f"{clip.id}.npy").is_file()]
    if absent:
        shown = ", ".join(absent[:NAMED]) + (" ..." if len(absent) > NAMED else "")
        raise InputError(
            f"features.from: {folder} lacks the mels of {len(absent)} of {len(clips)} utterances "
            f"({shown}); save each as ID.npy"
        )
    paths = [folder / f"{clip.id}.npy" for clip in clips]
    return [
        replace(clip, mel=str(path), mel_content=content_of(path))
        for clip, path in zip(clips, paths, strict=True)
    ]


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
        mel = aligned(Path(clip.mel), mel) if clip.mel else mel
        entry = Utterance(clip.id, len(audio), mel.shape[-1], clip.text, clip.speaker)
        entries.append((entry, audio, mel))
        seconds += len(audio) / job.spec.sample_rate
    write_shard(job.path, entries, job.spec, job.fingerprint)
    return seconds


def plan(context: Context, split: str) -> list[ShardJob]:
    """The shards of a split."""
    experiment = context.experiment
    clips = read_clips(context.data / f"{split}.jsonl.gz")
    if experiment.features.mels:
        clips = with_mels(clips, Path(experiment.features.mels))
    size = experiment.features.shard
    jobs = []
    for number, first in enumerate(range(0, len(clips), size)):
        part = tuple(clips[first : first + size])
        # Manifests without contents keep the fingerprints that they had.
        new = (CONTENT, "mel", "mel_content")
        clips_of = [{k: v for k, v in vars(clip).items() if k not in new or v} for clip in part]
        content = {"clips": clips_of, "spec": experiment.mel.to_dict()}
        samples = experiment.corpus.samples
        if samples is not None:
            content["samples"] = samples
        path = context.dump / split / SHARD.format(f"{number:05d}")
        jobs.append(ShardJob(path, part, experiment.mel, digest(content), samples))
    return jobs


def run(context: Context) -> Mapping[str, Any]:
    """Writes the shards that are not there yet, over `--jobs` processes.

    Under torchrun or srun each process takes its share of them.
    """
    if place().rank == 0:
        own(context.dump, later=("*",))
    jobs = [job for split in SPLITS for job in plan(context, split)]
    note_resampling(jobs)
    remove_leftovers(context.dump, {job.path for job in jobs})
    # Shared out before looking what is there: other processes may have begun to write.
    mine = shared(jobs)
    tables = {split: read_index(context.dump / split) for split in SPLITS}
    noted = {split: table.records() if table else {} for split, table in tables.items()}
    missing = [job for job in mine if not stands(job, noted)]
    wait_for_all()
    if missing:  # what an index says holds while it is there
        for split in SPLITS:
            (context.dump / split / INDEX).unlink(missing_ok=True)
    if len(missing) < len(mine):
        print(f"{len(mine) - len(missing)} of {len(mine)} shards are there already")
    started = time.monotonic()
    seconds = sum(in_processes(write_job, missing, context.jobs, "features, shards"))
    if seconds:
        elapsed = time.monotonic() - started
        print(f"{seconds / 3600:.2f} h of audio in {elapsed:.1f} s ({len(missing)} shards)")
    wait_for_all()
    if place().rank == 0 and not part():
        for split in SPLITS:
            make_index(context.dump / split)
    shards = {str(job.path.relative_to(context.dump)): job.fingerprint for job in jobs}
    return {"shards": digest(shards)}


def remove_leftovers(dump: Path, wanted: set[Path]) -> None:
    """Deletes shards of another plan, and half files that a killed run left."""
    for path in dump.glob(f"*/{SHARD.format('*')}"):
        if path not in wanted and shard_fingerprint(path) is not None:  # a shard of ours
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
        try:
            check_rates(rate, target)
        except InputError as error:
            clip = next(clip for job in jobs for clip in job.clips if clip.sample_rate == rate)
            raise InputError(f"{clip.path}: {error}") from None
        share = f"{rates[rate]} of {rates.total()} clips"
        empty = "; the band above its Nyquist frequency stays empty" if rate < target else ""
        print(f"resampling {share} from {rate} to {target} Hz{empty}")


def state(context: Context) -> dict[str, str]:
    """What is wrong with the shards; nothing while they are as they were written."""
    wrong = [
        f"{split}/{name} is {reason}"
        for split in SPLITS
        for name, reason in damaged(context.dump / split).items()
    ]
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    found = {"shards": ", ".join(wrong[:NAMED]) + more} if wrong else {}
    mels = context.experiment.features.mels
    return {**found, "mels": mels_state(Path(mels))} if mels else found


def mels_state(folder: Path) -> str:
    """Number of files of a folder of mels and a digest of their names, sizes and times."""
    if not folder.is_dir():
        raise InputError(f"features.from: {folder} is no folder; give one of ID.npy files")
    found = [(path.name, path.stat()) for path in sorted(folder.glob("*.npy"))]
    files = [[name, status.st_size, status.st_mtime_ns] for name, status in found]
    return f"{len(files)} files, {digest({'files': files})}"


STAGE = Stage(
    name="features",
    summary="manifests to audio at the target rate and mels",
    keys=("mel", "features.shard", "features.mels", "corpus.samples"),
    needs=("prepare",),
    output=lambda context: context.dump,
    run=run,
    state=state,
    parts=True,
)
