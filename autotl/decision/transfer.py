"""What pretraining gains: the winner's kin against controls that had none. Pure, from recorded predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotl.decision.decide import Evidence, Judged
from autotl.records import Decision, Goal, Interval
from autotl.records.encoding import rounded
from autotl.stats import metrics

LEEWAY = 1.1  # of the control's seconds, that the pretrained candidate may have had


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timed:
    """A candidate, and the seconds its standing trial trained, embedding included."""

    evidence: Evidence
    seconds: float


def gain(
    candidates: Sequence[Timed], control: Timed, winner: str, judged: Judged, goal: Goal
) -> tuple[Interval | None, str]:
    """How much better a pretrained candidate does than the control in the same seconds, and a sentence.

    Compared is the best candidate on the winner's backbone that trained no longer than the control did (else
    the one that trained shortest). None as long as the control does not beat a constant answer: what has
    learnt nothing yet says nothing about pretraining.
    """
    backbone = winner.partition("@")[0]
    kin = [c for c in candidates if c.evidence.result.trial.candidate.backbone == backbone] or [*candidates]
    if not kin:
        return None, ""
    equal = [c for c in kin if c.seconds <= LEEWAY * control.seconds]
    chosen = (
        max(equal, key=lambda c: (_score(c, judged, goal), c.evidence.name))
        if equal
        else min(kin, key=lambda c: (c.seconds, c.evidence.name))
    )
    if _against_constant(control, judged, goal).low <= 0:
        return None, (
            f"whether pretraining helps stays open: without it the network had learnt nothing after"
            f" {control.seconds:.0f} s of training"
        )
    found = metrics.paired_difference(
        goal.metric,
        judged.labels,
        chosen.evidence.predicted,
        control.evidence.predicted,
        judged.classes,
        judged.group,
    )
    interval = Interval(**{name: rounded(getattr(found, name)) for name in ("value", "low", "high")})
    points = (
        f"{interval.value * 100:+.1f} points [{interval.low * 100:+.1f}, {interval.high * 100:+.1f}]:"
        f" {chosen.evidence.name} after {chosen.seconds:.0f} s against the same network from scratch after"
        f" {control.seconds:.0f} s"
    )
    if interval.low > 0:
        return interval, f"pretraining gains {points}"
    if interval.high < 0:
        return interval, f"pretraining does not help here (negative transfer): {points}"
    return interval, f"pretraining makes no difference beyond chance: {points}"


def signal(control: Evidence, judged: Judged, goal: Goal) -> str:
    """What a probe on shuffled labels says: nothing was found where nothing is, or a warning."""
    found = _against_constant(Timed(evidence=control, seconds=0.0), judged, goal)
    value = metrics.score(goal.metric, judged.labels, control.predicted, judged.classes)
    if found.low > 0:
        return (
            f"mind: a probe on shuffled labels scores {value:.1%}, more than chance; something other than the"
            " labels' meaning can be learnt here"
        )
    return f"with shuffled labels a probe scores {value:.1%}: no signal, as it must be"


def by_hand(control: Evidence, decision: Decision, judged: Judged, goal: Goal) -> str:
    """What pixels and colours reach without any network."""
    value = metrics.score(goal.metric, judged.labels, control.predicted, judged.classes)
    ahead = decision.score is not None and value > decision.score.value
    return f"{'mind: ' if ahead else ''}without any network, a random forest on pixels and colours reaches {value:.1%}"


def _score(timed: Timed, judged: Judged, goal: Goal) -> float:
    return metrics.score(goal.metric, judged.labels, timed.evidence.predicted, judged.classes)


def _against_constant(timed: Timed, judged: Judged, goal: Goal) -> Interval:
    """How much better than always answering the commonest class."""
    commonest = int(np.bincount(judged.labels, minlength=judged.classes).argmax())
    constant = np.full(len(judged.labels), commonest)
    return metrics.paired_difference(
        goal.metric, judged.labels, timed.evidence.predicted, constant, judged.classes, judged.group
    )
