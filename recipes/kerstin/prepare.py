"""Kerstin: one German speaker, a corpus of one's own in the LJSpeech layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.layout import read_layout
from wg.data.splits import by_split
from wg.errors import InputError

if TYPE_CHECKING:
    from lhotse import CutSet


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test."""
    return by_split(read_layout(corpus_dir, corpus), corpus)


def download(target: Path, corpus: CorpusConfig) -> Path:
    """InputError: Kerstin is published as WebM, which has to be converted by hand."""
    source = f" from {corpus.url}" if corpus.url else ""
    raise InputError(
        f"{target}: {corpus.name} is not downloaded; get it{source}, convert its audio to "
        "wavs/ID.flac beside metadata.csv, and pass --corpus-dir"
    )
