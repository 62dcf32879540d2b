"""Learned durations of LJSpeech against those of the Montreal Forced Aligner.

`python benchmarks/alignment.py WORK TEXTGRIDS [PICTURE.png] [aligner.KEY=VALUE ...]`: WORK is the
--work-dir of recipes/ljspeech after stages 1 and 2. Trains the aligner on the training clips and
compares, on the test clips, start and end of each phoneme that both pronunciations have. Prints
also the search's speed beside that of the same loop in plain Python.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import torch

from wg.alignment.aligner import Aligner, align, train_aligner
from wg.alignment.batches import AlignerUtterances
from wg.alignment.monotonic import _search, monotonic_search
from wg.config import load_experiment
from wg.data.dump import Dump
from wg.data.textgrids import read_tiers
from wg.models import config_class
from wg.pictures import alignment
from wg.processes.devices import Devices
from wg.text.frontend import text_to_symbols
from wg.text.symbols import BOUNDARIES, PHONEMES

RECIPE = Path(__file__).parents[1] / "recipes" / "ljspeech"
Spans = list[tuple[str, float, float]]  # phoneme without stress, start and end in s


def bare(name: str) -> str:
    """A phoneme without its stress."""
    return name.rstrip("012")


def spans_of(symbols: list[str], durations: np.ndarray, frame_s: float) -> Spans:
    """The phonemes of an alignment."""
    ends = np.cumsum(durations) * frame_s
    rows = zip(symbols, ends - durations * frame_s, ends, strict=True)
    return [(bare(name), start, end) for name, start, end in rows if name not in BOUNDARIES]


def differences(ours: Spans, theirs: Spans) -> list[float]:
    """Ours - theirs in ms, of starts and ends of the phonemes that both have."""
    names = ([span[0] for span in side] for side in (ours, theirs))
    found = []
    for i, j, size in SequenceMatcher(None, *names, autojunk=False).get_matching_blocks():
        for one, other in zip(ours[i : i + size], theirs[j : j + size], strict=True):
            found += [1000 * (one[1] - other[1]), 1000 * (one[2] - other[2])]
    return found


def search_speed() -> str:
    """Search on 1000 x 200, compiled and in plain Python."""
    scores = np.random.default_rng(0).standard_normal((1000, 200)).astype(np.float32)
    optional = np.zeros(200, bool)
    monotonic_search(scores, optional)  # compiles
    took = []
    for search, times in ((monotonic_search, 20), (_search.py_func, 1)):
        started = time.process_time()
        for _ in range(times):
            search(scores, optional)
        took.append((time.process_time() - started) / times)
    return f"search on 1000 x 200: {1e3 * took[0]:.2f} ms, plain Python {took[1] / took[0]:.0f} x"


def main() -> None:
    """Trains, compares, prints."""
    torch.set_num_threads(1)
    overrides = [argument for argument in sys.argv[1:] if "=" in argument]
    work, grids, *picture = (Path(argument) for argument in sys.argv[1:] if "=" not in argument)
    experiment = load_experiment(RECIPE, "wavegrad", overrides, config_class)
    train, test = (Dump(work / "dump" / experiment.features_name / s) for s in ("train", "test"))
    texts = {i: text_to_symbols(entry.text) for i, entry in enumerate(train.utterances)}
    torch.manual_seed(0)
    aligner = Aligner(experiment.aligner, AlignerUtterances(train, texts))
    folder = Path(tempfile.mkdtemp())
    started, elapsed = time.process_time(), time.monotonic()
    train_aligner(aligner, folder, Devices())
    print(
        f"{experiment.aligner.steps} steps on {len(train)} clips: "
        f"{time.process_time() - started:.0f} CPU s, {time.monotonic() - elapsed:.0f} s"
    )
    shutil.rmtree(folder)
    frame_s = train.spec.hop_length / train.spec.sample_rate
    found: list[float] = []
    phones = 0
    for index, entry in enumerate(test.utterances):
        symbols = text_to_symbols(entry.text)
        durations, soft = align(aligner, test.mel(index), symbols)
        tier = read_tiers(grids / f"{entry.id}.TextGrid")[1]
        theirs = [(bare(p.label), p.start, p.end) for p in tier if p.label in PHONEMES]
        phones += len(theirs)
        found += differences(spans_of(symbols, durations, frame_s), theirs)
        if picture and index == 1:
            alignment(test.mel(index), symbols, durations.tolist(), soft, picture[0])
    error = np.abs(found)
    print(
        f"{len(test)} test clips, {len(found) // 2} of {phones} phones: mean absolute boundary "
        f"difference {error.mean():.1f} ms, median {np.median(error):.1f}, 90% below "
        f"{np.quantile(error, 0.9):.0f}, largest {error.max():.0f}; ours is later by "
        f"{np.median(found):.1f} (median)"
    )
    print(search_speed())


if __name__ == "__main__":
    main()
