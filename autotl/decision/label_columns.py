"""Compare the heads of a model for several label columns with trainings on one column alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autotl.decision.evidence import predicted_labels
from autotl.records import Columns, Interval, Metric, Target, TrialResult
from autotl.records.encoding import rounded
from autotl.records.result import LabelColumn
from autotl.stats import metrics

__all__ = ["Answers", "compared", "described"]

EQUAL = 0.95  # of the model's epochs, from which on a training is as long


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """The classes that a model predicts for some rows."""

    rows: np.ndarray  # (m,) int64
    predicted: np.ndarray  # (m,) int64: class indices


def described(target: Target, *, together: bool, epochs: float = 0.0) -> LabelColumn:
    """Return a label column without figures; `together`: the backbone was trained on all, for so many `epochs`."""
    return LabelColumn(
        name=target.name,
        classes=target.classes,
        labelled=int((target.values >= 0).sum()),
        together=together,
        epochs=epochs,
    )


def compared(
    column: LabelColumn,
    target: Target,
    answers: Answers,
    twin: TrialResult | None,
    *,
    folder: Path,
    columns: Columns,
    metric: Metric,
) -> LabelColumn:
    """Return a label column with the score of the model, that of its single-task twin, and their paired difference.

    All are measured on the rows of `answers` that have a label in the column; no figure without such rows. A twin that
    trained for fewer epochs than the model is no equal, so that there is no difference.
    """
    has_label = target.values[answers.rows] >= 0
    rows, predicted = answers.rows[has_label], answers.predicted[has_label]
    if not len(rows):
        return column
    labels, classes = target.values[rows], len(target.classes)
    group = None if columns.group is None else columns.group[rows]
    score = metrics.interval(metric, labels, predicted, classes, group)
    column = replace(
        column,
        images=len(rows),
        score_test=rounded(score.value),
        test_low=rounded(score.low),
        test_high=rounded(score.high),
    )
    alone = None
    if twin is not None and twin.predictions is not None:
        alone = predicted_labels(folder / twin.predictions, rows, classes)
    if twin is None or alone is None:
        return column
    score = metrics.interval(metric, labels, alone, classes, group)
    column = replace(
        column,
        alone=twin.trial.candidate.id,
        alone_epochs=twin.epochs_done,
        alone_score=rounded(score.value),
        alone_low=rounded(score.low),
        alone_high=rounded(score.high),
    )
    if twin.epochs_done < EQUAL * column.epochs:
        return column
    gap = metrics.paired_difference(metric, labels, predicted, alone, classes, group)
    difference = Interval(value=rounded(gap.value), low=rounded(gap.low), high=rounded(gap.high))
    return replace(column, difference=difference)
