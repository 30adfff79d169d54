"""Compare strategies that learn from another source, or several label columns, with their twins that do not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from autotl.decision.evidence import judged_rows, predicted_labels, selection
from autotl.records import Columns, Fact, Goal, Kind, Strategy, TrialResult, fact
from autotl.records.encoding import rounded
from autotl.stats import metrics

__all__ = ["compared", "twin"]


def compared(
    probes: Sequence[TrialResult], strategies: Iterable[Strategy], folder: Path, columns: Columns, goal: Goal
) -> list[Fact]:
    """Return for each strategy that learns from more than the main label column what that gained on the selection images.

    It is compared with the strategy that declares the same but that, on one backbone, at one depth and for as many
    epochs; of several such pairs with the one in which either scores best. Without a pair there is no fact.
    """
    known = list(strategies)
    return [
        made
        for strategy in known
        if strategy.related is not None or strategy.every_target
        for made in _of(strategy, twin(strategy, known), probes, folder, columns, goal)
    ]


def twin(strategy: Strategy, strategies: Iterable[Strategy]) -> str:
    """Return the name of the strategy that declares the same for one source and one label column, "" for none."""
    plain = _described(replace(strategy, related=None, every_target=False))
    return next((one.name for one in strategies if _described(one) == plain), "")


def _described(strategy: Strategy) -> Strategy:
    return replace(strategy, name="", summary="", proposed=True, targets=(), backbones=(), worth=None)


def _of(
    strategy: Strategy,
    base: str,
    probes: Sequence[TrialResult],
    folder: Path,
    columns: Columns,
    goal: Goal,
) -> list[Fact]:
    scored = [probe for probe in probes if probe.score_val is not None and probe.predictions is not None]
    pairs = [
        (one, other)
        for one in scored
        for other in scored
        if (one.trial.candidate.strategy, other.trial.candidate.strategy) == (strategy.name, base)
        and replace(one.trial.candidate, strategy=base) == other.trial.candidate
        and one.trial.epochs == other.trial.epochs
    ]
    if not pairs:
        return []
    one, other = max(pairs, key=lambda pair: max(result.score_val or 0.0 for result in pair))
    rows, classes = selection(columns.part, columns.folds), len(columns.classes)
    answers = [predicted_labels(folder / str(result.predictions), rows, classes) for result in (one, other)]
    if any(answer is None for answer in answers):
        return []
    judged = judged_rows(columns)
    with_it, without = (np.asarray(answer) for answer in answers)
    difference = metrics.paired_difference(
        goal.metric, judged.labels, with_it, without, classes, judged.group
    )
    return [
        fact(
            Kind.COLUMNS_COMPARED if strategy.every_target else Kind.RELATED_COMPARED,
            strategy=strategy.name,
            base=base,
            backbone=one.trial.candidate.backbone,
            difference=rounded(difference.value),
            low=rounded(difference.low),
            high=rounded(difference.high),
            images=len(rows),
        )
    ]
