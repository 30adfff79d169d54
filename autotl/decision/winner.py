"""Choose the winner: the best by expected score, its set by paired statistics, and the member that is recommended.

Everything is computed from what a run records (predictions on the selection rows, costs), so the same folder gives
the same decision, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autotl.decision import limits
from autotl.decision.evidence import Evidence, Judged, paired, score
from autotl.records import Goal, Interval

__all__ = ["AS_GOOD", "AS_GOOD_FOR_LESS", "FIGURES", "NOTICEABLE", "Choice", "Costs", "choose", "costs"]

AS_GOOD = 0.001  # of the expected score: a smaller difference is none
AS_GOOD_FOR_LESS = 0.01  # of the expected score that speed or size may cost
TIE = 0.005  # of the expected score, within which one of an equal score is as good
NOTICEABLE = 0.95  # of the other's figure: less is named as cheaper
LEAST_SECONDS = 1.0  # of training, that a stop-watch tells apart
FIGURES = ("fit_time", "latency", "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """A candidate's costs as the leaderboard shows them; None where one was not measured."""

    fit_time: float | None  # seconds of all its probes
    latency: float | None  # seconds an image
    parameters: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """The candidates in order, and which of them is recommended."""

    winner: Evidence
    best: Evidence  # of the highest expected score
    members: tuple[Evidence, ...]  # the winner's set, best first
    ordered: tuple[Evidence, ...]  # all that keep the limits, best first
    excluded: tuple[Evidence, ...]  # those that do not
    comparisons: int  # with the best, that the winner's set rests on
    expected: Mapping[str, Interval]  # score on new images, by candidate

    @property
    def runner_up(self) -> Evidence | None:
        return next((e for e in self.ordered if e is not self.winner), None)


def comparisons(evidence: Sequence[Evidence], goal: Goal) -> int:
    """Return with how many others the best is compared: the candidates that keep the limits."""
    return max(sum(limits.broken_by(e, goal) is None for e in evidence) - 1, 1)


def choose(
    evidence: Sequence[Evidence], judged: Judged, goal: Goal, expected: Mapping[str, Interval]
) -> Choice | None:
    """Return the choice among those that keep the limits; None when none does.

    The best has the highest expected score (`autotl.search.belief`). The winner's set holds every candidate whose
    paired difference to the best is within its 95% interval, Bonferroni-corrected for the number compared. Of those
    that are expected to be as good, `goal.prefer` decides which is recommended: for accuracy the cheapest by the
    geometric mean of training time, latency and parameters; speed the least latency, size the fewest parameters.
    A head that cannot be exported in every format is passed over where one that can is as good, or has no lower score
    and is expected to be within its interval; so is a candidate where another has the same score or a higher one, is
    expected to be within `TIE`, and is cheaper in every figure of the leaderboard.
    """
    allowed = [e for e in evidence if limits.broken_by(e, goal) is None]
    if not allowed:
        return None
    ordered = sorted(
        allowed, key=lambda e: (-expected[e.name].value, -round(score(e, judged, goal), 6), e.name)
    )
    best = ordered[0]
    judged = replace(judged, comparisons=comparisons(evidence, goal))
    members = [e for e in ordered if e is best or paired(best, e, judged, goal).low <= 0]
    scores = {e.name: round(score(e, judged, goal), 6) for e in members}

    def within(leeway: float, least_score: float = 0.0) -> list[Evidence]:
        least = expected[best.name].value - leeway
        return [e for e in members if expected[e.name].value >= least and scores[e.name] >= least_score]

    leeway = AS_GOOD if goal.prefer == "accuracy" else AS_GOOD_FOR_LESS
    as_good = within(leeway)
    exportable = [e for e in as_good if e.exportable]
    tied = [e for e in members if e.exportable and scores[e.name] >= scores[best.name]]
    tied = [e for e in tied if expected[e.name].value >= expected[best.name].low]
    least = max((expected[e.name].value for e in tied), default=0.0) - leeway
    as_good = exportable or [e for e in tied if expected[e.name].value >= least] or as_good
    winner = _cheapest(as_good, expected, goal)
    # Nothing that the leaderboard shows to be as accurate and cheaper in every way stands below the winner.
    while cheaper := [
        e
        for e in within(TIE, scores[winner.name])
        if _cheaper(e, winner) and e.exportable >= winner.exportable
    ]:
        winner = _cheapest(cheaper, expected, goal)
    return Choice(
        winner=winner,
        best=best,
        members=tuple(members),
        ordered=tuple(ordered),
        excluded=tuple(e for e in evidence if e not in allowed),
        comparisons=judged.comparisons,
        expected=expected,
    )


def costs(evidence: Evidence) -> Costs:
    """Return what a candidate costs."""
    result = evidence.result
    return Costs(
        fit_time=max(evidence.fit_time, LEAST_SECONDS),
        latency=None if not result.latency else round(result.latency, 6),
        parameters=None if not result.parameters else float(result.parameters),
    )


def _cheaper(one: Evidence, other: Evidence) -> bool:
    """Return whether one costs no more in any figure that both have, and noticeably less in one."""
    own, its = costs(one), costs(other)
    pairs = [(getattr(own, f), getattr(its, f)) for f in FIGURES]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return all(a <= b for a, b in both) and any(a < NOTICEABLE * b for a, b in both)


def _cheapest(as_good: Sequence[Evidence], expected: Mapping[str, Interval], goal: Goal) -> Evidence:
    """Return the cheapest for the goal; figures that some were not measured in do not count."""
    costs_of = {e.name: costs(e) for e in as_good}
    figures = [f for f in FIGURES if all(getattr(cost, f) for cost in costs_of.values())]
    first = {"speed": "latency", "size": "parameters"}.get(goal.prefer)

    def order(e: Evidence) -> tuple[float, float, float, str]:
        preferred = getattr(costs_of[e.name], first) if first else 0.0
        mean = sum(math.log(getattr(costs_of[e.name], figure)) for figure in figures)
        return preferred or (math.inf if first else 0.0), round(mean, 9), -expected[e.name].value, e.name

    return min(as_good, key=order)
