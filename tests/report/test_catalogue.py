"""The catalogue agrees with the tree and with README.md; measurements get into it unharmed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from wg.commands.egs import egs, read
from wg.config import load_experiment
from wg.errors import InputError
from wg.models import config_class
from wg.processes.devices import Devices
from wg.report.catalogue import (
    CatalogueEntry,
    Measured,
    Statistics,
    disagreements,
    read_catalogue,
    unlisted,
)
from wg.report.results import replace_block, results_block, summary_block
from wg.stages.loop import BY_NAME
from wg.stages.stage import write_stamp
from wg.tasks.context import Context

ROOT = Path(__file__).resolve().parents[2]
STAGES = tuple(BY_NAME)
MEAN = {"mean": 12.3456789, "median": 12.0, "low": 11.5, "high": 13.25, "count": 2, "undefined": 0}
ALONE = {"mean": 3.0, "median": 3.0, "low": None, "high": None, "count": 1, "undefined": 1}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the catalogue speaks of, with nothing measured in it."""
    root = tmp_path / "checkout"
    for path in ROOT.glob("recipes/*/conf/*.yaml"):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in ROOT.glob("recipes/*/corpus.yaml"):
        shutil.copy(path, root / path.relative_to(ROOT))
    rows = [
        f"- recipe: {entry.recipe}\n  experiment: {entry.experiment}\n  corpus: {entry.corpus}\n"
        f"  model: {entry.model}\n  config: {entry.config}\n"
        f"  stages: [{', '.join(entry.stages)}]\n  schedules: {json.dumps(entry.schedules)}\n"
        f"  measured: []  # of {entry.name}\n"
        for entry in read_catalogue(ROOT / "egs.yaml")
    ]
    (root / "egs.yaml").write_text("# The catalogue.\nexperiments:\n" + "\n".join(rows), "utf-8")
    (root / "docs").mkdir()
    for page in ("README.md", "docs/results.md"):
        (root / page).write_text("top\n<!-- results: begin -->\n<!-- results: end -->\nend\n")
    return root


def finished_run(root: Path, work: Path, overrides: Sequence[str] = ()) -> Path:
    """The decode folder of a mini run, with the files that stages 4 to 6 leave."""
    recipe = root / "recipes" / "mini"
    experiment = load_experiment(recipe, "wavegrad", overrides, config_class)
    context = Context(recipe, work, "wavegrad", experiment, Devices(), jobs=1)
    results = {
        "train": {},
        "decode": {"utterances": ["a", "b"], "rtf": 0.123456, "device": "2 CPU threads"},
        "score": {},
    }
    for name, result in results.items():
        stage = BY_NAME[name]
        inputs = {before: f"digest of {before}" for before in stage.needs}
        content = {"settings": stage.settings(context), "inputs": inputs, "result": result}
        write_stamp(stage.stamp_path(context), {**content, "digest": f"digest of {name}"})
    means = {"wg": {"ls_mse": MEAN, "pesq_wb": ALONE}, "noise": {"ls_mse": MEAN, "pesq_wb": ALONE}}
    (context.decoded / "scores.json").write_text(json.dumps({"means": means}))
    (context.decoded / "a.json").write_text(json.dumps({"checkpoint": "step-7-loss-0.1.ckpt"}))
    return context.decoded


def record(root: Path, decoded: Path, command: str, *more: str) -> None:
    egs(["record", str(decoded), "--root", str(root), "--command", command, *more])


def test_every_row_and_every_configuration_file_agree() -> None:
    entries = read_catalogue(ROOT / "egs.yaml")
    assert disagreements(entries, ROOT, STAGES) == []
    assert unlisted(entries, ROOT) == []


def test_readme_shows_the_catalogue_as_it_is() -> None:
    entries = read_catalogue(ROOT / "egs.yaml")
    for page, block in (("README.md", summary_block), ("docs/results.md", results_block)):
        text = (ROOT / page).read_text("utf-8")
        assert replace_block(text, "results", block(entries)) == text, "run `wg egs --readme`"
    summary = summary_block(entries)
    assert max(line.count("|") - 1 for line in summary.splitlines()) == 7


