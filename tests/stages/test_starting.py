"""train.init_from: training begins with the weights of a folder, and only of one that fits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tiny_recipe import MODEL, TinyRecipe

from wg.config import Experiment, load_experiment
from wg.errors import InputError
from wg.inference.checkpoint import find_checkpoint, network_from_checkpoint, read_checkpoint
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.models import build_network, config_class
from wg.stages.starting import load_start, open_start

TRAIN = ("--stop-stage", "train")
STILL = "train.learning_rate=1e-30"  # less than any weight can tell
TRAINING = "train:" + MODEL.split("train:")[1]
MODELS = {
    "wavegrad": MODEL,
    "diffwave": "model: {name: diffwave, channels: 8, layers: 4, dilation_cycle: 4}\n"
    "diffusion: {start: 1.0e-4, end: 0.05, steps: 50, conditioning: discrete}\n" + TRAINING,
    "spectral": "model: {name: spectral, channels: 8, blocks: 2, maps: 4, level_width: 16}\n"
    "diffusion: {precondition: mel, prior: mel, spacing: log_snr}\n" + TRAINING,
}


def experiment_of(recipe: TinyRecipe, name: str, *overrides: str) -> Experiment:
    (recipe.folder / "conf" / f"{name}.yaml").write_text(MODELS[name])
    return load_experiment(recipe.folder, name, overrides, config_class)


def folder_of(experiment: Experiment, folder: Path) -> Path:
    """A vocoder folder of random weights that fits an experiment."""
    model, mel, diffusion = experiment.model, experiment.mel, experiment.diffusion
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = build_network(model, mel, diffusion)
    for name, value in network.state_dict().items():
        if name == "mel_power.bias":
            value.fill_(-5.0)  # as nothing that is fitted to the tones
    Vocoder(network, model, mel, diffusion, SamplingConfig("2")).save_pretrained(folder)
    return folder


@pytest.fixture
def start(recipe: TinyRecipe, tmp_path: Path) -> Path:
    return folder_of(experiment_of(recipe, "wavegrad"), tmp_path / "start")


@pytest.mark.parametrize("name", list(MODELS))
def test_training_and_its_average_begin_with_the_folders_weights(
    recipe: TinyRecipe, tmp_path: Path, name: str
) -> None:
    experiment = experiment_of(recipe, name)
    folder = folder_of(experiment, tmp_path / "start")
    outcome = recipe.run("--model", name, *TRAIN, STILL, f"train.init_from={folder}")
    assert outcome.code == 0, outcome
    assert f"starting from {folder}, 0 steps" in outcome.out
    path = find_checkpoint(recipe.work / "exp" / f"tiny-{name}", "best")
    trained, history = network_from_checkpoint(path, experiment)
    wanted = Vocoder.from_pretrained(folder).network.state_dict()
    found = trained.state_dict()
    assert found.keys() == wanted.keys()
    # What the mel says of the bins' power is of the own corpus.
    power = [key for key in wanted if key.startswith("mel_power.")]
    for key in power:
        assert not torch.isclose(found[key], wanted.pop(key)).any()
    for key, value in wanted.items():  # averaged weights
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-6)
    now = read_checkpoint(path)["current_model_state"]
    for key, value in wanted.items():
        torch.testing.assert_close(now[f"network.{key}"], value, rtol=0, atol=1e-25)
    assert history.start is not None and history.start.source == str(folder)


def test_a_run_that_goes_on_does_not_ask_for_the_folder_again(
    recipe: TinyRecipe, start: Path
) -> None:
    chosen = f"train.init_from={start}"
    assert recipe.run(*TRAIN, chosen).code == 0
    shutil.rmtree(start)
    outcome = recipe.run(*TRAIN, chosen, "train.max_steps=12")
    assert outcome.code == 0, outcome
    assert "resuming from" in outcome.out and "starting from" not in outcome.out
    content = read_checkpoint(recipe.exp / "checkpoints" / "last.ckpt")
    assert content["global_step"] == 12
    assert content["start"]["source"] == str(start), "and still knows what it began with"
    assert recipe.run(*TRAIN, chosen, "train.max_steps=12").code == 0  # finished: skipped
    line = recipe.run(*TRAIN, chosen, "--restart").complaint()
    assert f"train.init_from: {start / 'config.json'}: no such file" in line


def test_the_packed_folder_and_its_card_say_what_it_began_with(
    recipe: TinyRecipe, start: Path
) -> None:
    assert recipe.run(f"train.init_from={start}").code == 0
    packed = recipe.exp / "vocoder"
    history = Vocoder.from_pretrained(packed).history
    assert history.start is not None and history.start.source == str(start)
    card = (packed / "README.md").read_text("utf-8")
    assert f"began with the weights of `{start}`" in card and history.start.sha256[:12] in card
    outcome = recipe.run(*TRAIN, f"train.init_from={packed}")
    assert f"{packed} lies in {recipe.exp}" in outcome.complaint()


def test_another_start_is_another_run(done: TinyRecipe, tmp_path: Path) -> None:
    assert done.run().decisions()["train"] == "skipped: up to date"
    folder = folder_of(experiment_of(done, "wavegrad"), tmp_path / "start")
    outcome = done.run(*TRAIN, f"train.init_from={folder}")
    assert outcome.decisions()["train"].startswith("runs: changed train.init_from")
    assert done.exp.with_name(f"{done.exp.name}.old-1").is_dir()
    assert f"starting from {folder}" in outcome.out and "step 1/8" in outcome.out


@pytest.mark.parametrize(
    ("change", "named", "remedy"),
    [
        ("model.mel_channels=4", "model.mel_channels is 8 there, 4 here", "model.mel_channels=8"),
        ("model.dilations=lmnt", "model.dilations is paper there", "model.dilations=paper"),
        ("mel.fmax=3000", "mel.fmax is 4000.0 there, 3000.0 here", "mel.fmax=4000.0"),
        ("mel.log=log10", "mel.log is ln there, log10 here", "mel.log=ln"),
        ("diffusion.end=0.02", "diffusion.end is 0.01 there, 0.02 here", "diffusion.end=0.01"),
        ("diffusion.prior=energy", "diffusion.prior is standard there", "diffusion.prior=standard"),
        (
            "diffusion.precondition=mel",
            "diffusion.precondition is none there, mel here",
            "diffusion.precondition=none",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_the_first_stage(
    recipe: TinyRecipe, start: Path, change: str, named: str, remedy: str
) -> None:
    outcome = recipe.run(f"train.init_from={start}", change)
    line = outcome.complaint()
    assert f"train.init_from: {start}: " in line and named in line
    assert f"; set {remedy}, or start from another folder" in line
    assert not outcome.out and not recipe.work.exists()


def test_all_that_differs_is_in_one_line_that_can_be_obeyed(
    recipe: TinyRecipe, start: Path
) -> None:
    changes = ("model.mel_channels=4", "model.up_channels=[4,4,4,4,4]", "mel.floor=0.01")
    line = recipe.run(f"train.init_from={start}", *changes).complaint()
    remedy = line.split("; set ")[1].split(", or start")[0].split()
    assert remedy == ["model.mel_channels=8", "model.up_channels=[8,8,8,4,4]", "mel.floor=1e-05"]
    assert recipe.run(f"train.init_from={start}", *changes, *remedy, "--dry-run").code == 0


def test_how_to_train_may_differ(recipe: TinyRecipe, start: Path) -> None:
    free = ("diffusion.draws=stratified", "diffusion.spacing=log_snr", "train.loss=l2")
    assert recipe.run(f"train.init_from={start}", *free, "--dry-run").code == 0


def test_another_kind_of_model_is_named(recipe: TinyRecipe, start: Path) -> None:
    experiment_of(recipe, "diffwave")
    line = recipe.run("--model", "diffwave", f"train.init_from={start}").complaint()
    assert f"{start} is of model wavegrad, this experiment trains diffwave" in line


THROUGH_A_MEL = """
model:
  name: wavegrad2
  encoder_channels: 8
  predictor_channels: 4
  mel_weight: 1.0
  mel_blocks: 1
  mel_width: 8
  decoder: spectral
  spectral: {channels: 8, blocks: 2, maps: 4, level_width: 16}
