from __future__ import annotations

import numpy as np
import pytest

from autotl.decision.decide import Evidence, Judged, decide
from autotl.decision.estimates import estimates
from autotl.records import Candidate, Goal, Ranked, Ranking, Trial, TrialResult

ROWS = 100
JUDGED = Judged(labels=np.arange(ROWS) % 4, classes=4)


def evidence(backbone: str, right: int, strategy: str = "linear_probe", epochs: float = 0.0) -> Evidence:
    """Answers the first so many rows rightly."""
    predicted = np.where(np.arange(ROWS) < right, JUDGED.labels, (JUDGED.labels + 1) % 4)
    candidate = Candidate(
        backbone=backbone, input_size=96, strategy=strategy, unfreeze="all" if epochs else 0
    )
    trial = Trial(id=f"{backbone}-{strategy}", candidate=candidate, epochs=epochs)
    result = TrialResult(trial=trial, status="finished", epochs_done=epochs)
    return Evidence(result=result, predicted=predicted, fit_time=1.0)


def ranking(**accuracies: float) -> Ranking:
    return Ranking(
        ranked=tuple(
            Ranked(
                backbone=name,
                input_size=96,
                expected=value,
                rows=300,
                scores=(("knn", value - 0.1), ("linear", value)),
            )
            for name, value in accuracies.items()
        )
    )


def test_a_lucky_selection_score_is_weighed_against_cross_validation() -> None:
    field = [evidence("lucky", 84), evidence("solid", 80)]
    expected = estimates(field, ranking(lucky=0.70, solid=0.80), JUDGED, Goal(), out_of_fold=False)
    assert expected["lucky@96/linear_probe"] == pytest.approx((84 + 0.70 * 300) / 400)
    assert expected["solid@96/linear_probe"] == pytest.approx(0.80)
    decision, _ = decide(field, JUDGED, Goal(), expected)
    assert decision.winner == "solid@96/linear_probe"
    assert any("cross-validation on the train images counted too" in reason for reason in decision.reasons)


def test_neighbours_are_judged_by_their_own_cross_validation() -> None:
    field = [evidence("a", 82, "knn"), evidence("a", 80)]
    expected = estimates(field, ranking(a=0.80), JUDGED, Goal(), out_of_fold=False)
    assert expected["a@96/knn"] < expected["a@96/linear_probe"]


def test_fine_tuning_counts_by_what_it_adds_to_its_own_linear_probe() -> None:
    field = [evidence("a", 70), evidence("a", 95, "fine_tune", epochs=5.0), evidence("b", 80)]
    expected = estimates(field, ranking(a=0.70, b=0.80), JUDGED, Goal(), out_of_fold=False)
    gained = expected["a@96/fine_tune:all"] - expected["a@96/linear_probe"]
    assert 0.1 < gained < 0.25
    small = [evidence("a", 70), evidence("a", 72, "fine_tune", epochs=5.0)]
    expected = estimates(small, ranking(a=0.70), JUDGED, Goal(), out_of_fold=False)
    gained = expected["a@96/fine_tune:all"] - expected["a@96/linear_probe"]
    assert gained == pytest.approx(0.021, abs=0.005), (
        "between what was seen and what is usual, 0.1 of the error"
    )


@pytest.mark.parametrize(("metric", "out_of_fold"), [("macro_f1", False), ("accuracy", True)])
def test_where_the_ranking_speaks_of_something_else_the_scores_stand_alone(
    metric: str, out_of_fold: bool
) -> None:
    goal = Goal(metric=metric)  # type: ignore[arg-type]
    expected = estimates([evidence("a", 80)], ranking(a=0.2), JUDGED, goal, out_of_fold=out_of_fold)
    assert expected["a@96/linear_probe"] == pytest.approx(0.8, abs=0.02)


def test_a_fine_tuning_that_clearly_lost_is_not_lifted_by_what_others_usually_gain() -> None:
    """On nearly solved data the usual gain is a hair; a loss of ten points is no part of it."""
    field = [evidence("a", 98), evidence("a", 88, "fine_tune", epochs=14.0)]
    expected = estimates(field, ranking(a=0.975), JUDGED, Goal(), out_of_fold=False)
    assert expected["a@96/fine_tune:all"] == pytest.approx(0.88, abs=0.02)
    decision, _ = decide(field, JUDGED, Goal(), expected)
    assert decision.winner == "a@96/linear_probe"
