"""The stage loop: what runs, what is skipped and why, and what is refused before any work."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf
from tiny_recipe import Outcome, TinyRecipe, wg

from wg import __version__
from wg.inference.checkpoint import read_checkpoint
from wg.stages.loop import STAGES, number_of
from wg.stages.stage import changes

NAMES = ["prepare", "features", "phonemes", "train", "decode", "score", "pack"]
UP_TO_DATE = dict.fromkeys(NAMES, "skipped: up to date")


def files(recipe: TinyRecipe) -> set[str]:
    """Paths below the recipe, but for what Python keeps of a corpus' prepare.py."""
    found = {str(path.relative_to(recipe.root)) for path in recipe.root.rglob("*")}
    return {path for path in found if "__pycache__" not in path}


def test_all_stages_run_in_order_and_end_with_the_page_and_a_wav(
    finished: tuple[TinyRecipe, Outcome],
) -> None:
    recipe, outcome = finished
    assert outcome.decisions() == dict.fromkeys(NAMES, "runs: not done yet")
    assert outcome.err == ""
    for words in ("train: 6 utterances, 0.00119 h, 1 speaker", "step 8  validation loss"):
        assert words in outcome.out
    assert f"listening page  {recipe.exp / 'page' / 'index.html'}" in outcome.out
    assert f"a wav to play   {recipe.decoded / 'tone-09.wav'}" in outcome.out
    assert not list(recipe.root.rglob("*.tmp"))


def test_nothing_runs_twice(done: TinyRecipe) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.work.rglob("*")}
    assert done.run().decisions() == UP_TO_DATE
    assert {path: path.stat().st_mtime_ns for path in done.work.rglob("*")} == before


def test_a_changed_feature_says_so_and_redoes_all_that_comes_of_it(done: TinyRecipe) -> None:
    outcome = done.run("mel.fmax=3000", "--stop-stage", "decode")
    assert outcome.code == 0
    decisions = outcome.decisions()
    assert decisions["prepare"] == "skipped: up to date"
    assert decisions["features"] == "runs: not done yet"  # in a folder of their own
    assert decisions["train"] == "runs: features runs again"
    assert decisions["decode"].startswith("runs: ")
    assert "changed since this model was trained: mel.fmax: None -> 3000.0\n" in outcome.out
    assert done.exp.with_name("tiny-wavegrad.old-1").is_dir()
    # And the stages are as finished as before.
    again = done.run("mel.fmax=3000", "--stop-stage", "decode").decisions()
    assert set(again.values()) == {"skipped: up to date"}


def test_a_changed_decode_key_leaves_training_alone(done: TinyRecipe) -> None:
    outcome = done.run("decode.seed=7", "--dry-run")
    assert outcome.decisions() == UP_TO_DATE | {
        "decode": "runs: changed decode.seed: 0 -> 7",
        "score": "runs: decode runs again",
        "pack": "runs: score runs again",
    }


def test_a_schedule_has_a_folder_of_its_own_and_the_first_stays(done: TinyRecipe) -> None:
    assert done.run("decode.schedule=1", "--stop-stage", "decode").code == 0
    assert (done.exp / "decode" / "1-steps" / "tone-09.wav").is_file()
    assert done.run("--stop-stage", "score").decisions()["decode"] == "skipped: up to date"


def test_more_steps_go_on_from_the_last_checkpoint(done: TinyRecipe) -> None:
    outcome = done.run("train.max_steps=12", "--stop-stage", "train")
    assert outcome.decisions()["train"] == "runs: changed train.max_steps: 8 -> 12"
    assert f"resuming from {done.exp / 'checkpoints' / 'last.ckpt'}" in outcome.out
    assert "step 9/12" in outcome.out and "step 8/12" not in outcome.out
    assert read_checkpoint(done.exp / "checkpoints" / "last.ckpt")["global_step"] == 12
    assert not done.exp.with_name("tiny-wavegrad.old-1").exists()