diffusion: {precondition: mel, prior: mel, spacing: log_snr}
"""


def test_a_decoder_begins_with_a_vocoders_weights(recipe: TinyRecipe, tmp_path: Path) -> None:
    folder = folder_of(experiment_of(recipe, "spectral"), tmp_path / "start")
    (recipe.folder / "conf" / "through.yaml").write_text(THROUGH_A_MEL + TRAINING)
    chosen = (recipe.folder, "through", (f"train.init_from={folder}",), config_class)
    experiment = load_experiment(*chosen)
    network = build_network(experiment.model, experiment.mel, experiment.diffusion)
    assert load_start(network, experiment)["source"] == str(folder)
    found = network.state_dict()
    for key, value in Vocoder.from_pretrained(folder).network.state_dict().items():
        part = key if key.startswith("mel_power.") else f"decoder.{key}"
        torch.testing.assert_close(found[part], value)

    wider = load_experiment(*chosen[:2], (*chosen[2], "model.spectral.channels=16"), config_class)
    with pytest.raises(InputError, match="model.spectral.channels is 8 there, 16 here; set model"):
        open_start(wider)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_is_incomplete_or_damaged_is_named(
    recipe: TinyRecipe, start: Path, name: str
) -> None:
    (start / name).write_bytes(b"{}")
    assert str(start / name) in recipe.run(f"train.init_from={start}").complaint()
    (start / name).unlink()
    line = recipe.run(f"train.init_from={start}").complaint()
    assert f"{start / name}: no such file" in line


def test_training_that_begins_with_nothing_has_no_new_setting(done: TinyRecipe) -> None:
    stamp = done.exp / "stage-train.json"
    text = stamp.read_text("utf-8")
    stamp.write_text(text.replace('    "train.init_from": null,\n', ""), "utf-8")
    assert stamp.read_text("utf-8") != text
    assert done.run(*TRAIN).decisions()["train"] == "skipped: up to date"
