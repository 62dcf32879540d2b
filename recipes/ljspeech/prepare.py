"""LJSpeech-1.1: one English speaker, 24 hours at 22,050 Hz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.download import check_own, explained
from wg.data.layout import read_layout
from wg.data.splits import by_split

if TYPE_CHECKING:
    from lhotse import CutSet

_URL = "https://keithito.com/LJ-Speech-Dataset"


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test.

    Lhotse's own reader wants three columns, WAV and a healthy header in every file, and keeps
    the unexpanded text; ours says what is wrong, and serves every corpus of this layout.
    """
    return by_split(read_layout(corpus_dir, corpus), corpus)


def download(target: Path, corpus: CorpusConfig) -> Path:
    """Fetch 2.6 GB with Lhotse, resuming what an earlier try left; returns the corpus folder."""
    from lhotse.recipes import download_ljspeech

    check_own(target / "LJSpeech-1.1", "LJSpeech-1.1.tar.bz2")
    with explained("LJSpeech-1.1", _URL, target):
        return Path(download_ljspeech(target))
