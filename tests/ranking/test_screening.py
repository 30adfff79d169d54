"""Scores are called with one record, and one that cannot be called is named with what is expected."""

from __future__ import annotations

import numpy as np

from autotl.protocols import ScoreCall
from autotl.ranking.screening import score_features
from autotl.records import Kind, Score

CALL = ScoreCall(
    features=np.ones((6, 2), np.float32), labels=np.arange(6) % 2, folds=np.arange(6) % 3, logits=None
)


def of_version_3(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray) -> float:
    return 0.5


def rows(call: ScoreCall) -> float:
    return float(len(call.labels))


def named(function: str, *, needs_logits: bool = False) -> Score:
    return Score(
        name=function, summary="of a test", compute=f"{__name__}:{function}", needs_logits=needs_logits
    )


def test_a_score_that_takes_its_arguments_in_the_old_way_is_named_and_the_others_are_computed() -> None:
    values, problems = score_features([named("of_version_3"), named("rows")], CALL)
    assert values == {"rows": 6.0}
    (problem,) = problems.values()
    assert problem.kind == Kind.SCORE_FAILED
    assert f"{__name__}:of_version_3" in problem.values["error"]
    assert problem.values["error"].endswith("but is called with (call); expected it alone")


def test_a_score_that_needs_logits_is_left_out_where_there_are_none() -> None:
    assert score_features([named("rows", needs_logits=True)], CALL) == ({}, {})
