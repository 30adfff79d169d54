"""The limits of a goal, by measurement."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.decision.decide import over_limit
from autotl.records import Goal, TrialResult


def best_within_limits(results: Sequence[TrialResult], goal: Goal) -> TrialResult | None:
    """Return the result of the highest score that breaks no limit; the first of equals."""
    allowed = [result for result in results if result.score_val is not None and not over_limit(result, goal)]
    return max(allowed, key=lambda result: result.score_val or 0.0, default=None)
