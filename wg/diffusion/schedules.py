"""Noise schedules: betas, levels, and the published ones by name. All float64."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wg.errors import InputError, nearest
from wg.reading import read_json

Schedule = str | tuple[float, ...]  # what a user names, or levels


def check_betas(betas: Sequence[float] | Tensor, source: str = "betas") -> Tensor:
    """Betas [N] as float64, each in (0, 1); InputError names `source`, the step and the value."""
    try:
        values = torch.as_tensor(betas, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{source}: not a list of numbers ({error}); give betas in (0, 1)"
        ) from None
    if values.ndim != 1 or not len(values):
        shape = list(values.shape)
        raise InputError(f"{source}: shape {shape}; give a non-empty flat list of betas in (0, 1)")
    bad = ~(torch.isfinite(values) & (values > 0) & (values < 1))
    if bad.any():
        step = int(bad.nonzero()[0])
        raise InputError(
            f"{source}: beta {step + 1} of {len(values)} is {values[step].item():g}; "
            "every beta lies strictly between 0 and 1"
        )
    return values


def linear(start: float, end: float, steps: int) -> Tensor:
    """Linear(start, end, N): betas evenly spaced from start to end inclusive, [N]."""
    if steps < 1:
        raise InputError(f"linear schedule: steps is {steps}; give at least 1")
    name = f"linear({start:g}, {end:g}, {steps})"
    return check_betas(torch.linspace(start, end, steps, dtype=torch.float64), name)


def fibonacci(steps: int = 25, start: float = 1e-6) -> Tensor:
    """WaveGrad's Fibonacci betas: 1e-6, 2e-6, then each the sum of the two before it, [N]."""
    if not 1 <= steps <= 28:
        raise InputError(f"fibonacci schedule: steps is {steps}; 1 to 28 keep every beta below 1")
    betas = [start, 2 * start]
    while len(betas) < steps:
        betas.append(betas[-1] + betas[-2])
    return check_betas(betas[:steps], f"fibonacci({steps}) from {start:g}")


def cosine(steps: int) -> Tensor:
    """Betas of Improved DDPM (2102.09672) eq. (17), [N].

    beta_n = min(1 - f(n / N) / f((n - 1) / N), 0.999), f(t) = cos^2(pi / 2 (t + s) / (1 + s)),
    s = 0.008.
    """
    if steps < 1:
        raise InputError(f"cosine schedule: steps is {steps}; give at least 1")
    time = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    kept = torch.cos(torch.pi / 2 * (time + 0.008) / 1.008) ** 2
    return check_betas((1 - kept[1:] / kept[:-1]).clamp(max=0.999), f"cosine({steps})")


def levels_from_betas(betas: Tensor) -> Tensor:
    """l_n = sqrt(prod_{i<=n} (1 - beta_i)) with l_0 = 1 in front: [N] -> [N + 1]."""
    levels = torch.cumprod(1 - betas, 0).sqrt()
    return torch.cat([torch.ones(1, dtype=torch.float64), levels])


def betas_from_levels(levels: Tensor) -> Tensor:
    """beta_n = 1 - (l_n / l_{n-1})^2: [N + 1] -> [N]."""
    return 1 - (levels[1:] / levels[:-1]) ** 2


def log_snr(level: Tensor) -> Tensor:
    """lambda = ln(l / sqrt(1 - l^2)), half the log signal-to-noise ratio, of levels [...]."""
    return torch.log(level) - 0.5 * torch.log1p(-(level**2))


def log_snr_spaced(training_levels: Tensor, steps: int) -> Tensor:
    """Levels [steps + 1] evenly spaced in log-SNR over the whole range that training covered.

    The noisiest is the training schedule's last level, the cleanest its first, then 1.
    """
    if not 1 <= steps <= 10_000:
        raise InputError(f"steps is {steps}; give 1 to 10000")
    ends = log_snr(training_levels[[1, -1]])
    # One step goes from the noisiest level straight to the clean signal.
    grid = torch.linspace(float(ends[0]), float(ends[1]), steps, dtype=torch.float64)
    grid = grid if steps > 1 else ends[1:]
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(2 * grid).sqrt()])


