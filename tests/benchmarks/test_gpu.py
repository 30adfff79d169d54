"""The rows that the measurement of a GPU prints, from made-up results. No torch, no GPU."""

from __future__ import annotations

from example_run import example

from benchmarks import gpu


def test_a_run_has_a_cell_for_each_column() -> None:
    state = example(seconds={"rank": 6.0, "timing": 3.0, "search": 30.0, "final fit": 6.0})
    row = gpu.run_row("pets", 60.0, 54.0, state, "41%")
    assert row.count("|") == len(gpu.RUN_COLUMNS) + 1
    assert state.winner is not None
    assert f"| {state.winner.candidate} |" in row
    assert "| 54 of 60 s | 15% | 60% | 10% | 41% | 0 |" in row


def test_a_run_that_failed_has_its_seconds() -> None:
    row = gpu.run_row("pets", 60.0, 12.0, None, gpu.NOT_MEASURED)
    assert row.count("|") == len(gpu.RUN_COLUMNS) + 1
    assert "the run failed" in row
    assert "12 of 60 s" in row


def test_sections_become_headings() -> None:
    assert gpu.tables([("Pace", ["| a |", "|---|"])]) == "## Pace\n\n| a |\n|---|\n"
