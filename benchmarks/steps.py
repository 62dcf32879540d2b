"""Quality against steps for each sampler, as a table and a picture.

`python benchmarks/steps.py --vocoder DIR --features dump/FEATURES/test -o OUT [...]` synthesises
the same clips with the same noise at every step count and scores them. Each cell is written to
OUT.json when it is there; run again, it goes on. OUT.md and OUT.png are made of all cells.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wg.data.dump import Dump, write_bytes
from wg.diffusion.noise import seed_of
from wg.errors import InputError
from wg.metrics import METRICS, score, summarise
from wg.report.table import markdown
from wg.vocoder import Vocoder

STEPS = "1,2,3,4,6,8,12,25,50"
SAMPLERS = "ancestral,ddim,dpm++2m"


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
    parser.add_argument("--clip", type=float)
    return parser.parse_args()


def cell(options: argparse.Namespace, vocoder: Vocoder, dump: Dump, key: str) -> dict[str, Any]:
    """Summaries of every metric over the clips, and the real-time factor."""
    name, schedule = key.split(" ")
    synthesis = replace(vocoder.synthesis, schedule=schedule, sampler=name, clip=options.clip)
    spec, metrics = dump.spec, options.metrics.split(",")
    most = round(options.seconds * spec.sample_rate / spec.hop_length)
    rows, spent, made = [], 0.0, 0
    for number in range(options.utterances):
        index = number * len(dump) // options.utterances
        entry = dump.utterances[index]
        frames = min(entry.frames, most)
        first = (entry.frames - frames) // 2
        started = time.perf_counter()
        try:
            seeds = [seed_of(entry.id, 0)]
            wave = vocoder(dump.mel(index, first, frames), synthesis, seed=seeds)
        except InputError as error:
            return {"failed": str(error)}
        spent, made = spent + time.perf_counter() - started, made + len(wave)
        reference = dump.audio(index, first, frames).numpy()
        rows.append(score(reference, wave.numpy(), spec.sample_rate, metrics))
    values = {name: vars(summarise(row[name] for row in rows)) for name in metrics}
    return {"rtf": spent * spec.sample_rate / made, **values}


def draw(options: argparse.Namespace, cells: dict[str, Any], names: list[str]) -> None:
    """The picture: one panel a metric, one line a sampler."""
    metrics, schedules = options.metrics.split(","), options.steps.split(",")
    figure = Figure(figsize=(5.5 * len(metrics), 4), layout="constrained")
    for axis, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        for name in names:
            keys = [s for s in schedules if metric in cells[f"{name} {s}"]]
            found = [cells[f"{name} {s}"][metric] for s in keys]
            means = [one["mean"] for one in found]
            sides = [[abs(one[k] - one["mean"]) for one in found] for k in ("low", "high")]
            places = [schedules.index(s) for s in keys]
            axis.errorbar(places, means, yerr=sides, marker="o", capsize=3, label=name)
        axis.set_xticks(range(len(schedules)), schedules)
        unit = f", {METRICS[metric].unit}" if METRICS[metric].unit else ""
        axis.set(xlabel="steps", ylabel=f"{metric}{unit} ({METRICS[metric].better} is better)")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(options.output.with_suffix(".png"), dpi=110)


def table(options: argparse.Namespace, cells: dict[str, Any], names: list[str]) -> str:
    """A row a sampler and step count: mean [interval] of each metric, real-time factor."""
    metrics = options.metrics.split(",")
    rows = []
    for name in names:
        for schedule in options.steps.split(","):
            content = cells[f"{name} {schedule}"]
            if "failed" in content:
                rows.append([name, schedule, *["-"] * (len(metrics) + 1)])
                continue
            shown = [
                f"{content[m]['mean']:.3g} [{content[m]['low']:.3g}, {content[m]['high']:.3g}]"
                for m in metrics
            ]
            rows.append([name, schedule, *shown, f"{content['rtf']:.2f}"])
    return markdown(["sampler", "steps", *metrics, "real-time factor"], rows)


def main() -> None:
    """Fills the cells, then draws and prints."""
    options = arguments()
    vocoder, dump = Vocoder.from_pretrained(options.vocoder), Dump(options.features)
    names = options.samplers.split(",")
    path = options.output.with_suffix(".json")
    cells = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    with torch.inference_mode():
        for key in [f"{name} {s}" for name in names for s in options.steps.split(",")]:
            if key not in cells:
                cells[key] = cell(options, vocoder, dump, key)
                write_bytes(path, (json.dumps(cells, indent=1) + "\n").encode())
                print(key, json.dumps(cells[key]), flush=True)
    text = table(options, cells, names)
    options.output.with_suffix(".md").write_text(text + "\n", "utf-8")
    draw(options, cells, names)
    print(text)


if __name__ == "__main__":
    main()
