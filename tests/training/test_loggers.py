"""What TensorBoard and Weights & Biases are told of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_recipe import TinyRecipe

from wg.config import load_experiment
from wg.errors import InputError
from wg.models import config_class
from wg.training import loggers
from wg.training.loggers import OneRun, opened


@pytest.fixture
def run(recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the logger of a run in a folder; what it logs goes into a list."""
    pytest.importorskip("wandb")
    overrides = ["train.loggers=[wandb]", "train.wandb_mode=offline"]
    experiment = load_experiment(recipe.folder, "wavegrad", overrides, config_class)
    logged: list[int | None] = []
    monkeypatch.setattr(
        loggers.WandbLogger, "log_metrics", lambda self, metrics, step=None: logged.append(step)
    )
    (tmp_path / "exp").mkdir()
    return lambda: (OneRun(experiment, tmp_path / "exp"), logged)


def test_a_resumption_continues_the_run_and_repeats_no_step(run) -> None:
    first, logged = run()
    for step in (2, 4, 4, 6):  # two values of step 4: both are logged
        first.log_metrics({"loss": 1.0}, step)
    again, _ = run()
    assert again.version == first.version != ""
    for step in (4, 6, 8):  # from a checkpoint at step 3
        again.log_metrics({"loss": 1.0}, step)
    assert logged == [2, 4, 4, 6, 8]


def test_a_run_that_cannot_begin_is_one_line(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: OneRun) -> object:
        raise RuntimeError("no such project\nand a long explanation")

    monkeypatch.setattr(OneRun, "experiment", property(broken))
    with pytest.raises(InputError, match="begin a run: no such project; give train.wandb_mode"):
        opened(run()[0])


def test_loggers_have_settings_scores_and_results(done: TinyRecipe) -> None:
    pytest.importorskip("wandb")
    pytest.importorskip("tensorboard")
    asked = ("train.loggers=[tensorboard,wandb]", "train.wandb_mode=offline", "train.max_steps=12")
    outcome = done.run(*asked)
    assert outcome.code == 0 and "did not take" not in outcome.out, outcome
    known = json.loads((done.exp / "wandb-run.json").read_text())
    assert known["step"] >= 11
    folders = [path.name for path in (done.exp / "wandb").glob("offline-run-*")]
    assert len(folders) == 2 and {name.rsplit("-", 1)[1] for name in folders} == {known["id"]}
    settings = yaml.safe_load((done.exp / "log" / "tensorboard" / "hparams.yaml").read_text())
    assert settings["train.batch_size"] == 4 and settings["model.name"] == "wavegrad"

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(done.exp / "log" / "tensorboard"))
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert "score/wg/ls_mse" in scalars and "hp_metric" in scalars
    assert any(name.startswith("decoded/tone") for name in events.Tags()["audio"])
