"""The page of two runs: what each recommends, what differs, and how candidates and classes score in both."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from example_run import NASTY, example, full_folder, run_folder

from autotl.cli import main
from autotl.records.facts import Kind
from autotl.report import side_by_side
from autotl.report.format import points
from autotl.report.predictions import winner_predictions
from autotl.run_folder import result_file
from autotl.run_folder.diff import compare

FOLDERS = (Path("runs/monday"), Path("runs/tuesday"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("two")
    first = full_folder(place / "one", ("cat", NASTY), images=60, pictures=False)
    second = full_folder(place / "two", ("cat", NASTY, "bird", "cow"), images=80, pictures=False)
    result = result_file.read(second)
    board = list(result.leaderboard)
    board[1] = replace(board[1], score_val=0.9)
    run_folder(second, replace(result, leaderboard=tuple(board), status="interrupted"))
    return first, second


def test_the_page_holds_both_runs_and_asks_nothing_of_the_network(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    found = CliRunner().invoke(main, ["diff", str(runs[0]), str(runs[1]), "--html", str(file)])
    assert found.exit_code == 0, found.output
    assert f"Page: {file}" in found.output
    page = file.read_text(encoding="utf-8")
    assert page.count('Use <span class="name">autotl:resnet14t_small</span>') == 2
    assert "interrupted: best so far" in page
    assert "<script" not in page and "<script>alert" not in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "the same" not in page  # the data differ


def test_candidates_of_both_runs_show_their_change_and_classes_too(runs: tuple[Path, Path]) -> None:
    results = result_file.read(runs[0]), result_file.read(runs[1])
    content = side_by_side.view(FOLDERS, results)
    winner, moved, *_ = content["candidates"]
    assert winner["won"] == [True, True] and winner["change"] == "0.0 points"
    assert moved["candidate"] == results[0].leaderboard[1].candidate
    assert moved["change"] == "\N{MINUS SIGN}6.9 points"
    assert content["classes"] == []  # without predictions
    predicted = [winner_predictions(result, folder) for result, folder in zip(results, runs, strict=True)]
    with_classes = side_by_side.view(FOLDERS, results, (predicted[0], predicted[1]))
    assert {line["name"] for line in with_classes["classes"]} == {"cat", NASTY}  # that both know
    assert all(line["change"].endswith(" points") for line in with_classes["classes"])


def test_a_run_against_itself_differs_in_nothing() -> None:
    content = side_by_side.view(FOLDERS, (example(), example()))
    assert content["verdict"] == "Same winner" and content["changes"] == []


def test_a_run_without_a_winner_stands_beside_one_with() -> None:
    state = example()
    assert state.decision is not None
    none = replace(state, winner=None, decision=replace(state.decision, winner=None))
    content = side_by_side.view(FOLDERS, (state, none))
    assert content["verdict"] == "Another winner"
    assert content["runs"][1]["headline"] == "No recommendation"


@pytest.mark.parametrize("option", ["seed", "no_auto_group", "group", "test_size"])
def test_another_split_is_named_where_the_parts_are_as_large(option: str) -> None:
    one = example(options={option: 0})
    other = replace(one, options={option: 1})
    assert Kind.SPLIT_DIFFERS in [reason.kind for reason in compare(one, other).why]
    assert Kind.SPLIT_DIFFERS not in [reason.kind for reason in compare(one, one).why]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0 points"), (-0.0001, "0.0 points"), (0.0123, "+1.2 points")]
)
def test_no_difference_has_no_sign(value: float, text: str) -> None:
    assert points(value) == text
