"""Voices: several corpora in one folder, read together for a vocoder of speakers never seen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wg.config import CorpusConfig
from wg.data.layout import Transcript, cut_of, read_layout
from wg.data.libritts import part_cuts, parts_in
from wg.data.packed import Chosen, Packed, cut_set
from wg.data.splits import SPLITS, resolve, wanted
from wg.errors import InputError

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut.data import DataCut

log = logging.getLogger(__name__)

Groups = dict[str, list[str]]  # ids by the name that stands for all of them in a split


class Source(NamedTuple):
    """One of the corpora; utterances and speakers get its name as prefix."""

    name: str
    folders: tuple[str, ...]  # names that its folder may have
    language: str
    read: Callable[[Path, CorpusConfig], Iterator[tuple[str, DataCut]]]  # group and cut


def read(corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test, each ordered by id, of the corpora that are there.

    An id is CORPUS-ID, once: `ljspeech-LJ001-0001`, `kathleen-a0001`. `corpus.train`, `.valid`
    and `.test` take ids, ranges of them, `CORPUS` and `libritts-PART`. What belongs to an absent
    corpus or part is passed over with a notice.
    """
    groups: Groups = {}
    places: dict[str, int] = {}
    packed = Packed(_everything(corpus_dir, corpus, groups, places))
    items = {split: _items(split, listed, groups) for split, listed in wanted(corpus).items()}
    chosen = resolve(places, items)
    return {
        split: cut_set(Chosen(packed, [places[name] for name in chosen[split]])) for split in SPLITS
    }


def _everything(
    corpus_dir: Path, corpus: CorpusConfig, groups: Groups, places: dict[str, int]
) -> Iterator[DataCut]:
    """Every cut, whose place and groups are noted; InputError where prefixing made two alike."""
    for source, folder in _found(corpus_dir).items():
        own = replace(corpus, name=source.name, language=source.language)
        ids = groups[source.name] = []
        rates: set[float] = set()
        for group, cut in source.read(folder, own):
            if cut.id in places:
                raise InputError(f"{folder}: two utterances have the id {cut.id}; rename one")
            places[cut.id] = len(places)
            ids.append(cut.id)
            if group != source.name:
                groups.setdefault(group, []).append(cut.id)
            rates.add(cut.sampling_rate)
            yield cut
        rate = ", ".join(f"{rate} Hz" for rate in sorted(rates))
        print(f"{source.name}: {len(ids)} utterances of {rate} in {folder}")


def download(target: Path, corpus: CorpusConfig) -> Path:
    """InputError: the corpora come from several places."""
    raise InputError(
        f"{target}: voices is not downloaded; put {_wanted_folders()} in one folder "
        "(docs/corpora.md says where they come from) and pass it as --corpus-dir"
    )


def _found(corpus_dir: Path) -> dict[Source, Path]:
    """The folder of each corpus, in `corpus_dir` or one below; names the absent ones."""
    if not corpus_dir.is_dir():
        raise InputError(f"{corpus_dir}: no such folder; give the corpora with --corpus-dir")
    found: dict[Source, Path] = {}
    for source in SOURCES:
        places = [
            path
            for name in source.folders
            for pattern in (name, f"*/{name}")
            for path in sorted(corpus_dir.glob(pattern))
            if (path / "metadata.csv").is_file() or parts_in(path)
        ]
        if len(places) > 1:
            raise InputError(f"{places[0]} and {places[1]} are both {source.name}; remove one")
        if places:
            found[source] = places[0]
    if not found:
        raise InputError(
            f"{corpus_dir}: none of {_wanted_folders()} is in it or one folder below; give the "
            "folder that holds them"
        )
    absent = [source.name for source in SOURCES if source not in found]
    if absent:
        log.warning(
            "%s: corpora skipped because no folder of their name has metadata.csv or parts: %s",
            *(corpus_dir, ", ".join(absent)),
        )
    return found


def _items(split: str, listed: tuple[str, ...], groups: Groups) -> tuple[str, ...]:
    """What is listed, groups as their ids, without what belongs to absent corpora and parts."""
    from lhotse.recipes.libritts import LIBRITTS

    absent = {source.name for source in SOURCES} - groups.keys()
    parts = {f"libritts-{part}" for part in LIBRITTS} - groups.keys()
    items: list[str] = []
    for item in listed:
        if item in groups:
            items += groups[item]
        elif item in parts and "libritts" not in absent:
            log.warning("corpus.%s: %s skipped because absent", split, item)
        elif item.split("-")[0] not in absent:
            items.append(item)
    if listed and not items:  # an empty train would be everything, what is held back too
        there = ", ".join(groups)
        raise InputError(f"corpus.{split}: nothing of it is there; name some of {there}")
    return tuple(items)


def _read_layout(folder: Path, corpus: CorpusConfig) -> Iterator[tuple[str, DataCut]]:
    """A corpus of one speaker in the LJSpeech layout."""
    yield from _grouped(corpus.name, read_layout(folder, corpus), corpus.name)


def _read_libritts(folder: Path, corpus: CorpusConfig) -> Iterator[tuple[str, DataCut]]:
    """LibriTTS by its parts."""
    for part in parts_in(folder):
        cuts = part_cuts(folder, part, corpus.language)
        yield from _grouped(f"{corpus.name}-{part}", cuts, corpus.name)


def _grouped(group: str, cuts: Iterable[Any], prefix: str) -> Iterator[tuple[str, DataCut]]:
    return ((group, _prefixed(cut, prefix)) for cut in cuts)


def _prefixed(cut: DataCut, prefix: str) -> DataCut:
    """The cut with a corpus's name before its id and its speaker's, once."""

    def name(own: str) -> str:
        return own if own == prefix or own.startswith(f"{prefix}-") else f"{prefix}-{own}"

    assert cut.recording is not None
    (said,) = cut.supervisions
    orig_text, speaker = (said.custom or {})["orig_text"], name(said.speaker or "")
    transcript = Transcript(name(cut.id), said.text, orig_text, speaker)
    return cut_of(replace(cut.recording, id=transcript.id), transcript, said.language or "")


def _wanted_folders() -> str:
    return ", ".join(" or ".join(source.folders) for source in SOURCES)


SOURCES = (
    Source("ljspeech", ("LJSpeech-1.1",), "en", _read_layout),
    Source("kathleen", ("kathleen",), "en", _read_layout),
    Source("libritts", ("LibriTTS", "LibriTTS_R"), "en", _read_libritts),
    Source("kerstin", ("kerstin",), "de", _read_layout),
)
