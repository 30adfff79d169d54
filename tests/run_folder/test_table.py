from __future__ import annotations

import csv
import io
import json

import pytest
from example_run import example, row

from autotl.errors import UnknownNameError
from autotl.run_folder import table

LINES = table.rows(example())


def test_rows_have_every_column_and_keep_the_order() -> None:
    assert all(tuple(line) == table.COLUMNS for line in LINES)
    assert LINES[0]["candidate"] == "autotl:resnet14t_small@96/lp_ft:2"
    assert LINES[-1]["status"] == "skipped"


def test_frame_has_numbers_where_there_are_numbers() -> None:
    frame = table.frame(LINES)
    assert list(frame.columns) == list(table.COLUMNS)
    assert frame["score_val"].dtype == "float64"
    assert frame["parameters"].dtype == "Int64"
    assert frame["score_val"].iloc[:7].is_monotonic_decreasing
    assert frame["score_val"].isna().sum() == 2


def test_frame_of_nothing_has_the_columns() -> None:
    assert list(table.frame([]).columns) == list(table.COLUMNS)


def test_sorting_puts_the_better_first_and_gaps_last() -> None:
    by_score = table.arrange(LINES, sort="score_val")
    assert by_score[0]["score_val"] == max(line["score_val"] or 0 for line in LINES)
    by_time = table.arrange(LINES, sort="pred_time")
    assert by_time[0]["pred_time"] == 0.0004
    assert by_time[-1]["pred_time"] is None
    turned = table.arrange(LINES, sort="-pred_time")
    assert turned[0]["pred_time"] == 0.0021
    assert turned[-1]["pred_time"] is None


def test_an_unknown_column_is_named_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'score_val'"):
        table.arrange(LINES, sort="score_vla")
    with pytest.raises(UnknownNameError):
        table.write(LINES, columns=["nothing"])


def test_csv_reads_back() -> None:
    back = list(csv.DictReader(io.StringIO(table.write(LINES))))
    assert [line["candidate"] for line in back] == [line["candidate"] for line in LINES]
    assert float(back[0]["score_val"]) == LINES[0]["score_val"]


def test_json_reads_back() -> None:
    back = json.loads(table.write(LINES, columns=["candidate", "score_val"], style="json"))
    assert back[0] == {"candidate": LINES[0]["candidate"], "score_val": 0.972}


def test_markdown_and_latex_escape_what_would_be_markup() -> None:
    lines = table.rows(example(leaderboard=(row("a|b_c&d@1/knn", 0.5),)))
    assert r"a\|b_c&d@1/knn" in table.write(lines, style="markdown")
    latex = table.write(lines, columns=["candidate"], style="latex")
    assert r"a|b\_c\&d@1/knn \\" in latex
    assert latex.startswith(r"\begin{tabular}{l}")


def test_a_table_has_its_columns_side_by_side() -> None:
    lines = table.write(LINES, columns=["score_val", "backbone"], style="table").splitlines()
    assert lines[0] == "score_val  backbone"
    assert lines[1] == "0.972      autotl:resnet14t_small"
    assert len(lines) == 1 + len(LINES)
