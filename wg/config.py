"""Experiment configuration: the schema, its defaults and checks. The only file that sees OmegaConf.

Later sources win: defaults below, `recipes/<corpus>/corpus.yaml`,
`recipes/<corpus>/conf/<model>.yaml`, then `key=value` from the command line.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from wg.alignment.network import AlignerConfig
from wg.diffusion.consistency import Consistency
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.schedules import read_betas
from wg.errors import InputError, nearest
from wg.files import write_bytes
from wg.mel.spec import MelSpec


@dataclass(frozen=True)
class CorpusConfig:
    """A corpus: where it comes from and how it splits."""

    name: str
    language: str = "en"
    sample_rate: int | None = None  # Hz that every file must have; None: any
    samples: int | None = None  # at the target rate, to which each clip is padded; None: as it is
    train: tuple[str, ...] = ()  # ids, ranges FIRST..LAST or corpus parts; (): everything else
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    # Every n-th training utterance is for validation and the next one for testing, instead of valid
    # and test above: for models that know speakers, where those splits have speakers of their own.
    hold_out: int | None = None
    skip_bad: bool = False  # leave unusable clips out, counted, instead of stopping
    columns: str | None = None  # of metadata.csv, as id|speaker|text; None: LJSpeech's
    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class FeaturesConfig:
    """The dump: audio at the target rate and mels."""

    name: str = ""  # folder below dump/; "": the mel's label
    shard: int = 256  # utterances a file


@dataclass(frozen=True)
class PhonemesConfig:
    """Pronunciations and durations, of models that read text."""

    lexicon: str = ""  # file of `word PHONEME ...` that goes before the dictionary
    textgrids: str = ""  # folder of Montreal Forced Aligner TextGrids; "": learn the durations


@dataclass(frozen=True)
class TrainConfig:
    """Training; batch and segment are the WaveGrad paper's, the optimiser is lmnt's."""

    seed: int = 1
    # Vocoder folder, hub id or shipped name whose weights training begins with; None: random ones.
    init_from: str | None = None
    max_steps: int = 1_000_000
    batch_size: int = 256  # segments a step, over all devices
    segment_samples: int = 7200
    loss: Literal["l1", "l2"] = "l1"
    # With diffusion.precondition=mel a bin's weight is its expected power to this; None: 0.
    bin_weight: float | None = None
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup_steps: int = 0
    decay: Literal["constant", "cosine", "exponential"] = "constant"
    final_rate: float = 0.0  # share of learning_rate that decay reaches at max_steps
    clip_norm: float = 1.0  # 0: no clipping
    accumulate: int = 1  # batches a step
    ema: float = 0.9999  # 0: no average of the weights
    # After n steps the average decays by at most (1 + n) / (10 + n); null: true. Without it a run
    # that is short beside 1 / (1 - ema) steps ends with almost its first weights.
    ema_warmup: bool | None = None
    precision: Literal["32", "bf16", "16"] = "32"
    strategy: str = "auto"  # Lightning's: ddp, fsdp ...
    processes: int = 1  # processes when there is no GPU
    compile: bool = False
    workers: int = 2  # data loading processes a device
    valid_every: int = 5000  # steps
    valid_levels: int = 10
    valid_utterances: int = 64
    keep: int = 3  # best checkpoints kept
    log_every: int = 50
    sample_every: int = 25_000  # steps between generated audio and pictures; 0: never
    sample_utterances: int = 2
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()  # CSV is always written
    wandb_project: str = "wg"
    wandb_mode: Literal["online", "offline"] = "online"
    max_loss: float = 100.0  # above it training has exploded and stops


@dataclass(frozen=True)
class DecodeConfig:
    """Synthesis of a split."""

    schedule: str = "50"  # step count (decode.steps=N too), quantiles-N, published name, JSON file
    sampler: str = "ancestral"
    clip: float | None = None  # bound on the estimate of x_0
    consistency: Consistency | None = None  # with the mel, see `wg.diffusion.consistency`
    seed: int = 0
    split: Literal["train", "valid", "test"] = "test"
    limit: int | None = None  # first utterances only
    batch_size: int = 1
    checkpoint: str = "best"  # best, last or a path
    # Of a model that reads text; with reference ones, those of stage 3, any metric can be taken.
    durations: Literal["predicted", "reference"] = "predicted"
    generate: int = 1000  # samples of a model that takes no mel, shared evenly by its classes


@dataclass(frozen=True)
class ScoreConfig:
    """Scores against the recordings, beside floors that any vocoder has to beat."""

    metrics: tuple[str, ...] = (
        *("ls_mse", "mcd", "f0_rmse_cents", "gpe", "vde", "ffe", "pesq_wb", "stoi"),
    )
    baselines: tuple[str, ...] = ("griffin-lim-1", "griffin-lim-32", "noise")
    # For models that read text, see `wg.tasks.recogniser`; "": none.
    recogniser: str = "WAV2VEC2_ASR_BASE_960H"
    classifier_steps: int = 4000  # of the classifier that judges models which take no mel
    classifier: str = ""  # MODULE:FACTORY of another one, see docs/diffwave.md


@dataclass(frozen=True)
class Experiment:
    """Everything that defines a run."""

    corpus: CorpusConfig
    mel: MelSpec
    model: Any
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    phonemes: PhonemesConfig = field(default_factory=PhonemesConfig)
    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)

    def check(self) -> None:
        """Contradictions between sections: InputError naming both keys."""
        train, hop = self.train, self.mel.hop_length
        if train.segment_samples < hop or train.segment_samples % hop:
            near = max(1, round(train.segment_samples / hop)) * hop
            raise InputError(
                f"train.segment_samples {train.segment_samples} is not a multiple of "
                f"mel.hop_length {hop}; the nearest is {near}"
            )
        for key, name in (("corpus.name", self.corpus.name), ("features.name", self.features.name)):
            if len(name) > 100 or {"/", "\\", "\0"} & set(name) or name in (".", ".."):
                raise InputError(f"{key} is {name[:60]!r}; give a name that a folder can have")
        for key, least in LEAST.items():
            section, name = key.split(".")
            value = vars(vars(self)[section])[name]
            if value is not None and value < least:
                raise InputError(f"{key} is {value}; give at least {least}")
        if train.max_steps > train.valid_every and train.max_steps % train.valid_every:
            raise InputError(
                f"train.max_steps {train.max_steps} is not a multiple of train.valid_every "
                f"{train.valid_every}; the last steps would be neither validated nor kept"
            )
        if not 0 <= train.ema < 1:
            raise InputError(f"train.ema is {train.ema}; give a decay in [0, 1), 0 for none")
        for key in POSITIVE:
            section, name = key.split(".")
            if (value := vars(vars(self)[section])[name]) <= 0:
                raise InputError(f"{key} is {value}; give a positive number")
        self.model.check(self.mel)

    @property
    def features_name(self) -> str:
        """Folder of the dump."""
        return self.features.name or self.mel.label


SECTIONS: dict[str, type] = {
    "corpus": CorpusConfig,
    "mel": MelSpec,
    "features": FeaturesConfig,
    "phonemes": PhonemesConfig,
    "aligner": AlignerConfig,
    "diffusion": DiffusionConfig,
    "train": TrainConfig,
    "decode": DecodeConfig,
    "score": ScoreConfig,
}
LEAST = {  # of numbers that have a least value
    **dict.fromkeys(("train.max_steps", "train.batch_size", "train.accumulate"), 1),
    **dict.fromkeys(("train.valid_every", "train.valid_levels", "train.valid_utterances"), 1),
    **dict.fromkeys(("train.log_every", "train.keep", "train.processes"), 1),
    **dict.fromkeys(("train.workers", "train.warmup_steps", "train.sample_every"), 0),
    **dict.fromkeys(("train.clip_norm", "train.weight_decay", "aligner.binarise"), 0),
    **dict.fromkeys(("aligner.steps", "aligner.batch_size", "aligner.channels"), 1),
    **dict.fromkeys(("features.shard", "decode.batch_size", "decode.limit"), 1),
    **dict.fromkeys(("corpus.samples", "score.classifier_steps"), 1),
    "corpus.hold_out": 3,
    "decode.generate": 2,
}
POSITIVE = ("train.learning_rate", "aligner.learning_rate", "aligner.prior", "aligner.temperature")
Source = tuple[str, Mapping[str, Any]]


def load_experiment(
    recipe: Path, model: str, overrides: Sequence[str], schema: Callable[[str], type]
) -> Experiment:
    """The experiment `model` of a recipe; `schema` gives a model name's config class.

    Every mistake is an InputError naming the source, the key and the nearest valid one.
    """
    conf = recipe / "conf" / f"{model}.yaml"
    if not conf.is_file():
        names = [path.stem for path in (recipe / "conf").glob("*.yaml")]
        raise InputError(f"--model {model!r}: no {conf}; {nearest(model, names)}")
    sources: list[Source] = [
        (str(path), read_yaml(path)) for path in (recipe / "corpus.yaml", conf)
    ]
    sources += [(f"{item!r}", parse_override(item)) for item in overrides]
    return compose(sources, schema)


def compose(sources: Sequence[Source], schema: Callable[[str], type]) -> Experiment:
    """One experiment of several partial ones, later sources winning."""
    name = ""
    for label, content in sources:
        section = content["model"] if "model" in content else None
        if section is not None and not isinstance(section, Mapping):
            raise InputError(f"{label}: model is {section!r}; write model.KEY=VALUE")
        name = section["name"] if section and "name" in section else name
    if not name:
        raise InputError("model.name is missing; name a model, e.g. model.name=wavegrad")
    sections = {**SECTIONS, "model": schema(name)}
    configs = {section: OmegaConf.structured(cls) for section, cls in sections.items()}
    for label, content in sources:
        content = file_as_betas(label, steps_as_schedule(label, content))
        check_keys(label, content, sections)
        for section, values in content.items():
            try:
                words = as_words(values, sections[section])
                configs[section] = OmegaConf.merge(configs[section], OmegaConf.create(words))
            except OmegaConfBaseException as error:
                told = complaint(section, values, sections[section]) or explain(section, error)
                raise InputError(f"{label}: {told}") from None
    experiment = Experiment(**{key: to_object(key, config) for key, config in configs.items()})
    experiment.check()
    return experiment


def steps_as_schedule(label: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """`decode.steps: N` is another way to write `decode.schedule: N`."""
    decode = content["decode"] if "decode" in content else None
    if not isinstance(decode, Mapping) or "steps" not in decode:
        return content
    if "schedule" in decode:
        raise InputError(f"{label}: decode.steps and decode.schedule are the same; give one")
    others = {key: value for key, value in decode.items() if key != "steps"}
    return {**content, "decode": {**others, "schedule": str(decode["steps"])}}


def file_as_betas(label: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """`diffusion.spacing: FILE.json` is another way to write the betas that the file holds."""
    diffusion = content["diffusion"] if "diffusion" in content else None
    if not isinstance(diffusion, Mapping) or "spacing" not in diffusion:
        return content
    spacing = diffusion["spacing"]
    if not isinstance(spacing, str) or not spacing.endswith(".json"):
        return content
    try:
        betas = read_betas(Path(spacing)).tolist()
    except InputError as error:
        raise InputError(f"{label}: diffusion.spacing: {error}") from None
    held = {"spacing": "linear", "betas": betas, "steps": len(betas)}
    return {**content, "diffusion": {**diffusion, **held}}


def as_words(values: Mapping[str, Any], schema: type) -> dict[str, Any]:
    """Numbers as text where the schema has a choice of words: YAML reads precision 16 as 16."""
    hints = get_type_hints(schema)
    return {
        key: str(value)
        if get_origin(hints[key]) is Literal
        and isinstance(get_args(hints[key])[0], str)
        and isinstance(value, int)
        else value
        for key, value in values.items()
    }


def to_object(section: str, config: Any) -> Any:
    """The dataclass of a section; InputError for a key without a value."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise InputError(f"{section}.{missing[0]} is missing; set it in corpus.yaml")
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        key = f"{section}.{error.full_key}"
        raise InputError(f"{key}: ${{...}} refers to what is not there; write a value") from None


