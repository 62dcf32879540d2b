"""Every fenced block of README.md and docs runs, or says beside it why it does not.

Python blocks of a page run one after another, in a folder that has what a reader would have: a
recording, its mel, folders of such. Of commands, recipes are run dry, `wg bench` only checks, and
those that take long are asked whether they have the options that they are given. A block of
another language is no code; one that cannot run has `<!-- not run: WHY -->` above it.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import wg
from tiny_vocoder import tiny_vocoder

from wg.mel.extract import log_mel
from wg.mel.hub import named
from wg.mel.recognise import speech_like

ROOT = Path(__file__).resolve().parents[2]
ADDING = ROOT / "docs" / "adding.md"  # whose blocks are files, which another test adds
PAGES = [ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {ADDING})]
FENCE = re.compile(r"(?:^<!-- not run: (.+) -->\n)?^```(\w*)\n(.*?)^```", re.S | re.M)
NO_CODE = ("text", "yaml", "json", "html")
# Commands that set a machine up, or are not wg's.
AROUND = ("git", "tools/setup.sh", "source", "pip", "cp", "nano", "export", "cd")
ASKED = ("demo", "export", "import", "speak", "sample", "denoise", "interpolate", "schedule")
RATE = 22050


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    excuse: str | None

    @property
    def name(self) -> str:
        """For the test's name."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start(3))
        yield Block(page, line, found[2], found[3], found[1])


EVERYTHING = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in EVERYTHING if block.language == "bash" and not block.excuse]
WITH_PYTHON = [
    page for page in PAGES if any(b.language == "python" and not b.excuse for b in blocks(page))
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: a recording of a second, its mel, folders of recordings, a vocoder."""
    made = tmp_path_factory.mktemp("reader")
    wave = speech_like(RATE, 1.0).float().numpy()
    mel = log_mel(wave, named("hifigan"))
    for name in (
        "in",
        "speech",
        "ref",
        "recordings/in",
        "vocoder_a/in",
        "elsewhere/b/in",
        "wavs/in",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(made / f"{name}.wav", wave, RATE)
    for name in ("mel", "long", "mels/in"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(made / f"{name}.npy", mel)
    (made / "exp").mkdir()
    (made / "metadata.csv").write_text("in|Good morning.\n")
    scored = ("--syn", str(made / "vocoder_a"), "--syn", f"B={made / 'elsewhere/b'}")
    scored += ("--metrics", "clipped", "-o", str(made / "scores.json"))
    assert wg("score", "--ref", str(made / "recordings"), *scored).code == 0
    tiny_vocoder(mel=named("hifigan")).save_pretrained(made / "hifigan")
    tiny_vocoder(mel=named("speecht5")).save_pretrained(made / "speecht5")
    tiny_vocoder(mel=named("parallel-wavegan")).save_pretrained(made / "parallel-wavegan")
    return made


def test_every_block_runs_is_no_code_or_says_why_not() -> None:
    strange = [b.name for b in EVERYTHING if b.language not in ("python", "bash", *NO_CODE)]
    assert strange == []
    assert len(EVERYTHING) > 60
    excused = [b for b in EVERYTHING if b.excuse]
    assert len(excused) <= 22, "too many blocks that nobody runs"


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path, place: Path, monkeypatch) -> None:
    monkeypatch.chdir(place)
    host = "speecht5" if page.name == "hosts.md" else "hifigan"
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python" and not block.excuse:
            text = block.text.replace('"DIR"', repr(str(place / host)))
            if "ParallelWaveGAN" in text:
                text = text.replace(str(place / host), str(place / "parallel-wavegan"))
            if "onnxruntime" in text:
                for package in ("onnx", "onnxscript", "onnxruntime"):
                    pytest.importorskip(package, reason="pip install 'wg[export]' onnxruntime")
                exported = wg("export", "onnx", "--vocoder", str(place / host), "-o", "voc.onnx")
                assert exported.code == 0
            exec(compile(text, block.name, "exec"), names)  # noqa: S102


def commands(text: str) -> list[list[str]]:
    """The words of each command line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_the_commands_of_a_block_run(block: Block, place: Path, monkeypatch) -> None:
    monkeypatch.chdir(place)
    for words in commands(block.text):
        first, *rest = words
        if first in AROUND:
            continue
        if first.endswith("run.sh"):
            run_dry(first, rest, place)
            continue
        assert first == "wg", f"{block.name}: {first} is no command of wg"
        if rest[0] in ASKED or rest[:2] == ["bench", "latency"] or rest[:2] == ["score", "bound"]:
            has_options(rest)
            continue
        ran = wg(*filled(rest, place))
        assert ran.code == 0, (block.name, words, ran)


def run_dry(script: str, options: list[str], place: Path) -> None:
    """A recipe's command up to what it would do."""
    name = script.split("/")[1].replace("myvoice", "ljspeech")
    recipe = ROOT / "recipes" / name
    given = list(options)
    if "--corpus-dir" in given:  # a dry run would read it
        at = given.index("--corpus-dir")
        given[at : at + 2] = []
    if "--work-dir" in given:
        given[given.index("--work-dir") + 1] = str(place / "work")
    else:
        given += ["--work-dir", str(place / "work")]
    given = [word for word in given if not word.startswith("train.init_from=")]
    if "--ngpu" in given:  # which are not here
        at = given.index("--ngpu")
        given[at : at + 2] = []
    if "--nodes" in given:
        at = given.index("--nodes")
        given[at : at + 2] = []
    ran = wg("recipe", str(recipe), *given, *([] if "--dry-run" in given else ["--dry-run"]))
    assert ran.code == 0, (script, options, ran)


def has_options(words: list[str]) -> None:
    """A command that takes long knows the options that it is given."""
    nested = words[:2] in (["bench", "latency"], ["schedule", "search"], ["score", "bound"])
    helped = wg(*words[: 2 if nested else 1], "--help")
    assert helped.code == 0
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", helped.out), (words, word)


def filled(words: list[str], place: Path) -> list[str]:
    """The command with a reader's paths, and a bench that only checks."""
    vocoder = str(place / "hifigan")
    plain = [vocoder if w == "DIR" or w.endswith(("/vocoder", "lmnt")) else w for w in words]
    plain = [str(ROOT / w) if w.startswith("benchmarks/") else w for w in plain]
    if words[0] == "bench":
        if any(w.endswith(".yaml") for w in plain):  # whose vocoders and corpora are not here
            return ["bench", "--help"]
        return [*plain, "--list"]
    if words[0] == "egs":
        return ["egs"]
    if words[0] == "vocode":
        for target in (w for w in plain if w.endswith("/") and w != "mels/"):
            shutil.rmtree(place / target, ignore_errors=True)
        return [*plain, *([] if "--steps" in plain or "--vocoder" in plain else ["--steps", "1"])]
    return plain