# Published inference schedules. Where a paper gives no value, the entry says whose it is.
PUBLISHED: dict[str, Callable[[], Tensor]] = {
    # WaveGrad (2009.00713), the 1000-step rows of its tables, as quoted in lmnt-com/wavegrad #3.
    "wavegrad-linear-1000": lambda: linear(1e-4, 0.005, 1000),
    # WaveGrad's 50-step row; end points unverified against the paper's text.
    "wavegrad-linear-50": lambda: linear(1e-4, 0.05, 50),
    "wavegrad-fibonacci-25": lambda: fibonacci(25),
    # The paper prints no 6-step values; these come with ivanvovk/WaveGrad's LJSpeech weights.
    "ivanvovk-6": lambda: check_betas(
        [1e-6, 1.8928729e-5, 1.1943213e-4, 1.0047548e-3, 1.10942535e-2, 6.0e-2]
    ),
    "ivanvovk-7": lambda: check_betas([1e-6, 5e-6, 1.8929e-5, 1e-4, 1e-3, 1.11e-2, 6e-2]),
    # What the configs of ivanvovk/WaveGrad and of coqui's WaveGrad test with.
    "ivanvovk-linear-50": lambda: linear(1e-6, 0.01, 50),
    "ivanvovk-12": lambda: check_betas(
        [1e-6, 6.9304e-6, 5.3367e-6, 3.69854e-5, 1.708822e-4, 3.947601e-4]
        + [1.3679202e-3, 2.8089532e-3, 3.2445239e-3, 1.49905467e-2, 8.6575244e-3, 6.00000173e-2]
    ),
    # DiffWave (2009.09761), App. B, fast sampling of BASE and LARGE.
    "diffwave-fast-base": lambda: check_betas([1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]),
    "diffwave-fast-large": lambda: check_betas([1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.7]),
    # PriorGrad (2106.06406), 6 and 12 steps.
    "priorgrad-6": lambda: check_betas([1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5]),
    "priorgrad-12": lambda: check_betas(
        [1e-4, 5e-4, 8e-4, 0.001, 0.005, 0.008, 0.01, 0.05, 0.08, 0.1, 0.2, 0.5]
    ),
}


