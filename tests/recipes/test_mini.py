"""The recipes as a user runs them, with training cut to a few steps."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

pytestmark = pytest.mark.recipe
REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / ".." / "shared" / "data"
CORPORA = {
    "kerstin": DATA / "kerstin",
    "ljspeech": DATA / "ljspeech" / "LJSpeech-1.1",
    "libritts": DATA / "libritts" / "LibriTTS",
}
TINY = (
    *("model.factors=[4,4,4,2,2]", "model.mel_channels=8", "model.up_channels=[8,8,8,4,4]"),
    *("model.wave_channels=4", "model.down_channels=[4,4,8,8]"),
)
BRIEF = (
    *("train.max_steps=4", "train.valid_every=4", "train.batch_size=2", "train.workers=0"),
    *("train.valid_utterances=2", "train.warmup_steps=0", "train.sample_every=4"),
    *("train.sample_utterances=1", "decode.limit=2", "decode.schedule=2"),
)


def run(recipe: str, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`recipes/RECIPE/run.sh` with the python of these tests active."""
    python = Path(sys.executable).parent
    environment = {"PATH": f"{python}:{os.environ['PATH']}", "VIRTUAL_ENV": sys.prefix}
    return subprocess.run(
        [REPOSITORY / "recipes" / recipe / "run.sh", "--work-dir", work, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=work,
        timeout=900,
    )


def corpus(recipe: str) -> Path:
    if not CORPORA[recipe].is_dir():
        pytest.skip(f"no {CORPORA[recipe]}")
    return CORPORA[recipe]


def check_results(done: subprocess.CompletedProcess[str], exp: Path) -> None:
    """A table, a page and a wav were promised, and they are there."""
    assert done.returncode == 0, done.stdout + done.stderr
    for number in range(1, 8):
        assert re.search(rf"^stage {number} \w+: [\d.]+ s$", done.stdout, re.MULTILINE), number
    assert re.search(r"\bwg +", done.stdout) and re.search(r"\bgriffin-lim-32 +", done.stdout)
    (page,) = re.findall(r"^listening page  (.*)$", done.stdout, re.MULTILINE)
    (wav,) = re.findall(r"^a wav to play   (.*)$", done.stdout, re.MULTILINE)
    assert Path(page) == exp / "page" / "index.html" and Path(page).is_file()
    assert soundfile.info(wav).subtype == "PCM_16"
    for path in ("vocoder/model.safetensors", "vocoder/config.json", "vocoder/README.md"):
        assert (exp / path).is_file()
    assert list((exp / "samples").glob("*/*.wav")) and list((exp / "samples").glob("*/*.png"))


def test_mini_runs_from_nothing_to_the_page(tmp_path: Path) -> None:
    done = run("mini", tmp_path, *BRIEF, *TINY)
    check_results(done, tmp_path / "exp" / "mini-wavegrad")
    assert "train: 420 utterances" in done.stdout and "5 speakers" in done.stdout
    again = run("mini", tmp_path, *BRIEF, *TINY)
    assert again.returncode == 0 and again.stdout.count("[skipped: up to date]") == 7


def test_a_corpus_of_ones_own_runs_from_nothing_to_the_page(tmp_path: Path) -> None:
    options = ("--corpus-dir", str(corpus("kerstin")), "decode.split=valid")
    done = run("kerstin", tmp_path, *options, *BRIEF, *TINY)
    check_results(done, tmp_path / "exp" / "kerstin-wavegrad")
    scores = tmp_path / "exp" / "kerstin-wavegrad" / "decode" / "2-steps-valid" / "scores.json"
    means = json.loads(scores.read_text())["means"]
    assert means["griffin-lim-32"]["pesq_wb"]["mean"] > means["noise"]["pesq_wb"]["mean"]


@pytest.mark.parametrize(
    ("recipe", "counts"),
    [
        ("ljspeech", ("train: 345 utterances", "valid: 20 utterances", "test: 20 utterances")),
        ("libritts", ("train: ", "valid: ", "test: ")),
    ],
)
def test_real_corpora_become_features(tmp_path: Path, recipe: str, counts: tuple[str, ...]) -> None:
    options = ["--corpus-dir", str(corpus(recipe)), "--stop-stage", "features"]
    if recipe == "libritts":
        options.append("corpus.valid=[train-other-500]")  # the shared clips have no dev part
    done = run(recipe, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert all(words in done.stdout for words in counts)
    for split in ("train", "valid", "test"):
        assert list((tmp_path / "dump").glob(f"*/{split}/shard-00000.safetensors"))
