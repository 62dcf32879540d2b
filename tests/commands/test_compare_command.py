"""`wg bench` runs a matrix of vocoders on recordings, cell by cell, and resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import RATE, Outcome, tone, wg

from wg.bench import error_rates
from wg.bench.results import front
from wg.diffusion.process import DiffusionConfig
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.spec import MelSpec
from wg.metrics import recogniser
from wg.models import build_network
from wg.models.wavegrad import WaveGradConfig

SPEC = MelSpec(sample_rate=RATE, n_fft=256, win_length=256, hop_length=64, framing="hop", n_mels=10)
FILE = """
corpora: {tones: {audio: wavs, limit: 2}}
vocoders:
  truth: {kind: recording}
  world: {kind: world}
  ours: {kind: wg, folder: vocoder}
steps: [2, 3]
samplers: [ancestral]
metrics: [lsd, ls_mse, f0_rmse_cents]
speed: {seconds: 0.4, batch: 2, repeats: 1, chunk: 0.1}
rows: 1
"""


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tiny WaveGrad."""
    torch.manual_seed(0)
    model = WaveGradConfig(
        name="wavegrad",
        mel_channels=8,
        up_channels=(8, 8, 8, 4, 4),
        wave_channels=4,
        down_channels=(4, 4, 8, 8),
    )
    folder = tmp_path_factory.mktemp("model") / "vocoder"
    made = Vocoder(
        build_network(model, SPEC), model, SPEC, DiffusionConfig(), SamplingConfig(clip=0.5)
    )
    made.save_pretrained(folder, "tiny")
    return folder


@pytest.fixture
def bench(tmp_path: Path, vocoder: Path) -> Path:
    """A bench file beside three recordings and a vocoder."""
    (tmp_path / "wavs").mkdir()
    for number in (1, 2, 3):
        soundfile.write(tmp_path / "wavs" / f"tone-{number}.wav", 0.4 * tone(number), RATE)
    (tmp_path / "vocoder").symlink_to(vocoder)
    (tmp_path / "bench.yaml").write_text(FILE)
    return tmp_path


def run(folder: Path, *more: str) -> Outcome:
    return wg("bench", str(folder / "bench.yaml"), "-o", str(folder / "out"), "--jobs", "1", *more)


def cell(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "out/cells/tones" / name / "cell.json").read_text())


def edit(folder: Path, before: str, after: str) -> None:
    path = folder / "bench.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def test_a_matrix_gives_tables_a_plot_a_page_and_is_not_run_twice(bench: Path) -> None:
    done = run(bench)
    assert done.code == 0, done
    table = (bench / "out/results.md").read_text()
    for words in ("## tones: 2 utterances", "| truth | 0 | 0 | 0 |", "| ours 2-steps ancestral |"):
        assert words in table, table
    assert "GMAC/s" in table and "## Measured on" in table and "Paired differences from" in table
    assert (bench / "out/pareto-tones.png").stat().st_size > 5000
    page = (bench / "out/page/index.html").read_text()
    assert "ours 3-steps ancestral" in page and "tone-2" not in page, "rows: 1"
    found = cell(bench, "ours-3-steps-ancestral")
    assert set(found["utterances"]) == {"tone-1", "tone-2"}
    assert found["cost"]["parameters"] == sum(
        w.numel() for w in Vocoder.from_pretrained(bench / "vocoder").network.parameters()
    )
    two = cell(bench, "ours-2-steps-ancestral")["cost"]["gmacs"]
    assert found["cost"]["gmacs"] / two == pytest.approx(1.5, abs=0.1), "a step costs what it costs"
    assert found["environment"]["torch"] == torch.__version__
    assert {r["state"] for r in json.loads((bench / "out/results.json").read_text())["cells"]} == {
        "done"
    }

    again = run(bench)
    assert again.code == 0 and again.out.count("done before") == 4
    edit(bench, "steps: [2, 3]", "steps: [2]")
    assert run(bench).out.count("done before") == 3
    edit(bench, "limit: 2", "limit: 1")
    assert run(bench).out.count("done before") == 0, "other recordings, other results"


