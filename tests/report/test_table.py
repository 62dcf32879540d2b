"""Score tables on terminals of any width."""

from __future__ import annotations

import pytest

from wg.report.table import print_scores, print_table

METRICS = ("pesq_wb", "stoi", "ls_mse", "mcd", "mr_stft", "f0_rmse_cents", "vde", "lsd_8k_up")
SYSTEMS = ("wg", "griffin-lim-32", "world", "noise")


def means(systems: int, metrics: int) -> dict[str, dict[str, dict[str, float]]]:
    value = {"mean": 3.456, "low": 3.4, "high": 3.5, "undefined": 0}
    return {name: dict.fromkeys(METRICS[:metrics], value) for name in SYSTEMS[:systems]}


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("systems, metrics", [(1, 1), (2, 3), (4, 8)])
def test_a_table_is_no_wider_than_the_terminal_and_loses_nothing(
    columns: int, systems: int, metrics: int, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_scores(means(systems, metrics))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= columns
    assert printed.count("3.456 ± 0.050") == systems * metrics
    for name in (*SYSTEMS[:systems], *METRICS[:metrics]):
        assert name in printed


def test_a_row_that_does_not_fit_becomes_lines_without_its_empty_cells(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(["what", "a long heading", "other"], [["one", "a value as long as this", ""]])
    assert capsys.readouterr().out == "one\n  a long heading a value as long as this\n"
