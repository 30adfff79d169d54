"""What a candidate is taken to reach, from all that was seen of it: the order that the choice follows. Pure.

A selection part of a hundred images is off by several points, and the best of many candidates on it is
often the luckiest. Heads on frozen features were also cross-validated on the train images, which are
several times as many; both are pooled. A fine-tuning was seen on the selection images alone: what these gave
the frozen head on its backbone too much is taken off as far as both go together, and what is left is drawn
towards what such fine-tunings bring elsewhere and brought here (`autotl.gain`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from autotl import gain, metrics
from autotl.decide import Evidence, Judged
from autotl.records import Goal, Ranked, Ranking
from autotl.search import CROSS_VALIDATED


def estimates(
    evidence: Sequence[Evidence], ranking: Ranking | None, judged: Judged, goal: Goal, out_of_fold: bool
) -> dict[str, float]:
    """The score that each candidate is taken to reach, by candidate id.

    The ranking's scores are accuracies on train images: where another metric is asked for, or where the
    selection rows are the train rows themselves (`out_of_fold`), the selection scores of frozen heads stand alone.
    """
    seen = {e.name: metrics.score(goal.metric, judged.labels, e.predicted, judged.classes) for e in evidence}
    arms = {(arm.backbone, arm.input_size): arm for arm in (ranking.ranked if ranking else ())}
    comparable = arms if goal.metric == "accuracy" and not out_of_fold else {}
    frozen = {e.name: e for e in evidence if not _trained(e)}
    found = {
        name: _pooled(e, comparable.get(_arm(e)), seen[name], len(judged.labels))
        for name, e in frozen.items()
    }
    heads = {
        e.name: head
        for e in evidence
        if _trained(e) and (head := _head(e, list(frozen.values()), found)) is not None
    }
    tuned = [e for e in evidence if e.name in heads]
    if tuned:
        found |= _tuned(tuned, heads, found, seen, arms, judged, goal)
    return {e.name: round(found.get(e.name, seen[e.name]), 6) for e in evidence}


def _tuned(
    tuned: Sequence[Evidence],
    heads: Mapping[str, Evidence],
    pooled: Mapping[str, float],
    seen: Mapping[str, float],
    arms: Mapping[tuple[str, int], Ranked],
    judged: Judged,
    goal: Goal,
) -> dict[str, float]:
    """What fine-tunings are taken to reach, each with the frozen head on its backbone."""
    level = max(pooled.values())
    recipes, told = [], []
    for e in tuned:
        head, arm = heads[e.name], arms.get(_arm(e))
        recipe = gain.Recipe(
            candidate=e.result.trial.candidate, base=pooled[head.name], prior=arm.prior if arm else None
        )
        share, variance = _together(e, head, judged, goal)
        score = seen[e.name] - share * (seen[head.name] - pooled[head.name])
        recipes.append(recipe)
        told.append(gain.share(recipe, level, _epochs(e), score, variance))
    mean, _ = gain.posterior(recipes, level, told)
    return {
        e.name: float(gain.scores(recipe, level, _epochs(e), value))
        for e, recipe, value in zip(tuned, recipes, mean, strict=True)
    }


def _together(tuned: Evidence, head: Evidence, judged: Judged, goal: Goal) -> tuple[float, float]:
    """How far hits of a fine-tuning go with those of its frozen head, and the variance of what is left.

    The coefficient of a control variate: covariance over variance, between 0 and 1.
    """
    weights = metrics.row_weights(goal.metric, judged.labels, judged.classes)
    hits, others = ((judged.labels == e.predicted).astype(float) for e in (tuned, head))
    spread = float(np.cov(others, aweights=weights, ddof=0))
    both = float(np.cov(hits, others, aweights=weights, ddof=0)[0, 1])
    share = min(1.0, max(0.0, both / spread)) if spread > 0 else 0.0
    cluster = metrics.clusters(judged.group, len(judged.labels))
    error = metrics.standard_error(hits - share * others, weights, cluster)
    floor = float(np.sum(weights**2)) / max(
        len(judged.labels), 1
    )  # one row that differs, as in a paired test
    return share, max(error**2, floor) if error == error else 1.0


def _pooled(e: Evidence, arm: Ranked | None, seen: float, rows: int) -> float:
    score = dict(arm.scores).get(CROSS_VALIDATED.get(e.result.trial.candidate.strategy, "")) if arm else None
    if arm is None or score is None:
        return seen
    return (rows * seen + arm.rows * score) / (rows + arm.rows)


def _head(e: Evidence, frozen: Sequence[Evidence], pooled: Mapping[str, float]) -> Evidence | None:
    """The best frozen head on the features that a fine-tuning started from."""
    kin = [other for other in frozen if _arm(other) == _arm(e)]
    return max(kin, key=lambda k: (pooled[k.name], k.name), default=None)


def _epochs(e: Evidence) -> float:
    return max(e.result.epochs_done, 1.0)


def _trained(e: Evidence) -> bool:
    return e.result.trial.epochs > 0


def _arm(e: Evidence) -> tuple[str, int]:
    candidate = e.result.trial.candidate
    return candidate.backbone, candidate.input_size
