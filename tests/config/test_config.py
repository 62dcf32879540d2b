from pathlib import Path

import pytest

from wg.config import (
    compose,
    flatten,
    load_experiment,
    load_experiment_file,
    save_experiment,
    to_dict,
)
from wg.errors import InputError
from wg.models import config_class

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
MEL = {
    "sample_rate": 22050,
    "n_fft": 1024,
    "win_length": 1024,
    "hop_length": 256,
    "n_mels": 80,
    "fmax": 8000.0,
}
BASE = {
    "corpus": {"name": "x"},
    "mel": MEL,
    "model": {"name": "wavegrad"},
    "train": {"segment_samples": 7168},
}


def made(*further: dict):
    return compose(
        [("base", BASE), *((f"source {i}", f) for i, f in enumerate(further))], config_class
    )


def test_later_sources_win_and_defaults_fill_the_rest() -> None:
    experiment = made({"train": {"batch_size": 8}}, {"train": {"batch_size": 16}})
    assert experiment.train.batch_size == 16
    assert to_dict(experiment.model)["mel_channels"] == 768
    assert experiment.diffusion.steps == 1000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"trian": {}}, r"source 0: unknown key 'trian'; did you mean 'train'"),
        ({"train": {"batchsize": 3}}, r"'train.batchsize'; did you mean 'batch_size'"),
        ({"model": {"factor": [1]}}, r"'model.factor'; did you mean 'factors'"),
        ({"mel": {"hoplength": 3}}, r"'mel.hoplength'; did you mean 'hop_length'"),
        ({"train": 3}, r"train is 3; it is a section"),
        ({"model": 3}, r"model is 3"),
        ({"model": {"name": "wavgrad"}}, r"'wavgrad' is unknown; did you mean 'wavegrad'"),
        ({"model": {"name": True}}, r"model.name True is unknown; choose from: diffwave"),
        ({"train": {"loggers": {}}}, r"train.loggers is \{\}; give a list: train.loggers="),
        ({"train": {"learning_rate": 10**400}}, r"train.learning_rate is 10{400}; give a number"),
        ({"train": {"batch_size": "many"}}, r"train.batch_size is many; give a whole number"),
        ({"train": {"loss": "l3"}}, r"train.loss is l3; did you mean 'l2'"),
        ({"train": {"segment_samples": 7200}}, r"7200 is not a multiple .* the nearest is 7168"),
        ({"train": {"max_steps": 0}}, r"train.max_steps is 0"),
        ({"train": {"max_steps": 12_000}}, r"12000 is not a multiple of train.valid_every 5000"),
        ({"train": {"ema": 1.0}}, r"train.ema is 1.0"),
        ({"model": {"factors": [5, 5, 3, 2, 2]}}, r"multiply to 300, but mel.hop_length is 256"),
        ({"mel": {"hop_length": 0}}, r"mel.hop_length is 0"),
        ({"diffusion": {"end": 2.0}}, r"diffusion.end is 2.0"),
    ],
)
def test_a_mistake_is_one_line_with_its_source_key_and_remedy(content, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        made(content)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="mel.n_mels is missing"):
        compose(
            [("a", {**BASE, "mel": {k: v for k, v in MEL.items() if k != "n_mels"}})], config_class
        )
    with pytest.raises(InputError, match="model.name is missing"):
        compose([("a", {"corpus": {"name": "x"}})], config_class)


def test_overrides_on_the_command_line_reach_any_key() -> None:
    experiment = load_experiment(
        RECIPES / "ljspeech",
        "wavegrad",
        ["train.max_steps=10", "decode.schedule=6", "model.factors=[8,4,2,2,2]"],
        config_class,
    )
    assert experiment.train.max_steps == 10
    assert experiment.decode.schedule == "6"
    assert to_dict(experiment.model)["factors"] == [8, 4, 2, 2, 2]


def test_a_number_is_a_word_where_words_are_chosen_from() -> None:
    given = ["train.precision=16", "decode.schedule=6"]
    experiment = load_experiment(RECIPES / "ljspeech", "wavegrad", given, config_class)
    assert experiment.train.precision == "16" and experiment.decode.schedule == "6"


def test_steps_are_a_schedule_and_the_later_of_both_counts() -> None:
    def schedule(*given: str) -> str:
        decode = load_experiment(RECIPES / "ljspeech", "wavegrad_small", given, config_class).decode
        return decode.schedule

    assert schedule("decode.steps=6") == "6"
    assert schedule("decode.steps=6", "decode.schedule=ivanvovk-6") == "ivanvovk-6"
    assert schedule("decode.schedule=ivanvovk-6", "decode.steps=12") == "12"
    both = {"decode": {"steps": 6, "schedule": "12"}, "model": {"name": "wavegrad"}}
    with pytest.raises(InputError, match="here: decode.steps and decode.schedule are the same"):
        compose([("here", both)], config_class)


