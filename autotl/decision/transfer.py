"""Measure what pretraining gains: candidates on the winner's backbone against controls without it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotl.decision.evidence import Evidence, Judged, gap_of, score
from autotl.records import Decision, Goal, Interval
from autotl.records.encoding import rounded
from autotl.records.facts import Fact, Kind, fact
from autotl.stats import metrics

LEEWAY = 1.1  # of the control's seconds, that the pretrained candidate may have had


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timed:
    """A candidate, and the seconds that its representative trial trained, embedding included."""

    evidence: Evidence
    seconds: float


def gain(
    candidates: Sequence[Timed], control: Timed, winner: str, judged: Judged, goal: Goal
) -> tuple[Interval | None, Fact | None]:
    """Return how much better a pretrained candidate does than the control in the same seconds, and a fact.

    Compared is the best candidate on the winner's backbone that trained no longer than the control did (else
    the one that trained shortest). None as long as the control does not beat a constant answer: what has
    learned nothing yet is no evidence on pretraining.
    """
    backbone = {c.evidence.name: c.evidence.candidate.backbone for c in candidates}
    related = [c for c in candidates if backbone[c.evidence.name] == backbone.get(winner)] or [*candidates]
    if not related:
        return None, None
    equal = [c for c in related if c.seconds <= LEEWAY * control.seconds]
    chosen = (
        max(equal, key=lambda c: (score(c.evidence, judged, goal), c.evidence.name))
        if equal
        else min(related, key=lambda c: (c.seconds, c.evidence.name))
    )
    if _against_constant(control.evidence, judged, goal).low <= 0:
        return None, fact(Kind.PRETRAINING_UNKNOWN, seconds=control.seconds)
    difference = metrics.paired_difference(
        goal.metric,
        judged.labels,
        chosen.evidence.predicted,
        control.evidence.predicted,
        judged.classes,
        judged.group,
    )
    interval = Interval(**{name: rounded(getattr(difference, name)) for name in ("value", "low", "high")})
    return interval, fact(
        Kind.PRETRAINING_GAIN,
        candidate=chosen.evidence.name,
        seconds=chosen.seconds,
        scratch_seconds=control.seconds,
        gap=gap_of(interval, judged),
    )


def shuffled(control: Evidence, judged: Judged, goal: Goal) -> Fact:
    """Return what a probe on shuffled labels scores, and whether that is significantly above a constant answer."""
    above = _against_constant(control, judged, goal).low > 0
    return fact(Kind.SHUFFLED_LABELS, score=score(control, judged, goal), above=above)


def pixels(control: Evidence, decision: Decision, judged: Judged, goal: Goal) -> Fact:
    """Return what pixels and colours reach without any network."""
    value = score(control, judged, goal)
    ahead = decision.score is not None and value > decision.score.value
    return fact(Kind.PIXELS_ONLY, score=value, ahead=ahead)


def _against_constant(evidence: Evidence, judged: Judged, goal: Goal) -> Interval:
    """Return how much better it is than always answering the commonest class."""
    commonest = int(np.bincount(judged.labels, minlength=judged.classes).argmax())
    constant = np.full(len(judged.labels), commonest)
    return metrics.paired_difference(
        goal.metric, judged.labels, evidence.predicted, constant, judged.classes, judged.group
    )
