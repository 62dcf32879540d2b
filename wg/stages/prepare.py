"""Stage 1, prepare: a corpus on disk (or downloaded) becomes checked manifests."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wg.config import CorpusConfig
from wg.data.audio import check_audio, summary
from wg.data.splits import SPLITS, hold_out
from wg.data.state import corpus_state
from wg.errors import InputError
from wg.files import MANIFESTS, fresh_folder
from wg.processes.launch import part
from wg.stages.stage import FILES, Stage
from wg.tasks.context import Context, read_stamp

if TYPE_CHECKING:
    from lhotse import CutSet


def recipe_reader(recipe: Path) -> ModuleType:
    """The recipe's prepare.py, which has `read` and `download`."""
    path = recipe / "prepare.py"
    specification = importlib.util.spec_from_file_location(f"recipe_{recipe.name}", path)
    if not path.is_file() or specification is None or specification.loader is None:
        raise InputError(f"{path}: no such file; a recipe has prepare.py with read and download")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def find_corpus(context: Context, reader: ModuleType) -> Path:
    """The corpus folder: given, used before, or downloaded."""
    known = known_corpus(context)
    if known is None and part():
        raise InputError("--part: parts download nothing; give the corpus with --corpus-dir")
    return known or reader.download(context.work / "downloads", context.experiment.corpus)


def known_corpus(context: Context) -> Path | None:
    """The corpus folder, given or used before; InputError for a given one that is not there."""
    if context.corpus_dir is not None and not context.corpus_dir.is_dir():
        raise InputError(f"--corpus-dir {context.corpus_dir}: no such folder")
    return context.corpus_dir or corpus_before(context)


def corpus_before(context: Context) -> Path | None:
    """The corpus folder of the run before, or of one of its parts, while it is there."""
    before = read_stamp(STAGE.stamp_path(context))
    results = [before["result"]] if before else list(context.kept.parts().values())
    folder = Path(results[-1]["corpus_dir"]) if results else None
    return folder if folder and folder.is_dir() else None


def read_splits(reader: ModuleType, corpus_dir: Path, corpus: CorpusConfig) -> dict[str, CutSet]:
    """The cuts of train, valid and test, not checked yet; InputError for ids that are not there."""
    splits = reader.read(corpus_dir, corpus)
    return splits if corpus.hold_out is None else hold_out(splits["train"], corpus.hold_out)


def plan(context: Context) -> list[str]:
    """How many utterances each split would have, where the corpus is there."""
    folder = known_corpus(context)
    if folder is None:
        return []
    splits = read_splits(recipe_reader(context.recipe), folder, context.experiment.corpus)
    sizes = [f"{name} {len(list(splits[name].ids))}" for name in SPLITS]
    return [f"utterances: {', '.join(sizes)}"]


def run(context: Context) -> Mapping[str, Any]:
    """Reads, checks and splits the corpus; prints hours and speakers of each split."""
    reader = recipe_reader(context.recipe)
    corpus_dir = find_corpus(context, reader)
    result = {"corpus_dir": str(corpus_dir.resolve())}
    files = {} if part() else files_of(replace(context, corpus_dir=corpus_dir))  # before it is read
    corpus = context.experiment.corpus
    splits = read_splits(reader, corpus_dir, corpus)
    checked = {
        name: check_audio(
            splits.pop(name), context.jobs, corpus.sample_rate, corpus.skip_bad, context.kept
        )
        for name in SPLITS
    }
    if part():
        return result
    problems = [problem for _, bad in checked.values() for problem in bad]
    manifests: dict[str, str] = {}
    with fresh_folder(context.data, MANIFESTS, [corpus_dir]) as folder:
        for name, (cuts, _) in checked.items():
            if not len(cuts):
                raise InputError(f"corpus.{name}: no usable utterances in {corpus_dir}")
            manifests[name] = digest_of(cuts)
            cuts.to_file(folder / f"{name}.jsonl.gz")
            print(f"{name}: {summary(cuts)}")
        if problems:
            print(f"left out {len(problems)} bad clips (--skip-bad):")
            print("\n".join(f"  {problem}" for problem in problems))
            (folder / "left-out.txt").write_text("\n".join(problems) + "\n", "utf-8")
    return {**result, **files, "left_out": len(problems), "manifests": manifests}


def digest_of(cuts: CutSet) -> str:
    """As `digest` of {"cuts": [...]}, a cut at a time: their JSON at once takes gigabytes."""
    found = hashlib.sha256(b'{"cuts": [')
    for number, cut in enumerate(cuts):
        text = json.dumps(cut.to_dict(), sort_keys=True, default=str)
        found.update((", " if number else "").encode() + text.encode())
    found.update(b"]}")
    return found.hexdigest()[:16]


def state(context: Context) -> dict[str, str]:
    """The corpus's folder, if one is given, and its files."""
    folder = context.corpus_dir
    given = {} if folder is None else {"--corpus-dir": str(folder.resolve())}
    return {**given, **files_of(context)}


def files_of(context: Context) -> dict[str, str]:
    """The corpus's files, while its folder is known and there."""
    folder = context.corpus_dir or corpus_before(context)
    if folder is None or not folder.is_dir():
        return {}
    written = (context.data, context.work / "dump", context.work / "exp")
    return {FILES: corpus_state(folder.resolve(), written)}


STAGE = Stage(
    name="prepare",
    summary="corpus to manifests: checked audio, fixed splits",
    keys=("corpus",),
    needs=(),
    output=lambda context: context.data,
    run=run,
    state=state,
    plan=plan,
    parts=True,
    free_keys=("corpus.licence", "corpus.url"),
)
