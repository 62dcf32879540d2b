"""One run of a recipe: its experiment, where its files are, what finished stages left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wg.config import Experiment
from wg.data.dump import Dump, features_folder
from wg.data.phonemes import Phonemes, read_phonemes
from wg.data.tars import Tars
from wg.diffusion.schedules import schedule_label
from wg.errors import InputError, stage_label
from wg.processes.devices import Devices
from wg.processes.kept import Kept
from wg.reading import read_object

STAMP = "stage-{name}.json"


@dataclass(frozen=True)
class Context:
    """One run: the recipe, its experiment, and where things are."""

    recipe: Path
    work: Path  # data, dump and exp go below it
    name: str  # conf/<name>.yaml
    experiment: Experiment
    devices: Devices
    jobs: int
    corpus_dir: Path | None = None
    overrides: tuple[str, ...] = ()
    restart: bool = False  # train from the start; the run before is kept in another folder
    kept: Kept = Kept()  # what the stage that runs has found so far

    @property
    def data(self) -> Path:
        """Folder of the manifests, which stage prepare writes."""
        return self.work / "data"

    @property
    def dump(self) -> Path:
        """Folder of the features, which stage features writes; other mel specs have others."""
        return features_folder(self.work, self.experiment)

    @property
    def phonemes(self) -> Path:
        """Symbols and durations of the utterances; not below exp, which training moves aside."""
        name = f"{self.experiment.model.name}-{self.dump.name}"
        return self.data / "phonemes" / name

    @property
    def exp(self) -> Path:
        """The trained model and all that comes of it."""
        return self.work / "exp" / f"{self.experiment.corpus.name}-{self.name}"

    @property
    def by_schedule(self) -> tuple[Context, ...]:
        """The run by each of its schedules, its own first; each as if there were no other.

        InputError for two that would be written to one folder.
        """
        further = self.experiment.decode.schedules
        if not further:
            return (self,)
        found: dict[Path, Context] = {}
        for schedule in dict.fromkeys((self.experiment.decode.schedule, *further)):
            decode = replace(self.experiment.decode, schedule=schedule, schedules=None)
            given = (f"decode.schedule={schedule}", "decode.schedules=null")
            one = replace(
                self,
                experiment=replace(self.experiment, decode=decode),
                overrides=(*self.overrides, *given),
            )
            if one.decoded in found:
                other = found[one.decoded].experiment.decode.schedule
                raise InputError(
                    f"decode.schedules: {other!r} and {schedule!r} would both be written to "
                    f"{one.decoded.name}; leave one out, or rename a file"
                )
            found[one.decoded] = one
        return tuple(found.values())

    @property
    def decoded(self) -> Path:
        """Synthesised audio of one schedule."""
        decode = self.experiment.decode
        label = schedule_label(decode.schedule)
        if decode.sampler != "ancestral":
            label += f"-{decode.sampler}"
        if decode.consistency is not None and decode.consistency.iterations:
            label += f"-{decode.consistency.label}"
        if decode.durations != "predicted":
            label += f"-{decode.durations}-durations"
        return (
            self.exp / "decode" / (label if decode.split == "test" else f"{label}-{decode.split}")
        )


def features_of(context: Context, split: str) -> Dump:
    """The features of a split; InputError where none or those of another MelSpec are there."""
    dump = Dump(context.dump / split)
    if dump.spec != context.experiment.mel:
        raise InputError(
            f"{dump.folder}: features of another MelSpec; run {stage_label('features')}"
        )
    return dump


def stream_of(context: Context) -> Tars:
    """The tars of `features.stream`; InputError for those of another MelSpec."""
    tars = Tars(context.experiment.features.stream)
    if tars.spec != context.experiment.mel:
        raise InputError(
            f"features.stream: {tars.place} has features of another MelSpec than mel says; write "
            "the tars again by wg tars"
        )
    return tars


def read_stamp(path: Path) -> dict[str, Any] | None:
    """A stage's stamp; None if it never finished."""
    try:
        stamp = read_object(path, "run the stage again")
    except InputError:
        return None
    objects = all(isinstance(stamp.get(key, {}), dict) for key in ("settings", "inputs", "result"))
    return stamp if objects and isinstance(stamp.get("digest"), str) else None


def decoded_result(context: Context) -> dict[str, Any]:
    """What stage decode noted; InputError where it has not finished."""
    stamp = read_stamp(context.decoded / STAMP.format(name="decode"))
    if stamp is None:
        raise InputError(
            f"{context.decoded}: nothing decoded there; run {stage_label('decode')} first"
        )
    return stamp["result"]


def phonemes_of(context: Context, split: str) -> dict[str, Phonemes]:
    """What stage phonemes wrote of a split, by utterance."""
    return read_phonemes(context.phonemes, split)
