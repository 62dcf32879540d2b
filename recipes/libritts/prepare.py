"""LibriTTS and LibriTTS-R: 2,456 English speakers, 585 hours at 24 kHz, split by corpus part."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from wg.config import CorpusConfig
from wg.data.download import check_own, explained
from wg.data.libritts import part_cuts, parts_in
from wg.data.packed import cut_set
from wg.data.splits import check_disjoint, wanted
from wg.errors import InputError, nearest

if TYPE_CHECKING:
    from lhotse import CutSet

log = logging.getLogger(__name__)

_DOWNLOADED = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean"),
)


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test, each ordered by part and id.

    `corpus.train`, `.valid` and `.test` name parts (`dev-clean`); an empty `train` means every
    train part that no other split has. An absent part is skipped with a notice; InputError when
    that leaves a split empty. With `corpus.hold_out`, which makes the other splits of the training
    utterances, `train` is all that is read. Recordings without transcript stay, with text None:
    a vocoder needs no text.
    """
    present = _present(corpus_dir)
    splits = _parts(corpus)
    if corpus.hold_out is not None:
        splits = {"train": splits["train"]}
    if corpus_dir.name == "LibriTTS_R" and corpus.name == "libritts":
        log.warning("%s: this is LibriTTS-R; set corpus.name=libritts_r to say so", corpus_dir)
    absent = [part for parts in splits.values() for part in parts if part not in present]
    if absent:
        log.warning("%s: parts skipped because absent: %s", corpus_dir, ", ".join(absent))
    for split, parts in splits.items():
        if not set(parts) & set(present):
            raise InputError(
                f"{corpus_dir}: corpus.{split} names no part that is there; "
                f"set corpus.{split}=[PART] to one of {', '.join(present)}"
            )
    return {
        split: cut_set(
            cut
            for part in parts
            if part in present
            for cut in part_cuts(corpus_dir, part, corpus.language)
        )
        for split, parts in splits.items()
    }


def download(target: Path, corpus: CorpusConfig) -> Path:
    """Fetch 82 GB with Lhotse, part by part; LibriTTS-R for corpus.name=libritts_r."""
    from lhotse.recipes import download_libritts

    restored = corpus.name == "libritts_r"
    name, page = ("LibriTTS_R", "141") if restored else ("LibriTTS", "60")
    for part in _DOWNLOADED:
        check_own(target / name / part, f"{part}.tar.gz")
    with explained(name, f"https://www.openslr.org/{page}", target):
        download_libritts(target, use_librittsr=restored, dataset_parts=_DOWNLOADED)
    return target / name


def _present(corpus_dir: Path) -> list[str]:
    """The corpus's parts that the folder holds."""
    from lhotse.recipes.libritts import LIBRITTS

    if not corpus_dir.is_dir():
        raise InputError(f"{corpus_dir}: no such folder; give the corpus with --corpus-dir")
    present = parts_in(corpus_dir)
    if present:
        return present
    below = sorted(path.parent for part in LIBRITTS for path in corpus_dir.glob(f"*/{part}"))
    hint = f"give --corpus-dir {below[0]}" if below else "check --corpus-dir"
    raise InputError(f"{corpus_dir}: no part of LibriTTS ({', '.join(LIBRITTS)}); {hint}")


def _parts(corpus: CorpusConfig) -> dict[str, tuple[str, ...]]:
    """The parts of each split, present or not."""
    from lhotse.recipes.libritts import LIBRITTS

    splits = wanted(corpus)
    for split, parts in splits.items():
        for part in parts:
            if part not in LIBRITTS:
                raise InputError(f"corpus.{split}: no part {part!r}; {nearest(part, LIBRITTS)}")
    check_disjoint(splits)
    if not corpus.train:
        held_out = corpus.valid + corpus.test
        left = (part for part in LIBRITTS if part.startswith("train-") and part not in held_out)
        splits["train"] = tuple(left)
    return splits
