"""Tables of docs/, generated from the code: config keys, mel specs, metrics, schedules.

`python -m wg.report.reference docs` writes them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from wg.config import SECTIONS
from wg.diffusion.schedules import PUBLISHED, levels_from_betas
from wg.fields import meaning
from wg.mel.hub import SPECS
from wg.mel.spec import MelSpec
from wg.metrics import COLUMNS
from wg.models import REGISTRY, config_class
from wg.report.results import replace_block
from wg.report.table import markdown

LONG_LIST = 8  # items of a default that are shown


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
    hints = get_type_hints(schema)
    rows = []
    for field in dataclasses.fields(schema):
        key = f"{name}.{field.name}"
        hint = hints[field.name]
        inner = [option for option in (hint, *get_args(hint)) if dataclasses.is_dataclass(option)]
        if inner:
            assert isinstance(inner[0], type)
            rows += key_rows(key, inner[0])
            continue
        said = meaning(field)
        takes = ", ".join(filter(None, [kind(hint), said.bounds]))
        rows.append([f"`{key}`", shown(field.default), takes, said.text])
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
    """Table of the named mel specs in Markdown, for docs/configuration.md."""
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
    """Table of the published inference schedules in Markdown: name, steps, betas, last level."""
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