def test_a_file_of_betas_is_a_training_schedule_that_the_run_keeps(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("[0.001, 0.01, 0.1]")
    experiment = made({"diffusion": {"spacing": "log_snr"}}, {"diffusion": {"spacing": str(path)}})
    save_experiment(experiment, tmp_path / "config.yaml")
    path.unlink()  # what is stored needs the file no more
    kept = load_experiment_file(tmp_path / "config.yaml", config_class).diffusion
    assert kept == experiment.diffusion and kept.betas == (0.001, 0.01, 0.1)
    assert (kept.levels()[1:] ** 2).tolist() == pytest.approx([0.999, 0.98901, 0.890109])
    with pytest.raises(InputError, match="source 0: diffusion.spacing: .*mine.json: No such file"):
        made({"diffusion": {"spacing": str(path)}})


@pytest.mark.parametrize("item", ["max_steps=3", "train.max_steps", "=", "train.betas=[1"])
def test_a_malformed_override_is_named(item: str) -> None:
    with pytest.raises(InputError, match=r"max_steps|'='|train.betas"):
        load_experiment(RECIPES / "ljspeech", "wavegrad", [item], config_class)


def test_an_unknown_experiment_lists_the_recipes_own() -> None:
    with pytest.raises(InputError, match="did you mean 'wavegrad_small'"):
        load_experiment(RECIPES / "ljspeech", "wavegrad_smal", [], config_class)


def test_broken_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "wavegrad.yaml").write_text("model: {name: wavegrad")
    (tmp_path / "corpus.yaml").write_text("corpus: {name: x}")
    with pytest.raises(InputError, match=r"wavegrad.yaml, line [12], column .*: not valid YAML"):
        load_experiment(tmp_path, "wavegrad", [], config_class)


def test_a_saved_experiment_comes_back_equal(tmp_path: Path) -> None:
    experiment = made({"train": {"loggers": ["wandb"]}, "model": {"factors": [4, 4, 4, 2, 2]}})
    save_experiment(experiment, tmp_path / "config.yaml")
    assert load_experiment_file(tmp_path / "config.yaml", config_class) == experiment


def test_flat_keys_are_those_of_the_command_line() -> None:
    flat = flatten(to_dict(made()))
    assert flat["mel.hop_length"] == 256 and flat["model.name"] == "wavegrad"


@pytest.mark.parametrize("conf", sorted(RECIPES.glob("*/conf/*.yaml")), ids=str)
def test_every_recipes_config_is_valid(conf: Path) -> None:
    experiment = load_experiment(conf.parents[1], conf.stem, [], config_class)
    assert experiment.corpus.name


def test_hop_rate_window_and_bands_change_by_config_alone() -> None:
    import torch

    from wg.models import build_network

    changed = {
        "mel": {
            "sample_rate": 16000,
            "n_fft": 800,
            "win_length": 800,
            "hop_length": 200,
            "n_mels": 40,
        },
        "train": {"segment_samples": 2000},
        "model": {
            "mel_channels": 8,
            "up_channels": [8, 8, 8, 4, 4],
            "wave_channels": 4,
            "down_channels": [4, 4, 8, 8],
        },
    }
    experiment = made(changed)
    network = build_network(experiment.model, experiment.mel)
    cond = network.condition({"mel": torch.zeros(1, 40, 10)})  # pyright: ignore
    eps = network.denoise(torch.zeros(1, 2000), torch.tensor([0.5]), cond)  # pyright: ignore
    assert eps.shape == (1, 2000)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "seed", -1),
        ("train", "seed", 2**70),
        ("train", "learning_rate", float("nan")),
        ("train", "learning_rate", float("inf")),
        ("train", "learning_rate", 0),
        ("train", "betas", [0.9, 1.5]),
        ("train", "weight_decay", -0.1),
        ("train", "clip_norm", float("nan")),
        ("train", "final_rate", 2.0),
        ("train", "max_loss", float("nan")),
        ("train", "ema", 1.0),
        ("train", "batch_size", 10**9),
        ("train", "workers", 10**6),
        ("train", "processes", 10**6),
        ("decode", "clip", float("nan")),
        ("decode", "batch_size", 10**9),
        ("aligner", "prior", float("inf")),
        ("diffusion", "steps", 10**9),
        ("mel", "n_fft", 2**40),
        ("mel", "sample_rate", 99_999_999),
        ("model", "mel_channels", 10**9),
        ("model", "level_scale", float("nan")),
    ],
)
def test_a_number_out_of_bounds_is_refused_before_anything_is_done(
    section: str, key: str, value: object
) -> None:
    with pytest.raises(InputError, match=rf"{section}\.{key}"):
        made({section: {key: value}})


def test_the_same_bounds_hold_for_config_json_and_python() -> None:
    with pytest.raises(InputError, match="model.channels is 1000000; give at least 1, at most"):
        config_class("diffwave")(channels=10**6)
    with pytest.raises(InputError, match="model.layers is 2.5; give an integer"):
        config_class("diffwave")(layers=2.5)
    with pytest.raises(InputError, match="model.layers is '30'; give an integer"):
        config_class("diffwave")(layers="30")


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${train.seed}", "a${x}b"])
def test_a_configuration_reads_neither_the_environment_nor_other_keys(text: str) -> None:
    with pytest.raises(InputError, match=r"corpus.url is .*write the value, not a reference"):
        made({"corpus": {"url": text}})
    with pytest.raises(InputError, match=r"corpus.train is .*not a reference"):
        made({"corpus": {"train": ["a", text]}})


def test_a_nested_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match=f"{path}: not valid YAML"):
        load_experiment_file(path, config_class)
