"""The embedded corpus: our sentences, spoken offline by five espeak-ng voices."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.layout import read_layout
from wg.data.splits import by_split
from wg.errors import InputError

if TYPE_CHECKING:
    from lhotse import CutSet

_HERE = Path(__file__).parent
_SENTENCES, _VOICES = _HERE / "sentences.txt", _HERE / "voices.py"


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test."""
    return by_split(read_layout(corpus_dir, corpus), corpus)


def download(target: Path, corpus: CorpusConfig) -> Path:
    """Render the corpus into `target/mini`, whole or not at all; some ten CPU seconds at most.

    A folder made from the same sentences and voices is left as it is. InputError where
    espeak-ng does not run, the disk is full, or the folder holds something else.
    """
    if importlib.util.find_spec("espeakng_loader") is None:
        raise InputError("the mini corpus needs espeakng-loader; run tools/setup.sh")
    corpus_dir = target / "mini"
    recipe = _recipe()
    marker = corpus_dir / ".completed"
    if marker.is_file() and marker.read_text() == recipe:
        return corpus_dir
    if corpus_dir.exists() and not marker.is_file():
        raise InputError(f"{corpus_dir}: not made by this recipe; move it or choose another folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".mini-") as scratch:
            made = Path(scratch) / "mini"
            _render(made)
            (made / ".completed").write_text(recipe)
            if corpus_dir.exists():
                shutil.rmtree(corpus_dir)  # of an older version of the recipe
            os.replace(made, corpus_dir)
    except OSError as error:
        raise InputError(
            f"{target}: cannot write the mini corpus ({error.strerror}); "
            "free space or choose another folder"
        ) from None
    return corpus_dir


def _render(folder: Path) -> None:
    command = [sys.executable, str(_VOICES), str(_SENTENCES), str(folder), str(os.cpu_count() or 1)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed"])[-1]
        raise InputError(
            f"espeak-ng cannot speak the mini corpus ({reason}); reinstall espeakng-loader "
            "or free disk space"
        )


def _recipe() -> str:
    """A fingerprint of everything that the samples depend on."""
    digest = hashlib.sha256(_SENTENCES.read_bytes() + _VOICES.read_bytes())
    return f"{digest.hexdigest()} espeakng-loader {version('espeakng-loader')}\n"
