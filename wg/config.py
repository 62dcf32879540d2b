"""Experiment configuration: the schema, its defaults and checks. The only file that sees OmegaConf.

Later sources win: defaults below, `recipes/<corpus>/corpus.yaml`,
`recipes/<corpus>/conf/<model>.yaml`, then `key=value` from the command line.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from wg.alignment.network import AlignerConfig
from wg.diffusion.consistency import Consistency
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.schedules import read_betas
from wg.errors import InputError, nearest
from wg.fields import REQUIRED, check_fields, setting
from wg.files import check_name, write_bytes
from wg.mel.spec import MelSpec
from wg.models.network import ModelConfig


@dataclass(frozen=True)
class CorpusConfig:
    """A corpus: where it comes from and how it splits."""

    name: str = setting(REQUIRED, "name of the corpus; part of the experiment folder's name")
    language: str = setting("en", "language code that goes into the manifests")
    sample_rate: int | None = setting(
        None,
        "Hz that every file must have; null: any",
        least=1,
        most=10**6,
    )
    samples: int | None = setting(
        None,
        "at the target rate, to which each clip is padded; null: as it is",
        least=1,
        most=2**31,
    )
    train: tuple[str, ...] = setting(
        (), "ids, ranges FIRST..LAST or corpus parts; []: everything else"
    )
    valid: tuple[str, ...] = setting((), "ids, ranges or parts as in `train`")
    test: tuple[str, ...] = setting((), "ids, ranges or parts as in `train`")
    hold_out: int | None = setting(
        None,
        "every n-th training utterance is for validation and the next one for testing, "
        "instead of valid and test above: for models that know speakers, where those splits "
        "have speakers of their own",
        least=3,
    )
    skip_bad: bool = setting(False, "leave unusable clips out, counted, instead of stopping")
    columns: str | None = setting(None, "of metadata.csv, as id|speaker|text; null: LJSpeech's")
    licence: str = setting("", "goes into the model card")
    url: str = setting("", "where the corpus comes from; for the reader")

    def __post_init__(self) -> None:
        check_fields("corpus", self)


@dataclass(frozen=True)
class FeaturesConfig:
    """The dump: audio at the target rate and mels."""

    name: str = setting("", "folder below dump/; empty: of the mel's label and digest")
    shard: int = setting(256, "utterances a file", least=1, most=65_536)
    mels: str = setting(
        "",
        "folder of ID.npy, mels [bands, frames] of an acoustic model, aligned with the audio, that "
        "take the place of the audio's own (`features.from` too); empty: none",
    )
    stream: str = setting(
        "",
        "folder or URL (s3://, gs://, https://) of tars that `wg tars` made of the training split, "
        "which training then reads in sequence; empty: the dump",
    )
    buffer: int = setting(
        4096,
        "segments of a stream among which the next ones are drawn, over all processes",
        least=1,
        most=10**7,
    )

    def __post_init__(self) -> None:
        check_fields("features", self)


@dataclass(frozen=True)
class PhonemesConfig:
    """Pronunciations and durations, of models that read text."""

    lexicon: str = setting("", "file of `word PHONEME ...` that goes before the dictionary")
    textgrids: str = setting(
        "", 'folder of Montreal Forced Aligner TextGrids; "": learn the durations'
    )

    def __post_init__(self) -> None:
        check_fields("phonemes", self)


@dataclass(frozen=True)
class TrainConfig:
    """Training; batch and segment are the WaveGrad paper's, the optimiser is lmnt's."""

    seed: int = setting(
        1,
        "of initial weights, order, crops, levels and noise",
        least=0,
        most=2**32 - 1,
    )
    init_from: str | None = setting(
        None,
        "vocoder folder, hub id or shipped name whose weights training begins with; null: "
        "random ones",
    )
    max_steps: int = setting(
        1_000_000,
        "optimiser steps; a multiple of valid_every",
        least=1,
        most=10**9,
    )
    batch_size: int = setting(256, "segments a step, over all devices", least=1, most=65_536)
    segment_samples: int = setting(
        7200,
        "length of a training segment; a multiple of the hop",
        least=1,
        most=2**24,
    )
    loss: Literal["l1", "l2"] = setting(
        "l1",
        "distance of the noise from its estimate: absolute or squared",
    )
    bin_weight: float | None = setting(
        None,
        "with diffusion.precondition=mel a bin's weight is its expected power to this; null: 0",
        least=0,
        most=4,
    )
    optimizer: Literal["adam", "adamw"] = setting("adam", "torch's Adam or AdamW")
    learning_rate: float = setting(2e-4, "after the warm-up", above=0, most=10)
    betas: tuple[float, float] = setting((0.9, 0.999), "of the optimiser", least=0, below=1)
    weight_decay: float = setting(0.0, "of the optimiser", least=0, most=100)
    warmup_steps: int = setting(
        0,
        "steps over which the learning rate rises linearly",
        least=0,
        most=10**9,
    )
    decay: Literal["constant", "cosine", "exponential"] = setting(
        "constant",
        "learning rate after the warm-up",
    )
    final_rate: float = setting(
        0.0,
        "share of learning_rate that decay reaches at max_steps",
        least=0,
        most=1,
    )
    clip_norm: float = setting(1.0, "0: no clipping", least=0)
    accumulate: int = setting(1, "batches a step", least=1, most=10**6)
    ema: float = setting(0.9999, "0: no average of the weights", least=0, below=1)
    # Without it a run that is short beside 1 / (1 - ema) steps ends with almost its first weights.
    ema_warmup: bool | None = setting(
        None, "after n steps the average decays by at most (1 + n) / (10 + n); null: true"
    )
    precision: Literal["32", "bf16", "16"] = setting(
        "32",
        "32: float32; bf16, 16: Lightning's mixed precision",
    )
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = setting(
        "auto",
        "of several processes; sharded ones (fsdp, deepspeed) cannot keep the average of the "
        "weights",
    )
    processes: int = setting(1, "processes when there is no GPU", least=1, most=1024)
    timeout: int = setting(
        1800,
        "seconds after which a process that does not answer ends the run",
        least=1,
        most=10**6,
    )
    compile: bool = setting(False, "torch.compile of the network's denoise")
    workers: int = setting(2, "data loading processes a device", least=0, most=256)
    valid_every: int = setting(5000, "steps", least=1, most=10**9)
    valid_levels: int = setting(10, "fixed noise levels of the validation loss", least=1, most=1000)
    valid_utterances: int = setting(
        64,
        "evenly spread over the split, the middle segment of each",
        least=1,
        most=10**6,
    )
    keep: int = setting(3, "best checkpoints kept", least=1, most=1000)
    log_every: int = setting(50, "steps between progress lines and log rows", least=1, most=10**9)
    sample_every: int = setting(
        25_000,
        "steps between generated audio and pictures; 0: never",
        least=0,
        most=10**9,
    )
    sample_utterances: int = setting(
        2, "validation utterances for generated audio", least=0, most=1000
    )
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = setting((), "CSV is always written")
    wandb_project: str = setting("wg", "project at Weights & Biases")
    wandb_mode: Literal["online", "offline"] = setting(
        "online",
        "offline: written to disk, synchronised later by `wandb sync`",
    )
    max_loss: float = setting(100.0, "above it training has exploded and stops", above=0)

    def __post_init__(self) -> None:
        check_fields("train", self)


@dataclass(frozen=True)
class DecodeConfig:
    """How stage decode samples: levels, sampler and what corrects the estimates."""

    schedule: str = setting(
        "50",
        "step count (decode.steps=N too), quantiles-N, published name, JSON file",
    )
    schedules: tuple[str, ...] | None = setting(
        None,
        "further ones, decoded and scored too, in folders of their own, and shown beside it; where "
        "a later source gives decode.schedule alone, that one is meant alone",
    )
    sampler: str = setting(
        "ancestral",
        "ancestral, ancestral-full, ddim, ddim-ETA, dpm++2m, heun, langevin or langevin-STEPS; "
        "see [sampling](sampling.md)",
    )
    clip: float | None = setting(None, "bound on the estimate of x_0", above=0)
    consistency: Consistency | None = setting(None, "with the mel, see `wg.diffusion.consistency`")
    seed: int = setting(
        0,
        "with the utterance's id, the seed of its noise",
        least=-(2**63),
        most=2**63 - 1,
    )
    split: Literal["train", "valid", "test"] = setting("test", "what is synthesised")
    limit: int | None = setting(None, "first utterances only", least=1)
    batch_size: int = setting(
        1,
        "utterances at a time; changes speed, not the result's noise",
        least=1,
        most=4096,
    )
    checkpoint: str = setting("best", "best, last or a path")
    durations: Literal["predicted", "reference"] = setting(
        "predicted",
        "of a model that reads text; with reference ones, those of stage phonemes, any metric can "
        "be taken",
    )
    generate: int = setting(
        1000,
        "samples of a model that takes no mel, shared evenly by its classes",
        least=2,
        most=10**7,
    )

    def __post_init__(self) -> None:
        check_fields("decode", self)


@dataclass(frozen=True)
class ScoreConfig:
    """Scores against the recordings, beside floors that any vocoder has to beat."""

    metrics: tuple[str, ...] = setting(
        ("ls_mse", "mcd", "f0_rmse_cents", "gpe", "vde", "ffe", "pesq_wb", "stoi"),
        "see [metrics](metrics.md)",
    )
    baselines: tuple[str, ...] = setting(
        ("griffin-lim-1", "griffin-lim-32", "noise"),
        "griffin-lim-ITERATIONS from the true mel; noise: white, as loud",
    )
    recogniser: str = setting(
        "WAV2VEC2_ASR_BASE_960H",
        'for models that read text, see `wg.metrics.recogniser`; "": none',
    )
    classifier_steps: int = setting(
        4000,
        "of the classifier that judges models which take no mel",
        least=1,
        most=10**6,
    )
    classifier: str = setting("", "MODULE:FACTORY of another one, see docs/diffwave.md")

    def __post_init__(self) -> None:
        check_fields("score", self)


@dataclass(frozen=True)
class Experiment:
    """Everything that defines a run."""

    corpus: CorpusConfig
    mel: MelSpec
    model: ModelConfig
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
        check_name(self.corpus.name, "corpus.name")
        check_name(self.features_name, "features.name")
        if train.max_steps > train.valid_every and train.max_steps % train.valid_every:
            raise InputError(
                f"train.max_steps {train.max_steps} is not a multiple of train.valid_every "
                f"{train.valid_every}; the last steps would be neither validated nor kept"
            )
        self.model.check(self.mel)

    @property
    def features_name(self) -> str:
        """Name of the dump's folder: `features.name`, else the mel spec and its digest."""
        origin = f"-from-{Path(self.features.mels).name}" if self.features.mels else ""
        return self.features.name or f"{self.mel.label}-{self.mel.digest}{origin}"


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
# What OmegaConf has against a value: its own errors, and what escapes it.
UNFIT = (OmegaConfBaseException, TypeError, OverflowError)
DEEPEST = 50  # nested lists and sections of a configuration; experiments have 4
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
    # Whatever their order: one schedule alone would undo several.
    overrides = sorted(overrides, key=lambda item: item.startswith("decode.schedules="))
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
        content = one_schedule_alone(alias(label, content, "decode", "steps", "schedule", str))
        content = alias(label, file_as_betas(label, content), "features", "from", "mels")
        check_keys(label, content, sections)
        check_plain(label, content)
        for section, values in content.items():
            try:
                words = as_words(values, sections[section])
                configs[section] = OmegaConf.merge(configs[section], OmegaConf.create(words))
            except UNFIT as error:
                message = complaint(section, values, sections[section]) or explain(section, error)
                raise InputError(f"{label}: {message}") from None
    experiment = Experiment(**{key: to_object(key, config) for key, config in configs.items()})
    experiment.check()
    return experiment


