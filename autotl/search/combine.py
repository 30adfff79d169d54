"""Choose the finished trials whose weights a strategy joins. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.records import Parent, Ranked, Strategy, TrialResult

__all__ = ["MOST", "parents"]

MOST = 8  # trials that are joined, at most: each is a file as large as the network


def parents(strategy: Strategy, entry: Ranked, results: Sequence[TrialResult]) -> tuple[Parent, ...]:
    """Return the finished trials of a backbone at an input size that a strategy joins, best first.

    Of each recipe the longest training counts.
    """
    longest: dict[str, TrialResult] = {}
    for result in results:
        candidate = result.trial.candidate
        fits = (candidate.backbone, candidate.input_size) == (entry.backbone, entry.input_size)
        if (
            not fits
            or not strategy.joins(candidate.strategy)
            or result.model is None
            or result.score_val is None
        ):
            continue
        before = longest.get(candidate.id)
        if before is None or result.epochs_done >= before.epochs_done:
            longest[candidate.id] = result
    best = sorted(longest.values(), key=lambda result: (-(result.score_val or 0.0), result.trial.id))
    return tuple(
        Parent(
            strategy=result.trial.candidate.strategy,
            model=str(result.model),
            score=result.score_val or 0.0,
            epochs=result.epochs_done,
        )
        for result in best[:MOST]
    )