def test_every_disagreement_is_found(checkout: Path) -> None:
    (checkout / "recipes" / "kerstin" / "conf" / "wavegrad.yaml").unlink()
    path = checkout / "egs.yaml"
    text = path.read_text("utf-8")
    text = text.replace("corpus: libritts\n", "corpus: libri\n", 1)
    text = text.replace('["diffwave-fast-base", "quantiles-50"]', "[diffwave-fast-base]", 1)
    text = text.replace("[prepare, features,", "[features, prepare,", 1)
    text = text.replace(
        "  measured: []  # of ljspeech/wavegrad\n",
        "  published: [{what: MOS, value: 4, source: ' '}]\n"
        "  measured: [{command: '', date: yesterday, hardware: x, schedule: 6-steps,\n"
        "    utterances: 1, rtf: 1, scores: {griffin: {nicety: {mean: 1}}}}]\n",
    )
    path.write_text(text, "utf-8")
    found = disagreements(read_catalogue(path), checkout, STAGES)
    expected = [
        "mini/wavegrad: stages ['features', 'prepare', ",
        "ljspeech/wavegrad: 'MOS' is published without source",
        "ljspeech/wavegrad, measured 6-steps: command is empty",
        "ljspeech/wavegrad, measured 6-steps: date is 'yesterday'; write YYYY-MM-DD",
        "ljspeech/wavegrad, measured 6-steps: there is no metric 'nicety'",
        "ljspeech/wavegrad, measured 6-steps: scores has no system 'wg'",
        "libritts/wavegrad: corpus is libri; the recipe has libritts",
        "kerstin/wavegrad: there is no recipes/kerstin/conf/wavegrad.yaml; remove the row",
        "ljspeech/diffwave: schedules is ['diffwave-fast-base']; the recipe has ['diffwave-fast-",
    ]
    assert len(found) == len(expected), found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


def test_a_recipe_of_ones_own_is_a_notice(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(checkout / "recipes" / "kerstin", checkout / "recipes" / "myvoice")
    egs(["--root", str(checkout)])
    assert "myvoice/wavegrad; only what has a row" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  model: wavegrad\n",
            "  modelx: wavegrad\n",
            "unknown key 'modelx'; did you mean 'model'",
        ),
        ("  model: wavegrad\n", "", "mini/wavegrad: key 'model' is missing"),
        ("  model: wavegrad\n", "  model: 3\n", "mini/wavegrad, model is 3; write text"),
        ("[prepare, features", "[{a: 1}, features", "stages, item 1 is {'a': 1}; write text"),
        ("  measured: []", "  measured: {}", "measured is {}; write a list"),
        ("  measured: []", "  measured: [1]", "measured, item 1 is 1; write keys with values"),
        ("experiments:", "rows:", "it has one, 'experiments'"),
        ("experiments:", "experiments: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_catalogue_is_named(
    checkout: Path, old: str, new: str, message: str
) -> None:
    path = checkout / "egs.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(InputError) as error:
        read_catalogue(path)
    assert message in str(error.value)


def test_a_recorded_run_stands_in_the_catalogue_and_in_the_readme(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checkout / "egs.yaml").read_text("utf-8")
    plain = ["decode.schedule=9", "decode.consistency.iterations=0"]
    decoded = finished_run(checkout, tmp_path, plain)
    command = f"recipes/mini/run.sh {' '.join(plain)}"
    record(checkout, decoded, command, "--note", "a note: with a colon")
    after = (checkout / "egs.yaml").read_text("utf-8")
    kept = [line for line in before.splitlines() if line != "  measured: []  # of mini/wavegrad"]
    rest = iter(after.splitlines())
    assert all(line in rest for line in kept), "every other line stays, in its order"
    (row,) = read(checkout)[0].measured
    assert (row.command, row.note) == (command, "a note: with a colon")
    assert (row.utterances, row.rtf, row.schedule) == (2, 0.12346, "9-steps")
    assert (row.hardware, row.checkpoint) == ("2 CPU threads", "step-7-loss-0.1.ckpt")
    assert row.scores["wg"]["ls_mse"] == Statistics(12.346, 11.5, 13.25)
    assert row.scores["noise"]["pesq_wb"] == Statistics(3.0, None, None, 1)
    capsys.readouterr()
    egs(["--readme", "--root", str(checkout)])
    egs(["--readme", "--root", str(checkout)])
    assert (
        capsys.readouterr().out
        == "README.md, docs/results.md: updated\nREADME.md, docs/results.md: unchanged\n"
    )
    summary = (checkout / "README.md").read_text("utf-8")
    assert "| mini/wavegrad | 9-steps | wg | 3 (1 undefined) |  | 12.35 ± 0.88 | 0.123 |" in summary
    assert "|  |  | noise | 3 (1 undefined) |" in summary and command not in summary
    readme = (checkout / "docs" / "results.md").read_text("utf-8")
    assert "| 1 | mini/wavegrad | 9-steps | wg | 12.35 ± 0.88 | 3 (1 undefined) | 0.123 |" in readme
    assert "|  |  |  | noise | 12.35 ± 0.88 |" in readme
    assert f"`{command}` (a note: with a colon)" in readme
    assert readme.startswith("top\n") and readme.endswith("\nend\n")