def test_another_model_starts_anew_and_the_old_run_is_kept(done: TinyRecipe) -> None:
    weights = (done.exp / "checkpoints" / "last.ckpt").read_bytes()
    outcome = done.run("model.dilations=lmnt", "--stop-stage", "train")
    aside = done.exp.with_name("tiny-wavegrad.old-1")
    assert outcome.decisions()["train"] == "runs: changed model.dilations: paper -> lmnt"
    assert f"model.dilations: paper -> lmnt\nthe run before is kept in {aside}" in outcome.out
    assert "resuming" not in outcome.out
    assert (aside / "checkpoints" / "last.ckpt").read_bytes() == weights
    assert set(done.run("model.dilations=lmnt", "--stop-stage", "train").decisions().values()) == {
        "skipped: up to date"
    }
    assert "--restart to train anew" in done.run("--stop-stage", "train").complaint()
    assert done.run("--stop-stage", "train", "--restart").code == 0
    assert done.exp.with_name("tiny-wavegrad.old-2").is_dir()


def test_a_key_that_changes_no_result_runs_nothing(done: TinyRecipe) -> None:
    changed = ("train.workers=1", "train.log_every=3", "corpus.url=elsewhere")
    assert done.run(*changed, "--dry-run").decisions() == UP_TO_DATE


def test_a_clip_that_is_added_reaches_every_later_stage(recipe: TinyRecipe) -> None:
    assert recipe.run("--stop-stage", "train", "train.max_steps=1").code == 0
    (recipe.work / "data" / "stage-prepare.json").unlink()  # the way to force a stage
    metadata = recipe.corpus / "metadata.csv"
    metadata.write_text(metadata.read_text() + "tone-12|One more.\n")
    (recipe.corpus / "wavs" / "tone-12.wav").write_bytes(
        (recipe.corpus / "wavs" / "tone-01.wav").read_bytes()
    )
    assert "train: 7 utterances" in recipe.run("--stop-stage", "prepare").out
    outcome = recipe.run("--dry-run", "train.max_steps=1")
    assert outcome.decisions()["features"] == "runs: changed prepare was redone"
    assert outcome.decisions()["train"] == "runs: features runs again"
    recipe.run("--stage", "features", "--stop-stage", "features")
    decisions = recipe.run("--dry-run", "train.max_steps=1").decisions()
    assert decisions["train"] == "runs: changed features was redone"


def test_a_dry_run_says_everything_and_writes_nothing(recipe: TinyRecipe) -> None:
    before = files(recipe)
    outcome = recipe.run("--dry-run")
    assert outcome.code == 0 and files(recipe) == before
    assert outcome.decisions()["prepare"] == "runs: not done yet"
    assert len(outcome.decisions()) == 7


def test_names_stand_for_numbers() -> None:
    assert [stage.name for stage in STAGES] == NAMES
    assert [number_of(name) for name in NAMES] == [number_of(str(n)) for n in range(1, 8)]


def test_one_stage_by_its_name(done: TinyRecipe) -> None:
    outcome = done.run("--stage", "decode", "--stop-stage", "5")
    assert outcome.decisions() == {"decode": "skipped: up to date"}


@pytest.mark.parametrize(
    ("stage", "needs"), [("2", "1 (prepare)"), ("4", "2 (features)"), ("decode", "4 (train)")]
)
def test_a_stage_that_comes_too_early_names_the_one_to_run(
    recipe: TinyRecipe, stage: str, needs: str
) -> None:
    before = files(recipe)
    line = recipe.run("--stage", stage, "--stop-stage", stage).complaint()
    assert f"needs stage {needs}, which has not finished; run --stage {needs[0]} first" in line
    assert files(recipe) == before


