"""Truncation in every container that soundfile writes, and what may be trained on at all."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wg.data.audio import find_problem, odd_format
from wg.data.containers import CONTAINERS, LOSSLESS, LOSSY

RATE = 16000
FORMATS = [
    name for name in soundfile.available_formats() if name not in ("RAW", "SDS", "XI", "WVE")
]


def speech(seconds: float = 3.0) -> np.ndarray:
    dice = np.random.default_rng(0)
    return 0.3 * np.sin(np.arange(int(seconds * RATE)) / 20) + 0.01 * dice.standard_normal(
        int(seconds * RATE)
    )


def subtype_of(kind: str) -> str:
    fine = [s for s in (*LOSSLESS, *LOSSY) if s in soundfile.available_subtypes(kind)]
    return fine[0] if fine else soundfile.default_subtype(kind)  # pyright: ignore[reportReturnType]


def write(path: Path, kind: str) -> bytes:
    try:
        soundfile.write(path, speech(), RATE, format=kind, subtype=subtype_of(kind))
    except soundfile.SoundFileError:
        pytest.skip(f"soundfile cannot write {kind} here")
    return path.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path, dice = tmp_path / "clip.wav", random.Random(kind)
    content = write(path, kind)
    for _ in range(8):
        path.write_bytes(content[: dice.randrange(len(content) // 10, len(content) * 9 // 10)])
        assert find_problem(str(path), None) is not None


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_used_or_named_with_a_remedy(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clip.wav"
    write(path, kind)
    problem = find_problem(str(path), None)
    if kind in CONTAINERS:
        assert problem is None
        said = odd_format(str(path))
        assert (said is None) == (kind in ("WAV", "WAVEX", "RF64", "NIST"))
    else:
        assert problem and ("convert it" in problem or "from the source" in problem)


@pytest.mark.parametrize(
    "subtype", [s for s in soundfile.available_subtypes("WAV") if s not in ("NMS_ADPCM_16",)]
)
def test_coarse_codings_are_refused_and_fine_ones_are_not(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    try:
        soundfile.write(path, speech(), RATE, format="WAV", subtype=subtype)
    except (soundfile.SoundFileError, ValueError):
        pytest.skip(f"soundfile cannot write {subtype}")
    assert (find_problem(str(path), None) is None) == (subtype in (*LOSSLESS, *LOSSY))


@pytest.mark.parametrize("level", [0.0, 0.25, -0.5, 1.0])
@pytest.mark.parametrize("noise", [0.0, 1 / 32768])
def test_a_constant_is_no_speech(tmp_path: Path, level: float, noise: float) -> None:
    path = tmp_path / "clip.wav"
    steps = np.random.default_rng(0).integers(-1, 1, 8000) * noise
    soundfile.write(path, np.clip(level + steps, -1, 1), RATE, subtype="FLOAT")
    problem = find_problem(str(path), None)
    assert problem and ("constant" in problem or "silence" in problem)
