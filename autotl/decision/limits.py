"""Compare what a candidate needs with the limits of the goal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.decision.evidence import Evidence
from autotl.records import Fact, Goal, Kind, TrialResult, fact

__all__ = ["best_within_limits", "broken_by", "over_limit"]


def over_limit(result: TrialResult, goal: Goal) -> Fact | None:
    """Return the limit that a candidate exceeds by measurement; None if there is none."""
    parameters, latency, memory = result.parameters or 0, result.latency or 0.0, result.memory or 0
    if goal.max_params is not None and parameters > goal.max_params:
        return fact(Kind.TOO_MANY_PARAMETERS, parameters=parameters, allowed=goal.max_params)
    if goal.max_latency is not None and latency > goal.max_latency:
        return fact(Kind.TOO_SLOW, latency=latency, allowed=goal.max_latency)
    if goal.max_memory is not None and memory > goal.max_memory:
        return fact(Kind.TOO_MUCH_MEMORY, bytes=memory, allowed=goal.max_memory)
    return None


def broken_by(evidence: Evidence, goal: Goal) -> Fact | None:
    """Return the limit that a candidate exceeds, by measurement or by what its backbone declares."""
    return over_limit(evidence.result, goal) or evidence.refused


def best_within_limits(results: Sequence[TrialResult], goal: Goal) -> TrialResult | None:
    """Return the result of the highest score that exceeds no limit; the first of equals."""
    allowed = [
        result for result in results if result.score_val is not None and over_limit(result, goal) is None
    ]
    return max(allowed, key=lambda result: result.score_val or 0.0, default=None)
