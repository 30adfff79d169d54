"""Compare a student with its teacher and with the same training without it, on the same test images. Pure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autotl.decision.evidence import predicted_labels, stored_predictions
from autotl.records import Columns, Interval, Metric, TrialResult
from autotl.records.encoding import rounded
from autotl.records.result import Distillation, Student
from autotl.stats import metrics

__all__ = ["compared"]


def compared(
    teacher: TrialResult,
    student: TrialResult,
    alone: TrialResult | None,
    *,
    folder: Path,
    columns: Columns,
    metric: Metric,
) -> Distillation:
    """Return the three models beside each other; scores and differences where all have predicted test images."""
    models = [teacher, student, *([] if alone is None else [alone])]
    rows = _tested(models, folder, columns)
    labels, classes = columns.labels[rows], len(columns.classes)
    group = None if columns.group is None else columns.group[rows]
    predicted = [
        predicted_labels(folder / str(result.predictions), rows, classes) if len(rows) else None
        for result in models
    ]

    def described(result: TrialResult, answers: np.ndarray | None) -> Student:
        score = None if answers is None else metrics.interval(metric, labels, answers, classes, group)
        return Student(
            candidate=result.trial.candidate.id,
            score_test=None if score is None else rounded(score.value),
            test_low=None if score is None else rounded(score.low),
            test_high=None if score is None else rounded(score.high),
            parameters=result.parameters,
            latency=result.latency,
            epochs=result.epochs_done,
        )

    def difference(one: np.ndarray | None, other: np.ndarray | None) -> Interval | None:
        if one is None or other is None:
            return None
        of = metrics.paired_difference(metric, labels, one, other, classes, group)
        return Interval(value=rounded(of.value), low=rounded(of.low), high=rounded(of.high))

    described_models = [described(*pair) for pair in zip(models, predicted, strict=True)]
    return Distillation(
        teacher=described_models[0],
        student=described_models[1],
        alone=None if alone is None else described_models[2],
        images=len(rows),
        gain=None if alone is None else difference(predicted[1], predicted[2]),
        behind=difference(predicted[1], predicted[0]),
    )


def _tested(models: list[TrialResult], folder: Path, columns: Columns) -> np.ndarray:
    """Return the test rows that every model has predicted."""
    rows = np.flatnonzero(columns.part == 2)
    for result in models:
        if result.predictions is None or "test" not in result.trial.evaluate_on:
            return rows[:0]
        stored = stored_predictions(folder / result.predictions, len(columns.classes))
        rows = rows[np.isin(rows, stored["rows"])]
    return rows
