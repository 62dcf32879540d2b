import csv
from pathlib import Path

import pytest
import torch
from tiny import dumps, experiment

from wg.errors import InputError
from wg.inference.checkpoint import find_checkpoint, model_from_checkpoint, read_checkpoint
from wg.inference.vocoder import Vocoder
from wg.processes.devices import Devices
from wg.training.callbacks import TrainingDiverged
from wg.training.modules import DiffusionModule, build_module
from wg.training.trainer import fit, warming_average


def train(folder: Path, data: Path, **sections: dict) -> DiffusionModule:
    made = experiment(**sections)
    torch.manual_seed(0)
    module = build_module(made)
    fit(made, module, dumps(data), folder, Devices())
    assert isinstance(module, DiffusionModule)
    return module


def last(folder: Path) -> dict:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


def logged(folder: Path, column: str) -> list[float]:
    values = []
    for path in sorted((folder / "log" / "csv").glob("*/metrics.csv")):
        with open(path, newline="") as file:
            values += [float(row[column]) for row in csv.DictReader(file) if row.get(column)]
    return values


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_gradients_are_clipped_by_their_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    norms = []

    def seen(module: DiffusionModule, optimizer: torch.optim.Optimizer) -> None:
        squares = [p.grad.square().sum() for p in module.parameters() if p.grad is not None]
        norms.extend([float(torch.stack(squares).sum().sqrt())] if squares else [])

    monkeypatch.setattr(DiffusionModule, "on_before_zero_grad", seen)
    settings = {"precision": precision, "clip_norm": 1e-3, "max_steps": 3, "valid_every": 3}
    train(tmp_path / "exp", tmp_path / "data", train=settings)
    assert max(norms) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, workers: int) -> None:
    constant = {"warmup_steps": 6, "workers": workers}
    train(tmp_path / "whole", tmp_path, train=constant)
    train(tmp_path / "parts", tmp_path, train={**constant, "max_steps": 4})
    assert last(tmp_path / "parts")["global_step"] == 4
    train(tmp_path / "parts", tmp_path, train=constant)
    whole, parts = last(tmp_path / "whole"), last(tmp_path / "parts")
    assert parts["global_step"] == 8
    for key in ("state_dict", "current_model_state"):
        for name, value in whole[key].items():
            assert torch.equal(value, parts[key][name]), (key, name)
    moments = [c["optimizer_states"][0]["state"][0]["exp_avg"] for c in (whole, parts)]
    assert torch.equal(*moments)


def test_the_average_follows_its_equation(tmp_path: Path) -> None:
    plain = {"max_steps": 2, "valid_every": 1, "keep": 5, "ema_warmup": False}
    module = train(tmp_path, tmp_path, train=plain)
    saved = {
        read_checkpoint(path)["global_step"]: read_checkpoint(path)
        for path in (tmp_path / "checkpoints").glob("step-*.ckpt")
    }
    name = "network.wave_conv.weight"
    first, second = saved[1], saved[2]
    assert torch.equal(first["state_dict"][name], first["current_model_state"][name])
    average = 0.9 * first["state_dict"][name] + 0.1 * second["current_model_state"][name]
    assert torch.allclose(second["state_dict"][name], average, atol=1e-7)
    # The module ends with the average in place.
    assert torch.equal(module.state_dict()[name], second["state_dict"][name])


def test_a_short_run_does_not_end_with_its_first_weights(tmp_path: Path) -> None:
    each = {"valid_every": 1, "keep": 9, "ema": 0.9999, "max_steps": 3}
    train(tmp_path, tmp_path, train=each)
    train(tmp_path, tmp_path, train={**each, "max_steps": 6})  # resumed: the count goes on
    saved = {}
    for path in (tmp_path / "checkpoints").glob("step-*.ckpt"):
        content = read_checkpoint(path)
        saved[content["global_step"]] = content
    name = "network.wave_conv.weight"
    expected = saved[1]["current_model_state"][name]
    for n in range(1, 6):
        decay = (1 + n) / (10 + n)  # TensorFlow's ExponentialMovingAverage(num_updates=n)
        weights = saved[n + 1]["current_model_state"][name]
        expected = decay * expected + (1 - decay) * weights
        assert torch.allclose(saved[n + 1]["state_dict"][name], expected, atol=1e-7)


def test_a_warm_average_reaches_its_decay() -> None:
    average = warming_average(0.99)
    for n in (1, 100, 890, 891, 5000):
        decay = min(0.99, (1 + n) / (10 + n))
        averaged, count = torch.zeros(1), torch.zeros(1, dtype=torch.long)
        average([averaged], [torch.ones(1)], torch.tensor(n))
        assert averaged.item() == pytest.approx(1 - decay, rel=1e-6)
        average([count], [torch.tensor([n])], torch.tensor(n))
        assert count.item() == n


def test_validation_is_the_same_number_for_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(tmp_path / name, tmp_path, train={"learning_rate": 1e-30, "valid_every": 2})
        losses = logged(tmp_path / name, "valid/loss")
        assert len(losses) == 4 and len(set(losses)) == 1
    assert logged(tmp_path / "a", "valid/loss") == logged(tmp_path / "b", "valid/loss")


