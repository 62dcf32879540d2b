"""Repair of torchaudio, on a stand-in for site-packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def fake_torch(folder: Path, cuda: str, torchaudio: str, message: str) -> Path:
    """A site-packages whose torchaudio cannot be imported while its extension is in place."""
    write(folder / "torch" / "__init__.py", f"class version:\n    cuda = {cuda}\n")
    write(folder / "torchaudio" / "version.py", f"__version__ = '{torchaudio}'\n")
    write(
        folder / "torchaudio" / "__init__.py",
        "from pathlib import Path\n"
        "if list((Path(__file__).parent / 'lib').glob('_torchaudio*.so')):\n"
        f"    raise {message}\n",
    )
    for name in ("_torchaudio.abi3.so", "libtorchaudio.abi3.so"):
        write(folder / "torchaudio" / "lib" / name, "")
    return folder / "torchaudio" / "lib"


def fix_torchaudio(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "fix_torchaudio.py")]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


CANNOT_LOAD = "OSError('Could not load this library: /x/torchaudio/lib/_torchaudio.abi3.so')"


def test_a_cuda_torchaudio_beside_a_cpu_torch_loses_only_its_extension(tmp_path: Path) -> None:
    lib = fake_torch(tmp_path, "None", "2.11.0+cu130", CANNOT_LOAD)
    result = fix_torchaudio(tmp_path)
    assert result.returncode == 0 and "built for CUDA beside a CPU torch" in result.stdout
    left = ["_torchaudio.abi3.so.disabled", "libtorchaudio.abi3.so"]
    assert sorted(file.name for file in lib.iterdir()) == left
    again = fix_torchaudio(tmp_path)
    assert again.returncode == 0 and again.stdout == "torchaudio: works beside this torch\n"


@pytest.mark.parametrize(
    ("cuda", "torchaudio", "message"),
    [
        ("'13.0'", "2.11.0+cu130", CANNOT_LOAD),
        ("None", "2.11.0+cpu", CANNOT_LOAD),
        ("None", "2.11.0+cu130", "OSError('sox: no such file')"),
        ("None", "2.11.0+cu130", "RuntimeError('_torchaudio: another CUDA version')"),
    ],
)
def test_any_other_failure_of_torchaudio_is_reported_and_nothing_is_renamed(
    tmp_path: Path, cuda: str, torchaudio: str, message: str
) -> None:
    lib = fake_torch(tmp_path, cuda, torchaudio, message)
    result = fix_torchaudio(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("torchaudio: cannot be imported: ")
    assert (lib / "_torchaudio.abi3.so").exists()
