"""A benchmark's file: which vocoders on which recordings, and the cells that come of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from wg.config import read_yaml
from wg.diffusion.schedules import schedule_label
from wg.errors import InputError, nearest
from wg.files import check_name
from wg.inference.folder import read_config
from wg.inference.history import History
from wg.inference.pretrained import DEFAULT as SHIPPED_DEFAULT
from wg.inference.pretrained import local_folder
from wg.metrics import check_metrics
from wg.metrics.pairs import LOWEST_RATE
from wg.metrics.recogniser import DEFAULT, choose_recogniser
from wg.report.catalogue import convert

NEEDS: dict[str, tuple[str, ...]] = {  # kind -> keys that it needs and others must not have
    "wg": ("folder",),
    "recording": (),
    "griffin-lim": ("mel",),
    "world": (),
    "external": ("factory", "mel"),
}
CEILING = "recording"  # the kind whose audio no vocoder can beat
PRECISIONS = ("32", "bf16", "16", "int8")
METRICS = ("pesq_wb", "stoi", "ls_mse", "mcd", "mr_stft", "f0_rmse_cents", "vde", "lsd_8k_up")


@dataclass(frozen=True)
class CorpusEntry:
    """A corpus of a benchmark's file: recordings that every vocoder synthesises again."""

    audio: str  # folder, from the file's own
    match: str = "stem"  # as in wg score; a regular expression also chooses
    limit: int | None = None  # the first so many ids
    rate: int | None = None  # resampled to it, Hz; None: the files' own
    texts: str = ""  # metadata.csv of id|text: adds wer and cer of what a recogniser hears


@dataclass(frozen=True)
class VocoderEntry:
    """A system under test. Empty lists take those of the file."""

    kind: str  # one of NEEDS
    folder: str = ""  # wg: what stage pack wrote, from the file's own folder
    context: int | None = None  # wg: frames to either side of a streamed piece; None: all
    mel: str = ""  # griffin-lim, external: a named mel spec
    iterations: int = 32  # griffin-lim
    factory: str = ""  # external: module:function of (MelSpec, **options)
    options: Mapping[str, str | int] = field(default_factory=dict)
    corpora: tuple[str, ...] = ()
    steps: tuple[str | int, ...] = ()
    samplers: tuple[str, ...] = ()
    precisions: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Speed:
    """How speed is measured: how much audio is synthesised in a call, and how often."""

    seconds: float = 4.0  # of audio, a synthesis
    batch: int = 8
    repeats: int = 10  # timed ones, after one that is not
    chunk: float = 0.5  # seconds of audio whose latency is the first chunk's


@dataclass(frozen=True)
class Bench:
    """The contents of the file."""

    corpora: Mapping[str, CorpusEntry]
    vocoders: Mapping[str, VocoderEntry]
    steps: tuple[str | int, ...] = ()  # of wg vocoders; none: their own
    samplers: tuple[str, ...] = ()
    precisions: tuple[str | int, ...] = ("32",)
    metrics: tuple[str, ...] = METRICS  # the first is the plot's
    recogniser: str = DEFAULT  # of corpora with texts
    seed: int = 0
    speed: Speed = Speed()
    rows: int = 10  # utterances of a corpus on the listening page


@dataclass(frozen=True)
class Cell:
    """One vocoder, set up one way, on one corpus."""

    corpus: str
    vocoder: str
    steps: str | None = None  # None: the vocoder's own, or it has none
    sampler: str | None = None
    precision: str = "32"

    @property
    def system(self) -> str:
        """What tables call it: the vocoder and how it is set up."""
        steps = None if self.steps is None else schedule_label(self.steps)
        precision = None if self.precision == "32" else self.precision
        return " ".join(part for part in (self.vocoder, steps, self.sampler, precision) if part)

    @property
    def name(self) -> str:
        """Its folder's name, of all that tells it from other cells."""
        return f"{self.corpus}/{self.system.replace(' ', '-').replace('/', '-')}"