def check_levels(levels: Sequence[float] | Tensor, source: str = "levels") -> Tensor:
    """Levels [N + 1] as float64, from 1 strictly down and above 0; InputError names `source`."""
    try:
        values = torch.as_tensor(levels, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{source}: not a list of numbers ({error}); give levels") from None
    if values.ndim != 1 or len(values) < 2 or values[0] != 1:
        raise InputError(
            f"{source}: levels of shape {list(values.shape)}, the first "
            f"{values.flatten()[:1].tolist()}; give a flat list from 1 (clean) down to the noisiest"
        )
    bad = ~((values[1:] > 0) & (values[1:] < values[:-1]))  # NaN is bad too
    if bad.any():
        step = int(bad.nonzero()[0]) + 1
        raise InputError(
            f"{source}: level {step} of {len(values) - 1} is {values[step].item():g} after "
            f"{values[step - 1].item():g}; every level is lower than the one before and above 0"
        )
    return values


def read_levels(path: Path) -> Tensor:
    """Levels [N + 1] from a JSON file: a list of betas, or an object with "betas" or "levels".

    So what decoding writes beside each wav is a schedule file too.
    """
    key, values = _read(path)
    if key == "levels":
        return check_levels(values, f"schedule file {path}")
    return levels_from_betas(check_betas(values, f"schedule file {path}"))


def read_betas(path: Path) -> Tensor:
    """Betas [N] from such a file."""
    key, values = _read(path)
    if key == "levels":
        return betas_from_levels(check_levels(values, f"schedule file {path}"))
    return check_betas(values, f"schedule file {path}")


def _read(path: Path) -> tuple[str, Any]:
    """What a schedule file holds, "levels" or "betas", and these."""
    try:
        content = read_json(path, "write a list of betas")
    except InputError as error:
        raise InputError(f"schedule file {error}") from None
    if not isinstance(content, dict):
        return "betas", content
    for key in ("levels", "betas"):
        if key in content:
            return key, content[key]
    keys = sorted(content)
    raise InputError(f"schedule file {path}: no key 'betas' or 'levels' among {keys}")


def quantiles(training_levels: Tensor, steps: int) -> Tensor:
    """Levels [steps + 1] at evenly spaced steps of the training schedule, its last included."""
    last = len(training_levels) - 1
    if not 1 <= steps <= last:
        raise InputError(f"steps is {steps}; the training schedule has quantiles 1 to {last}")
    chosen = torch.linspace(0, last, steps + 1, dtype=torch.float64).round().long()
    return training_levels[chosen]


def inference_levels(schedule: Schedule, training_levels: Tensor) -> Tensor:
    """Levels [N + 1] of what a user gives: a step count, a published name, a JSON file or levels.

    A step count N spaces N levels evenly in log-SNR over the training range; quantiles-N takes
    every (S / N)-th of the S training levels.
    """
    if not isinstance(schedule, str):
        return check_levels(schedule)
    text = schedule.strip()
    if (steps := step_count(text)) is not None:
        return log_snr_spaced(training_levels, steps)
    kind, _, count = text.partition("-")
    if kind == "quantiles" and (steps := step_count(count)) is not None:
        return quantiles(training_levels, steps)
    if text in PUBLISHED:
        return levels_from_betas(PUBLISHED[text]())
    if text.endswith(".json"):
        return read_levels(Path(text))
    hint = nearest(text, [*PUBLISHED, "quantiles-N"])
    raise InputError(f"schedule {schedule!r}: not a step count, a .json file or a name; {hint}")


def step_count(schedule: object) -> int | None:
    """The number that a schedule is written as, with or without a sign; None for any other."""
    if isinstance(schedule, str) and re.fullmatch(r"[+-]?[0-9]+", schedule.strip()):
        return int(schedule)
    return None


def schedule_label(schedule: str) -> str:
    """Folder name of a schedule: "6" -> "6-steps", a file by its stem, a name as it is."""
    steps = step_count(schedule)
    return Path(schedule.strip()).stem if steps is None else f"{steps}-steps"


def check_trained(levels: Tensor, noisiest: float, cleanest: float) -> None:
    """InputError with the range for any of levels [...] that training never saw."""
    slack = 1e-9
    outside = (levels > cleanest + slack) | (levels < noisiest - slack)
    if outside.any():
        raise InputError(
            f"noise level {levels[outside][0].item():.6f} lies outside the trained range "
            f"{noisiest:.6f} to {cleanest:.6f}; choose a schedule inside it"
        )


def aligned_step(levels: Tensor, training_levels: Tensor) -> Tensor:
    """Fractional, 1-based training step whose level this is, DiffWave App. B.

    Finds t with l_{t+1} <= level <= l_t and returns t + (l_t - level) / (l_t - l_{t+1}).
    Levels outside [l_T, l_1] were never trained: InputError states the range.
    """
    wanted = levels.to(training_levels)
    first, last = training_levels[1].item(), training_levels[-1].item()
    check_trained(wanted, last, first)
    wanted = wanted.clamp(last, first)
    # -levels ascend, so a binary search finds the last t with l_t >= level.
    t = torch.searchsorted(-training_levels, -wanted, right=True) - 1
    t = t.clamp(max=len(training_levels) - 2)
    return t + (training_levels[t] - wanted) / (training_levels[t] - training_levels[t + 1])