def complaint(prefix: str, values: Mapping[str, Any], schema: type) -> str | None:
    """Which value of a section its schema does not take, and what it takes; None: each alone."""
    hints = get_type_hints(schema)
    for key, value in values.items():
        name = f"{prefix}.{key}"
        if key not in hints:
            return f"unknown key '{name}'; {nearest(str(key), hints)}"
        inner = section_of(hints[key])
        if inner is not None and isinstance(value, Mapping):
            if found := complaint(name, value, inner):
                return found
            continue
        try:
            OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create({key: value}))
        except OmegaConfBaseException:
            return f"{name} is {in_yaml(value)}; {wanted(hints[key], name, value)}"
    return None


def section_of(hint: Any) -> type | None:
    """The dataclass that a key holds, if it does."""
    options = [option for option in (hint, *get_args(hint)) if dataclasses.is_dataclass(option)]
    return options[0] if options else None  # pyright: ignore[reportReturnType]


def wanted(hint: Any, name: str, value: Any) -> str:
    """What a key takes, in words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if get_origin(hint) is Literal:
        choices = [str(choice) for choice in get_args(hint)]
        return nearest(str(value), choices)
    if inner := section_of(hint):
        fields = ", ".join(f.name for f in dataclasses.fields(inner))
        return f"it is a section of keys: {name}.KEY=VALUE of {fields}"
    null = " or null" if type(None) in get_args(hint) else ""
    if tuple in (get_origin(hint), *map(get_origin, get_args(hint))):
        return f"give a list{null}: {name}=[A,B]"
    options = [option for option in get_args(hint) or (hint,) if option in words]
    return f"give {' or '.join(words[option] for option in options)}{null}"


def in_yaml(value: Any) -> str:
    """A value as a file or the command line has it."""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def explain(section: str, error: OmegaConfBaseException) -> str:
    """First line of an OmegaConf error, with its key."""
    reason = (error.msg or str(error)).splitlines()[0]
    return f"{section}.{error.full_key}: {reason}"


def check_keys(label: str, content: Mapping[str, Any], sections: Mapping[str, type]) -> None:
    """InputError for a key that the schema does not have, with the nearest that it has."""
    for section, values in content.items():
        if section not in sections:
            raise InputError(f"{label}: unknown key {section!r}; {nearest(str(section), sections)}")
        if not isinstance(values, Mapping):
            raise InputError(f"{label}: {section} is {values!r}; it is a section: {section}.KEY")
        names = {f.name for f in dataclasses.fields(sections[section])}
        for name in values:
            if name not in names:
                hint = nearest(str(name), names)
                raise InputError(f"{label}: unknown key '{section}.{name}'; {hint}")


def read_yaml(path: Path) -> Mapping[str, Any]:
    """A YAML file as a dictionary."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML ({error.problem})") from None
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise InputError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}; write sections of keys")
    return content  # pyright: ignore[reportReturnType]


def parse_override(item: str) -> Mapping[str, Any]:
    """`section.key=value` as a nested dictionary."""
    key, equals, _ = item.partition("=")
    if not equals or "." not in key:
        raise InputError(f"{item!r}: not an override; write section.key=value")
    try:
        content = OmegaConf.to_container(OmegaConf.from_dotlist([item]))
    except MarkedYAMLError as error:
        raise InputError(f"{item[:200]!r}: not valid YAML ({error.problem})") from None
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise InputError(f"{item[:200]!r}: {str(error).splitlines()[0]}") from None
    assert isinstance(content, Mapping)
    return content  # pyright: ignore[reportReturnType]


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dictionary of a config dataclass, tuples as lists."""
    return {
        key: to_dict(value)
        if dataclasses.is_dataclass(value)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in vars(config).items()
    }


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def save_experiment(experiment: Experiment, path: Path) -> None:
    """The resolved experiment as YAML, written atomically."""
    write_bytes(path, OmegaConf.to_yaml(OmegaConf.create(to_dict(experiment))).encode())


def load_experiment_file(path: Path, schema: Callable[[str], type]) -> Experiment:
    """The experiment that `save_experiment` wrote."""
    return compose([(str(path), read_yaml(path))], schema)