def test_audio_and_scores_repeat_themselves(bench: Path) -> None:
    edit(bench, "[2, 3]", "[2]")
    assert run(bench, "--only", "ours").code == 0
    audio = [path.read_bytes() for path in sorted((bench / "out").rglob("wavs/*.wav"))]
    scores = cell(bench, "ours-2-steps-ancestral")["utterances"]
    for path in (bench / "out").rglob("cell.json"):
        path.unlink()
    assert run(bench, "--only", "ours").code == 0
    assert [path.read_bytes() for path in sorted((bench / "out").rglob("wavs/*.wav"))] == audio
    assert cell(bench, "ours-2-steps-ancestral")["utterances"] == scores


def test_a_failing_cell_is_recorded_and_the_rest_goes_on(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench / "my_broken.py").write_text(
        "def make(spec):\n"
        "    def call(mels):\n"
        "        raise ZeroDivisionError('not today')\n"
        "    return call\n"
    )
    monkeypatch.syspath_prepend(bench)
    broken = "broken: {kind: external, factory: 'my_broken:make', mel: hifigan}"
    edit(bench, "  ours: {kind: wg, folder: vocoder}", f"  {broken}\n  world2: {{kind: world}}")
    edit(bench, "limit: 2", "limit: 1, rate: " + str(22_050))
    line = run(bench).complaint()
    assert "1 of 4 cells failed (tones, broken: ZeroDivisionError: not today)" in line
    assert cell(bench, "world2")["state"] == "done", "after the broken one"
    assert (
        "| tones | broken | ZeroDivisionError: not today |"
        in (bench / "out/results.md").read_text()
    )
    assert "broken: failed before" in run(bench).out
    (bench / "my_broken.py").write_text(
        "import torch\ndef make(spec):\n    return lambda mels: torch.zeros(len(mels), 99999)\n"
    )
    monkeypatch.delitem(sys.modules, "my_broken")
    done = run(bench, "--retry")
    assert done.code == 0, done
    silent = cell(bench, "broken")["means"]["f0_rmse_cents"]
    assert (silent["mean"], silent["undefined"]) == (None, 1), "silence is not a zero"


def test_a_cell_whose_process_was_killed_is_a_failed_one(bench: Path) -> None:
    assert run(bench, "--only", "world").code == 0
    path = bench / "out/cells/tones/world/cell.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running"}))
    assert "world: its process was killed" in run(bench, "--only", "world").complaint()
    assert run(bench, "--only", "world", "--retry").code == 0


def test_processes_share_the_cells(bench: Path) -> None:
    edit(bench, "  ours: {kind: wg, folder: vocoder}\n", "")
    command = [sys.executable, "-m", "wg", "bench", str(bench / "bench.yaml")]
    command += ["-o", str(bench / "out"), "--jobs", "1"]
    environment = {**os.environ, "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
    second = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "[1/1] tones, world" in second.stdout and not (bench / "out/results.md").exists()
    first = run(bench)
    assert "truth: lsd 0" in first.out and "world: done before" in first.out
    assert (bench / "out/results.md").exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("limit: 2", "limit: 2, rate: 16000", "cell tones/ours-2-steps-ancestral: ours works at"),
        ("steps: [2, 3]", "steps: [2, 0]", "cell tones/ours-0-steps-ancestral: "),
        ("[ancestral]", "[ancestrial]", "did you mean 'ancestral'"),
        ("folder: vocoder", "folder: wavs", "is not a vocoder folder"),
        ("audio: wavs", "audio: nowhere", "nowhere: no such folder"),
        ("{kind: world}", "{kind: griffin-lim, mel: hifi}", "did you mean 'hifigan'"),
        ("samplers:", "precisions: ['16']\nsamplers:", "precision 16 needs a GPU"),
        ("tones: {", "a/b: {", "corpora: 'a/b' cannot name a folder"),
        ("tones: {", "2024: {", "corpora: the name 2024 is no text; put it in quotes"),
        ("world: {", "recording: {", "vocoders.recording: pages call the recording so"),
        ("limit: 2", "limit: 2, rate: 4000", "corpora.tones.rate is 4000; give at least 8000"),
    ],
)
def test_a_cell_that_cannot_work_is_named_before_any_runs(
    bench: Path, before: str, after: str, message: str
) -> None:
    edit(bench, before, after)
    assert message in run(bench).complaint()
    assert not (bench / "out").exists()