def read_bench(path: Path) -> Bench:
    """The benchmark of a file; InputError names the key and the remedy."""
    bench = convert(read_yaml(path), Bench, str(path))
    check_names(bench, str(path))
    for name, entry in bench.vocoders.items():
        check_vocoder(bench, entry, f"{path}, vocoders.{name}")
    for key, value in (("corpora", bench.corpora), ("vocoders", bench.vocoders)):
        if not value:
            raise InputError(f"{path}: {key} has no entry; write at least one")
    if not bench.metrics:
        raise InputError(f"{path}: metrics is empty; leave it out for {', '.join(METRICS)}")
    check_metrics(bench.metrics, f"{path}, metrics")
    positive = {f"speed.{key}": value for key, value in asdict(bench.speed).items()}
    positive |= {f"corpora.{name}.limit": entry.limit for name, entry in bench.corpora.items()}
    for key, value in (positive | {"rows": bench.rows}).items():
        if value is not None and value <= 0:
            raise InputError(f"{path}: {key} is {value}; give a positive number")
    for name, corpus in bench.corpora.items():
        if corpus.rate is not None and corpus.rate < LOWEST_RATE:
            raise InputError(
                f"{path}: corpora.{name}.rate is {corpus.rate}; give at least {LOWEST_RATE}, in Hz"
            )
    return bench


def shipped_bench(corpus: str, audio: str, texts: str, count: int) -> Bench:
    """The vocoder that ships, Griffin-Lim and WORLD on a folder of clips at its rate."""
    vocoders = {
        SHIPPED_DEFAULT: VocoderEntry("wg", folder=str(local_folder(SHIPPED_DEFAULT).resolve())),
        "griffin-lim": VocoderEntry("griffin-lim", mel="hifigan"),
        "world": VocoderEntry("world"),
        CEILING: VocoderEntry(CEILING),
    }
    corpora = {corpus: CorpusEntry(audio=audio, texts=texts)}
    speed = Speed(seconds=2.0, batch=4, repeats=3)
    return Bench(corpora, vocoders, speed=speed, rows=count)


def check_names(bench: Bench, where: str) -> None:
    """InputError for names of corpora and vocoders that folders and pages cannot have."""
    for key, names in (("corpora", bench.corpora), ("vocoders", bench.vocoders)):
        for name in names:
            if not isinstance(name, str):
                raise InputError(f"{where}, {key}: the name {name!r} is no text; put it in quotes")
            if not name.strip(". ") or (key == "corpora" and "/" in name):
                raise InputError(f"{where}, {key}: {name!r} cannot name a folder; rename it")
            check_name(name.replace("/", "-"), f"{where}, {key}: a name")
    for name, entry in bench.vocoders.items():
        if name == CEILING != entry.kind:
            raise InputError(
                f"{where}, vocoders.{name}: pages call the recording so; rename this {entry.kind}"
            )


def check_vocoder(bench: Bench, entry: VocoderEntry, where: str) -> None:
    """InputError for an unknown kind, corpus or precision, and for keys that are not its kind's."""
    if entry.kind not in NEEDS:
        raise InputError(f"{where}, kind: {entry.kind!r}; {nearest(entry.kind, NEEDS)}")
    for corpus in entry.corpora:
        if corpus not in bench.corpora:
            raise InputError(f"{where}, corpora: {corpus!r}; {nearest(corpus, bench.corpora)}")
    for precision in map(str, entry.precisions or bench.precisions):
        if precision not in PRECISIONS:
            raise InputError(f"{where}: precision {precision!r}; {nearest(precision, PRECISIONS)}")
    for key in ("folder", "mel", "factory"):
        given = bool(vars(entry)[key])
        if given != (key in NEEDS[entry.kind]):
            remedy = "remove it" if given else "write it"
            raise InputError(f"{where}: key {key!r} with kind {entry.kind}: {remedy}")
    if entry.kind != "wg" and (entry.steps or entry.samplers or entry.context is not None):
        raise InputError(f"{where}: steps, samplers and context are for kind wg; remove them")
    if entry.context is not None and entry.context < 1:
        raise InputError(f"{where}, context: {entry.context}; give at least 1 frame")


