"""What came of a run, told to its loggers: scores, sounds, pictures, the page and the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from wg.config import Experiment
from wg.data.audio import read_mono
from wg.errors import reason
from wg.pictures import pixels_of

RUN = "wandb-run.json"  # in exp: the run at Weights & Biases, and its last step
SHOWN = 4  # utterances


def publish(
    experiment: Experiment, exp: Path, means: Mapping[str, Mapping[str, Any]], model: str
) -> None:
    """Adds the scores of every system, and what is in exp/page and exp/`model`.

    A logger that cannot be reached is named, and nothing else comes of it.
    """
    scores = {
        f"score/{system}/{metric}": row["mean"]
        for system, metrics in means.items()
        for metric, row in metrics.items()
        if row["mean"] is not None
    }
    writers = {"tensorboard": to_tensorboard, "wandb": to_wandb}
    for name in experiment.train.loggers:
        try:
            writers[name](experiment, exp, scores, model)
        except Exception as error:  # of the library, and of those that it is built on
            print(f"{name} did not take the results: {reason(error)}")


def to_tensorboard(
    experiment: Experiment, exp: Path, scores: Mapping[str, float], model: str
) -> None:
    """Scores, sounds and spectrograms at the last step."""
    from torch.utils.tensorboard import SummaryWriter

    step = experiment.train.max_steps
    with SummaryWriter(exp / "log" / "tensorboard") as writer:
        for name, value in scores.items():
            writer.add_scalar(name, value, step)
        for path in sorted((exp / "page" / "wg").rglob("*.wav"))[:SHOWN]:
            audio, rate = read_mono(path)
            writer.add_audio(f"decoded/{path.stem}", torch.from_numpy(audio)[None], step, rate)
            pixels = pixels_of(path.with_suffix(".png"))
            writer.add_image(f"decoded/{path.stem}", pixels, step, dataformats="HWC")


def to_wandb(experiment: Experiment, exp: Path, scores: Mapping[str, float], model: str) -> None:
    """Scores in the run's summary; the listening page and the model's folder as artifacts."""
    import wandb

    run = wandb.init(
        project=experiment.train.wandb_project,
        id=json.loads((exp / RUN).read_text("utf-8"))["id"],
        resume="allow",
        dir=exp,
        mode=experiment.train.wandb_mode,
        settings=wandb.Settings(silent=True),
    )
    run.summary.update(dict(scores))
    for kind, folder in (("page", "page"), ("model", model)):
        artifact = wandb.Artifact(f"{exp.name}-{kind}", kind)
        artifact.add_dir(str(exp / folder))
        run.log_artifact(artifact)
    run.finish()
