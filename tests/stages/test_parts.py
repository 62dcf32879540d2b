"""Stages shared by jobs of an array: the same bytes for any number; what lacks is named."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_recipe import TinyRecipe

from wg.models import REGISTRY
from wg.processes import kept
from wg.processes.kept import Kept
from wg.processes.launch import as_part
from wg.stages import decode
from wg.stages.loop import STAGES

HAVING = [stage.name for stage in STAGES if stage.parts]
SMALL = ("features.shard=2", "decode.batch_size=1")


def run_parts(recipe: TinyRecipe, stage: str, count: int, *further: str) -> None:
    """All parts of a stage, the last one first."""
    only = ("--stage", stage, "--stop-stage", stage, *SMALL, *further)
    for number in range(count, 0, -1):
        outcome = recipe.run(*only, "--part", f"{number}/{count}")
        assert outcome.code == 0 and f"part {number}/{count} is done" in outcome.out, outcome


def written(recipe: TinyRecipe) -> dict[str, bytes]:
    """What the stages that have parts have written, without times and timings."""
    found = {}
    for path in sorted(recipe.work.rglob("*")):
        name = path.relative_to(recipe.work).as_posix()
        if path.suffix in (".wav", ".safetensors", ".jsonl") or path.name == "scores.json":
            found[name] = path.read_bytes()
        elif path.suffix == ".gz":
            found[name] = gzip.decompress(path.read_bytes())
        elif path.parent.parent.name == "decode" and path.suffix == ".json":
            made = json.loads(path.read_bytes())
            if "stage" not in path.name:
                timeless = {k: v for k, v in made.items() if k not in ("seconds", "rtf")}
                found[name] = json.dumps(timeless).encode()
    return found


def in_parts(recipe: TinyRecipe, root: Path, count: int) -> dict[str, bytes]:
    """All stages of a recipe, those that can be in so many parts."""
    apart = TinyRecipe(root, recipe.corpus)
    recipe.copy_recipe(root)
    for stage in ("prepare", "features"):
        run_parts(apart, stage, count)
    assert apart.run("--stage", "phonemes", "--stop-stage", "train", *SMALL).code == 0
    for stage in ("decode", "score"):
        run_parts(apart, stage, count)
    outcome = apart.run("--stage", "pack", *SMALL)
    assert outcome.code == 0 and "stage 6 score: its parts are put together" in outcome.out
    assert not list(apart.work.rglob(".*.jsonl")), (
        "what parts leave goes when they are put together"
    )
    again = apart.run("--dry-run", *SMALL).decisions()
    assert set(again.values()) == {"skipped: up to date"}, again
    return written(apart)


def test_any_number_of_parts_makes_what_one_run_makes(recipe: TinyRecipe, tmp_path: Path) -> None:
    assert recipe.run(*SMALL).code == 0
    whole = written(recipe)
    assert sum(name.endswith(".wav") for name in whole) > 3 and "data/train.jsonl.gz" in whole
    assert sum("shard" in name for name in whole) == 6
    for count in (1, 3):
        assert in_parts(recipe, tmp_path / str(count), count) == whole


@pytest.fixture
def reading(recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch) -> TinyRecipe:
    """The tiny recipe, whose model reads text."""
    monkeypatch.setitem(REGISTRY, "wavegrad", replace(REGISTRY["wavegrad"], conditions="text"))
    return recipe


def test_any_number_of_parts_reads_texts_as_one_run(reading: TinyRecipe) -> None:
    quick = ("aligner.steps=4", "aligner.batch_size=2")
    assert reading.run("--stop-stage", "phonemes", *SMALL, *quick).code == 0
    folder = next((reading.work / "data" / "phonemes").iterdir())
    names = ("train.jsonl", "valid.jsonl", "test.jsonl", "oov.tsv")
    whole = [(folder / name).read_bytes() for name in names]
    for count in (1, 3):
        (folder / "stage-phonemes.json").unlink()
        (folder / "train.jsonl").unlink()
        run_parts(reading, "phonemes", count, *quick)
        assert not (folder / "train.jsonl").exists()
        assert reading.run("--stop-stage", "phonemes", *SMALL, *quick).code == 0
        assert [(folder / name).read_bytes() for name in names] == whole


@pytest.mark.parametrize("stage", HAVING)
def test_a_part_that_is_not_done_is_named_by_the_next_stage(done: TinyRecipe, stage: str) -> None:
    place = next(one for one in STAGES if one.name == stage)
    after = STAGES[STAGES.index(place) + 1].name
    for stamp in done.work.rglob(f"stage-{stage}.json"):
        stamp.unlink()
    only = ("--stage", stage, "--stop-stage", stage)
    for number in (1, 3):
        assert done.run(*only, "--part", f"{number}/3").code == 0
    line = done.run("--stage", after).complaint()
    assert "1 of its parts are not done" in line
    assert f"run --stage {stage} --stop-stage {stage} --part 2/3" in line
    assert done.run(*only, "--part", "2/3").code == 0
    outcome = done.run("--stage", after, "--stop-stage", after)
    assert outcome.code == 0 and f"{stage}: its parts are put together" in outcome.out


def test_what_is_no_part_is_refused(recipe: TinyRecipe) -> None:
    assert "--part '4/3'" in recipe.run("--part", "4/3").complaint()
    assert "--part '²/3'" in recipe.run("--part", "²/3").complaint()
    line = recipe.run("--part", "1/2").complaint()
    assert "--part: is of one stage, of prepare, features, phonemes, decode, score" in line
    only = ("--stage", "train", "--stop-stage", "train")
    assert "is of one stage, of" in recipe.run(*only, "--part", "1/2").complaint()
    assert not recipe.work.exists()


def test_a_killed_decoding_goes_on_where_it_was(
    done: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ("--stage", "decode", "--stop-stage", "decode", "decode.batch_size=1", "decode.seed=5")
    write, wrote = decode.write, []

    def until_two(*arguments: object) -> None:
        if len(wrote) == 2:
            raise KeyboardInterrupt
        wrote.append(arguments)
        write(*arguments)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(decode, "write", until_two)
        patch.setattr(kept, "OFTEN_S", -1.0)
        assert done.run(*again).code == 130
    first = {path.name: path.stat().st_mtime_ns for path in done.decoded.glob("*.wav")}
    (done.decoded / "tone-10.wav").unlink()
    outcome = done.run(*again)
    assert outcome.code == 0 and ": 2 utterances" in outcome.out
    assert first["tone-09.wav"] == (done.decoded / "tone-09.wav").stat().st_mtime_ns
    assert not list(done.exp.rglob(".*.jsonl"))


def test_what_is_kept_survives_half_a_line_and_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "OFTEN_S", -1.0)
    items = {name: name for name in "abcdef"}
    made: list[str] = []

    def double(names: Sequence[str]) -> list[str]:
        made.extend(names)
        return [2 * name for name in names]

    stem = tmp_path / ".output.stage"
    with as_part("2/3"):
        part = Kept(stem, "key")
        assert part.of(items, double) == {"b": "bb", "e": "ee"}
        part.end_part({"told": 1})
        assert part.path is not None
        with part.path.open("a") as file:
            file.write('["half a li')
    assert Kept(stem, "other").missing() is None and part.parts() == {}
    with as_part("2/3"):
        assert part.of(items, double) == {"b": "bb", "e": "ee"} and made == ["b", "e"]
        part.end_part({"told": 2})
    assert part.parts() == {"2/3": {"told": 2}} and part.missing() == ["1/3", "3/3"]
    whole = Kept(stem, "key")
    assert whole.of(items, double) == {name: 2 * name for name in items}
    assert made == ["b", "e", "a", "c", "d", "f"]
    assert Kept(stem, "key").of(items, double, lambda name: name != "c")["c"] == "cc"
    assert made[6:] == ["c"]
    whole.forget()
    assert not list(tmp_path.iterdir())
