"""What a candidate is taken to reach, from all that was seen of it: the order that the choice follows. Pure.

A selection part of a hundred images is off by several points, and the best of many candidates on it is
often the luckiest. Heads on frozen features were also cross-validated on the train images, which are
several times as many; both are pooled. A fine-tuning was seen on the selection images alone: it is taken to
reach what the frozen head on its backbone does plus the difference that both showed there, drawn towards
none by as much as its error deserves.
"""

from __future__ import annotations

from collections.abc import Sequence

from autotl import metrics
from autotl.decide import Evidence, Judged
from autotl.records import Goal, Ranked, Ranking
from autotl.search import CROSS_VALIDATED, GAIN, SPREAD


def estimates(
    evidence: Sequence[Evidence], ranking: Ranking | None, judged: Judged, goal: Goal, out_of_fold: bool
) -> dict[str, float]:
    """The score that each candidate is taken to reach, by candidate id.

    The ranking's scores are accuracies on train images: where another metric is asked for, or where the
    selection rows are the train rows themselves (`out_of_fold`), the selection scores stand alone.
    """
    seen = {e.name: metrics.score(goal.metric, judged.labels, e.predicted, judged.classes) for e in evidence}
    ranked = {(arm.backbone, arm.input_size): arm for arm in (ranking.ranked if ranking else ())}
    if goal.metric != "accuracy" or out_of_fold:
        ranked = {}
    pooled = {
        e.name: _pooled(e, ranked, seen[e.name], len(judged.labels)) for e in evidence if not _trained(e)
    }
    found = dict(pooled)
    for e in evidence:
        if _trained(e):
            kin = [other for other in evidence if not _trained(other) and _arm(other) == _arm(e)]
            found[e.name] = (
                _moved(e, max(kin, key=lambda k: (pooled[k.name], k.name)), pooled, judged, goal)
                if kin
                else seen[e.name]
            )
    return {name: round(value, 6) for name, value in found.items()}


def _pooled(e: Evidence, ranked: dict[tuple[str, int], Ranked], seen: float, rows: int) -> float:
    arm = ranked.get(_arm(e))
    score = dict(arm.scores).get(CROSS_VALIDATED.get(e.result.trial.candidate.strategy, "")) if arm else None
    if arm is None or score is None:
        return seen
    return (rows * seen + arm.rows * score) / (rows + arm.rows)


def _moved(tuned: Evidence, frozen: Evidence, pooled: dict[str, float], judged: Judged, goal: Goal) -> float:
    gap = metrics.paired_difference(
        goal.metric, judged.labels, tuned.predicted, frozen.predicted, judged.classes, judged.group, z=1.0
    )
    error = gap.high - gap.value
    wrong = max(1 - pooled[frozen.name], 0.01)
    usual, spread = GAIN * wrong, SPREAD * wrong
    return pooled[frozen.name] + usual + (gap.value - usual) * spread**2 / (spread**2 + error**2)


def _trained(e: Evidence) -> bool:
    return e.result.trial.epochs > 0


def _arm(e: Evidence) -> tuple[str, int]:
    candidate = e.result.trial.candidate
    return candidate.backbone, candidate.input_size