def test_recordings_that_cannot_be_used_are_named(bench: Path) -> None:
    soundfile.write(bench / "wavs" / "tone-2.wav", np.zeros(9000), 2 * RATE)
    assert "files of 8000 and 16000 Hz" in run(bench).complaint()
    soundfile.write(bench / "wavs" / "tone-2.wav", np.zeros((9000, 2)), RATE)
    (bench / "wavs" / "tone-1.wav").write_bytes(b"no audio")
    line = run(bench).complaint()
    assert "corpora.tones: 2 files cannot be used" in line
    assert "tone-2.wav: 2 channels" in line and "tone-1.wav: not readable as audio" in line
    for number in (1, 2):
        soundfile.write(bench / "wavs" / f"tone-{number}.wav", np.full(9000, np.nan), RATE, "FLOAT")
    assert "tone-1.wav: 9000 NaN or infinite samples" in run(bench).complaint()
    for number in (1, 2):
        soundfile.write(bench / "wavs" / f"tone-{number}.wav", np.zeros(9000), 4000)
    assert "corpora.tones: 4000 Hz; metrics need at least 8000" in run(bench).complaint()
    assert not (bench / "out").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def make(spec, gain): pass", "'my_own:make' fails (TypeError: make() missing"),
        ("def make(spec): return 7", "'my_own:make' returns a int; return a callable of mels"),
        ("def make(spec) return 7", "cannot import 'my_own'"),
        ("1 / 0", "cannot import 'my_own' (division by zero)"),
    ],
)
def test_a_factory_that_cannot_work_is_named_before_any_cell_runs(
    bench: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    (bench / "my_own.py").write_text(code)
    monkeypatch.syspath_prepend(bench)
    monkeypatch.delitem(sys.modules, "my_own", raising=False)
    mine = "mine: {kind: external, factory: 'my_own:make', mel: hifigan}"
    edit(bench, "ours: {kind: wg, folder: vocoder}", mine)
    edit(bench, "limit: 2", "limit: 2, rate: 22050")
    line = run(bench).complaint()
    assert "cell tones/mine: factory" in line and message in line
    assert not (bench / "out").exists()


def test_cells_are_listed_without_running(bench: Path) -> None:
    done = run(bench, "--list")
    assert done.code == 0 and done.out.count("to run") == 4
    assert not (bench / "out").exists()


def test_the_front_holds_what_none_beats_in_speed_and_quality() -> None:
    def system(name: str, rtf: float, pesq: float | None) -> dict[str, Any]:
        cost, means = {"rtf": {"p50": rtf}}, {"pesq_wb": {"mean": pesq}}
        return {"system": name, "cost": cost, "means": means}

    systems = [
        system("slow and good", 2.0, 4.0),
        system("fast and bad", 0.1, 2.0),
        system("slow and bad", 2.0, 1.9),
        system("between", 1.0, 3.0),
        system("as fast, worse", 0.1, 1.0),
    ]
    names = [r["system"] for r in front(systems, "pesq_wb")]
    assert names == ["fast and bad", "between", "slow and good"]


def test_texts_of_a_corpus_add_error_rates(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (recogniser, error_rates):
        monkeypatch.setattr(module, "load_recogniser", lambda name: lambda wave, rate: "TONE")
    edit(bench, "limit: 2", "limit: 2, texts: metadata.csv")
    edit(bench, "  world: {kind: world}\n  ours: {kind: wg, folder: vocoder}\n", "")
    (bench / "metadata.csv").write_text("tone-1|Tone.\n")
    line = run(bench).complaint()
    assert f"corpora.tones.texts: {bench / 'metadata.csv'}: no text of tone-2" in line
    (bench / "metadata.csv").write_text("tone-1|Tone.\ntone-2|Two tones.\n")
    done = run(bench)
    assert done.code == 0, done
    table = (bench / "out/results.md").read_text()
    assert "| wer (share) ↓ | cer (share) ↓ |" in table and cell(bench, "truth")["means"]["wer"]
    assert cell(bench, "truth")["means"]["wer"]["mean"] == 0.5
    assert run(bench).out.count("done before") == 1
    (bench / "metadata.csv").write_text("tone-1|Tone.\ntone-2|Tone.\n")
    assert run(bench).out.count("done before") == 0, "other texts, other rates"
