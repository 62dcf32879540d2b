"""`wg schedule search`: found, stored, used, gone on with, and refused where it is worthless."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_recipe import Outcome, TinyRecipe, wg

from wg.diffusion.process import DiffusionConfig
from wg.diffusion.search import starts
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.tuning.search import rivals_of

FEW = ("--steps", "3", "--utterances", "1", "--held-out", "2", "--evaluations", "40")


def search(run: TinyRecipe, *options: str, split: str = "test") -> Outcome:
    places = ("--vocoder", str(run.exp / "vocoder"), "--features", str(run.dump / split))
    return wg("schedule", "search", *places, "--jobs", "1", *options)


@pytest.fixture(scope="module")
def searched(
    finished: tuple[TinyRecipe, Outcome], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TinyRecipe, Outcome]:
    run = finished[0].copy(tmp_path_factory.mktemp("searched"))
    return run, search(run, *FEW)


def log_of(run: TinyRecipe) -> Path:
    return run.exp / "vocoder" / "search-3-ancestral.jsonl"


def found_in(run: TinyRecipe) -> dict:
    (found,) = json.loads((run.exp / "vocoder" / "config.json").read_text())["history"]["found"]
    return found


def test_what_is_found_is_better_on_held_out_clips_and_the_default(
    searched: tuple[TinyRecipe, Outcome], tmp_path: Path
) -> None:
    run, outcome = searched
    assert outcome.code == 0, outcome
    found = found_in(run)
    assert found["score"] < found["before"] and found["best_known"] in outcome.out
    rows = [json.loads(line) for line in log_of(run).read_text().splitlines()[1:]]
    assert 20 < len(rows) <= 40
    best = min((row for row in rows if row["loss"] is not None), key=lambda row: row["loss"])
    assert best["levels"] == found["levels"] and len(found["levels"]) == 4
    vocoder = Vocoder.from_pretrained(run.exp / "vocoder")
    assert vocoder.levels(SamplingConfig("3")).tolist() == found["levels"]
    for written in ("+3", " 3", "03"):
        assert vocoder.levels(SamplingConfig(written)).tolist() == found["levels"]
    assert vocoder.levels(SamplingConfig("3", "ddim")).tolist() != found["levels"]
    assert vocoder.levels(SamplingConfig("2")).tolist() != found["levels"][:3]
    vocoder.save_pretrained(tmp_path / "again", "card")
    again = Vocoder.from_pretrained(tmp_path / "again")
    assert again.levels(SamplingConfig("3")).tolist() == found["levels"]


def test_the_comparison_is_with_the_best_known_on_clips_that_were_not_searched_on(
    searched: tuple[TinyRecipe, Outcome],
) -> None:
    run, outcome = searched
    content = json.loads((run.exp / "vocoder" / "schedule-3-ancestral.json").read_text())
    head = json.loads(log_of(run).read_text().splitlines()[0])
    assert len(content["clips"]) == 2 and not set(content["clips"]) & set(head["clips"])
    compared = content["compared"]
    assert set(compared) == {"3", "quantiles-3"}, "nothing published has 3 steps"
    best = min(compared, key=lambda label: compared[label]["score"])
    assert (content["best_known"], content["before"]) == (best, compared[best]["score"])
    for label, row in compared.items():
        mean, low, high = row["difference"]
        assert mean == pytest.approx(content["score"] - row["score"]) and low <= mean <= high
        assert f"  {label} " in outcome.out
    assert outcome.out.count("found - this: ") == 2


def test_rivals_are_what_a_user_can_name_each_once() -> None:
    known = starts(6, DiffusionConfig(), "ancestral")
    assert "ivanvovk-12, resampled" in known and "priorgrad-6" in known
    found = tuple(known["ivanvovk-12, resampled"].tolist())
    rivals = rivals_of(known, tuple(known["6"].tolist()), found)
    published = ["ivanvovk-6", "diffwave-fast-base", "diffwave-fast-large"]
    assert list(rivals) == ["6", "quantiles-6", *published], "priorgrad-6 is diffwave-fast-base"
    stored = tuple(known["ivanvovk-7, resampled"].tolist())
    assert rivals_of(known, stored, found)["found before"] == stored
    assert "found before" not in rivals_of(known, found, found)


def test_vocode_and_recipes_use_it(searched: tuple[TinyRecipe, Outcome], tmp_path: Path) -> None:
    run, _ = searched
    source, vocoder = run.corpus / "wavs" / "tone-09.wav", run.exp / "vocoder"
    arguments = (str(source), "-o", str(tmp_path / "a.wav"), "--vocoder", str(vocoder))
    assert wg("vocode", *arguments, "--steps", "3").code == 0
    levels = found_in(run)["levels"]
    assert json.loads((tmp_path / "a.json").read_text())["levels"] == levels
    file = vocoder / "schedule-3-ancestral.json"
    chosen = (f"decode.schedule={file}", "decode.limit=1", "--stop-stage", "decode")
    copy = run.copy(tmp_path)
    assert copy.run(*chosen).code == 0
    made = copy.exp / "decode" / "schedule-3-ancestral" / "tone-09.json"
    assert json.loads(made.read_text())["levels"] == levels


def test_packing_the_same_weights_again_keeps_it(
    searched: tuple[TinyRecipe, Outcome], tmp_path: Path
) -> None:
    copy = searched[0].copy(tmp_path)
    (copy.exp / "stage-pack.json").unlink()
    assert copy.run("--stage", "pack").code == 0
    assert found_in(copy) == found_in(searched[0])


def test_an_interrupted_search_ends_as_one_that_was_not_over_any_processes(
    searched: tuple[TinyRecipe, Outcome], tmp_path: Path
) -> None:
    copy = searched[0].copy(tmp_path)
    rows = log_of(copy).read_text().splitlines(keepends=True)
    log_of(copy).write_text("".join(rows[:20]) + rows[20][:30])
    outcome = search(copy, *FEW, "--jobs", "2")
    assert "going on from 19 evaluations" in outcome.out
    assert found_in(copy) == found_in(searched[0])
    assert log_of(copy).read_text() == "".join(rows)


def test_other_settings_begin_anew(searched: tuple[TinyRecipe, Outcome], tmp_path: Path) -> None:
    copy = searched[0].copy(tmp_path)
    outcome = search(copy, *FEW[:-1], "15", "--seed", "3")
    assert outcome.code == 0 and "going on" not in outcome.out
    assert len(log_of(copy).read_text().splitlines()) <= 16


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "steps": (("--steps", "0"), "--steps 0: give at least 1"),
    "negative": (("--steps", "-3"), "--steps -3: give at least 1"),
    "huge": (("--steps", "5000"), "--steps 5000: give at most 1000"),
    "sampler": (("--steps", "3", "--sampler", "dimm"), "sampler 'dimm' is unknown"),
    "metric": (("--steps", "3", "--metric", "ls_mes"), "did you mean 'ls_mse'"),
    "signed": (("--steps", "3", "--metric", "delay_ms"), "metric 'delay_ms' cannot be sought by"),
    "clips": (("--steps", "3"), "3 utterances, fewer than --utterances 4 and --held-out 8"),
    "budget": (("--steps", "3", "--evaluations", "0"), "--evaluations 0: give at least 1"),
    "jobs": (("--steps", "3", "--jobs", "0"), "--jobs 0: give at least 1"),
    "nan": ((*FEW, "--metric", "pesq_wb"), "pesq_wb is undefined on this clip"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_search_that_cannot_be_is_one_line(
    finished: tuple[TinyRecipe, Outcome], tmp_path: Path, name: str
) -> None:
    options, message = BAD[name]
    copy = finished[0].copy(tmp_path)
    before = (copy.exp / "vocoder" / "config.json").read_bytes()
    assert message in search(copy, *options).complaint()
    assert (copy.exp / "vocoder" / "config.json").read_bytes() == before


def test_weights_without_a_record_of_training_are_refused(
    finished: tuple[TinyRecipe, Outcome], tmp_path: Path
) -> None:
    copy = finished[0].copy(tmp_path)
    path = copy.exp / "vocoder" / "config.json"
    config = json.loads(path.read_text())
    assert config["history"]["steps"] > 0
    for history in ({"steps": 0, "checkpoint": "", "found": []}, None):
        changed = {key: value for key, value in config.items() if key != "history"}
        path.write_text(json.dumps(changed | ({"history": history} if history else {})))
        assert "no record of training in config.json" in search(copy, *FEW).complaint()


def test_features_are_found_beside_the_vocoder_or_asked_for(
    finished: tuple[TinyRecipe, Outcome], tmp_path: Path
) -> None:
    vocoder = finished[0].exp / "vocoder"
    outcome = wg("schedule", "search", "--vocoder", str(vocoder), "--steps", "3")
    assert f"{finished[0].dump / 'valid'}: 2 utterances, fewer than" in outcome.complaint()
    moved = finished[0].copy(tmp_path).exp / "vocoder"
    moved.rename(tmp_path / "moved")
    outcome = wg("schedule", "search", "--vocoder", str(tmp_path / "moved"), "--steps", "3")
    assert "give --features dump/FEATURES/valid" in outcome.complaint()
    assert "wg schedule search --help" in wg("schedule").complaint()
