"""DiffWave under the trainer: every kind of condition learns, resumes and is a checkpoint."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import dumps, experiment

from wg.config import Experiment
from wg.data.dump import Dump, write_shard
from wg.errors import InputError
from wg.inference.checkpoint import (
    find_checkpoint,
    model_from_checkpoint,
    network_from_checkpoint,
)
from wg.inference.generator import Generator
from wg.inference.vocoder import Vocoder
from wg.processes.devices import Devices
from wg.training.modules import DiffWaveModule, build_module
from wg.training.trainer import fit

DISCRETE = {"start": 1e-4, "end": 0.05, "steps": 50, "conditioning": "discrete"}
MODEL = {"name": "diffwave", "channels": 8, "layers": 4, "dilation_cycle": 4}
CONDITIONS = {
    "mel": {},
    "none": {"conditions": "none"},
    "class": {"conditions": "class", "classes": ["low", "high"]},
}


def diffwave(conditions: str, **train: object) -> Experiment:
    """Tiny DiffWave; the WaveGrad keys of the tiny experiment do not apply."""
    from tiny import CONTENT

    from wg.config import compose
    from wg.models import config_class

    content = {**CONTENT, "model": {**MODEL, **CONDITIONS[conditions]}, "diffusion": DISCRETE}
    content["train"] = {**CONTENT["train"], "loss": "l2", **train}
    return compose([("tiny", content)], config_class)


def worded(folder: Path) -> tuple[Dump, Dump]:
    """The tiny dumps with texts low and high in turn."""
    made = []
    for dump in dumps(folder / "plain"):
        clips = [
            (replace(entry, text=("low", "high")[i % 2]), dump.recording(i), dump.mel(i))
            for i, entry in enumerate(dump.utterances)
        ]
        split = folder / dump.folder.name
        write_shard(split / "shard-00000.safetensors", clips, dump.spec, "worded")
        made.append(Dump(split))
    return made[0], made[1]


@pytest.mark.parametrize("conditions", list(CONDITIONS))
def test_training_lowers_the_loss_whatever_the_condition(tmp_path: Path, conditions: str) -> None:
    made = diffwave(conditions, max_steps=40, valid_every=20, learning_rate=5e-3)
    module = build_module(made)
    assert isinstance(module, DiffWaveModule)
    fit(made, module, worded(tmp_path), tmp_path / "exp", Devices())
    best = find_checkpoint(tmp_path / "exp", "best")
    # The last layer starts at zero, so the loss starts at the noise's variance.
    assert float(best.stem.split("loss-")[1]) < 0.95
    own, other = (Vocoder, Generator) if conditions == "mel" else (Generator, Vocoder)
    assert model_from_checkpoint(own, best, made).model == made.model
    with pytest.raises(InputError, match="this model"):
        model_from_checkpoint(other, best, made)


def test_what_is_cached_may_change_after_training(tmp_path: Path) -> None:
    made = diffwave("mel", max_steps=2, valid_every=2)
    fit(made, build_module(made), dumps(tmp_path), tmp_path / "exp", Devices())
    best = find_checkpoint(tmp_path / "exp", "best")
    lean = replace(made, model=replace(made.model, cache="none", fractional="sinusoid"))
    _, history = network_from_checkpoint(best, lean)
    assert history.steps > 0 and history.checkpoint == best.name
    with pytest.raises(InputError, match="model.step_frequencies: rising there, falling here"):
        falling = replace(made.model, step_frequencies="falling")
        network_from_checkpoint(best, replace(made, model=falling))


def test_a_text_that_is_no_class_is_named() -> None:
    module = build_module(diffwave("class"))
    batch = {"ids": ["a"], "texts": ["middling"], "mel": torch.zeros(1, 10, 8)}
    with pytest.raises(InputError, match="class 'middling' is unknown; .*high, low"):
        module.condition(batch)  # pyright: ignore


def test_continuous_conditioning_is_refused() -> None:
    made = replace(diffwave("mel"), diffusion=experiment().diffusion)
    with pytest.raises(InputError, match="set diffusion.conditioning=discrete"):
        build_module(made)