def cells_of(bench: Bench, only: Sequence[str] = ()) -> list[Cell]:
    """The cells in order: corpora, vocoders, steps, samplers, precisions.

    Steps and samplers multiply vocoders of kind wg, precisions those with a network.
    InputError for an unknown vocoder in `only`, and for cells that would share a folder.
    """
    for name in only:
        if name not in bench.vocoders:
            raise InputError(f"--only {name!r} is unknown; {nearest(name, bench.vocoders)}")
    found = []
    for corpus, (name, entry) in product(bench.corpora, bench.vocoders.items()):
        if (entry.corpora and corpus not in entry.corpora) or (only and name not in only):
            continue
        ours, network = entry.kind == "wg", entry.kind in ("wg", "external")
        steps = [str(step) for step in entry.steps or bench.steps] if ours else []
        samplers = (entry.samplers or bench.samplers) if ours else ()
        precisions = (entry.precisions or bench.precisions) if network else ("32",)
        found += [
            Cell(corpus, name, step, sampler, str(precision))
            for step, sampler, precision in product(steps or [None], samplers or [None], precisions)
        ]
    names = [cell.name for cell in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two cells have the name {twice[0]}; rename a vocoder or schedule file")
    return found


def columns(metrics: Sequence[str]) -> list[str]:
    """What is shown of a cell: its metrics, and the delay that was taken out before."""
    return list(dict.fromkeys([*metrics, "delay_ms"]))


def fingerprint(bench: Bench, cell: Cell, root: Path) -> str:
    """Of all that a cell's result depends on; a change of it makes the cell run again."""
    entry, corpus = bench.vocoders[cell.vocoder], bench.corpora[cell.corpus]
    content: dict[str, Any] = {
        "cell": asdict(cell),
        "corpus": {key: value for key, value in asdict(corpus).items() if key != "texts"},
        "vocoder": {key: value for key, value in asdict(entry).items() if value is not None},
        "bench": [bench.metrics, bench.seed, asdict(bench.speed)],
    }
    if entry.kind == "wg":
        content["folder"] = state_of(root / entry.folder, cell, root)
    if corpus.texts:
        heard = root / corpus.texts
        known = hashlib.sha256(heard.read_bytes()).hexdigest() if heard.is_file() else ""
        content["heard"] = [known, choose_recogniser(bench.recogniser)[0]]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def schedule_of(cell: Cell, root: Path) -> str | None:
    """The cell's schedule; a file's path counts from `root`."""
    steps = cell.steps
    return str(root / steps) if steps is not None and steps.endswith(".json") else steps


def state_of(folder: Path, cell: Cell, root: Path) -> dict[str, Any]:
    """What a cell uses of a vocoder's folder: its weights, and the levels that a name stands for.

    Empty for a folder that is none, which the check before the first cell names.
    """
    try:
        config = read_config(folder)
    except InputError:
        return {}
    own, schedule = config["synthesis"], schedule_of(cell, root)
    history = History.from_dict(config["history"]) if "history" in config else History()
    content = {key: config[key] for key in ("model", "mel", "diffusion", "synthesis")}
    content["found"] = history.levels(schedule or own["schedule"], cell.sampler or own["sampler"])
    if "sha256" in config:
        content["weights"] = config["sha256"]
    else:
        found = (folder / "model.safetensors").stat()
        content["weights"] = [found.st_size, found.st_mtime_ns]
    if schedule is not None and schedule.endswith(".json") and Path(schedule).is_file():
        content["levels"] = Path(schedule).read_text("utf-8")
    return content
