"""What a candidate is taken to reach, from all that was seen of it: the order that the choice follows. Pure.

A selection part of a hundred images is off by several points, and the best of many candidates on it is
often the luckiest. Heads on frozen features were also cross-validated on the train images, which are
several times as many; both are pooled. A fine-tuning was seen on the selection images alone: what these gave
the frozen head on its backbone too much is taken off as far as both go together, and what is left is drawn
towards what such fine-tunings bring elsewhere and brought here (`autotl.search.belief`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotl.decision.decide import Evidence, Judged
from autotl.records import Goal, Ranked, Ranking
from autotl.search import belief
from autotl.search.planner import CROSS_VALIDATED
from autotl.stats import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the selection images and the ranking say of candidates, before they are weighed against each other."""

    frozen: Mapping[str, float]  # score of each frozen head, by candidate id
    linear: Mapping[
        tuple[str, int], float
    ]  # what the best of them, or the ranking, says of a backbone at a size
    tuned: Mapping[str, belief.Seen]  # what each fine-tuning shows, held against its frozen head
    epochs: Mapping[str, float]

    @property
    def level(self) -> float:
        """The best frozen head's score."""
        return max(self.frozen.values())


def known(
    evidence: Sequence[Evidence], ranking: Ranking | None, judged: Judged, goal: Goal, out_of_fold: bool
) -> Known:
    """Frozen heads pooled with their cross-validation, and fine-tunings held against them.

    The ranking's scores are accuracies on train images: where another metric is asked for, or where the
    selection rows are the train rows themselves (`out_of_fold`), the selection scores of frozen heads stand alone.
    """
    arms = {(arm.backbone, arm.input_size): arm for arm in (ranking.ranked if ranking else ())}
    pooled = comparable(goal, out_of_fold)
    frozen = [e for e in evidence if not _trained(e)]
    scores = {e.name: _pooled(e, arms.get(_arm(e)) if pooled else None, judged, goal) for e in frozen}
    level = max(scores.values(), default=0.0)
    linear = _linear(frozen, scores, arms if pooled else {})
    tuned = {}
    for e in evidence:
        kin = [head for head in frozen if _trained(e) and _arm(head) == _arm(e)]
        if not kin:
            continue
        head, arm = max(kin, key=lambda k: (scores[k.name], k.name)), arms.get(_arm(e))
        share, variance = _together(e, head, judged, goal)
        score = _score(e, judged, goal) - share * (_score(head, judged, goal) - scores[head.name])
        recipe = belief.Recipe(
            candidate=e.result.trial.candidate,
            base=belief.start(_arm(e), linear),
            prior=arm.prior if arm else None,
        )
        tuned[e.name] = belief.share(recipe, level, _epochs(e), score, variance)
    return Known(frozen=scores, linear=linear, tuned=tuned, epochs={e.name: _epochs(e) for e in evidence})


def _linear(
    frozen: Sequence[Evidence], scores: Mapping[str, float], arms: Mapping[tuple[str, int], Ranked]
) -> dict[tuple[str, int], float]:
    """The best frozen head's score by backbone and size, by the ranking where none was tried."""
    found = {key: arm.expected for key, arm in arms.items()}
    tried = {_arm(e) for e in frozen}
    return found | {key: max(scores[e.name] for e in frozen if _arm(e) == key) for key in tried}


def comparable(goal: Goal, out_of_fold: bool) -> bool:
    """Whether the ranking's scores say what the selection images say."""
    return goal.metric == "accuracy" and not out_of_fold


def estimates(
    evidence: Sequence[Evidence], ranking: Ranking | None, judged: Judged, goal: Goal, out_of_fold: bool
) -> dict[str, float]:
    """The score that each candidate is taken to reach, by candidate id."""
    found = known(evidence, ranking, judged, goal, out_of_fold)
    taken = dict(found.frozen)
    if found.tuned:
        recipes = [seen.recipe for seen in found.tuned.values()]
        mean, _ = belief.posterior(recipes, found.level, list(found.tuned.values()))
        for (name, seen), recipe, value in zip(found.tuned.items(), recipes, mean, strict=True):
            believed = float(belief.scores(recipe, found.level, found.epochs[name], value))
            taken[name] = seen.score if seen.failed else believed
    return {e.name: round(taken.get(e.name, _score(e, judged, goal)), 6) for e in evidence}


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


def _pooled(e: Evidence, arm: Ranked | None, judged: Judged, goal: Goal) -> float:
    seen, rows = _score(e, judged, goal), len(judged.labels)
    score = dict(arm.scores).get(CROSS_VALIDATED.get(e.result.trial.candidate.strategy, "")) if arm else None
    if arm is None or score is None:
        return seen
    return (rows * seen + arm.rows * score) / (rows + arm.rows)


def _score(e: Evidence, judged: Judged, goal: Goal) -> float:
    return metrics.score(goal.metric, judged.labels, e.predicted, judged.classes)


def _epochs(e: Evidence) -> float:
    return max(e.result.epochs_done, 1.0)


def _trained(e: Evidence) -> bool:
    return e.result.trial.epochs > 0


def _arm(e: Evidence) -> tuple[str, int]:
    candidate = e.result.trial.candidate
    return candidate.backbone, candidate.input_size
