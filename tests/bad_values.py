"""More of the seeded bad inputs of `bad_inputs.py`: values, files of wg's own, calls from Python.

Valid files are mutated, options and arguments taken at their edges. What holds a NaN or an infinite
number must not be accepted without a word.
"""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_recipe import TinyRecipe
from tiny_vocoder import random_mel, tiny_vocoder

from wg.config import SECTIONS
from wg.errors import InputError

NUMBERS = ["-1", "0", "1", "0.5", "nan", ".nan", "inf", "-.inf", "1e309", "1e-320", "9" * 400]
NUMBERS += [str(2**31), str(2**63), str(2**70), "-0.0", "0x10", "1_000", "1e3", "²", "१२"]
WORDS = ["null", "true", "~", "", "[]", "{}", "[1, 2]", "[[1]]", "{a: 1}", "'x'", "${oc.env:HOME}"]
WORDS += [
    "${train.seed}",
    "!!python/name:os.system",
    "&a [*a]",
    "[" * 2000,
    "x" * 5000,
    "\ufeff",
    "a: b",
]
NOT_FINITE = {"nan", ".nan", "inf", "-.inf", "1e309"}
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    2**70,
    0.5,
    1e309,
    float("nan"),
    "",
    "x",
    "1",
    [],
    [1],
    {},
    {"a": 1},
]


def odd_number(recipe: TinyRecipe, dice: random.Random) -> list[str]:
    """Any key of a configuration with a value at an edge, or of another kind."""
    section = dice.choice([*SECTIONS, "model"])
    names = [f.name for f in dataclasses.fields(SECTIONS[section])] if section != "model" else []
    name = dice.choice(
        names or ["mel_channels", "up_channels", "level_scale", "name", "up_repeats"]
    )
    value = dice.choice(NUMBERS if dice.random() < 0.7 else WORDS)
    return [f"{section}.{name}={value}"]


def odd_option(recipe: TinyRecipe, dice: random.Random) -> list[str]:
    """Any option with a value at an edge."""
    options = ["--stage", "--stop-stage", "--jobs", "--ngpu", "--nodes", "--max-time", "--model"]
    options += [
        "--textgrids",
        "--corpus-dir",
        "--work-dir",
        "--restart",
        "--skip-bad",
        "--nonsense",
    ]
    values = [*NUMBERS, *WORDS, "a\0b", "../..", "1:00:00", "/", "x" * 300, "prepare", "-h "]
    chosen = dice.choice(options)
    return [chosen, dice.choice(values)] if dice.random() < 0.9 else [chosen]


def odd_own_file(recipe: TinyRecipe, dice: random.Random) -> list[str]:
    """A file that wg wrote in stages 1 and 2: cut, emptied, bytes changed, another kind, gone."""
    quietly(recipe.arguments("--stop-stage", "features", "features.shard=3"))
    files = sorted(path for path in recipe.work.rglob("*") if path.is_file())
    path = dice.choice(files)
    content = bytearray(path.read_bytes())
    way = dice.choice(["cut", "empty", "bytes", "json", "gone", "twice", "folder", "link"])
    if way == "cut":
        path.write_bytes(content[: dice.randrange(len(content))])
    elif way == "bytes":
        for _ in range(dice.choice([1, 8])):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
    elif way == "json":
        path.write_text(json.dumps(dice.choice(ODD)))
    elif way == "twice":
        path.write_bytes(bytes(content) * 2)
    elif way == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
        if way == "folder":
            path.mkdir()
        elif way == "link":
            path.symlink_to(path.name)
    return ["features.shard=3", "--stage", dice.choice(["1", "2"]), "--stop-stage", "features"]


def quietly(arguments: list[str]) -> None:
    """A command whose outcome does not matter."""
    from tiny_recipe import wg

    assert wg(*arguments).code == 0


def mutate(content: Any, dice: random.Random) -> Any:
    """A JSON value with one of its parts replaced by something odd, removed, or added to."""
    if not isinstance(content, dict | list) or not content or dice.random() < 0.2:
        return dice.choice(ODD)
    if isinstance(content, list):
        place = dice.randrange(len(content))
        return [mutate(v, dice) if i == place else v for i, v in enumerate(content)]
    key = dice.choice(sorted(content))
    if dice.random() < 0.1:
        return {k: v for k, v in content.items() if k != key}
    return {**content, key: mutate(content[key], dice)}


