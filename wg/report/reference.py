"""Tables of docs/, generated from the code: config keys, mel specs, metrics, schedules.

`python -m wg.report.reference docs` writes them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from wg.config import SECTIONS
from wg.diffusion.schedules import PUBLISHED, levels_from_betas
from wg.mel.hub import SPECS
from wg.mel.spec import MelSpec
from wg.metrics import COLUMNS
from wg.models import REGISTRY, config_class
from wg.report.results import replace_block
from wg.report.table import markdown

# Where the source says nothing because the name says it all.
MEANINGS = {
    "corpus.name": "name of the corpus; part of the experiment folder's name",
    "corpus.language": "language code that goes into the manifests",
    "corpus.valid": "ids, ranges or parts as in `train`",
    "corpus.test": "ids, ranges or parts as in `train`",
    "corpus.licence": "goes into the model card",
    "corpus.url": "where the corpus comes from; for the reader",
    "mel.n_fft": "FFT size in samples, even",
    "mel.n_mels": "mel bands",
    "mel.window": "Hann, divided by win_length or by win_length - 1",
    "mel.mel_scale": "of the filterbank",
    "mel.log": "ln, log10; db: 20 log10, whatever `power` is; none: no logarithm",
    "mel.floor_mode": "clip: max(m, floor); add: m + floor",
    "mel.gain": "factor of the log mel",
    "mel.offset": "added to the log mel after the gain",
    "mel.clip_min": "lower bound of the log mel; null: none",
    "mel.clip_max": "upper bound of the log mel; null: none",
    "mel.std": "a value a band",
    "diffusion.start": "first beta of a linear or Fibonacci training schedule",
    "diffusion.end": "last beta of a linear one",
    "diffusion.steps": "number of betas",
    "diffusion.spacing": "of the levels: by linear betas (papers), even in log-SNR (ours), by "
    "WaveGrad's Fibonacci betas, by the cosine of Improved DDPM; or a JSON file of betas",
    "diffusion.draws": "of the levels of a batch: as in the papers, or one from each equal share",
    "diffusion.conditioning": "what the network is told: the noise level, or its step",
    "aligner.steps": "optimiser steps",
    "aligner.learning_rate": "at the first step; it falls to a twentieth",
    "aligner.channels": "of the symbols' encoder",
    "train.seed": "of initial weights, order, crops, levels and noise",
    "train.max_steps": "optimiser steps; a multiple of valid_every",
    "train.segment_samples": "length of a training segment; a multiple of the hop",
    "train.loss": "distance of the noise from its estimate: absolute or squared",
    "train.optimizer": "torch's Adam or AdamW",
    "train.learning_rate": "after the warm-up",
    "train.betas": "of the optimiser",
    "train.weight_decay": "of the optimiser",
    "train.warmup_steps": "steps over which the learning rate rises linearly",
    "train.decay": "learning rate after the warm-up",
    "train.precision": "32: float32; bf16, 16: Lightning's mixed precision",
    "train.compile": "torch.compile of the network's denoise",
    "train.valid_levels": "fixed noise levels of the validation loss",
    "train.valid_utterances": "evenly spread over the split, the middle segment of each",
    "train.log_every": "steps between progress lines and log rows",
    "train.sample_utterances": "validation utterances for generated audio",
    "train.wandb_project": "project at Weights & Biases",
    "train.wandb_mode": "offline: written to disk, synchronised later by `wandb sync`",
    "decode.sampler": "ancestral, ancestral-full, ddim, ddim-ETA, dpm++2m, heun, langevin or "
    "langevin-STEPS; see [sampling](sampling.md)",
    "decode.seed": "with the utterance's id, the seed of its noise",
    "decode.split": "what is synthesised",
    "decode.batch_size": "utterances at a time; changes speed, not the result's noise",
    "score.metrics": "see [metrics](metrics.md)",
    "score.baselines": "griffin-lim-ITERATIONS from the true mel; noise: white, as loud",
    "model.name": "which model",
    "model.mel_channels": "channels after the first convolution of the mel (or of the features)",
    "model.up_channels": "channels after each UBlock, mel to wave",
    "model.wave_channels": "channels after the first convolution of the waveform",
    "model.down_channels": "channels after each DBlock, wave to mel",
    "model.up": "upsampling: repetition, or linear interpolation",
    "model.down": "downsampling: every n-th sample, linear, or strided convolution",
    "model.down_widening": "which of a DBlock's convolutions adds channels",
    "model.level_encoding": "sinusoids of the level (paper), in float32 (for ports' weights), or "
    "coqui's variant",
    "model.down_repeats": "DBlocks a resolution",
    "model.conditions": "what it is given besides the step",
    "model.channels": "of the residual layers",
    "model.layers": "residual layers",
    "model.upsampler": "of the mel: one for all layers, or one a layer (the paper's count)",
    "model.weight_norm": "weight normalisation of the convolutions",
    "model.encoder_channels": "of the symbols' encoder",
    "model.duration_weight": "of the durations' squared error beside the noise's loss",
}
LONG_LIST = 8  # items of a default that are shown
FIELD = re.compile(r"    (\w+): [^#]*?(?:  # (.*))?")
COMMENT = re.compile(r"    # (.*)")


def comments(schema: type) -> dict[str, str]:
    """What the source says of each field: the comment lines above it and the one beside it."""
    found: dict[str, str] = {}
    above: list[str] = []
    parts = [part for part in schema.__mro__[::-1] if dataclasses.is_dataclass(part)]
    for line in "\n".join(map(inspect.getsource, parts)).splitlines():
        if match := COMMENT.fullmatch(line):
            above.append(match[1])
            continue
        if match := FIELD.fullmatch(line):
            found[match[1]] = " ".join([*above, match[2] or ""]).strip()
        above = []
    return found


def shown(value: Any) -> str:
    """A default as it is written in YAML."""
    if value is dataclasses.MISSING:
        return "**required**"
    if isinstance(value, tuple):
        dots = ["..."] if len(value) > LONG_LIST else []
        return f"`[{', '.join([*map(str, value[:LONG_LIST]), *dots])}]`"
    words = {"None": "null", "True": "true", "False": "false", "": '""'}
    text = str(value)
    return f"`{words[text] if text in words else text}`"


def kind(hint: Any) -> str:
    """A type in a reader's words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{option}`" for option in arguments)
    if origin is tuple:
        plural = {int: "whole numbers", float: "numbers", str: "texts"}
        inner = arguments[0]
        return f"list of {plural[inner] if inner in plural else kind(inner)}"
    if NoneType in arguments:
        return " or ".join(kind(option) for option in arguments if option is not NoneType)
    return {int: "whole number", float: "number", str: "text", bool: "true, false"}[hint]


