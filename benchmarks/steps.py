"""Quality against steps for each sampler, as a table and a picture.

`python benchmarks/steps.py --vocoder DIR --features dump/FEATURES/test -o OUT [...]` synthesises
the same clips with the same noise at every step count and scores them. Each cell is written to
OUT.json when it is there; run again with the same settings, it goes on. OUT.md and OUT.png are
made of all cells.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wg.bench.environment import environment
from wg.data.dump import Dump
from wg.diffusion.noise import seed_of
from wg.diffusion.samplers import sampler
from wg.diffusion.schedules import inference_levels, schedule_label
from wg.errors import InputError
from wg.files import write_bytes
from wg.inference.folder import checksum
from wg.inference.vocoder import Vocoder
from wg.metrics import check_metrics, score, summarise
from wg.report.scores import defined
from wg.report.table import cell as shown
from wg.report.table import heading, markdown, number

STEPS = "1,2,3,4,6,8,12,25,50"
SAMPLERS = "ancestral,ddim,dpm++2m"
MARKERS = "os^Dv*XP"
APART = 0.12  # of the way to the next step count, so that intervals stand side by side


@dataclass(frozen=True)
class Plan:
    """What is measured, of which vocoder, on what."""

    vocoder: Vocoder
    dump: Dump
    schedules: tuple[str, ...]
    samplers: tuple[str, ...]
    metrics: tuple[str, ...]
    utterances: int
    seconds: float
    clip: float | None

    def clips(self) -> list[tuple[int, int, int]]:
        """Index, first frame and frames of each clip, from the middle of utterances."""
        spec, found = self.dump.spec, []
        most = max(1, round(self.seconds * spec.sample_rate / spec.hop_length))
        for place in range(self.utterances):
            index = place * len(self.dump) // self.utterances
            frames = min(self.dump.utterances[index].frames, most)
            found.append((index, (self.dump.utterances[index].frames - frames) // 2, frames))
        return found


def arguments() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocoder", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True, help="path without ending")
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each, from its middle")
    parser.add_argument("--metrics", default="ls_mse,pesq_wb")
    parser.add_argument("--steps", default=STEPS, help="any schedules, with commas")
    parser.add_argument("--samplers", default=SAMPLERS)
    parser.add_argument("--clip", type=float, help="bound on the estimate of x_0 [the vocoder's]")
    parser.add_argument("--title", default="", help="of the picture [the vocoder's model]")
    return parser.parse_args()


def plan_of(options: argparse.Namespace) -> Plan:
    """InputError for what cannot be measured, before anything is."""
    vocoder, dump = Vocoder.from_pretrained(options.vocoder), Dump(options.features)
    schedules, samplers, metrics = (
        tuple(value.split(",")) for value in (options.steps, options.samplers, options.metrics)
    )
    for name in samplers:
        sampler(name)
    for schedule in schedules:
        inference_levels(schedule, vocoder.diffusion.levels())
    check_metrics(metrics, "--metrics")
    if not 1 <= options.utterances <= len(dump):
        raise InputError(
            f"--utterances {options.utterances}: {options.features} has 1 to {len(dump)}"
        )
    if not 0.1 <= options.seconds <= 60:
        raise InputError(f"--seconds {options.seconds:g}: give 0.1 to 60")
    if dump.spec != vocoder.mel_spec:
        keys = ", ".join(dump.spec.differences(vocoder.mel_spec))
        raise InputError(f"{options.features}: another MelSpec than the vocoder's ({keys})")
    clip = vocoder.synthesis.clip if options.clip is None else options.clip
    return Plan(
        vocoder, dump, schedules, samplers, metrics, options.utterances, options.seconds, clip
    )


def settings_of(plan: Plan, folder: Path) -> dict[str, Any]:
    """What every cell depends on, beside its schedule and sampler."""
    weights = checksum(folder / "model.safetensors")
    clips = [[plan.dump.utterances[index].id, *where] for index, *where in plan.clips()]
    return {"weights": weights, "clips": clips, "metrics": list(plan.metrics), "bound": plan.clip}


def searched(plan: Plan, name: str, schedule: str) -> list[float] | None:
    """The levels that a search found for this step count, if any."""
    found = plan.vocoder.history.levels(schedule, name)
    return None if found is None else list(found)


def measure(plan: Plan, name: str, schedule: str) -> dict[str, Any]:
    """Summaries of every metric over the clips and the real-time factor, or why there are none."""
    vocoder, spec = plan.vocoder, plan.dump.spec
    about = {"searched": searched(plan, name, schedule)}
    synthesis = replace(vocoder.synthesis, schedule=schedule, sampler=name, clip=plan.clip)
    rows, spent, made = [], 0.0, 0
    for index, first, frames in plan.clips():
        mel, seed = plan.dump.mel(index, first, frames), seed_of(plan.dump.utterances[index].id, 0)
        started = time.perf_counter()
        try:
            wave = vocoder(mel, synthesis, seed=seed)
        except InputError as error:
            return {**about, "failed": str(error)}
        spent, made = spent + time.perf_counter() - started, made + len(wave)
        reference = plan.dump.audio(index, first, frames).numpy()
        rows.append(score(reference, wave.numpy(), spec.sample_rate, plan.metrics))
    values = {metric: vars(summarise(row[metric] for row in rows)) for metric in plan.metrics}
    return defined({**about, "rtf": spent * spec.sample_rate / made, **values})


def fill(plan: Plan, folder: Path, path: Path) -> dict[str, Any]:
    """Every cell, from the file or measured now; another vocoder's or setting's begin anew."""
    head = settings_of(plan, folder)
    kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    cells = kept["cells"] if kept.get("settings") == head else {}
    where = environment(plan.vocoder.device)
    for name in plan.samplers:
        for schedule in plan.schedules:
            key = f"{name} {schedule}"
            if key not in cells or cells[key]["searched"] != searched(plan, name, schedule):
                cells[key] = measure(plan, name, schedule)
                content = {"settings": head, "environment": where, "cells": cells}
                write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
                print(key, told(cells[key], plan.metrics), flush=True)
    return cells


def told(content: Mapping[str, Any], metrics: tuple[str, ...]) -> str:
    """A cell in one line."""
    if "failed" in content:
        return content["failed"]
    return ", ".join(f"{metric} {shown(content[metric])}" for metric in metrics)


def label(schedule: str) -> str:
    """On the axis: a step count as it is, a file by its stem."""
    return schedule if schedule.isdigit() else schedule_label(schedule)


def draw(plan: Plan, cells: Mapping[str, Any], title: str, path: Path) -> None:
    """The picture: one panel a metric, one line a sampler, 95% intervals."""
    figure = Figure(figsize=(5.5 * len(plan.metrics), 4.2), layout="constrained")
    panels = figure.subplots(1, len(plan.metrics), squeeze=False)[0]
    for axis, metric in zip(panels, plan.metrics, strict=True):
        for order, name in enumerate(plan.samplers):
            found = [cells[f"{name} {s}"].get(metric, {"mean": None}) for s in plan.schedules]
            places = [p for p, one in enumerate(found) if one["mean"] is not None]
            means = [found[p]["mean"] for p in places]
            ends = [(found[p]["low"], found[p]["high"]) for p in places]
            spans = [
                (0.0, 0.0) if low is None else (mean - low, high - mean)
                for mean, (low, high) in zip(means, ends, strict=True)
            ]  # one clip has no interval
            shift = APART * (order - (len(plan.samplers) - 1) / 2)
            axis.errorbar(
                [p + shift for p in places],
                means,
                [list(side) for side in zip(*spans, strict=True)] or None,
                marker=MARKERS[order % len(MARKERS)],
                markersize=5,
                capsize=2,
                linewidth=1,
                label=name,
            )
        axis.set_xticks(range(len(plan.schedules)), [label(s) for s in plan.schedules])
        axis.tick_params("x", rotation=0 if all(s.isdigit() for s in plan.schedules) else 30)
        axis.set(xlabel="steps", ylabel=heading(metric))
        axis.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(f"{title}: mean of {plan.utterances} clips, 95% intervals")
    figure.savefig(path, dpi=110)


def table(plan: Plan, cells: Mapping[str, Any]) -> str:
    """A row a sampler and step count: mean ± half its 95% interval, real-time factor."""
    rows, refused = [], []
    for name in plan.samplers:
        for schedule in plan.schedules:
            content = cells[f"{name} {schedule}"]
            if "failed" in content:
                rows.append([name, schedule, *["-"] * (len(plan.metrics) + 1)])
                refused.append(f"- {name}, {schedule}: {content['failed']}")
                continue
            values = [shown(content[metric]) for metric in plan.metrics]
            steps = f"{label(schedule)} (searched)" if content["searched"] else label(schedule)
            rows.append([name, steps, *values, number(content["rtf"])])
    header = ["sampler", "steps", *map(heading, plan.metrics), "real-time factor"]
    return "\n".join([markdown(header, rows), *([""] if refused else []), *refused])


def main() -> None:
    """Fills the cells, then draws and prints."""
    options = arguments()
    plan = plan_of(options)
    cells = fill(plan, options.vocoder, Path(f"{options.output}.json"))
    text = table(plan, cells)
    Path(f"{options.output}.md").write_text(text + "\n", "utf-8")
    title = options.title or plan.vocoder.model.name
    draw(plan, cells, title, Path(f"{options.output}.png"))
    print(text)


if __name__ == "__main__":
    try:
        with torch.inference_mode():
            main()
    except InputError as error:
        sys.exit(f"steps.py: {error}")
