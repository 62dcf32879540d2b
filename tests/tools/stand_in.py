"""A stand-in for Python and pip, and a copy of the checkout's scripts that runs with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash") or "/bin/bash"
BASIC_TOOLS = (
    "awk bash cat cksum cp cut df dirname du env find flock grep ls mkdir mv readlink rm sed sleep "
    "tail touch tr uname wc xargs"
).split()

# Behaves as python3.11: makes "environments" that hold a copy of itself, lets pip fail with
# $PIP_LINES at the step that names $PIP_FAILS_AT, leaves torchaudio alone, runs all else for real.
STAND_IN = f"""#!{BASH}
case "$*" in
  *"import ensurepip, venv"*) exit "${{NO_VENV:-0}}" ;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; touch "$3/pyvenv.cfg"; exit 0 ;;
  "-m pip --version") echo "pip 26.3 from here"; exit 0 ;;
  "-m pip install "*"--dry-run"*) echo "$PIP_REPORT"; exit 0 ;;
  "-m pip install "*)
    echo "$*" >>"$PIP_CALLS"
    [[ -n "${{PIP_SLEEP:-}}" ]] && sleep "$PIP_SLEEP"
    [[ -z "${{PIP_FAILS_AT:-}}" || "$*" != *"$PIP_FAILS_AT"* ]] && exit 0
    echo "$PIP_LINES"; exit 1 ;;
  *fix_torchaudio.py) exit 0 ;;
  *'version("torch")'*) exit 1 ;;
  "-m wg "*) printf '%s\\n' "$@"; exit 0 ;;
  "-m ruff "* | "-m pyright "* | "-m codespell_lib "*) [[ "$2" != "${{CHECK_FAILS:-}}" ]]; exit ;;
  "-m pytest"*) echo "$VIRTUAL_ENV ${{*:3}}"; echo "== 1 passed =="; exit "${{TESTS_EXIT:-0}}" ;;
  *find_spec*) exec env PYTHONPATH="${{PYTHONPATH:-}}" "{sys.executable}" -S "$@" ;;
esac
exec "{sys.executable}" -I -S "$@"
"""
CPU = '{"install": [{"metadata": {"name": "torch"}}]}'
CUDA = '{"install": [{"metadata": {"name": "torch"}}, {"metadata": {"name": "nvidia-cublas"}}]}'


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


class Checkout:
    """A copy of the scripts, in a folder with a blank in its name, and the PATH they run with."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my checkout"
        shutil.copytree(ROOT / "tools", self.root / "tools")
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        shutil.copy(ROOT / "pyproject.toml", self.root)
        for recipe in (ROOT / "recipes").glob("*/run.sh"):
            (self.root / "recipes" / recipe.parent.name).mkdir(parents=True)
            shutil.copy(recipe, self.root / "recipes" / recipe.parent.name)
        self.venv = self.root / ".venv"
        self.calls = folder / "pip calls"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in BASIC_TOOLS:
            found = shutil.which(name)
            if found:
                (self.bin / name).symlink_to(found)

    def add_python(self, name: str = "python3.11") -> None:
        executable(self.bin / name, STAND_IN)

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        kept = {"PATH": str(self.bin), "HOME": str(self.root.parent)}
        return kept | {"PIP_REPORT": CPU, "PIP_CALLS": str(self.calls)} | settings

    def run(self, *command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BASH, *map(str, command)],
            cwd=self.root.parent,
            env=self.environment(settings),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def set_up(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.root / "tools" / "setup.sh", *arguments, **settings)

    def fastest(self, *command: str | Path) -> float:
        """Seconds of the fastest of three runs: the machine may be busy with other things."""
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            self.run(*command)
            seconds.append(time.monotonic() - began)
        return min(seconds)

    def pip_calls(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


def error_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one error line of a failed run, without what the script quotes from a log."""
    lines = [line for line in result.stderr.splitlines() if ": error: " in line and line[0] != " "]
    assert result.returncode != 0
    assert len(lines) == 1, result.stderr
    return lines[0]
