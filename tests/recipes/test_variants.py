"""Ways to train a recipe: loggers, precision, compilation."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import pytest
from tiny_recipe import TinyRecipe

from wg.inference.checkpoint import read_checkpoint

TRAIN = ("--stop-stage", "train")


def losses(recipe: TinyRecipe) -> list[float]:
    """The validation losses that training printed into its log."""
    (path,) = (recipe.exp / "log" / "csv").glob("*/metrics.csv")
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    column = header.index("valid/loss")
    return [float(row[column]) for row in rows if row[column]]


def test_tensorboard_gets_losses_audio_and_pictures(recipe: TinyRecipe) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert recipe.run("train.loggers=[tensorboard]", "train.sample_every=4", *TRAIN).code == 0
    events = EventAccumulator(str(recipe.exp / "log" / "tensorboard"))
    tags = events.Reload().Tags()
    assert {"train/loss", "valid/loss", "lr-Adam"} <= set(tags["scalars"])
    assert len(tags["audio"]) == 2 and len(tags["images"]) == 2
    audio = events.Audio(tags["audio"][0])
    assert [event.step for event in audio] == [4, 8] and audio[0].sample_rate == 8000
    logged = [event.value for event in events.Scalars("valid/loss")]
    assert logged == pytest.approx(losses(recipe), rel=1e-5)


@pytest.mark.recipe
def test_wandb_offline_gets_audio_and_pictures_without_a_network(
    recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(recipe.root / name.lower()))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing answers there
    options = ("train.loggers=[wandb]", "train.wandb_mode=offline", "train.sample_every=4")
    outcome = recipe.run_apart(*options, *TRAIN)
    assert outcome.code == 0, outcome
    (folder,) = (recipe.exp / "wandb").glob("offline-run-*")
    assert list(folder.glob("run-*.wandb"))
    media = folder / "files" / "media"
    assert len(list((media / "audio").rglob("*.wav"))) == 4
    assert len(list((media / "images").rglob("*.png"))) == 4


def test_bf16_trains_and_is_decoded(recipe: TinyRecipe) -> None:
    assert recipe.run("train.precision=bf16", "--stop-stage", "decode").code == 0
    assert all(math.isfinite(loss) for loss in losses(recipe))
    content = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")
    assert {str(value.dtype) for value in content["state_dict"].values()} == {"torch.float32"}


@pytest.mark.recipe
@pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++")), reason="torch.compile needs a C++ compiler"
)
def test_a_compiled_network_trains_as_the_plain_one_does(
    recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(recipe.root / "inductor"))
    # Two UBlocks: the C++ of five takes minutes to compile.
    brief = ("model.factors=[8,8]", "model.up_channels=[4,4]", "model.down_channels=[4]")
    brief += ("train.max_steps=2", "train.valid_every=2", "--stop-stage", "decode")
    plain = TinyRecipe(recipe.root / "plain", recipe.corpus)
    recipe.copy_recipe(plain.root)
    assert plain.run(*brief).code == 0
    outcome = recipe.run_apart("train.compile=true", *brief)
    assert outcome.code == 0, outcome
    assert losses(recipe) == pytest.approx(losses(plain), rel=1e-3)
    assert Path(recipe.decoded / "tone-09.wav").is_file()
