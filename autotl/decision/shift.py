"""Compare the winner's scores on the test part and on the images that it was chosen by."""

from __future__ import annotations

from autotl.records import Decision, Fact, Goal, Kind, fact
from autotl.records.result import Data
from autotl.stats import metrics
from autotl.stats.two_sample import Answered, p_value

SIGNIFICANT = 0.01  # p-value, below which the two scores differ


def shift(decision: Decision, chosen: Answered, tested: Answered, data: Data, goal: Goal) -> Fact | None:
    """Return that the winner scores otherwise on the test part than on the selection rows, or None.

    A winner is chosen for its score on the selection rows, so that score is a little too high; a fall is judged from
    the expected score where that is lower.
    """
    classes = len(data.classes)
    select, test = (
        metrics.score(goal.metric, answered.labels, answered.predicted, classes)
        for answered in (chosen, tested)
    )
    expected = select if decision.expected is None else min(select, decision.expected.value)
    judged = max(expected, min(select, test))  # a rise is judged from the score itself
    p = p_value(goal.metric, chosen, tested, classes, value=judged)
    if p >= SIGNIFICANT:
        return None
    return fact(
        Kind.TEST_SCORE_DIFFERS,
        select=round(select, 6),
        test=round(test, 6),
        p=round(p, 6),
        metric=goal.metric,
        given=data.test_from == "given",
        grouped=data.grouped,
        folds=data.folds,
    )