MISTAKES = {
    "stage": (["--stage", "tarin"], "stage 'tarin' is unknown; did you mean 'train'?"),
    "stage number": (["--stage", "8"], "stage '8' is unknown; .*1 to 7"),
    "stop stage": (["--stop-stage", "0"], "stage '0' is unknown"),
    "order": (
        ["--stage", "5", "--stop-stage", "train"],
        "--stage 5 comes after --stop-stage train",
    ),
    "model": (["--model", "wavegard"], "--model 'wavegard': .*did you mean 'wavegrad'"),
    "model name": (["model.name=wavgrad"], "model.name 'wavgrad' .*did you mean 'wavegrad'"),
    "key": (["train.max_step=3"], r"unknown key 'train.max_step'; did you mean 'max_steps'"),
    "section": (["trian.max_steps=3"], "unknown key 'trian'; did you mean 'train'"),
    "type": (["train.max_steps=many"], "train.max_steps is many; give a whole number"),
    "choice": (["train.loss=l3"], "train.loss is l3; did you mean 'l2'"),
    "no key": (["max_steps=3"], "'max_steps=3': not an override; write section.key=value"),
    "hop": (["mel.hop_length=60"], "segment_samples 512 is not a multiple of mel.hop_length 60"),
    "factors": (["model.factors=[4,4,4,2,2]"], r"factors \[4, 4, 4, 2, 2\] multiply to 256, but"),
    "segment": (["train.segment_samples=500"], "train.segment_samples 500 .*the nearest is 512"),
    "schedule": (["decode.schedule=fast"], "decode: schedule 'fast': not a step count"),
    "schedule file": (["decode.schedule=no.json"], "decode: schedule file no.json: No such file"),
    "sampler": (["decode.sampler=dimm"], "decode: sampler 'dimm' is unknown; .*ancestral"),
    "start": (
        ["decode.sampler=dpm++2m", "decode.schedule=ivanvovk-6"],
        "decode: schedule 'ivanvovk-6' starts at level 0.964",
    ),
    "metric": (["score.metrics=[mdc]"], "score.metrics: 'mdc' is unknown; did you mean 'mcd'"),
    "baseline": (["score.baselines=[nose]"], "score.baselines: 'nose' .* did you mean 'noise'"),
    "zero": (["decode.batch_size=0"], "decode.batch_size is 0; give at least 1"),
    "shard": (["features.shard=0"], "features.shard is 0; give at least 1"),
    "workers": (["train.workers=-1"], "train.workers is -1; give at least 0"),
    "jobs": (["--jobs", "0"], "--jobs 0: give at least 1"),
    "nodes": (["--nodes", "0"], "--nodes 0: give at least 1"),
    "ngpu": (["--ngpu", "-1"], "--ngpu -1: give at least 0"),
    "number": (["--ngpu", "two"], "--ngpu: invalid int value: 'two'; --help"),
    "option": (["--gpus", "1"], "unrecognized arguments: --gpus"),
    "corpus": (["--corpus-dir", "nowhere"], "--corpus-dir nowhere: no such folder"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_on_the_command_line_is_one_line_and_nothing_runs(
    recipe: TinyRecipe, name: str
) -> None:
    arguments, message = MISTAKES[name]
    before = files(recipe)
    outcome = recipe.run(*arguments)
    assert re.search(message, outcome.complaint()), outcome
    assert files(recipe) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_a_missing_gpu_is_found_before_any_work(recipe: TinyRecipe) -> None:
    line = recipe.run("--ngpu", "1").complaint()
    assert "--ngpu 1: this machine has 0 CUDA devices; give --ngpu 0" in line
    assert not recipe.work.exists()
    # Features may well be made on a machine without them.
    assert recipe.run("--ngpu", "1", "--stop-stage", "features").code == 0


def test_help_lists_stages_and_models(recipe: TinyRecipe) -> None:
    outcome = wg("recipe", str(recipe.folder), "--help")
    assert outcome.code == 0
    for number, name in enumerate(NAMES, 1):
        assert f"\n{number}  {name} " in outcome.out
    assert "models: wavegrad" in outcome.out


def test_one_stage_has_a_help_of_its_own() -> None:
    for asked in (["stage", "--help"], ["stage", "pack", "-h"]):
        outcome = wg(*asked)
        assert outcome.code == 0 and "wg stage NAME FOLDER" in outcome.out
        assert "7  pack" in outcome.out


def test_a_folder_that_is_no_recipe_is_named(recipe: TinyRecipe) -> None:
    assert "give a recipe folder first" in wg("recipe").complaint()
    for folder in (recipe.root / "nowhere", recipe.corpus):
        line = wg("recipe", str(folder)).complaint()
        assert f"{folder}: not a recipe folder, which has corpus.yaml" in line
    (recipe.folder / "prepare.py").unlink()
    assert "prepare.py: no such file" in recipe.run().complaint()


def test_commands_of_wg_itself() -> None:
    assert wg().code == 0 and "vocode" in wg("--help").out
    assert wg("--version").out == f"wg {__version__}\n"
    assert "command 'recepi' is unknown; did you mean 'recipe'" in wg("recepi").complaint()
    assert "give the stage and the recipe folder" in wg("stage", "train").complaint()


def test_output_that_nobody_reads_ends_a_command_without_a_word() -> None:
    command = [sys.executable, "-m", "wg", "egs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdout is not None and asked.stderr is not None
        asked.stdout.close()
        assert asked.stderr.read() == b""
    assert asked.returncode == 128 + signal.SIGPIPE


def test_a_stage_asked_for_by_wg_stage_runs_without_being_needed(done: TinyRecipe) -> None:
    (done.decoded / "tone-09.wav").unlink()
    outcome = wg("stage", "decode", str(done.folder), "--work-dir", str(done.work))
    assert outcome.code == 0 and (done.decoded / "tone-09.wav").is_file()


def test_a_forgotten_override_does_not_retrain_unasked(done: TinyRecipe) -> None:
    assert done.run("train.learning_rate=1e-4", "--stop-stage", "train").code == 0
    line = done.run("--stop-stage", "train").complaint()
    assert "train.learning_rate: 0.0001 -> 0.001; give those it was trained with" in line
    assert "or --restart to train anew (that run then goes to tiny-wavegrad.old-2)" in line
    outcome = done.run("--stop-stage", "train", "--restart", "--dry-run")
    assert "    starts anew; the run before goes to " in outcome.out
    aside = done.exp.with_name("tiny-wavegrad.old-2")
    assert str(aside) in outcome.out and not aside.exists()


def test_what_does_not_change_training_does_not_repeat_it(done: TinyRecipe) -> None:
    free = (
        "train.valid_utterances=1",
        "train.workers=1",
        "train.log_every=2",
        "train.valid_levels=2",
    )
    assert done.run(*free, "--dry-run").decisions() == UP_TO_DATE


def test_a_dry_run_says_what_lacks_and_show_prints_every_key(recipe: TinyRecipe) -> None:
    outcome = recipe.run("--stage", "decode", "--dry-run")
    assert "    needs stage 4 (train), which has not finished" in outcome.out
    shown = recipe.run("--show", "train.seed=7")
    assert shown.code == 0 and not recipe.work.exists()
    content = OmegaConf.create(shown.out)
    assert (content.train.seed, content.mel.n_mels, content.model.name) == (7, 10, "wavegrad")


def test_the_stamp_says_what_a_stage_was_made_with(finished: tuple[TinyRecipe, Outcome]) -> None:
    recipe, _ = finished
    stamp = json.loads((recipe.exp / "stage-train.json").read_text())
    assert stamp["settings"]["train.max_steps"] == 8 and stamp["settings"]["mel.n_mels"] == 10
    assert stamp["result"]["checkpoint"].startswith("step-")


def test_another_split_starts_a_new_training(done: TinyRecipe) -> None:
    # Going on would train further on weights that have seen what are now test clips.
    outcome = done.run("corpus.valid=[tone-08]", "--stop-stage", "train")
    assert "the features: made of another corpus or other splits" in outcome.out
    assert done.exp.with_name("tiny-wavegrad.old-1").is_dir()


def test_a_new_key_that_is_null_changes_nothing() -> None:
    assert changes({"a": 1}, {"a": 1, "b": None}) == []
    assert changes({"a": 1}, {"a": None}) == ["a: 1 -> None"]


def test_a_key_that_came_after_a_run_had_its_default(done: TinyRecipe) -> None:
    stamp = done.exp / "stage-train.json"
    content = json.loads(stamp.read_text())
    del content["settings"]["model.dilations"], content["settings"]["train.weight_decay"]
    stamp.write_text(json.dumps(content))
    only = ("--stage", "train", "--stop-stage", "train", "--dry-run")
    assert "up to date" in done.run(*only).out
    assert "train.weight_decay: 0.0 -> 0.5" in done.run(*only, "train.weight_decay=0.5").out
