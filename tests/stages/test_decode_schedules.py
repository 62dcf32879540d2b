"""Several schedules in one run: decoded and scored apart, shown side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_recipe import Outcome, TinyRecipe

SEVERAL = "decode.schedules=[3,quantiles-4]"
FOLDERS = ("2-steps", "3-steps", "quantiles-4")


@pytest.fixture(scope="module")
def several(
    finished: tuple[TinyRecipe, Outcome], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TinyRecipe, Outcome]:
    """The finished recipe by two schedules more."""
    recipe = finished[0].copy(tmp_path_factory.mktemp("several"))
    return recipe, recipe.run("--stage", "train", SEVERAL)


def scores(recipe: TinyRecipe, folder: str) -> dict[str, Any]:
    return json.loads((recipe.exp / "decode" / folder / "scores.json").read_text())


def titles(outcome: Outcome, stage: str) -> list[str]:
    return [line for line in outcome.out.splitlines() if f" {stage}: " in line and "[" in line]


def test_each_schedule_is_decoded_and_scored_in_a_folder_of_its_own(
    several: tuple[TinyRecipe, Outcome],
) -> None:
    recipe, outcome = several
    assert outcome.code == 0, outcome
    assert sorted(path.name for path in (recipe.exp / "decode").iterdir()) == sorted(FOLDERS)
    for stage in ("decode", "score"):
        first, *others = titles(outcome, stage)
        # The run's own schedule was done before there were others, and stands.
        assert "2-steps [skipped: up to date]" in first
        for line, folder in zip(others, FOLDERS[1:], strict=True):
            assert f"{folder} [runs: " in line
    levels = json.loads((recipe.exp / "decode" / "quantiles-4" / "tone-09.json").read_text())
    assert len(levels["levels"]) == 5
    means = [scores(recipe, folder)["means"] for folder in FOLDERS]
    assert len({mean["wg"]["ls_mse"]["mean"] for mean in means}) == 3
    assert all(mean["noise"] == means[0]["noise"] for mean in means)


def test_the_page_and_the_card_show_them_side_by_side(
    several: tuple[TinyRecipe, Outcome],
) -> None:
    recipe, _ = several
    page = recipe.exp / "page"
    text = (page / "index.html").read_text()
    assert 'src="steps.png"' in text
    assert (page / "steps.png").read_bytes().startswith(b"\x89PNG")
    for system in ("recording", "wg", "3-steps", "quantiles-4"):
        assert (page / system / "tone-09.wav").is_file()
        assert f'data-system="{system}"' in text
    card = (recipe.exp / "vocoder" / "README.md").read_text()
    rows = [line.split(" | ")[0].lstrip("| ") for line in card.split("## Scores")[1].splitlines()]
    named = [row for row in rows if row in ("wg", *FOLDERS, "noise", "griffin-lim-1")]
    assert named == ["wg", "3-steps", "quantiles-4", "griffin-lim-1", "noise"]


def test_what_is_finished_stands_with_fewer_schedules_and_with_one_alone(
    several: tuple[TinyRecipe, Outcome],
) -> None:
    recipe, _ = several
    again = recipe.run("--stage", "train", SEVERAL)
    assert set(again.decisions().values()) == {"skipped: up to date"}
    # Asked for alone, whatever the configuration has besides; the order on the line is no matter.
    for given in (("decode.schedule=3",), ("decode.schedules=[3]", "decode.schedule=2")):
        fewer = recipe.run("--stage", "train", "--stop-stage", "score", *given)
        assert set(fewer.decisions().values()) == {"skipped: up to date"}, fewer
    conf = recipe.folder / "conf" / "wavegrad.yaml"
    conf.write_text(conf.read_text().replace('schedule: "2"', 'schedule: "2", schedules: [3]'))
    assert len(titles(recipe.run("--dry-run"), "decode")) == 2
    (alone,) = titles(recipe.run("--dry-run", "decode.schedule=2"), "decode")
    assert "[skipped: up to date]" in alone


def test_a_further_schedule_that_is_none_is_named_before_any_work(
    several: tuple[TinyRecipe, Outcome], tmp_path: Path
) -> None:
    recipe, _ = several
    line = recipe.run("decode.schedules=[ivanvovk-5]").complaint()
    assert "ivanvovk-5" in line and "ivanvovk-6" in line
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.json").write_text("[0.001, 0.01]")
    both = ",".join(str(tmp_path / folder / "mine.json") for folder in ("a", "b"))
    line = recipe.run(f"decode.schedules=[{both}]").complaint()
    assert "would both be written to mine" in line
