"""Vocoders that ship: found by name, whole, in the wheel, and speaking."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import wg

import wg.inference.pretrained as hub
from wg.bench.folders import read_at
from wg.diffusion.consistency import Consistency
from wg.errors import InputError
from wg.inference.pretrained import PRETRAINED, SHIPPED
from wg.inference.vocoder import Vocoder
from wg.mel.extract import log_mel
from wg.mel.griffinlim import griffin_lim
from wg.metrics import score

REPOSITORY = Path(__file__).resolve().parents[2]
SPEECH = REPOSITORY / "../shared/data/ljspeech/LJSpeech-1.1/wavs/LJ001-0002.wav"
MOST = 25e6  # bytes of all weights
MELS = {"ljspeech": (22050, 80), "voices": (22050, 80), "voices-24k": (24000, 128)}  # rate, bands
BETWEEN = {"ljspeech": 80, "voices": 80, "voices-24k": 29}  # its LS-MSE and Griffin-Lim's


def tone(path: Path, seconds: float = 0.5) -> Path:
    """Harmonics of 150 Hz, as a file."""
    time = np.arange(int(22050 * seconds)) / 22050
    wave = sum(np.sin(2 * np.pi * 150 * n * time) / n for n in range(1, 12))
    soundfile.write(path, 0.2 * np.asarray(wave), 22050)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_vocoder_loads_by_name_and_says_what_it_is(name: str) -> None:
    vocoder = Vocoder.from_pretrained(name)
    assert (vocoder.mel_spec.sample_rate, vocoder.mel_spec.n_mels) == MELS[name]
    assert vocoder.synthesis.consistency is not None
    card = (PRETRAINED / name / "README.md").read_text()
    for word in ("licence", "LJ001-0001", "Griffin-Lim", "recipes/"):
        assert word in card
    sizes = [path.stat().st_size for path in PRETRAINED.rglob("*.safetensors")]
    assert sum(sizes) < MOST


@pytest.mark.skipif(not SPEECH.is_file(), reason=f"no {SPEECH}")
@pytest.mark.parametrize("name", SHIPPED)
def test_it_speaks(name: str) -> None:
    vocoder = Vocoder.from_pretrained(name)
    rate, hop = vocoder.mel_spec.sample_rate, vocoder.mel_spec.hop_length
    clip = read_at(SPEECH, rate)[0].astype(np.float32)[: hop * 160]
    mel = log_mel(torch.from_numpy(clip), vocoder.mel_spec)
    wave = vocoder(mel, seed=1).numpy()
    floor = griffin_lim(mel, vocoder.mel_spec, 32, 0).numpy()
    names = ("pesq_wb", "stoi", "ls_mse")
    ours, theirs = (score(clip, made, rate, names) for made in (wave, floor))
    assert ours["pesq_wb"] > max(3.6, theirs["pesq_wb"]) and ours["stoi"] > 0.98
    assert ours["ls_mse"] < BETWEEN[name] < theirs["ls_mse"]


def test_vocode_works_offline_without_a_recipe(tmp_path: Path) -> None:
    made = tmp_path / "out.wav"
    source = tone(tmp_path / "in.wav")
    outcome = wg("vocode", str(source), "-o", str(made))
    assert outcome.code == 0, outcome
    wave, rate = soundfile.read(made)
    assert rate == 22050 and len(wave) == 43 * 256 and 0.05 < np.abs(wave).max() <= 1
    plain = tmp_path / "plain.wav"
    assert wg("vocode", str(source), "-o", str(plain), "--consistency", "0").code == 0
    assert not np.array_equal(soundfile.read(plain)[0], wave)


@pytest.mark.parametrize(
    "bands, own, others",
    [(128, "ljspeech", "voices-24k"), (80, "voices-24k", "ljspeech or voices")],
)
def test_a_mel_of_other_bands_is_told_which_vocoder_takes_it(
    bands: int, own: str, others: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "mel.npy", np.zeros((bands, 9), np.float32))
    line = wg(
        "vocode", str(tmp_path / "mel.npy"), "-o", str(tmp_path / "out.wav"), "--vocoder", own
    ).complaint()
    assert f"mel of shape [{bands}, 9]" in line and f"those of --vocoder {others}" in line
    assert not (tmp_path / "out.wav").exists()


def test_the_wheel_holds_them_and_vocodes_elsewhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(REPOSITORY / "wg", tree / "wg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tree)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q"]
        + ["-w", str(tmp_path / "wheels")],
        cwd=tree,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    for name in SHIPPED:
        assert (tmp_path / "site/wg/pretrained" / name / "model.safetensors").is_file()
    tone(tmp_path / "in.wav")
    code = (
        "import sys, wg; assert wg.__file__.startswith(sys.argv[1]), wg.__file__;"
        "from wg.commands.vocode import vocode; vocode(['in.wav', '-o', 'out.wav'])"
    )
    site = str(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", code, site],
        cwd=tmp_path,
        env={"PYTHONPATH": site, "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and (tmp_path / "out.wav").is_file(), done.stderr


def test_names_that_do_not_ship_and_broken_installations_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="ljspech: no such folder.*did you mean 'ljspeech'"):
        Vocoder.from_pretrained("ljspech")
    monkeypatch.setattr(hub, "PRETRAINED", tmp_path)
    with pytest.raises(InputError, match="missing, though it ships with wg.*install wg again"):
        Vocoder.from_pretrained("ljspeech")


def test_a_folder_of_a_shipped_name_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Vocoder.from_pretrained("voices")
    own.synthesis = own.synthesis.override(3, None, None, Consistency())
    own.save_pretrained(tmp_path / "ljspeech")
    monkeypatch.chdir(tmp_path)
    assert Vocoder.from_pretrained("ljspeech").synthesis.schedule == "3"