def section_table(name: str, schema: type) -> str:
    """Every key of a section with its default, type and meaning."""
    return markdown(["key", "default", "type", "meaning"], key_rows(name, schema))


def key_rows(name: str, schema: type) -> list[list[str]]:
    """A row a key; a section within the section has a row for each of its own."""
    said, hints = comments(schema), get_type_hints(schema)
    rows = []
    for field in dataclasses.fields(schema):
        key = f"{name}.{field.name}"
        inner = [
            option for option in get_args(hints[field.name]) if dataclasses.is_dataclass(option)
        ]
        if inner:
            assert isinstance(inner[0], type)
            rows += key_rows(key, inner[0])
            continue
        meaning = MEANINGS[key] if key in MEANINGS else said[field.name]
        meaning = meaning.replace("None", "null").replace("()", "[]")
        assert meaning, f"{key}: write a comment beside it, or a line in MEANINGS"
        rows.append([f"`{key}`", shown(field.default), kind(hints[field.name]), meaning])
    return rows


def keys() -> str:
    """The tables of all sections and all models."""
    schemas = {f"`{section}`": (section, schema) for section, schema in SECTIONS.items()}
    schemas |= {f"`model`, {name}": ("model", config_class(name)) for name in REGISTRY}
    return "\n\n".join(
        f"## {title}\n\n{(schema.__doc__ or '').splitlines()[0]}\n\n{section_table(name, schema)}"
        for title, (name, schema) in schemas.items()
    )


def mel_specs() -> str:
    """The named mel specs."""
    header = ["name", "rate", "FFT, window, hop", "framing", "bands", "Hz", "filterbank", "log"]
    rows = []
    for name, spec in SPECS.items():
        size = f"{spec.n_fft}, {spec.win_length}, {spec.hop_length}"
        bank = f"{spec.mel_scale}, norm {spec.mel_norm}" + (", power" if spec.power == 2 else "")
        rate, bands, span = str(spec.sample_rate), str(spec.n_mels), f"{spec.fmin:g}-{spec.top:g}"
        log = f"{spec.log}, {spec.floor_mode} {spec.floor:g}"
        log += f", × {spec.gain:g} + {spec.offset:g}" if spec.gain != 1 or spec.offset else ""
        log += "" if spec.clip_min is None else f", {spec.clip_min:g}..{spec.clip_max:g}"
        row = [f"`{name}`", rate, size, spec.framing, bands, span, bank, log, peculiarities(spec)]
        rows.append(row)
    return markdown([*header, "also"], rows)


def peculiarities(spec: MelSpec) -> str:
    """What few specs have, in words."""
    found = ["symmetric window"] if spec.window == "hann_symmetric" else []
    found += ["magnitude / sqrt(sum w²)"] if spec.window_norm else []
    found += [] if spec.zero is None else [f"{spec.zero:g} for a band of nothing"]
    eps = f"{spec.magnitude_eps_mode} {spec.magnitude_eps:g} to the power spectrum"
    return ", ".join([*found, eps] if spec.magnitude_eps else found)


def metrics() -> str:
    """Names, units and directions of the metrics."""
    words = {"lower": "lower", "higher": "higher", "zero": "closer to 0"}
    listed = COLUMNS.values()
    rows = [[f"`{m.name}`", m.unit or "-", words[m.better]] for m in listed]
    return markdown(["name", "unit", "better"], rows)


def schedules() -> str:
    """The published inference schedules."""
    rows = []
    for name, make in PUBLISHED.items():
        betas = make()
        ends = [f"{betas[0]:.3g}", f"{betas[-1]:.3g}", f"{levels_from_betas(betas)[-1]:.4f}"]
        rows.append([f"`{name}`", str(len(betas)), *ends])
    return markdown(["name", "steps", "first beta", "last beta", "noisiest level"], rows)


PAGES: dict[str, Callable[[], str]] = {
    "configuration": keys,
    "mels": mel_specs,
    "metrics": metrics,
    "wavegrad": schedules,
}


def current(page: str, text: str) -> str:
    """The text of a page with its table as the code gives it now."""
    make = PAGES[page]
    return replace_block(text, make.__name__, make())


def main(folder: Path) -> None:
    """Rewrites the tables of all pages."""
    for page in PAGES:
        path = folder / f"{page}.md"
        path.write_text(current(page, path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