def alias(
    label: str,
    content: Mapping[str, Any],
    section: str,
    other: str,
    key: str,
    written: Callable[[Any], Any] = lambda value: value,
) -> Mapping[str, Any]:
    """`section.other: VALUE` is another way to write `section.key: VALUE`."""
    keys = content[section] if section in content else None
    if not isinstance(keys, Mapping) or other not in keys:
        return content
    if key in keys:
        raise InputError(f"{label}: {section}.{other} and {section}.{key} are the same; give one")
    others = {name: value for name, value in keys.items() if name != other}
    return {**content, section: {**others, key: written(keys[other])}}


def one_schedule_alone(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Who gives `decode.schedule` alone means it alone: an earlier source's further ones go."""
    decode = content["decode"] if "decode" in content else None
    if not isinstance(decode, Mapping) or "schedule" not in decode or "schedules" in decode:
        return content
    return {**content, "decode": {**decode, "schedules": None}}


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
        except UNFIT:
            return f"{name} is {in_yaml(value)}; {wanted(hints[key], name, value)}"
    return None


def section_of(hint: Any) -> type | None:
    """The dataclass that a key holds, if it does."""
    options = [option for option in (hint, *get_args(hint)) if isinstance(option, type)]
    return next(filter(dataclasses.is_dataclass, options), None)


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


def explain(section: str, error: Exception) -> str:
    """First line of an OmegaConf error, with its key."""
    known = isinstance(error, OmegaConfBaseException)
    message, key = (error.msg, error.full_key) if known else (None, None)
    reason = str(message or error).splitlines()[0]
    return f"{section}.{key}: {reason}" if key else f"{section}: {reason}"


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


def check_plain(label: str, content: Any, key: str = "") -> None:
    """InputError for `${...}`: what a file says is all that it is, and never the environment's."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            check_plain(label, value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            check_plain(label, value, key)
    elif isinstance(content, str) and "${" in content:
        raise InputError(f"{label}: {key} is {content[:60]!r}; write the value, not a reference")


def check_depth(text: str) -> None:
    """ValueError for YAML nested deeper than any configuration is: libyaml's loader crashes."""
    depth = deepest = 0
    for character in re.findall(r"[\[\]{}]", text):
        depth += 1 if character in "[{" else -1
        deepest = max(deepest, depth)
    pattern = rf"^ {{{4 * DEEPEST}}}|(?:[-?:][ \t]+){{{DEEPEST}}}"
    blocks = re.search(pattern, text, re.MULTILINE)
    if deepest > DEEPEST or blocks:
        raise ValueError(f"nested deeper than {DEEPEST}")


def read_yaml(path: Path) -> Mapping[str, Any]:
    """A YAML file as a dictionary."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        check_depth(path.read_text("utf-8"))
        content = OmegaConf.to_container(OmegaConf.load(path))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML ({error.problem})") from None
    except (OmegaConfBaseException, YAMLError, OSError, ValueError, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not valid YAML ({reason})") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}; write sections of keys")
    return cast("Mapping[str, Any]", content)


def parse_override(item: str) -> Mapping[str, Any]:
    """`section.key=value` as a nested dictionary."""
    key, equals, _ = item.partition("=")
    if not equals or "." not in key:
        raise InputError(f"{item!r}: not an override; write section.key=value")
    try:
        check_depth(item)
        content = OmegaConf.to_container(OmegaConf.from_dotlist([item]))
    except MarkedYAMLError as error:
        raise InputError(f"{item[:200]!r}: not valid YAML ({error.problem})") from None
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{item[:200]!r}: {reason[:300]}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{item[:200]!r}: not an override; write section.key=value")
    return cast("Mapping[str, Any]", content)


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
    write_bytes(path, as_yaml(experiment).encode())


def as_yaml(experiment: Experiment) -> str:
    """Every key with its value."""
    return OmegaConf.to_yaml(OmegaConf.create(to_dict(experiment)))


def load_experiment_file(path: Path, schema: Callable[[str], type]) -> Experiment:
    """The experiment that `save_experiment` wrote."""
    return compose([(str(path), read_yaml(path))], schema)
