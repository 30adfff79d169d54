"""A winner that does worse on the test part than where it was chosen is reported with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_run import example, full_folder

from autotl.decision.conclude import conclude
from autotl.decision.shift import shift
from autotl.records import Decision, Goal, Interval, Kind
from autotl.records.result import Data, Recommendation
from autotl.report import wording
from autotl.report.render import summary
from autotl.report.view import view
from autotl.run_folder import manifest, result_file
from autotl.stats.two_sample import Answered

GOAL = Goal()


def answered(right: int, rows: int) -> Answered:
    labels = np.zeros(rows, np.int64)
    return Answered(labels=labels, predicted=(np.arange(rows) >= right).astype(np.int64))


def data(*, given: bool = True, grouped: bool = False) -> Data:
    return Data(
        source="photos",
        fingerprint="",
        classes=("a", "b"),
        counts={},
        grouped=grouped,
        test_from="given" if given else "held out",
    )


def decision(expected: float) -> Decision:
    return Decision(winner="w", expected=Interval(value=expected, low=expected, high=expected))


def test_a_fall_is_reported_with_both_scores_and_the_way_out() -> None:
    found = shift(decision(0.95), answered(286, 300), answered(219, 300), data(), GOAL)
    assert found is not None and found.kind is Kind.TEST_SCORE_DIFFERS
    text = wording.sentence(found)
    assert "73.0%" in text and "95.3%" in text and "--group" in text and "p < 0.0001" in text


def test_declared_groups_are_not_asked_for_again() -> None:
    found = shift(decision(0.95), answered(286, 300), answered(219, 300), data(grouped=True), GOAL)
    assert found is not None and "--group" not in wording.sentence(found)


def test_a_test_part_drawn_at_random_is_not_blamed() -> None:
    found = shift(decision(0.95), answered(286, 300), answered(219, 300), data(given=False), GOAL)
    assert found is not None and "at random" in wording.sentence(found)


def test_easier_test_images_are_reported_too() -> None:
    found = shift(decision(0.75), answered(219, 300), answered(295, 300), data(), GOAL)
    assert found is not None and "easier" in wording.sentence(found)


@pytest.mark.parametrize("right", [280, 286, 290])
def test_what_chance_explains_is_not_reported(right: int) -> None:
    assert shift(decision(0.95), answered(286, 300), answered(right, 300), data(), GOAL) is None


def test_a_winner_that_was_chosen_for_its_luck_is_judged_by_its_expected_score() -> None:
    chosen, tested = answered(290, 300), answered(268, 300)
    assert shift(decision(0.96), chosen, tested, data(), GOAL) is not None
    assert shift(decision(0.93), chosen, tested, data(), GOAL) is None


def _concluded(folder: Path, wrong: float) -> Recommendation:
    """Conclude a recorded run whose final fit answers a share of the test rows wrongly."""
    full_folder(folder, pictures=False)
    state = result_file.read(folder)
    final = next(result for result in state.trials if result.trial.id == "final")
    assert final.predictions is not None
    table = manifest.read(folder / "manifest.csv").columns(state.data.classes, 0)
    with np.load(folder / final.predictions) as stored:
        rows, fold = stored["rows"], stored["fold"]
    labels = table.labels[rows].copy()
    labels[: int(wrong * len(rows))] += 1
    proba = np.eye(len(table.classes), dtype=np.float32)[labels % len(table.classes)]
    np.savez(folder / final.predictions, rows=rows, proba=proba, fold=fold)
    state = replace(state, data=replace(state.data, test_from="given"))
    return conclude(state, final, folder, table)


def test_it_stands_in_the_result_the_summary_and_the_report(tmp_path: Path) -> None:
    state = _concluded(tmp_path / "bad", wrong=0.5)
    assert [fact.kind for fact in state.warnings] == [Kind.TEST_SCORE_DIFFERS]
    assert "Warning: the test accuracy 50.0%" in summary(state)
    assert "50.0%" in view(state)["recommendation"]["warnings"][0]
    assert b'"test_score_differs"' in result_file.encoded(state)
    assert not _concluded(tmp_path / "good", wrong=0.05).warnings
    assert "Warning" not in summary(example())
