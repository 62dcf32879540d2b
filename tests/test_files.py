"""What wg replaces and what it refuses to: folders and files of its own, and of the user's."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from wg.errors import InputError
from wg.files import (
    MANIFESTS,
    MODEL,
    PAGE,
    STAMP,
    Kind,
    check_file,
    check_filled,
    check_folder,
    check_names,
    check_sidecar,
    foreign,
    fresh_folder,
    own,
)

KIND = Kind("test", "mark", ("mark",), ("later/*",))


def tree(root: Path) -> dict[str, bytes | str | None]:
    """Everything below a folder: a file's bytes, where a link leads, None for a folder."""
    return {
        str(path.relative_to(root)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(root.rglob("*"))
    }


def make(folder: Path, *names: str) -> None:
    with fresh_folder(folder, KIND) as made:
        for name in names:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text("ours")


def litter(folder: Path, dice: random.Random) -> str:
    """Puts something of a user's anywhere into a folder; its name."""
    below = dice.choice(["", "a", "a/b", "wavs", "later x", ".hidden"])
    name = dice.choice(["notes.txt", "index.html", "data.json.bak", "ü 1.wav", ".env", STAMP + "~"])
    path = folder / below / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if dice.random() < 0.2:
        path.symlink_to(dice.choice(["nowhere", "/etc/hostname"]))
    else:
        path.write_text("the user's")
    return str(path.relative_to(folder))


@pytest.mark.parametrize("seed", range(60))
def test_a_folder_with_anything_of_the_users_is_never_replaced(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    folder = tmp_path / "out"
    if dice.random() < 0.6:
        make(folder, *dice.sample(["x.json", "a/x.wav", "a/b/y.wav"], 2))
    name = litter(folder, dice)
    before = tree(tmp_path)
    with pytest.raises(InputError) as caught:
        make(folder, "new")
    assert name in str(caught.value) and str(folder) in str(caught.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["absent", "empty", "ours", "ours and more later", "desktop"])
def test_a_folder_of_ours_is_replaced_whole(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    if kind == "empty":
        folder.mkdir()
    elif kind != "absent":
        make(folder, "old", "a/old")
    if kind.endswith("later"):
        (folder / "later").mkdir()
        (folder / "later" / "x").write_text("ours, too")
    if kind == "desktop":
        (folder / ".DS_Store").write_text("")
    make(folder, "new")
    assert sorted(tree(folder)) == [STAMP, "new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_folder_of_ours_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    with pytest.raises(InputError, match="old, which wg did not write as part of a page"):
        check_folder(tmp_path / "out", PAGE, [], "-o")


def test_a_failing_block_leaves_the_folder_before(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    before = tree(tmp_path)
    with pytest.raises(KeyError), fresh_folder(tmp_path / "out", KIND) as made:
        (made / "half").write_text("")
        raise KeyError
    assert tree(tmp_path) == before


def test_a_neighbour_that_is_called_like_our_half_made_folder_stays(tmp_path: Path) -> None:
    for name in ("out.tmp", "out.1.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes").write_text("the user's")
        os.utime(tmp_path / name, (0, 0))
    make(tmp_path / "out", "new")
    assert {"out.tmp/notes", "out.1.tmp/notes"} <= tree(tmp_path).keys()


def test_what_a_killed_run_left_goes_once_nobody_writes_it(tmp_path: Path) -> None:
    for name, age in (("out.old.tmp", 0), ("out.new.tmp", None)):
        own(tmp_path / name)
        if age is not None:
            os.utime(tmp_path / name, (age, age))
    make(tmp_path / "out", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.new.tmp"]


def test_a_link_to_a_folder_stays_and_its_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    make(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink() and (tmp_path / "disk" / "new").is_file()


def test_the_folder_that_one_is_in_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    for name in ("old", "new"):
        make(Path("."), name, "a/b")
    assert sorted(tree(Path("."))) == [STAMP, "a", "a/b", "new"]


@pytest.mark.parametrize("way", ["itself", "above", "link", "dots", "linked input"])
def test_a_folder_that_holds_an_input_is_never_replaced(tmp_path: Path, way: str) -> None:
    make(tmp_path / "out", "corpus/a.wav")
    given = tmp_path / "out" / "corpus"
    (tmp_path / "link").symlink_to("out")
    out = {
        "itself": given,
        "above": tmp_path / "out",
        "link": tmp_path / "link",
        "dots": tmp_path / "out" / "corpus" / "..",
        "linked input": tmp_path / "out",
    }[way]
    if way == "linked input":
        (tmp_path / "corpus").symlink_to("out/corpus")
        given = tmp_path / "corpus"
    before = tree(tmp_path)
    with pytest.raises(InputError, match="would be replaced, and with it the input") as caught:
        check_folder(out, KIND, [given], f"-o {out}")
    assert str(given) in str(caught.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "names, ours",
    [
        (("train.jsonl.gz", "valid.jsonl.gz", "stage-prepare.json"), True),
        (("train.jsonl.gz", "phonemes/x/train.jsonl", "phonemes/x/aligner/a.ckpt"), True),
        (("train.jsonl.gz", "corpus/wavs/1.wav"), False),
        (("stage-prepare.json",), False),  # of whom is not known; nothing else is there to lose
        (("config.json", "model.safetensors", "README.md", "search-6-ddim.jsonl"), True),
        (("config.json", "model.safetensors", "README.md", "train.py"), False),
        (("index.html", "wg/a.wav", "recording/a.png"), True),
        (("index.html", "wg/a.wav", "style.css"), False),
        (("index.html", "mine.wav"), False),
    ],
)
def test_folders_made_before_there_were_stamps_are_known_by_what_they_hold(
    tmp_path: Path, names: tuple[str, ...], ours: bool
) -> None:
    content = {
        "config.json": '{"format": 1, "model": {}, "mel": {}, "diffusion": {}}',
        "index.html": '<html><body data-recording="recording">',
    }
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content[name] if name in content else "")
    kinds = (MANIFESTS, MODEL, PAGE)
    assert any(foreign(tmp_path, kind) is None for kind in kinds) == ours


@pytest.mark.parametrize("name", ["index.html", "model.safetensors"])
def test_a_users_page_or_model_is_not_taken_for_one_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html><body>")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert all(foreign(tmp_path, kind) is not None for kind in (MANIFESTS, MODEL, PAGE))


@pytest.mark.parametrize("way", ["itself", "relative", "dots", "symlink", "hard link"])
def test_a_file_that_is_an_input_is_never_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    given, other = tmp_path / "in.wav", tmp_path / "out.wav"
    given.write_text("the user's")
    monkeypatch.chdir(tmp_path)
    if way == "symlink":
        other.symlink_to("in.wav")
    elif way == "hard link":
        os.link(given, other)
    out = {"itself": given, "relative": Path("in.wav"), "dots": tmp_path / ".." / tmp_path.name}
    path = out[way] if way in out else other
    path = path / "in.wav" if way == "dots" else path
    with pytest.raises(InputError, match="would replace the input"):
        check_file(path, (".wav",), [given], "-o")


@pytest.mark.parametrize(
    "name, words",
    [
        ("x.mp3", "ends in .wav"),
        ("x", "ends in .wav"),
        ("none/x.wav", "no folder"),
        ("folder.wav", "a folder"),
        ("pipe.wav", "not a regular file"),
        ("gone.wav", "not a regular file"),
        ("loop.wav", "loop"),
        ("x" * 300 + ".wav", "name too long"),
    ],
)
def test_an_output_that_cannot_be_one_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "gone.wav").symlink_to("none")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    with pytest.raises(InputError) as caught:
        check_file(tmp_path / name, (".wav",), [tmp_path / "in"], "-o")
    assert words in str(caught.value).lower() or name in ("loop.wav", "gone.wav")


def test_what_describes_an_output_replaces_its_like_and_nothing_else(tmp_path: Path) -> None:
    path, keys = tmp_path / "x.json", ("levels", "seed")
    check_sidecar(path, keys, [], False)
    for content in ("precious", "{}", "[]", '{"levels": 1}'):
        path.write_text(content)
        with pytest.raises(InputError, match="--force"):
            check_sidecar(path, keys, [], False)
        check_sidecar(path, keys, [], True)
        with pytest.raises(InputError, match="is an input"):
            check_sidecar(path, keys, [path], True)
    path.write_text('{"levels": 1, "seed": 2, "more": 3}')
    check_sidecar(path, keys, [], False)


def test_files_of_a_folder_replace_their_like_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    check_names(folder, ["1.wav"], [], False)
    own(folder, ["1.wav"])
    for name in ("1.wav", "2.wav", "notes"):
        (folder / name).write_text("")
    check_names(folder, ["1.wav", "3.wav"], [], False)
    with pytest.raises(InputError, match=r"2\.wav that wg did not write.*--force"):
        check_names(folder, ["1.wav", "2.wav"], [], False)
    check_names(folder, ["1.wav", "2.wav"], [], True)
    with pytest.raises(InputError, match="input"):
        check_names(folder, ["1.wav"], [folder / "1.wav"], True)


def test_a_folder_that_fills_file_by_file_is_ours_or_empty(tmp_path: Path) -> None:
    check_filled(tmp_path / "none" / "yet", "x")
    check_filled(tmp_path, "x")
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"thesis\.tex.*did not make"):
        check_filled(tmp_path, "x")
    own(tmp_path, later=("*",))
    check_filled(tmp_path, "x")
    with pytest.raises(InputError, match="not a folder"):
        check_filled(tmp_path / "thesis.tex", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_without_leave_to_write_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        check_file(tmp_path / "x.wav", (), (), "-o")
