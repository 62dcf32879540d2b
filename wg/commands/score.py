"""`wg score`: any folders of audio against a folder of recordings.

`wg score bound` asks a trained model how probable recordings are.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from wg.bench.error_rates import RATES, check_texts, error_rates_by_id
from wg.bench.folders import Pair, Scoring, delayed, listed, score_pairs, usable
from wg.bench.plan import CEILING
from wg.bench.plan import METRICS as METRICS_SHOWN
from wg.commands.options import Options
from wg.errors import InputError
from wg.metrics import METRICS, SIGNAL, check_metrics
from wg.metrics.pairs import LOWEST_RATE
from wg.metrics.recogniser import DEFAULT
from wg.processes.threads import usable_cores
from wg.report.scores import check_ending, scores_content, write_scores
from wg.report.table import print_differences, print_scores

SETS = {"fast": METRICS_SHOWN, "signal": SIGNAL}


def parser() -> Options:
    """Command-line options of `wg score`."""
    options = Options(prog="wg score", allow_abbrev=False)
    options.add_argument("--ref", type=Path, required=True, help="folder of recordings")
    options.add_argument(
        "--syn", action="append", required=True, help="folder, or NAME=folder; give several times"
    )
    options.add_argument(
        "--match",
        default="stem",
        help="stem: equal paths but for the ending; or a regular expression whose group is the id",
    )
    options.add_argument(
        "--metrics",
        default="fast",
        help=f"names with commas; fast: {', '.join(METRICS_SHOWN)}; signal: all that no network "
        "predicts; all [%(default)s]",
    )
    options.add_argument(
        "--texts", type=Path, help="metadata.csv of id|text: adds wer and cer of what is heard"
    )
    options.add_argument(
        "--recogniser",
        default=DEFAULT,
        help="moonshine, pocketsphinx, faster-whisper:FOLDER or a bundle of torchaudio "
        "[%(default)s]",
    )
    options.add_argument("--rate", type=int, help="resample both sides to it first, Hz")
    options.add_argument("--as-is", action="store_true", help="do not take a constant delay out")
    options.add_argument("--skip-bad", action="store_true", help="leave out what cannot be scored")
    options.add_argument("--jobs", type=int, default=usable_cores(), help="[%(default)s]")
    options.add_argument("-o", "--output", type=Path, help=".json or .parquet to write")
    return options


def chosen(names: str) -> tuple[str, ...]:
    """The metrics of `--metrics`; says which of "all" cannot be computed here, and why."""
    if names in SETS:
        return SETS[names]
    if names != "all":
        check_metrics(names.split(","), "--metrics")
        return tuple(names.split(","))
    reasons = {name: metric.missing() for name, metric in METRICS.items()}
    for name, reason in reasons.items():
        if reason:
            print(f"without {name}: {reason}", file=sys.stderr)
    return tuple(name for name, reason in reasons.items() if not reason)


def systems(folders: Sequence[str]) -> dict[str, Path]:
    """Name -> folder of each `--syn`."""
    found: dict[str, Path] = {}
    for item in folders:
        name, equals, folder = item.partition("=")
        path = Path(folder if equals else item)
        label = name if equals else path.resolve().name
        if label in found:
            raise InputError(f"--syn {item}: {label!r} is given twice; write NAME={path}")
        found[label] = path
    return found


def hear_systems(
    wanted: Mapping[str, Sequence[Pair]], options: Namespace
) -> dict[str, dict[str, dict[str, float]]]:
    """Error rates of each system, and of the recordings, which are their floor; or none at all."""
    audio = {name: {pair.id: pair.synthesis for pair in found} for name, found in wanted.items()}
    recordings = {pair.id: pair.reference for found in wanted.values() for pair in found}
    audio.setdefault(CEILING, recordings)
    found = {
        name: error_rates_by_id(paths, options.texts, options.recogniser, options.jobs)
        for name, paths in audio.items()
    }
    return {name: rates for name, rates in found.items() if any(rates.values())}


def check_rate(rate: int | None) -> None:
    """InputError for a `--rate` that no metric is defined at."""
    if rate is not None and rate < LOWEST_RATE:
        raise InputError(f"--rate {rate}: give at least {LOWEST_RATE}, in Hz")


def score(arguments: Sequence[str]) -> None:
    """Pairs of folders, or a model's bound of the density of recordings."""
    if arguments[:1] == ["bound"]:
        from wg.commands.bound import bound

        bound(arguments[1:])
    else:
        score_folders(arguments)


def score_folders(arguments: Sequence[str]) -> None:
    """Finds the pairs, checks every file, scores, prints and writes."""
    options = parser().parse_args(arguments)
    if options.jobs < 1:
        raise InputError(f"--jobs {options.jobs}: give at least 1")
    check_rate(options.rate)
    if options.output:
        check_ending(options.output)
    scoring = Scoring(chosen(options.metrics), not options.as_is, options.rate)
    wanted: dict[str, list[Pair]] = {}
    problems: list[str] = []
    for name, folder in systems(options.syn).items():
        wanted[name], lines = usable(options.ref, folder, options.match, scoring, options.jobs)
        problems += lines
        if not wanted[name]:
            raise InputError(f"{folder}: nothing can be scored: {listed(lines)}")
    if problems and not options.skip_bad:
        raise InputError(
            f"{len(problems)} files cannot be scored (--skip-bad leaves them out): "
            f"{listed(problems)}"
        )
    for line in problems:
        print(f"left out: {line}", file=sys.stderr)
    if options.texts is not None:
        ids = {pair.id: None for found in wanted.values() for pair in found}
        check_texts(options.texts, list(ids), options.recogniser, "--texts")
    scores = {name: score_pairs(found, scoring, options.jobs) for name, found in wanted.items()}
    metrics = scoring.metrics
    if options.texts is not None:
        metrics = (*metrics, *RATES)
        for name, rates in hear_systems(wanted, options).items():
            rows = scores[name] if name in scores else dict.fromkeys(rates, {})
            scores[name] = {key: {**rows[key], **rates[key]} for key in rows}
    content = scores_content(scores, metrics)
    for name, rows in scores.items():
        late = [] if options.as_is else delayed(rows)
        note = f", {len(late)} after a delay of up to {max(late, key=abs, default=0.0):.1f} ms"
        print(f"{name}: {len(rows)} pairs{f'{note} was taken out' if late else ''}")
    print_scores(content["means"])
    print_differences(content["differences"])
    if options.output:
        write_scores(options.output, content)
        print(options.output)
