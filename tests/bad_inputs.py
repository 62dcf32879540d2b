"""A seeded generator of bad inputs: corpora, outputs and paths with something wrong.

`python tests/bad_inputs.py [COUNT [FIRST_SEED]]` tries so many and counts tracebacks, hangs and
files that appeared, changed or went outside the output.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from bad_values import (
    NOT_FINITE,
    odd_array,
    odd_call,
    odd_folder,
    odd_number,
    odd_option,
    odd_own_file,
)
from tiny_recipe import RATE, Outcome, TinyRecipe, make_recipe, tone, wg
from tiny_vocoder import random_mel, tiny_vocoder

LIMIT_S = 60
FORMATS = [name for name in soundfile.available_formats() if name not in ("RAW", "SDS", "XI")]
TEXTS = [
    "",
    "|",
    "||||",
    '"',
    '"a"|"b"',
    "\0",
    "\ufeff",
    "ü",
    "x" * 300,
    "../../../x",
    "/etc/passwd",
]


@dataclass(frozen=True)
class Verdict:
    """What came of one bad input."""

    seed: int
    kind: str
    outcome: Outcome | None  # None: it hung
    strange: tuple[str, ...]  # files outside the output that are not as they were

    @property
    def fault(self) -> str | None:
        """traceback, hang, outside, or None."""
        if self.outcome is None:
            return "hang"
        if "Traceback" in self.outcome.err or self.outcome.code not in (0, 2):
            return "traceback"
        if self.outcome.code == 2 and len(self.outcome.err.strip().splitlines()[-1:]) != 1:
            return "no line"
        return "outside" if self.strange else None


def wav_of(recipe: TinyRecipe, dice: random.Random) -> Path:
    return dice.choice(sorted((recipe.corpus / "wavs").iterdir()))


def cut_audio(recipe: TinyRecipe, dice: random.Random) -> None:
    """A container of any kind under any name, cut off anywhere or with bytes changed."""
    path = wav_of(recipe, dice)
    kind = dice.choice(FORMATS)
    subtype = dice.choice(list(soundfile.available_subtypes(kind)))
    try:
        soundfile.write(path, tone(3), RATE, format=kind, subtype=subtype)
    except (soundfile.SoundFileError, TypeError, ValueError):
        path.write_bytes(dice.randbytes(500))
    content = bytearray(path.read_bytes())
    if dice.random() < 0.5:
        content = content[: dice.randrange(len(content) + 1)]
    else:
        for _ in range(dice.choice([1, 4, 40])):
            content[dice.randrange(min(len(content), dice.choice([64, 10**6])))] = dice.randrange(
                256
            )
    path.write_bytes(content)


def odd_audio(recipe: TinyRecipe, dice: random.Random) -> None:
    """Silence, DC, NaN, channels, rates, no samples, a folder, a pipe or a link for a file."""
    path = wav_of(recipe, dice)
    audio = {
        "silence": np.zeros(4000),
        "dc": np.full(4000, dice.uniform(-1, 1)),
        "nan": np.full(4000, np.nan),
        "short": tone(1)[: dice.randrange(4)],
        "stereo": np.stack([tone(2)] * dice.choice([2, 6]), 1),
    }
    way = dice.choice([*audio, "rate", "folder", "link", "loop", "text"])
    if way in audio:
        soundfile.write(path, audio[way], RATE, subtype=dice.choice(["FLOAT", "PCM_16", "ULAW"]))
    elif way == "rate":
        soundfile.write(path, tone(1), dice.choice([1, 4000, 8001, 192000]))
    else:
        path.unlink()
        if way == "folder":
            path.mkdir()
        elif way == "text":
            path.write_text(dice.choice(TEXTS))
        else:
            path.symlink_to(path.name if way == "loop" else "nowhere.wav")


def odd_metadata(recipe: TinyRecipe, dice: random.Random) -> None:
    """Lines, columns, encodings and line ends of all sorts."""
    path = recipe.corpus / "metadata.csv"
    lines = path.read_text().splitlines()
    for _ in range(dice.choice([1, 1, 5])):
        place = dice.randrange(len(lines))
        name = lines[place].split("|")[0]
        lines[place] = dice.choice(
            [
                *TEXTS,
                name,
                f"wavs/{name}.wav|text",
                f"{name}|{dice.choice('ab')}|text|more|{name}",
                f"../{name}|text",
                f'"{name}"|"text"',
                f"{name}\t text",
                lines[0],
                name + dice.choice(TEXTS) + "|x",
            ]
        )
    text = dice.choice(["\n", "\r\n", "\r", "\n\n"]).join(lines)
    encoding = dice.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"])
    path.write_bytes(text.encode(encoding, "replace"))
    if dice.random() < 0.1:
        path.write_bytes(dice.randbytes(dice.randrange(2000)))


def odd_names(recipe: TinyRecipe, dice: random.Random) -> None:
    """Files that are called as no one thought of."""
    path = wav_of(recipe, dice)
    ways: list[Callable[[str], str]] = [
        lambda stem: unicodedata.normalize("NFD", f"ü{stem}"),
        lambda stem: stem.upper(),
        lambda stem: f"{stem}.wav",
        lambda stem: f" {stem} ",
        lambda stem: f"{stem}\n",
        lambda stem: "x" * 240,
        lambda stem: f"{stem}..{stem}",
        lambda stem: os.fsdecode(b"\xff" + stem.encode()),
        lambda stem: "stage-decode",
    ]
    new = path.with_name(dice.choice(ways)(path.stem) + dice.choice([".wav", ".WAV", ".flac"]))
    path.rename(new)
    if dice.random() < 0.5:
        with open(recipe.corpus / "metadata.csv", "ab") as file:
            file.write(os.fsencode(new.stem) + b"|more\n")


def odd_splits(recipe: TinyRecipe, dice: random.Random) -> list[str]:
    """Ids and ranges that are wrong, or right."""
    ends = ["tone-01", "tone-1", "tone-11", "z", "", "..", "0", "9" * 5000, "tone-02..tone-03", "ü"]
    item = f"{dice.choice(ends)}{dice.choice(['', '..', '...'])}{dice.choice(ends)}"
    key = dice.choice(["valid", "test", "train", "columns", "name", "language", "hold_out"])
    value = (
        f"[{item}]" if key in ("valid", "test", "train") else dice.choice([item, "id|text", "-"])
    )
    return [f"corpus.{key}={value}"]


def odd_place(recipe: TinyRecipe, dice: random.Random) -> list[str]:
    """Work folders, corpora and names of features where they should not be."""
    work = recipe.work
    for place in ("data/mine.txt", "dump/x/mine.txt", "exp/tiny-wavegrad/mine.txt"):
        if dice.random() < 0.4:
            (work / place).parent.mkdir(parents=True, exist_ok=True)
            (work / place).write_text("the user's")
    long = "x" * 300
    return dice.choice(
        [
            ["--corpus-dir", str(work / "data")],
            ["--corpus-dir", str(recipe.corpus / "wavs")],
            ["--corpus-dir", str(recipe.corpus / "metadata.csv")],
            ["--corpus-dir", long],
            ["--work-dir", long],
            ["--work-dir", str(recipe.corpus)],
            ["--work-dir", str(recipe.corpus / "wavs")],
            ["--work-dir", str(recipe.corpus / "metadata.csv")],
            ["--work-dir", "/proc/nowhere"],
            ["features.name=../../outside"],
            ["features.name=/tmp/outside-of-wg"],
            ["corpus.name=../../outside"],
            ["features.name=" + long],
            [],
        ]
    )


CORPORA: dict[str, Callable[[TinyRecipe, random.Random], list[str] | None]] = {
    made.__name__: made
    for made in (
        *(cut_audio, odd_audio, odd_metadata, odd_names, odd_splits, odd_place),
        *(odd_number, odd_option, odd_own_file),
    )
}
DESKS = {"odd_folder": odd_folder, "odd_array": odd_array}


def odd_output(root: Path, dice: random.Random) -> list[str]:
    """A command whose output is an input, a foreign file, or no place at all."""
    given = {
        name: str(root / name) for name in ("in.wav", "mel.npy", "voc", "ref", "syn", "x.json")
    }
    commands = [
        ["vocode", given[dice.choice(["in.wav", "mel.npy", "x.json", "ref"])], "--steps", "1"],
        ["listen", "page", "--ref", given["ref"], "--syn", given["syn"], "--rows", "1"],
        ["score", "--ref", given["ref"], "--syn", given["syn"], "--metrics", "lsd", "--jobs", "1"],
        ["denoise", given["in.wav"]],
        ["speak", dice.choice(["Hello.", *TEXTS[:2]])],
        ["sample"],
        ["export", "torch", "--part", "step"],
        ["listen", "summarize", given["x.json"]],
        ["import", "lmnt-wavegrad", given["x.json"]],
    ]
    chosen = dice.choice(commands)
    if chosen[0] in ("vocode", "export"):
        chosen += ["--vocoder", given["voc"]]
    if chosen[0] in ("denoise", "speak", "sample"):
        chosen += ["--model", given["voc"]]
    outputs = [*given.values(), str(root), ".", "..", str(root / "x.wav"), str(root / "notes.md")]
    outputs += [str(root / "link.wav"), str(root / "loop.wav"), str(root / "none" / "x.wav"), ""]
    outputs += [
        str(root / ("y" * 300 + ".wav")),
        "/proc/x.wav",
        "/dev/null",
        str(root / "voc/x.wav"),
    ]
    return [*chosen, "-o", dice.choice(outputs)]


def desk(root: Path) -> None:
    """A folder of a user's: inputs, links, and files that are nobody's business."""
    root.mkdir()
    tiny_vocoder().save_pretrained(root / "voc")
    np.save(root / "mel.npy", random_mel(8).numpy())
    soundfile.write(root / "in.wav", tone(1)[:2000], RATE)
    for folder in ("ref", "syn"):
        (root / folder).mkdir()
        soundfile.write(root / folder / "1.wav", tone(1)[:3000], RATE)
    (root / "x.json").write_text("precious")
    (root / "notes.md").write_text("precious")
    (root / "link.wav").symlink_to("in.wav")
    (root / "loop.wav").symlink_to("loop.wav")


def snapshot(root: Path) -> dict[str, object]:
    """Files and links below a folder, by content, but for what Python keeps of a prepare.py."""
    return {
        os.fsencode(path.relative_to(root)).decode("latin-1"): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        for path in root.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.parent.name != "__pycache__"
    }


@contextmanager
def hurried() -> Iterator[None]:
    """TimeoutError for what takes too long."""

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def call(*arguments: str) -> Outcome | None:
    """A command's outcome, with the traceback that would be shown; None: it hung."""
    try:
        with hurried():
            return wg(*arguments)
    except TimeoutError:
        return None
    except BaseException as error:  # what escapes main() is a traceback on the user's screen
        return Outcome(1, "", f"Traceback: {type(error).__name__}: {error}")


