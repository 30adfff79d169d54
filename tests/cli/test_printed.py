"""What the commands print of recorded runs: no name is cut, no line is wider than the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from example_run import example

from autotl.cli import main, terminal
from autotl.records import Kind, fact
from autotl.records.result import Recommendation, Row
from autotl.report.format import duration
from autotl.run_folder import result_file


def folder(path: Path, state: Recommendation) -> str:
    path.mkdir()
    (path / "result.json").write_bytes(result_file.encoded(state))
    return str(path)


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_a_comparison_cuts_no_name_and_has_scores_in_percent(tmp_path: Path) -> None:
    one = example()
    assert one.winner is not None
    names = tuple(f"timm:mobilenetv3_small_100.lamb_in1k@{size}/fine_tune:all" for size in range(64, 128, 8))
    other = replace(one, winners_set=names, winner=replace(one.winner, score_val=0.5, score_test=None))
    text = printed("diff", folder(tmp_path / "one", one), folder(tmp_path / "other", other))
    assert "score: 97.2% → 50.0%" in text
    assert "test score: 96.7% → nothing" in text
    assert f"{sorted(names)[2]} and 5 more" in text and "..." not in text


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_the_leaderboard_is_no_wider_than_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed("leaderboard", folder(tmp_path / "run", example())).splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith("score:"))]
    assert max(map(len, table)) <= columns
    assert "score" in table[0]


LONG = "timm:vit_base_patch16_clip_quickgelu_378.dfn5b_ft_in12k_in1k"


@pytest.mark.parametrize("columns", [40, 48, 60, 72, 80, 100])
@pytest.mark.parametrize("long", [False, True])
def test_the_leaderboard_breaks_no_name_within_a_word_and_keeps_the_star(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int, long: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    state = example()
    board = list(state.leaderboard)
    if long:
        board[0] = replace(board[0], backbone=LONG)
    state = replace(state, leaderboard=tuple(board))
    text = printed("leaderboard", folder(tmp_path / "run", state)).partition("score:")[0]
    assert "…" not in text
    star = next(line for line in text.splitlines() if line.startswith("*"))
    assert star.split()[1].startswith("vit_base" if long else "resnet14t_small")
    packed = "".join(text.split())
    for row in board[:7]:
        bare = row.backbone.partition(":")[2]
        assert bare in packed
        assert len(bare) > columns - 2 or bare in text.split()  # in one piece where a line holds it
    assert max(map(len, text.splitlines())) <= columns or (long and columns > 60)


def test_scores_out_of_fold_are_named_so(tmp_path: Path) -> None:
    state = example()
    folds = replace(state, data=replace(state.data, folds=5))
    assert "training images, out-of-fold" in " ".join(
        printed("leaderboard", folder(tmp_path / "f", folds)).split()
    )
    assert "selection images" in " ".join(printed("leaderboard", folder(tmp_path / "s", state)).split())


def test_recipes_that_differ_in_a_hyperparameter_are_told_apart(tmp_path: Path) -> None:
    state = example()
    first = next(row for row in state.leaderboard if row.strategy == "fine_tune" and row.score_val)
    other = replace(first, candidate=f"{first.candidate}?lr=0.0007")
    state = replace(state, leaderboard=(*state.leaderboard, other))
    assert "lr=0.0007" in printed("leaderboard", folder(tmp_path / "run", state))


def test_a_table_whose_images_lie_elsewhere_says_what_it_expects(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    table = tmp_path / "data" / "table.csv"
    table.write_text("path,label\n../a.png,a\n", encoding="utf-8")
    output = CliRunner().invoke(main, ["run", str(table), "--out", str(tmp_path / "run")]).output
    assert "1 file left out" in output and "in the folder of the table or below it" in output


def test_backbones_that_were_only_ranked_take_one_line(tmp_path: Path) -> None:
    state = example()
    names = [f"timm:net{number}" for number in range(12)]
    waiting = tuple(
        Row(
            candidate=name,
            backbone=name,
            status="skipped",
            facts=(fact(Kind.RANKED_TOO_LOW, place=place, of=14, rows=64),),
        )
        for place, name in enumerate(names, start=3)
    )
    state = replace(state, leaderboard=(*state.leaderboard, *waiting))
    text = printed("leaderboard", folder(tmp_path / "run", state))
    assert "Ranked and not trained: timm:net0, timm:net1, timm:net2 and 9 more." in text
    assert "timm:net3" not in text and "diverged" in text.partition("Without a score:")[2]


@pytest.mark.parametrize("columns", [40, 57, 58, 60, 80])
def test_no_line_ends_between_a_number_and_its_unit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal.paragraph(f"  The training of {LONG} took {duration(95)}, the forecast was {duration(0.042)}.")
    lines = capsys.readouterr().out.splitlines()
    assert any("1 min 35 s" in line for line in lines) and any("42 ms" in line for line in lines)


def test_no_line_ends_within_a_quoted_expression(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An expression for --group holds spaces, and was no expression once copied from two lines."""
    monkeypatch.setenv("COLUMNS", "40")
    option = "--group '([^/]+)/(?:[^/_ ]+[_ ]){1}([^/_ ]+)[_ ][^/]*$'"
    terminal.paragraph(f"  They are kept whole where parts are made here; {option} declares them.")
    assert option in capsys.readouterr().out