def test_validation_reports_each_level_band(tmp_path: Path) -> None:
    train(tmp_path, tmp_path)
    (path,) = (tmp_path / "log" / "csv").glob("*/metrics.csv")
    header = path.read_text().splitlines()[0]
    levels = experiment().diffusion.quantiles(3)
    assert all(f"valid/loss_level_{level:.3f}" in header for level in levels.tolist())


def test_the_best_checkpoint_has_the_least_validation_loss(tmp_path: Path) -> None:
    train(tmp_path, tmp_path, train={"valid_every": 2})
    best = find_checkpoint(tmp_path, "best")
    assert float(best.stem.split("loss-")[1]) == pytest.approx(
        min(logged(tmp_path, "valid/loss")), abs=1e-4
    )


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    train(tmp_path, tmp_path, train={"max_steps": 60, "valid_every": 20, "learning_rate": 5e-3})
    losses = logged(tmp_path, "valid/loss")
    assert losses[-1] < losses[0] - 0.05


def test_a_loss_that_is_not_a_number_stops_with_step_utterances_and_rate(tmp_path: Path) -> None:
    train_dump, valid_dump = dumps(tmp_path)
    made = experiment()
    module = build_module(made)
    with torch.no_grad():
        next(module.parameters()).fill_(torch.nan)
    with pytest.raises(
        TrainingDiverged, match=r"step 1: loss nan .* rate 0.001, utterances train-"
    ):
        fit(made, module, (train_dump, valid_dump), tmp_path / "exp", Devices())
    assert not list((tmp_path / "exp").rglob("*.ckpt"))


def test_an_exploding_loss_stops(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"train.max_loss 0.01"):
        train(tmp_path, tmp_path, train={"max_loss": 0.01})


def test_clips_shorter_than_a_segment_train_without_nan(tmp_path: Path) -> None:
    module = train(tmp_path, tmp_path, train={"segment_samples": 64 * 40, "max_steps": 4})
    assert all(torch.isfinite(p).all() for p in module.parameters())


def test_padding_of_short_clips_has_no_gradient() -> None:
    module = build_module(experiment())
    audio = torch.randn(1, 512)
    batch = {
        "ids": ["a"],
        "audio": audio,
        "mel": torch.randn(1, 10, 8),
        "frames": torch.tensor([5]),
    }
    level, noise = torch.tensor([0.5], dtype=torch.float64), torch.randn(1, 512)
    loss = module.losses(batch, level, noise)["noise"]  # pyright: ignore
    batch["audio"] = torch.cat([audio[:, :320], torch.full((1, 192), 9.0)], 1)
    assert torch.equal(loss, module.losses(batch, level, noise)["noise"])  # pyright: ignore


@pytest.mark.parametrize(("loss", "power"), [("l1", 1), ("l2", 2)])
def test_loss_is_the_distance_of_the_noise(loss: str, power: int) -> None:
    module = build_module(experiment(train={"loss": loss}))  # its output starts at zero
    noise = torch.randn(2, 512)
    batch = {"ids": ["a", "b"], "audio": torch.randn(2, 512), "mel": torch.randn(2, 10, 8)}
    got = module.losses(batch, torch.full((2,), 0.5, dtype=torch.float64), noise)["noise"]  # pyright: ignore
    assert torch.allclose(got, noise.abs().pow(power).mean(1))


def test_accumulated_batches_make_one_step(tmp_path: Path) -> None:
    train(tmp_path, tmp_path, train={"accumulate": 2, "max_steps": 4})
    assert last(tmp_path)["global_step"] == 4
    assert len(logged(tmp_path, "valid/loss")) == 1


@pytest.mark.parametrize(
    ("decay", "expected"), [("constant", 1.0), ("cosine", 0.55), ("exponential", 0.1**0.5)]
)
def test_learning_rate_warms_up_and_decays(decay: str, expected: float) -> None:
    module = build_module(
        experiment(
            train={
                "decay": decay,
                "final_rate": 0.1,
                "warmup_steps": 10,
                "max_steps": 110,
                "valid_every": 10,
            }
        )
    )
    assert module.rate_at(4) == pytest.approx(0.5)  # pyright: ignore
    assert module.rate_at(60) == pytest.approx(expected)  # pyright: ignore
    assert module.rate_at(110) == pytest.approx(1.0 if decay == "constant" else 0.1)  # pyright: ignore


def test_a_checkpoint_of_another_model_or_mel_is_refused(tmp_path: Path) -> None:
    train(tmp_path, tmp_path)
    path = find_checkpoint(tmp_path, "last")
    with pytest.raises(
        InputError, match=r"another model \(model.dilations: paper there, lmnt here"
    ):
        model_from_checkpoint(Vocoder, path, experiment(model={"dilations": "lmnt"}))
    with pytest.raises(InputError, match=r"another mel \(mel.fmax: None there, 3000.0 here"):
        model_from_checkpoint(Vocoder, path, experiment(mel={"fmax": 3000.0}))


def test_a_missing_or_broken_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run stage 4"):
        find_checkpoint(tmp_path, "best")
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        model_from_checkpoint(Vocoder, broken, experiment())


def test_a_batch_that_does_not_divide_by_the_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"batch_size 4 does not divide by 3 processes"):
        train(tmp_path, tmp_path, train={"processes": 3})
