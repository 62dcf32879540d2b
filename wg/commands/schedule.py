"""`wg schedule search`: a schedule of few steps for one trained vocoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wg.commands.options import Options
from wg.diffusion.samplers import sampler
from wg.errors import InputError, stage_label
from wg.inference.vocoder import Vocoder
from wg.processes.threads import usable_cores
from wg.tuning.search import features_beside, run
from wg.tuning.trials import SearchJob


def parser() -> Options:
    """Command-line options of `wg schedule search`."""
    options = Options(prog="wg schedule search", allow_abbrev=False)
    options.add_argument(
        "--vocoder", type=Path, required=True, help=f"folder from {stage_label('pack')}"
    )
    options.add_argument("--steps", type=int, required=True)
    options.add_argument("--features", type=Path, help="dump/FEATURES/valid [the experiment's]")
    options.add_argument("--sampler", help="[the vocoder's]")
    options.add_argument("--clip", type=float, help="bound on the estimate of x_0 [the vocoder's]")
    options.add_argument("--metric", default=SearchJob.metric, help="to improve [%(default)s]")
    options.add_argument(
        "--utterances", type=int, default=SearchJob.utterances, help="[%(default)s]"
    )
    options.add_argument("--held-out", type=int, default=SearchJob.held_out, help="[%(default)s]")
    options.add_argument(
        "--seconds", type=float, default=SearchJob.seconds, help="of each [%(default)s]"
    )
    options.add_argument(
        "--evaluations", type=int, default=SearchJob.evaluations, help="[%(default)s]"
    )
    options.add_argument("--seed", type=int, default=SearchJob.seed, help="[%(default)s]")
    options.add_argument("--jobs", type=int, default=usable_cores(), help="processes [cores]")
    return options


def schedule(arguments: Sequence[str]) -> None:
    """Searches and stores; see `wg.tuning.search`."""
    if arguments[:1] != ["search"]:
        raise InputError("wg schedule: give the command: wg schedule search --help")
    options = parser().parse_args(arguments[1:])
    if options.jobs < 1:
        raise InputError(f"--jobs {options.jobs}: give at least 1")
    synthesis = Vocoder.from_pretrained(options.vocoder).synthesis
    name = options.sampler or synthesis.sampler
    sampler(name)
    job = SearchJob(
        vocoder=options.vocoder,
        features=options.features or features_beside(options.vocoder),
        steps=options.steps,
        sampler=name,
        clip=synthesis.clip if options.clip is None else options.clip,
        metric=options.metric,
        utterances=options.utterances,
        held_out=options.held_out,
        seconds=options.seconds,
        evaluations=options.evaluations,
        seed=options.seed,
    )
    run(job, options.jobs)