def silent(kind: str, extra: list[str]) -> set[str]:
    """Overrides of a number that is none, which must not be accepted; of a text they may be."""
    texts = ("name", "licence", "url", "lexicon", "classifier", "recogniser", "schedule", "sampler")
    texts += ("init_from", "checkpoint", "wandb_project", "language", "mels", "textgrids")
    texts += ("train", "valid", "test", "metrics", "columns")
    if kind != "odd_number" or extra[0].partition("=")[2] not in NOT_FINITE:
        return set()
    key = extra[0].partition("=")[0].partition(".")[2]
    return set() if key in texts else {extra[0]}


def attempt(seed: int, root: Path) -> Verdict:
    """Makes the input of a seed below a folder, runs the command, and compares what is there."""
    dice = random.Random(seed)
    kind = dice.choice([*CORPORA, *DESKS, "odd_call", "odd_output"])
    if kind == "odd_call":
        with hurried():
            said = odd_call(dice)
        return Verdict(seed, kind, Outcome(1, "", said) if said else Outcome(0, "", ""), ())
    if kind in DESKS or kind == "odd_output":
        desk(root / "desk")
        if kind in DESKS:
            arguments = [*DESKS[kind](root / "desk", dice), "-o", str(root / "desk" / "out.wav")]
        else:
            arguments = odd_output(root / "desk", dice)
        named = Path(arguments[-1])
        here = os.getcwd()
        os.chdir(root / "desk")
        try:
            before = snapshot(root)
            outcome = call(*arguments)
            after = snapshot(root)
        finally:
            os.chdir(here)
        inputs = {name for name in before if "notes.md" not in name or named.name != "notes.md"}
        allowed = (named.name, f"{named.stem}.json")
        strange = [name for name in inputs if after.get(name) != before[name]]
        if outcome and outcome.code:
            strange += [name for name in after if name not in before]
        else:
            strange += [
                name
                for name in after
                if name not in before and not set(allowed) & set(name.split("/"))
            ]
            if arguments[0] == "vocode" and os.path.isdir(root / "desk" / named):
                strange = [name for name in strange if name in before]  # new ones lie in -o
            # A command's own named output may be replaced, and a link as a link.
            replaced = ("x.json",) if arguments[0] == "score" else ("link.wav",)
            own = named.name if named.name in replaced else "/"
            strange = [name for name in strange if not name.endswith(own)]
    else:
        recipe = make_recipe(root / "r")
        extra = CORPORA[kind](recipe, dice) or []
        before = snapshot(root)
        stop = dice.choice(["prepare", "features"])
        outcome = call(*recipe.arguments("--stop-stage", stop, *extra))
        if outcome and not outcome.code and set(extra[-1:]) & silent(kind, extra):
            outcome = Outcome(0, outcome.out, f"Traceback: {extra} was accepted")
        after = snapshot(root)
        work = "r/corpus/" if str(recipe.corpus) in extra[1:] else "r/work/"
        strange = [
            name
            for name in before
            if after.get(name) != before[name] and not name.startswith("r/work/")
        ]
        strange += [
            name
            for name in after
            if name not in before
            and not name.startswith((work, "r/corpus/wavs/data", "r/corpus/wavs/dump"))
        ]
        strange += [str(p) for p in (Path("/tmp/outside-of-wg"), root / "outside") if p.exists()]
    return Verdict(seed, kind, outcome, tuple(strange))


def main(count: int = 2000, first: int = 0) -> int:
    """Tries seeds, prints each fault and the totals."""
    faults, kinds, started = Counter[str](), Counter[str](), time.monotonic()
    refused = 0
    for seed in range(first, first + count):
        root = Path(tempfile.mkdtemp(prefix="wg-bad-"))
        verdict = attempt(seed, root)
        kinds[verdict.kind] += 1
        refused += verdict.outcome is not None and verdict.outcome.code == 2
        if verdict.fault:
            faults[verdict.fault] += 1
            said = verdict.outcome.err.strip()[-300:] if verdict.outcome else ""
            print(ascii(f"seed {seed} {verdict.kind}: {verdict.fault} {verdict.strange} {said}"))
        shutil.rmtree(root, ignore_errors=True)
    seconds = time.monotonic() - started
    print(f"{count} inputs in {seconds:.0f} s ({dict(kinds)}): {refused} refused with one line")
    print(
        ", ".join(f"{faults[name]} {name}" for name in ("traceback", "hang", "outside", "no line"))
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
