"""Every command that writes: never over an input, nor over a file that wg did not write."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import RATE, tone, wg
from tiny_vocoder import random_mel, tiny_vocoder


@dataclass(frozen=True)
class Desk:
    """A user's folder: a vocoder, a mel, a recording, folders of audio, a benchmark."""

    root: Path

    def __truediv__(self, name: str) -> str:
        return str(self.root / name)

    def content(self) -> dict[str, bytes]:
        paths = sorted(self.root.rglob("*"))
        return {str(p.relative_to(self.root)): p.read_bytes() for p in paths if p.is_file()}

    def commands(self) -> dict[str, tuple[str, ...]]:
        """Commands without their output option."""
        voc, few = ("--vocoder", self / "voc"), ("--steps", "1")
        sides = ("--ref", self / "ref", "--syn", self / "syn")
        return {
            "vocode": ("vocode", self / "in.wav", *voc, *few, "-o"),
            "vocode mel": ("vocode", self / "mel.npy", *voc, *few, "-o"),
            "export": ("export", "torch", *voc, *few, "--part", "step", "-o"),
            "page": ("listen", "page", *sides, "-o"),
            "score": ("score", *sides, "--metrics", "lsd", "--jobs", "1", "-o"),
            "bench": ("bench", self / "bench.yaml", "--jobs", "1", "-o"),
            "denoise": ("denoise", self / "in.wav", "--model", self / "voc", "-o"),
            "mix": (
                "interpolate",
                self / "in.wav",
                self / "ref/1.wav",
                "--model",
                self / "voc",
                "-o",
            ),
            "sample": ("sample", "--model", self / "voc", "-o"),
            "speak": ("speak", "Hello.", "--model", self / "voc", "-o"),
            "speak file": ("speak", "--file", self / "notes.txt", "--model", self / "voc", "-o"),
            "ratings": ("listen", "summarize", self / "r.csv", "-o"),
            "check": ("check-mel", self / "mel.npy", *voc, "--wav", self / "in.wav", "--save"),
        }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path / "desk")
    made.root.mkdir()
    tiny_vocoder().save_pretrained(made.root / "voc")
    np.save(made / "mel.npy", random_mel(20).numpy())
    soundfile.write(made / "in.wav", tone(1), RATE)
    for number, folder in enumerate(("ref", "syn"), 1):
        (made.root / folder).mkdir()
        soundfile.write(made / f"{folder}/1.wav", tone(number), RATE)
    (made.root / "notes.txt").write_text("Hello.\n")
    (made.root / "r.csv").write_text(
        "test,listener,utterance,system,other,rating\nmushra,me,1,a,,50\n"
    )
    (made.root / "bench.yaml").write_text(
        "corpora: {x: {audio: ref}}\nvocoders: {truth: {kind: recording}}\nmetrics: [lsd]\n"
        "speed: {seconds: 0.4, batch: 1, repeats: 1, chunk: 0.1}\n"
    )
    monkeypatch.chdir(made.root)
    return made


INPUTS = ("ref", "syn", "voc", "voc/model.safetensors", ".", "notes.txt")
NAMES = tuple(Desk(Path()).commands())


@pytest.mark.parametrize("command", NAMES)
@pytest.mark.parametrize("target", INPUTS)
def test_no_output_replaces_an_input(desk: Desk, command: str, target: str) -> None:
    before = desk.content()
    given = [word for word in desk.commands()[command] if Path(word).is_absolute()]
    for name in (target, desk / target, *given):
        outcome = wg(*desk.commands()[command], name)
        if outcome.code:
            assert "Traceback" not in outcome.err and len(outcome.err.splitlines()) == 1, outcome
            assert outcome.code == 2
    after = desk.content()
    assert {name: after[name] for name in before if name in after} == before


@pytest.mark.parametrize("command", NAMES)
def test_a_link_to_an_input_is_as_the_input(desk: Desk, command: str) -> None:
    given = [word for word in desk.commands()[command] if Path(word).is_absolute()]
    for number, target in enumerate(given):
        for ending in (".wav", ".json", ".md", ".pt2"):
            if command == "score" and ending == ".json":
                continue  # its scores may go over any file of that name
            link = desk.root / f"link{number}{ending}"
            link.symlink_to(target)
            before = desk.content()
            assert wg(*desk.commands()[command], str(link)).code == 2
            assert desk.content() == before
            link.unlink()


SIDECARS = {"vocode": "x.wav", "vocode mel": "x.wav", "export": "x.pt2"}


@pytest.mark.parametrize("command", SIDECARS)
def test_what_describes_an_output_replaces_no_foreign_file(desk: Desk, command: str) -> None:
    beside = "x.pt2.json" if command == "export" else "x.json"
    (desk.root / beside).write_text("precious\n")
    before = desk.content()
    asked = (*desk.commands()[command], desk / SIDECARS[command])
    line = wg(*asked).complaint()
    assert f"{desk / beside}: " in line and "--force" in line
    assert desk.content() == before
    for further in (("--force",), ()):  # and then it is our own
        outcome = wg(*asked, *further)
        assert outcome.code == 0, outcome
    assert (desk.root / beside).read_text() != "precious\n"


@pytest.mark.parametrize("ending", [".mp3", ".flac", ".WAVE", ""])
@pytest.mark.parametrize("command", ["vocode", "denoise", "mix", "speak"])
def test_a_wav_gets_no_other_name(desk: Desk, command: str, ending: str) -> None:
    line = wg(*desk.commands()[command], desk / f"x{ending}").complaint()
    assert f"-o {desk / 'x'}{ending}: give a name that ends in .wav" in line
    assert not (desk.root / f"x{ending}").exists()


def test_a_page_replaces_its_like_and_no_folder_of_the_users(desk: Desk) -> None:
    asked = desk.commands()["page"]
    for _ in range(2):
        assert wg(*asked, desk / "page").code == 0
    (desk.root / "page" / "ratings.csv").write_text("mine")
    before = desk.content()
    line = wg(*asked, desk / "page").complaint()
    assert "holds ratings.csv, which wg did not write" in line
    shutil.copytree(desk / "voc", desk / "other")
    assert (
        "holds README.md, which wg did not write"
        not in (line := wg(*asked, desk / "other" + "/..").complaint())
        and "the input" in line
    )
    assert {name: desk.content()[name] for name in before} == before


def test_a_benchmark_fills_its_own_folder_only(desk: Desk) -> None:
    asked = desk.commands()["bench"]
    for _ in range(2):
        assert wg(*asked, desk / "out").code == 0
    (desk.root / "thesis").mkdir()
    (desk.root / "thesis" / "results.md").write_text("mine")
    assert "holds results.md, and wg did not make" in wg(*asked, desk / "thesis").complaint()
    assert "lies in the recordings" in wg(*asked, desk / "ref/out").complaint()
    assert not (desk.root / "ref" / "out").exists()
