"""Score tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wg.metrics import COLUMNS

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 9  # columns that fit a page
DECIMALS = 6
NOUGHT = 0.5 * 10**-DECIMALS  # less is roundoff, such as FID's of a set with itself
Means = Mapping[str, Mapping[str, Mapping[str, Any]]]  # system -> metric -> statistics


def number(value: float) -> str:
    """A number to three significant digits, never with an exponent; 0 where it rounds to it."""
    if abs(value) < NOUGHT:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def cell(statistics: Mapping[str, Any]) -> str:
    """Mean, half the width of its 95% interval, and how many values are undefined, if any.

    Both have the decimals that give the half width two significant digits.
    """
    mean, low, high = (statistics[key] for key in ("mean", "low", "high"))
    missing = f" ({statistics['undefined']} undefined)" if statistics["undefined"] else ""
    if mean is None:
        return "undefined"
    half = 0.0 if low is None else (high - low) / 2
    if not half >= NOUGHT:  # one value has the interval nan
        return number(mean) + missing
    decimals = min(max(0, 1 - math.floor(math.log10(half))), DECIMALS)
    return f"{mean:.{decimals}f} ± {half:.{decimals}f}{missing}"


def heading(metric: str) -> str:
    """Name, unit and the better direction."""
    known = COLUMNS[metric]
    arrow = {"lower": "↓", "higher": "↑", "zero": "→0"}[known.better]
    unit = f" ({known.unit})" if known.unit else ""
    return f"{metric}{unit} {arrow}"


def score_rows(means: Means) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of a table, a system a row; empty where a system has no such metric."""
    metrics = list(dict.fromkeys(metric for scores in means.values() for metric in scores))
    header = ["system", *(heading(metric) for metric in metrics)]
    rows = [
        [name, *(cell(scores[metric]) if metric in scores else "" for metric in metrics)]
        for name, scores in means.items()
    ]
    return header, rows


def difference_rows(differences: Means) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of paired differences, a metric a row; * where the interval leaves out 0."""
    metrics = list(dict.fromkeys(metric for systems in differences.values() for metric in systems))
    rows = [
        [
            metric,
            *(
                difference_cell(systems[metric]) if metric in systems else ""
                for systems in differences.values()
            ),
        ]
        for metric in metrics
    ]
    return ["difference", *differences], rows


def difference_cell(statistics: Mapping[str, Any]) -> str:
    """As `cell`, with the number of pairs, and * where the interval leaves out 0."""
    low, high = statistics["low"], statistics["high"]
    sure = low is not None and (low > 0 or high < 0)
    return f"{cell({**statistics, 'undefined': 0})}{' *' if sure else ''} (n={statistics['count']})"


def print_scores(means: Means) -> None:
    """Prints the table: a system a row, or where that is too wide, a metric a row."""
    header, rows = score_rows(means)
    if len(header) > WIDE or not fits(table_of(header, rows)):
        header, *rows = ([*column] for column in zip(header, *rows, strict=True))
    print_table(header, rows)


def print_differences(differences: Means) -> None:
    """Prints what the first system and each other differ by; nothing where there is one only."""
    if differences:
        print_table(*difference_rows(differences))
        print("* the 95% interval of the mean difference leaves out 0; n pairs")


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Prints a table, or where it is wider than the terminal, a block of lines for each row."""
    from rich.console import Console

    table = table_of(header, rows)
    if fits(table):
        Console().print(table)
        return
    width = max(len(name) for name in header[1:])
    for first, *cells in rows:
        print(first)
        for name, value in zip(header[1:], cells, strict=True):
            if value:
                print(f"  {name:{width}} {value}")


def fits(table: Table) -> bool:
    """Whether it is no wider than the terminal; a log file has 80 columns."""
    from rich.console import Console

    console = Console()
    unbounded = console.options.update(max_width=10_000)
    return console.measure(table, options=unbounded).maximum <= console.width


def table_of(header: list[str], rows: list[list[str]]) -> Table:
    """A table whose first column names its rows."""
    from rich.table import Table

    table = Table()
    table.add_column(header[0], no_wrap=True)
    for name in header[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; a | in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    safe = [[value.replace("|", "\\|") for value in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in safe)
