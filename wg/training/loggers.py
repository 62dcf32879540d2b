"""What loggers know of a run: its settings, each step once, and in the end what came of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from wg.config import Experiment, flatten, to_dict
from wg.errors import InputError, reason
from wg.files import write_json
from wg.training.published import RUN


class OneRun(WandbLogger):
    """A run at Weights & Biases that a resumption continues, and that gets no step twice.

    The run's id, and the last step that it has, lie in the experiment's folder: steps between the
    last checkpoint and a kill are trained again, with the same result, and not logged again.
    """

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.note = folder / RUN
        if not self.note.is_file():
            write_json(self.note, {"id": secrets.token_hex(4), "step": -1})
        self.known = json.loads(self.note.read_text("utf-8"))
        self.before = self.known["step"]
        super().__init__(
            name=folder.name,
            save_dir=folder,
            id=self.known["id"],
            project=experiment.train.wandb_project,
            offline=experiment.train.wandb_mode == "offline",
        )

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Unless the run has that step already."""
        if step is not None and step <= self.before:
            return
        super().log_metrics(metrics, step)
        if step is not None and step > self.known["step"]:
            self.known["step"] = step
            write_json(self.note, self.known)


class RankedByLoss(Callback):
    """The validation loss beside the hyperparameters in TensorBoard's table of runs."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs it under the name that the table shows."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and not trainer.sanity_checking:
                loss = float(trainer.callback_metrics["valid/loss"])
                logger.log_metrics({"hp_metric": loss}, trainer.global_step)


def make_loggers(experiment: Experiment, folder: Path) -> list[Logger]:
    """CSV always, a new file for each resumption; TensorBoard and Weights & Biases if asked for.

    Each knows the resolved configuration as hyperparameters, `section.key`.
    """
    wanted = experiment.train.loggers
    loggers: list[Logger] = [CSVLogger(folder / "log", name="csv")]
    if "tensorboard" in wanted:
        loggers.append(TensorBoardLogger(folder, name="log", version="tensorboard"))
    if "wandb" in wanted:
        loggers.append(opened(OneRun(experiment, folder)))
    for logger in loggers:
        logger.log_hyperparams(flatten(to_dict(experiment)))
    return loggers


def opened(logger: OneRun) -> OneRun:
    """The logger with its run begun; InputError where Weights & Biases does not take it."""
    try:
        _: Any = logger.experiment
    except Exception as error:  # of the library, and of those that it is built on
        raise InputError(
            f"train.loggers: wandb cannot begin a run: {reason(error)}; give "
            "train.wandb_mode=offline, or leave wandb out"
        ) from None
    return logger
