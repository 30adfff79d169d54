"""Pick the result that represents each candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autotl.records import TrialResult


def summary(results: Sequence[TrialResult]) -> Mapping[str, TrialResult]:
    """The result that stands for each candidate: the one trained longest on most rows, latest if equal."""
    standing: dict[str, TrialResult] = {}
    for result in results:
        name = result.trial.candidate.id
        before = standing.get(name)
        if before is None or _weight(result) >= _weight(before):
            standing[name] = result
    return standing


def _weight(result: TrialResult) -> tuple[bool, int, float]:
    return (result.score_val is not None, result.trial.rows or 2**62, result.epochs_done)
