"""Measure what pretraining gains: the winner against the best of all that uses none. Pure.

Without pretraining are a random forest and ridge regressions on pixels and gradients, which have all the time that
they need, and the winner's network from random weights, which mostly has not. It counts as converged when
trainings of one and of two lengths end within a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotl.decision.evidence import Evidence, Judged, gap, gap_of, paired, score
from autotl.records import Goal, Interval
from autotl.records.encoding import rounded
from autotl.records.facts import Fact, Kind, fact
from autotl.stats import metrics, values

__all__ = ["NO_NETWORK", "Timed", "converged", "head_start", "verdict", "without_network"]

LEEWAY = 1.1  # of the control's seconds, that the pretrained candidate may have had
CONVERGED = 0.01  # of the score, that twice the training still gains
NEAR = 0.1  # of the score, behind the winner: a control that is further behind bounds nothing of interest
NO_NETWORK = ("pixels", "pixels_ridge", "gradients")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timed:
    """A candidate, and the seconds that its representative trial trained, embedding included."""

    evidence: Evidence
    seconds: float


def verdict(
    winner: Evidence, controls: Sequence[Evidence], judged: Judged, goal: Goal
) -> tuple[Interval | None, Fact | None]:
    """Return how much better the winner is than the best control without pretraining, and a fact.

    None where no control comes near and the network from scratch has not converged: what it would reach with more
    time is then unknown, and it may be anything. Where one does, and the network has not converged, the difference is
    the most that pretraining gains.
    """
    without = [e for e in controls if e.result.trial.control in (*NO_NETWORK, "scratch")]
    if not without:
        return None, None
    best = max(without, key=lambda e: (score(e, judged, goal), e.name))
    reached, complete = score(best, judged, goal), converged(controls, judged, goal)
    difference = paired(winner, best, judged, goal)
    values = {"control": best.result.trial.control, "score": reached, "epochs": _epochs(controls)}
    if not complete and difference.value > NEAR:
        return None, fact(Kind.PRETRAINING_UNKNOWN, **values)
    return difference, fact(
        Kind.PRETRAINING_GAIN, **values, converged=complete, gap=gap_of(difference, judged)
    )


def converged(controls: Sequence[Evidence], judged: Judged, goal: Goal) -> bool:
    """Return whether the network from scratch learned something, and twice the training hardly more."""
    by_kind = {e.result.trial.control: e for e in controls}
    long, half = by_kind.get("scratch"), by_kind.get("scratch_half")
    if long is None or half is None:
        return False
    gained = score(long, judged, goal) - score(half, judged, goal)
    return abs(gained) < CONVERGED and _against_constant(half, judged, goal).low > 0


def head_start(
    candidates: Sequence[Timed], control: Timed, winner: str, judged: Judged, goal: Goal
) -> Fact | None:
    """Return how much better a pretrained candidate does than the network from scratch in the same seconds.

    Compared is the best candidate on the winner's backbone that trained no longer than the control did (else
    the one that trained shortest). None as long as the control does not beat a constant answer: it has learned
    nothing yet.
    """
    backbone = {c.evidence.name: c.evidence.candidate.backbone for c in candidates}
    related = [c for c in candidates if backbone[c.evidence.name] == backbone.get(winner)] or [*candidates]
    if not related or _against_constant(control.evidence, judged, goal).low <= 0:
        return None
    equal = [c for c in related if c.seconds <= LEEWAY * control.seconds]
    chosen = (
        max(equal, key=lambda c: (score(c.evidence, judged, goal), c.evidence.name))
        if equal
        else min(related, key=lambda c: (c.seconds, c.evidence.name))
    )
    return fact(
        Kind.HEAD_START,
        candidate=chosen.evidence.name,
        seconds=chosen.seconds,
        scratch_seconds=control.seconds,
        gap=gap(chosen.evidence, control.evidence, judged, goal),
    )


def without_network(
    winner: Evidence, controls: Sequence[Evidence], judged: Judged, goal: Goal
) -> Fact | None:
    """Return what the best baseline without any network reaches, and how far it is from the winner."""
    by_hand = [e for e in controls if e.result.trial.control in NO_NETWORK]
    if not by_hand:
        return None
    best = max(by_hand, key=lambda e: (score(e, judged, goal), e.name))
    return fact(
        Kind.PIXELS_ONLY,
        control=best.result.trial.control,
        score=rounded(score(best, judged, goal)),
        gap=gap(best, winner, judged, goal),
    )


def _epochs(controls: Sequence[Evidence]) -> float:
    """Return the epochs of the network from scratch; 0 where it was not trained."""
    return max((e.result.epochs_done for e in controls if e.result.trial.control == "scratch"), default=0.0)


def _against_constant(evidence: Evidence, judged: Judged, goal: Goal) -> Interval:
    """Return how much better it is than giving every image the same answer, such as the commonest class."""
    constant = values.of(judged.labels).constant(judged.labels, judged.classes)
    return metrics.paired_difference(
        goal.metric, judged.labels, evidence.predicted, constant, judged.classes, judged.group
    )
