"""Conclude a run from its decision: the winner with its figures, its test score, warnings and calibration."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autotl.decision.calibrated import Table
from autotl.decision.evidence import (
    predicted_labels,
    probabilities_of,
    representative_results,
    selection,
    stored_predictions,
)
from autotl.decision.shift import shift
from autotl.records import Columns, Decision, Interval, TrialResult
from autotl.records.result import ModelIs, Recommendation, Row, Winner, is_probe
from autotl.stats import metrics
from autotl.stats.target_kinds import TARGET_KINDS
from autotl.stats.two_sample import Answered

__all__ = ["conclude", "fit_of"]


def fit_of(state: Recommendation) -> TrialResult | None:
    """Return what ships of the winner: its last fit, or a probe whose own model was tested; None for neither."""
    name = state.decision.winner if state.decision else None
    fits = [
        result
        for result in state.trials
        if not is_probe(result) and result.model is not None and result.trial.candidate.id == name
    ]
    return fits[-1] if fits else None


def conclude(
    state: Recommendation,
    fit: TrialResult | None,
    folder: Path,
    columns: Columns,
    *,
    ships: bool | None = None,
) -> Recommendation:
    """Return the result with what follows from its decision: winner, test score, warnings and calibration.

    `fit` is what ships of the winner, see `fit_of`; `ships` is whether the folder's model is the winner's
    (by default: whether there is such a fit, or a probe that kept its model).
    """
    decision = state.decision
    if decision is None:
        return state
    tested = _tested(fit, folder, columns)
    classes, metric = len(columns.classes), state.goal.metric
    test = (
        None
        if tested is None
        else metrics.interval(metric, tested.labels, tested.predicted, classes, tested.group)
    )
    again = fit is not None and "select" in fit.trial.fit_on
    if ships is None:
        ships = fit is not None or _kept_model(state, decision.winner)
    model_is = ModelIs.REFITTED if again else ModelIs.PROBE if ships else ModelIs.ANOTHER_CANDIDATES
    winner, board = _winner(decision, state.leaderboard, test, model_is)
    differs = None
    if winner is not None and tested is not None:
        winner = replace(winner, test_images=len(tested.labels))
        chosen = _chosen(state, decision.winner, folder, columns)
        if chosen is not None:
            differs = shift(decision, chosen, tested, state.data, state.goal)
    return replace(
        state,
        winner=winner,
        warnings=() if differs is None else (differs,),
        leaderboard=board,
        **_calibrated(decision, state.trials, fit, folder, columns),
    )


def _tested(fit: TrialResult | None, folder: Path, columns: Columns) -> Answered | None:
    """Return the test rows that a model has predicted, None without any."""
    rows = np.flatnonzero(columns.part == 2)
    if fit is None or fit.predictions is None or not len(rows):
        return None
    path = folder / fit.predictions
    rows = rows[np.isin(rows, stored_predictions(path, len(columns.classes))["rows"])]
    return _answered(path, rows, columns) if len(rows) else None


def _chosen(state: Recommendation, winner: str | None, folder: Path, columns: Columns) -> Answered | None:
    """Return the selection rows as the winner's representative probe predicts them, None without predictions."""
    result = representative_results(_probes(state.trials)).get(winner or "")
    if result is None or result.predictions is None:
        return None
    return _answered(folder / result.predictions, selection(columns.part, columns.folds), columns)


def _answered(predictions: Path, rows: np.ndarray, columns: Columns) -> Answered | None:
    predicted = predicted_labels(predictions, rows, len(columns.classes), columns.target)
    if predicted is None:
        return None
    group = None if columns.group is None else columns.group[rows]
    return Answered(labels=columns.labels[rows], predicted=predicted, group=group)


def _winner(
    decision: Decision, board: tuple[Row, ...], test: Interval | None, model_is: ModelIs
) -> tuple[Winner | None, tuple[Row, ...]]:
    """Return the winner with its figures, and the leaderboard with its score on the test part."""
    row = next((line for line in board if line.candidate == decision.winner), None)
    if row is None or decision.score is None:
        return None, board
    expected = decision.expected or decision.score
    winner = Winner(
        candidate=row.candidate,
        backbone=row.backbone,
        strategy=row.strategy,
        unfreeze=row.unfreeze,
        input_size=row.input_size,
        score_val=decision.score.value,
        ci_low=decision.score.low,
        ci_high=decision.score.high,
        expected=expected.value,
        expected_low=expected.low,
        expected_high=expected.high,
        score_test=test.value if test else None,
        test_low=test.low if test else None,
        test_high=test.high if test else None,
        model_is=model_is,
    )
    marked = tuple(replace(line, score_test=winner.score_test) if line is row else line for line in board)
    return winner, marked


def _kept_model(state: Recommendation, winner: str | None) -> bool:
    """Return whether the representative probe of a candidate had a model to ship."""
    result = representative_results(_probes(state.trials)).get(winner or "")
    return result is not None and result.model is not None


def _calibrated(
    decision: Decision,
    trials: Sequence[TrialResult],
    fit: TrialResult | None,
    folder: Path,
    columns: Columns,
) -> dict[str, Any]:
    """Return the fields of the result that make the winner's answers honest, by its predictions on the selection rows.

    What ships is checked on the test rows that it has predicted.
    """
    nothing: dict[str, Any] = {"calibration": None, "conformal": None, "thresholds": None}
    result = representative_results(_probes(trials)).get(decision.winner or "")
    if result is None or result.predictions is None:
        return nothing
    chosen = _table(folder / result.predictions, selection(columns.part, columns.folds), columns)
    if chosen is None:
        return nothing
    tested = None
    if fit is not None and fit.predictions is not None:
        rows = np.flatnonzero(columns.part == 2)
        stored = stored_predictions(folder / fit.predictions, len(columns.classes))
        rows = rows[np.isin(rows, stored["rows"])]
        tested = _table(folder / fit.predictions, rows, columns) if len(rows) else None
    module, _, name = TARGET_KINDS[columns.target].calibrate.partition(":")
    fields: dict[str, Any] = getattr(importlib.import_module(module), name)(chosen, tested)
    return nothing | fields


def _table(predictions: Path, rows: np.ndarray, columns: Columns) -> Table | None:
    table = probabilities_of(predictions, rows, len(columns.classes))
    if table is None:
        return None
    group = None if columns.group is None else columns.group[rows]
    return Table(table=table, labels=columns.labels[rows], group=group)


def _probes(trials: Sequence[TrialResult]) -> list[TrialResult]:
    return [result for result in trials if is_probe(result) and not result.trial.control]