def odd_folder(desk: Path, dice: random.Random) -> list[str]:
    """A vocoder's folder with a changed config.json or changed weights."""
    path = desk / "voc" / dice.choice(["config.json"] * 4 + ["model.safetensors"])
    if path.suffix == ".json" and dice.random() < 0.8:
        path.write_text(json.dumps(mutate(json.loads(path.read_text()), dice)))
    elif dice.random() < 0.3:
        deep = 100_000
        path.write_text("[" * deep + "]" * deep)
    else:
        content = bytearray(path.read_bytes())
        for _ in range(dice.choice([1, 20])):
            content[dice.randrange(min(len(content), 3000))] = dice.randrange(256)
        path.write_bytes(content[: dice.choice([len(content), dice.randrange(len(content))])])
    return ["vocode", str(desk / "mel.npy"), "--steps", "1", "--vocoder", str(desk / "voc")]


def odd_array(desk: Path, dice: random.Random) -> list[str]:
    """A mel file of any shape, type, byte order and content."""
    mel = random_mel(8).numpy()
    made = {
        "0d": np.float32(3),
        "1d": mel[0],
        "3d": mel[None],
        "5d": mel[None, None, None],
        "big": mel.astype(">f4"),
        "half": mel.astype("f2"),
        "double": mel.astype("f8") * 1e300,
        "turned": np.asfortranarray(mel.T),
        "int": mel.astype(int),
        "bool": mel > 0,
        "words": np.array(["a"]),
        "complex": mel * 1j,
        "empty": mel[:, :0],
        "nan": np.where(mel > mel.mean(), np.nan, mel),
        "inf": np.full_like(mel, np.inf),
        "loud": mel + 1e30,
    }
    path = desk / "mel.npy"
    way = dice.choice([*made, "cut", "shape", "object"])
    if way in made:
        with np.errstate(all="ignore"):
            np.save(path, made[way])
    elif way == "object":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        content = path.read_bytes()
        huge = content.replace(b"(10, 8)", b"(9**9,)"[:7])
        path.write_bytes(huge if way == "shape" else content[: dice.randrange(len(content))])
    further = dice.choice([[], ["--chunk", "4"], ["--seed", dice.choice(NUMBERS)]])
    steps = dice.choice(
        [["--steps", dice.choice(["1", *NUMBERS])], ["--schedule", dice.choice(WORDS)]]
    )
    return ["vocode", str(path), "--vocoder", str(desk / "voc"), *steps, *further]


def odd_call(dice: random.Random) -> str | None:
    """A call from Python with odd arguments: the traceback of what is no InputError, or None."""
    vocoder, mel = tiny_vocoder(), random_mel(8)
    numbers: list[Any] = [-1, 0, 1, 2**70, 1.5, float("nan"), "1", None, [1], True, np.int64(2)]
    arguments: dict[str, Any] = {
        "steps": dice.choice([1, 1, *numbers]),
        "seed": dice.choice([0, 0, [0], [0, 1], *numbers]),
        "lengths": dice.choice(
            [None, None, [8], [0], [2**70], [1.5], "x", [[8]], torch.ones(1), [9]]
        ),
        "sampler": dice.choice([None, None, "ddim", "", "ddim-nan", "ddim-2", "x" * 99, 3]),
        "consistency": dice.choice([None, None, 0, 1, -1, 2**70, "x", 1.5]),
    }
    if dice.random() < 0.3:
        arguments["schedule"] = dice.choice(
            [[], [1.0], [2, 1], [float("nan")], "x", 7, [1.0, 0.5, 0.9]]
        )
        arguments["steps"] = dice.choice([None, None, 3])
    mels: list[Any] = [mel, mel, mel[None], mel.double(), mel.numpy(), mel.numpy().astype(">f4")]
    mels += [
        mel.long(),
        mel[:3],
        mel * float("nan"),
        mel[:, :0],
        "mel",
        None,
        [1.0],
        mel.numpy() > 0,
    ]
    given = dice.choice(mels)
    try:
        made = vocoder(given, **arguments)
    except InputError:
        return None
    except Exception as error:
        return f"Traceback: {type(error).__name__}: {error} ({arguments})"
    if not bool(torch.isfinite(torch.as_tensor(made)).all()):
        return f"Traceback: not finite ({arguments})"
    return None
