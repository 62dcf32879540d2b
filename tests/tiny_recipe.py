"""A tiny recipe on a tiny corpus, and `wg` run in this process or in one of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soundfile

from wg.__main__ import main
from wg.mel.spec import MelSpec

REPOSITORY = Path(__file__).resolve().parents[1]
RATE = 8000  # Hz
PATIENCE_S = 300
DUMP = (
    "8000hz-10mel-hop64-"
    + MelSpec(
        sample_rate=8000, n_fft=256, win_length=256, hop_length=64, framing="hop", n_mels=10
    ).digest
)

CORPUS = """
corpus:
  name: tiny
  sample_rate: 8000
  valid: [tone-07, tone-08]
  test: [tone-09..tone-11]
  licence: none
mel: {sample_rate: 8000, n_fft: 256, win_length: 256, hop_length: 64, framing: hop, n_mels: 10}
"""
MODEL = """
model:
  name: wavegrad
  mel_channels: 8
  up_channels: [8, 8, 8, 4, 4]
  wave_channels: 4
  down_channels: [4, 4, 8, 8]
train: {segment_samples: 512, batch_size: 4, max_steps: 8, valid_every: 4, valid_levels: 3,
        learning_rate: 1.0e-3, ema: 0.9, workers: 0, log_every: 4, sample_every: 0}
decode: {schedule: "2", clip: 0.5}
score: {metrics: [ls_mse, f0_rmse_cents, pesq_wb], baselines: [griffin-lim-1, noise]}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit status and what it printed."""

    code: int
    out: str
    err: str

    def complaint(self) -> str:
        """The one line of a user's mistake."""
        assert self.code == 2, self
        assert "Traceback" not in self.out + self.err, self
        (line,) = self.err.splitlines()
        return line

    def decisions(self) -> dict[str, str]:
        """Stage -> why it runs or is skipped."""
        titles = [line for line in self.out.splitlines() if line.endswith("]")]
        return {
            line.split()[2].rstrip(":"): line.rsplit("[", 1)[1].rstrip("]")
            for line in titles
            if line.startswith("stage ")
        }


@dataclass(frozen=True)
class TinyRecipe:
    """A recipe folder and a work folder below `root`, and a corpus of eleven tones."""

    root: Path
    corpus: Path

    @property
    def folder(self) -> Path:
        return self.root / "recipe"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def dump(self) -> Path:
        return self.work / "dump" / DUMP

    @property
    def exp(self) -> Path:
        return self.work / "exp" / "tiny-wavegrad"

    @property
    def decoded(self) -> Path:
        return self.exp / "decode" / "2-steps"

    def arguments(self, *further: str) -> list[str]:
        """Of `wg`: this recipe, its work folder and corpus, one process, and what else is asked."""
        places = ["--work-dir", str(self.work), "--corpus-dir", str(self.corpus)]
        return ["recipe", str(self.folder), *places, "--jobs", "1", *further]

    def run(self, *further: str) -> Outcome:
        """The recipe in this process."""
        return wg(*self.arguments(*further))

    def start(self, *further: str, **options: object) -> subprocess.Popen[str]:
        """The recipe in a process of its own, whose group it leads."""
        return subprocess.Popen(  # pyright: ignore[reportCallIssue]
            [sys.executable, "-m", "wg", *self.arguments(*further)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,  # pyright: ignore[reportArgumentType]
        )

    def run_apart(self, *further: str, **options: object) -> Outcome:
        """The recipe in a process of its own, to its end."""
        process = self.start(*further, **options)
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def copy_recipe(self, root: Path) -> None:
        """The recipe folder alone, elsewhere."""
        shutil.copytree(self.folder, root / self.folder.name)

    def copy(self, root: Path) -> TinyRecipe:
        """The same on the same corpus, elsewhere."""
        self.copy_recipe(root)
        shutil.copytree(self.work, root / self.work.name)
        return TinyRecipe(root, self.corpus)


def wg(*arguments: str) -> Outcome:
    """A command of `wg` in this process."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["wg", *arguments]):
        try:
            code = main()
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Returns once it is true; fails when that takes too long, or the process ends before."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < PATIENCE_S
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)


def running(group: int, word: str) -> list[str]:
    """Processes of a group, or with a word in their command, that are not dead."""
    table = subprocess.run(["ps", "-eo", "pgid,stat,args"], capture_output=True, text=True).stdout
    rows = [line.split(maxsplit=2) for line in table.splitlines()[1:]]
    alive = [row for row in rows if not row[1].startswith("Z")]
    return [row[2] for row in alive if int(row[0]) == group or word in row[2]]


def tone(number: int) -> np.ndarray:
    """A voice-like tone of 0.6 to 0.9 s in a little noise, float64 [T]."""
    generator = np.random.default_rng(number)
    time = np.arange(5000 + 210 * number) / RATE
    pitch = 110 + 12 * number + 8 * np.sin(2 * np.pi * 3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 12))
    return 0.2 * harmonics * np.hanning(len(time)) + 0.003 * generator.standard_normal(len(time))


def make_recipe(root: Path) -> TinyRecipe:
    """The files of a tiny recipe; its prepare.py is that of kerstin, as a user's would be."""
    made = TinyRecipe(root, root / "corpus")
    (made.folder / "conf").mkdir(parents=True)
    (made.folder / "corpus.yaml").write_text(CORPUS)
    (made.folder / "conf" / "wavegrad.yaml").write_text(MODEL)
    shutil.copy(REPOSITORY / "recipes" / "kerstin" / "prepare.py", made.folder)
    (made.corpus / "wavs").mkdir(parents=True)
    names = [f"tone-{number:02d}" for number in range(1, 12)]
    for number, name in enumerate(names, 1):
        soundfile.write(made.corpus / "wavs" / f"{name}.wav", tone(number), RATE)
    lines = "".join(f"{name}|Tone <{name[-2:]}> & no words.\n" for name in names)
    (made.corpus / "metadata.csv").write_text(lines)
    return made