def test_a_second_measurement_follows_the_first_and_the_latest_is_shown(
    checkout: Path, tmp_path: Path
) -> None:
    decoded = finished_run(checkout, tmp_path)
    path = checkout / "egs.yaml"
    text = path.read_text("utf-8").replace(
        "\n- recipe: ljspeech", "\n# A remark.\n- recipe: ljspeech", 1
    )
    path.write_text(text, "utf-8")
    record(checkout, decoded, "recipes/mini/run.sh")
    record(checkout, decoded, "recipes/mini/run.sh", "--hardware", "another machine")
    first, *others = read(checkout)
    assert [row.hardware for row in first.measured] == ["2 CPU threads", "another machine"]
    assert [row.hardware for row in first.latest] == ["another machine"]
    assert not any(entry.measured for entry in others)
    assert path.read_text("utf-8").count("\n# A remark.\n- recipe: ljspeech") == 1


def test_a_command_that_does_not_give_the_run_is_refused(checkout: Path, tmp_path: Path) -> None:
    before = (checkout / "egs.yaml").read_text("utf-8")
    decoded = finished_run(checkout, tmp_path, ["train.max_steps=500", "decode.seed=3"])
    for command, message in (
        ("recipes/mini/run.sh decode.seed=3", "train.max_steps: "),
        ("recipes/mini/run.sh train.max_steps=500", "decode.seed: 0 -> 3"),
        ("recipes/mini/run.sh --model=other", "names the model other"),
        ("recipes/mini/run.sh 'decode.seed=3", "not a command line"),
    ):
        with pytest.raises(InputError) as error:
            record(checkout, decoded, command)
        assert message in str(error.value)
    assert (checkout / "egs.yaml").read_text("utf-8") == before
    record(checkout, decoded, "cd recipes/mini && ./run.sh train.max_steps=500 decode.seed=3")


def test_scores_of_an_older_decode_are_refused(checkout: Path, tmp_path: Path) -> None:
    decoded = finished_run(checkout, tmp_path)
    stamp = json.loads((decoded / "stage-decode.json").read_text())
    write_stamp(decoded / "stage-decode.json", {**stamp, "digest": "of a later one"})
    with pytest.raises(InputError, match="decode was redone after score; run stage 6"):
        record(checkout, decoded, "recipes/mini/run.sh")


def write_cell(folder: Path, kind: str, **changed: object) -> Path:
    content = {
        "cell": {"corpus": "kerstin", "vocoder": folder.name.split("-")[0]},
        "system": folder.name.replace("-", " ", 1),
        "kind": kind,
        "state": "done",
        "environment": {"date": "2026-11-20", "device": "a CPU, 1 thread", "commit": "abc1234"},
        "utterances": {"u1": {}, "u2": {}},
        "means": {"ls_mse": MEAN, "pesq_wb": ALONE},
        "cost": {"rtf": {"p50": 0.123456}},
    }
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps({**content, **changed}))
    return folder


def test_a_cell_of_a_benchmark_is_recorded_with_the_floors_of_its_corpus(
    checkout: Path, tmp_path: Path
) -> None:
    cells = tmp_path / "cells" / "kerstin"
    write_cell(cells / "world", "world")
    write_cell(cells / "vocos", "external")
    write_cell(cells / "griffin", "griffin-lim", state="failed")
    folder = write_cell(cells / "ours-6-steps", "wg")
    record(checkout, folder, "wg bench b.yaml -o out", "--experiment", "mini/wavegrad")
    (row,) = read(checkout)[0].measured
    assert (row.command, row.date, row.commit) == (
        "wg bench b.yaml -o out",
        "2026-11-20",
        "abc1234",
    )
    assert (row.schedule, row.rtf, row.utterances) == ("6-steps, kerstin", 0.12346, 2)
    assert list(row.scores) == ["wg", "world"]
    assert row.scores["wg"]["ls_mse"] == Statistics(12.346, 11.5, 13.25)


def test_a_cell_that_cannot_stand_in_the_catalogue_is_refused(
    checkout: Path, tmp_path: Path
) -> None:
    good = write_cell(tmp_path / "cells" / "c" / "ours", "wg")
    command, of_mini = "wg bench b.yaml", ("--experiment", "mini/wavegrad")
    with pytest.raises(InputError, match="--experiment mini/wavegard: did you mean"):
        record(checkout, good, command, "--experiment", "mini/wavegard")
    with pytest.raises(InputError, match="a cell is made by wg bench"):
        record(checkout, good, "recipes/mini/run.sh", *of_mini)
    floor = write_cell(tmp_path / "cells" / "c" / "world", "world")
    with pytest.raises(InputError, match="a cell of kind world that is done"):
        record(checkout, floor, command, *of_mini)
    failed = write_cell(tmp_path / "cells" / "d" / "ours", "wg", state="failed")
    with pytest.raises(InputError, match="a cell of kind wg that is failed"):
        record(checkout, failed, command, *of_mini)


