"""What listeners said in the blind tests of a page: ratings read, screened, summarised."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from wg.errors import InputError
from wg.metrics.statistics import Summary, summarise
from wg.report.page import RECORDING
from wg.report.scores import differences, means
from wg.report.table import cell, difference_rows, markdown, number

COLUMNS = ("test", "listener", "utterance", "system", "other", "rating")
REFERENCE, SHARE = 90.0, 0.15  # ITU-R BS.1534-3: ratings of the hidden reference, and how many
MUSHRA = "rating"


@dataclass(frozen=True)
class Rating:
    """One line: 0..100 of a system (mushra), or preference of it over another, 0, 0.5, 1 (ab)."""

    test: str
    listener: str
    utterance: str
    system: str
    other: str
    rating: float


@dataclass(frozen=True)
class Preference:
    """How often one system was preferred to another."""

    system: str
    other: str
    wins: int
    ties: int
    losses: int
    share: Summary  # of preferences, a tie counting half
    p: float  # two-sided sign test of wins against losses


def read_ratings(paths: Iterable[Path]) -> list[Rating]:
    """The ratings of CSV files that a page saved; InputError names file and line."""
    found: list[Rating] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                lines = csv.DictReader(file)
                if tuple(lines.fieldnames or ()) != COLUMNS:
                    raise InputError(
                        f"{path}: columns are not {','.join(COLUMNS)}; give what a listening page "
                        "saved"
                    )
                new = [rating(line, f"{path}, line {n}") for n, line in enumerate(lines, 2)]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: not a readable CSV file ({error})") from None
        check_same_page(found, new, path)
        found += new
    if not found:
        raise InputError("the files hold no rating; save them at the end of a test")
    seen: set[tuple[str, ...]] = set()
    for item in found:
        key = (item.test, item.listener, item.utterance, *sorted((item.system, item.other)))
        if key in seen:
            raise InputError(
                f"{item.listener} rated {item.system!r} twice on {item.utterance!r} ({item.test}); "
                "give each file once, and each listener a name"
            )
        seen.add(key)
    return found


def check_same_page(found: Sequence[Rating], new: Sequence[Rating], path: Path) -> None:
    """InputError for ratings of other systems than those of the files before.

    A trial of mushra has all systems of its page, one of ab two of them.
    """
    for test in sorted({item.test for item in found} & {item.test for item in new}):
        before, now = (
            {name for item in items if item.test == test for name in (item.system, item.other)}
            - {""}
            for items in (found, new)
        )
        if before != now if test == "mushra" else not before & now:
            raise InputError(
                f"{path}: {test} of {', '.join(sorted(now))}, but the files before are of "
                f"{', '.join(sorted(before))}: of another page; give the files of one page"
            )


def rating(line: Mapping[str, str | None], where: str) -> Rating:
    """One line of a file."""
    values = [line[name] for name in COLUMNS]
    if None in values or None in line:
        raise InputError(f"{where}: not {len(COLUMNS)} values")
    test, listener, utterance, system, other, said = (str(value) for value in values)
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    allowed = {"mushra": 0 <= value <= 100, "ab": value in (0, 0.5, 1)}
    if test not in allowed:
        raise InputError(f"{where}: test {test!r}; choose from: {', '.join(allowed)}")
    if not allowed[test]:
        raise InputError(f"{where}: rating {said!r}; mushra has 0..100, ab has 0, 0.5 or 1")
    return Rating(test, listener, utterance, system, other, value)


def screened(ratings: Sequence[Rating]) -> tuple[list[Rating], dict[str, float]]:
    """Ratings without those of listeners who did not hear the reference; listener -> share.

    ITU-R BS.1534-3, post-screening: a listener is left out who rates the hidden reference below
    90 in more than 15% of the trials.
    """
    left_out = {}
    for listener in sorted({r.listener for r in ratings}):
        hidden = [r.rating for r in ratings if (r.listener, r.system) == (listener, RECORDING)]
        share = sum(value < REFERENCE for value in hidden) / len(hidden) if hidden else 0.0
        if share > SHARE:
            left_out[listener] = share
    return [r for r in ratings if r.listener not in left_out], left_out


def preferences(ratings: Sequence[Rating]) -> list[Preference]:
    """Every pair of systems, the names in order."""
    from scipy.stats import binomtest

    turned = [r if r.system < r.other else swapped(r) for r in ratings]
    turned.sort(key=lambda r: (r.system, r.other))
    found = []
    for (system, other), group in groupby(turned, key=lambda r: (r.system, r.other)):
        values = [r.rating for r in group]
        wins, losses = values.count(1.0), values.count(0.0)
        p = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
        ties = len(values) - wins - losses
        found.append(Preference(system, other, wins, ties, losses, summarise(values), p))
    return found


def swapped(item: Rating) -> Rating:
    """The same said of the other system."""
    return Rating(
        item.test, item.listener, item.utterance, item.other, item.system, 1 - item.rating
    )


def summary(ratings: Sequence[Rating]) -> str:
    """Ratings and preferences in Markdown, of those of the two tests that were taken."""
    scale = [r for r in ratings if r.test == "mushra"]
    pairs = [r for r in ratings if r.test == "ab"]
    parts = [*(mushra_summary(scale) if scale else ()), *(ab_summary(pairs) if pairs else ())]
    return "\n\n".join(parts)


def mushra_summary(ratings: Sequence[Rating]) -> list[str]:
    """Means with 95% intervals, paired differences from the best, and who was left out."""
    kept, left_out = screened(ratings)
    parts = [f"## MUSHRA: {counted(kept)}"]
    parts += [
        f"{name} is left out: rated the hidden {RECORDING} below {REFERENCE:g} in {share:.0%} of "
        f"the trials (ITU-R BS.1534-3 allows {SHARE:.0%})."
        for name, share in left_out.items()
    ]
    if not kept:
        return parts
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for r in kept:
        scores.setdefault(r.system, {})[f"{r.listener}/{r.utterance}"] = {MUSHRA: r.rating}
    found: dict[str, Any] = means(scores, [MUSHRA])
    order = sorted(found, key=lambda system: -found[system][MUSHRA]["mean"])
    rows = [[s, cell(found[s][MUSHRA]), number(found[s][MUSHRA]["median"])] for s in order]
    parts.append(markdown(["system", "mean of 0..100 ↑", "median"], rows))
    rivals = [system for system in order if system != RECORDING]
    if len(rivals) > 1:
        gaps = differences({system: scores[system] for system in rivals}, [MUSHRA])
        header, rows = difference_rows(gaps)
        pairs = zip(header[1:], rows[0][1:], strict=True)
        parts.append(markdown(["pair", "mean difference"], [list(pair) for pair in pairs]))
        parts.append("* where the 95% interval leaves out 0; n trials that rated both.")
    return parts


def ab_summary(ratings: Sequence[Rating]) -> list[str]:
    """Preferences with intervals and sign tests."""
    rows = []
    for pair in preferences(ratings):
        counts = [str(count) for count in (pair.wins, pair.ties, pair.losses)]
        rows.append([pair.system, pair.other, *counts, cell(vars(pair.share)), f"{pair.p:.3g}"])
    header = ["A", "B", "A better", "no difference", "B better", "share of A", "p (sign test)"]
    return [f"## A/B: {counted(ratings)}", markdown(header, rows)]


def counted(ratings: Sequence[Rating]) -> str:
    """How many listeners, utterances and ratings."""
    listeners, utterances = ({vars(r)[k] for r in ratings} for k in ("listener", "utterance"))
    return f"{len(listeners)} listeners, {len(utterances)} utterances, {len(ratings)} ratings"