def test_a_folder_that_is_no_finished_run_is_refused(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stage-train.json: no such file; give a folder exp/"):
        record(checkout, tmp_path / "exp" / "mini-wavegrad" / "decode" / "x", "recipes/mini/run.sh")
    decoded = finished_run(checkout, tmp_path)
    moved = decoded.parents[1].rename(decoded.parents[2] / "elsewhere")
    with pytest.raises(InputError, match="elsewhere is no experiment of the catalogue"):
        record(checkout, moved / "decode" / decoded.name, "recipes/mini/run.sh")


def test_the_list_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    egs([])
    printed = capsys.readouterr().out
    for path in ROOT.glob("recipes/*/conf/*.yaml"):
        assert f"{path.parents[1].name}/{path.stem}" in printed


def test_metrics_that_one_row_lacks_leave_its_cell_empty() -> None:
    def measured(schedule: str, **means: float) -> Measured:
        scores = {"wg": {name: Statistics(mean) for name, mean in means.items()}}
        return Measured("run.sh", "2026-01-01", "cpu", schedule, 1, 2.0, scores)

    row = CatalogueEntry(
        *("mini", "wavegrad", "mini", "wavegrad", "c", ()),
        measured=(measured("6-steps", stoi=0.5), measured("25-steps", ls_mse=7.0)),
    )
    block = results_block([row])
    assert "| 1 | mini/wavegrad | 6-steps | wg |  | 0.5 | 2 |" in block
    assert "| 2 | mini/wavegrad | 25-steps | wg | 7 |  | 2 |" in block
    assert "Not measured yet" not in block


def test_readme_shows_of_each_experiment_what_was_measured_last() -> None:
    def measured(schedule: str, date: str, commit: str) -> Measured:
        scores = {"wg": {"pesq_wb": Statistics(2.0)}}
        return Measured("run.sh", date, "cpu", schedule, 1, 2.0, scores, commit=commit)

    days = (("2026-01-02", "b"), ("2026-01-09", "a"), ("2026-01-09", "b"), ("2026-01-09", "b"))
    rows = tuple(measured(f"{n}-steps", *day) for n, day in enumerate(days))
    row = CatalogueEntry(*("mini", "wavegrad", "mini", "wavegrad", "c", ()), measured=rows)
    shown = [line.split("|")[2].strip() for line in summary_block([row]).splitlines()[4:]]
    assert shown == ["2-steps", "3-steps"]
    assert all(f"{n}-steps" in results_block([row]) for n in range(4))


def test_readme_shows_the_recordings_beside_what_no_floor_has() -> None:
    scores = {
        "wg": {"wer": Statistics(0.4), "mcd_dtw": Statistics(6.0)},
        "griffin-lim-1": {"mcd_dtw": Statistics(7.0)},
        "recording": {"wer": Statistics(0.1)},
    }
    item = Measured("run.sh", "2026-01-01", "cpu", "6-steps", 1, 2.0, scores)
    row = CatalogueEntry(*("mini", "wavegrad2", "mini", "wavegrad2", "c", ()), measured=(item,))
    shown = [line.split("|")[3:5] for line in summary_block([row]).splitlines()[4:]]
    assert shown == [[" wg ", " 0.4 "], [" recording ", " 0.1 "]]


def test_metrics_defined_nowhere_and_diagnostics_have_no_column() -> None:
    scores = {
        "wg": {"stoi": Statistics(0.5), "gpe": Statistics(None), "delay_ms": Statistics(1.0)},
        "noise": {"stoi": Statistics(None), "gpe": Statistics(None), "delay_ms": Statistics(None)},
    }
    item = Measured("run.sh", "2026-01-01", "cpu", "6-steps", 1, 2.0, scores)
    row = CatalogueEntry(*("mini", "wavegrad", "mini", "wavegrad", "c", ()), measured=(item,))
    lines = results_block([row]).splitlines()
    assert lines[0] == "|  | experiment | schedule | system | stoi ↑ | RTF ↓ |"
    assert lines[2:4] == [
        "| 1 | mini/wavegrad | 6-steps | wg | 0.5 | 2 |",
        "|  |  |  | noise | undefined |  |",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "no markers\n",
        "<!-- results: end -->\n<!-- results: begin -->\n",
        "<!-- results: begin -->\n<!-- results: begin -->\n<!-- results: end -->\n",
    ],
)
def test_a_readme_without_one_pair_of_markers_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="markers of 'results'"):
        replace_block(text, "results", "new")
