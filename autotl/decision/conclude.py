"""Conclude a run from its decision: the winner with its figures, its test score and its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from autotl.decision.evidence import predicted_classes, probabilities_of, representative_results, selection
from autotl.records import Calibration, Columns, Decision, Goal, Interval, TrialResult
from autotl.records.result import ModelIs, Recommendation, Row, Winner, is_probe
from autotl.stats import metrics
from autotl.stats.calibration import calibrate

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
    """Return the result with what follows from its decision: winner, test score and calibration.

    `fit` is what ships of the winner, see `fit_of`; `ships` is whether the folder's model is the winner's
    (by default: whether there is such a fit, or a probe that kept its model).
    """
    decision = state.decision
    if decision is None:
        return state
    test, images = _tested(fit, folder, columns, state.goal)
    again = fit is not None and "select" in fit.trial.fit_on
    if ships is None:
        ships = fit is not None or _kept_model(state, decision.winner)
    model_is = ModelIs.REFITTED if again else ModelIs.PROBE if ships else ModelIs.ANOTHER_CANDIDATES
    winner, board = _winner(decision, state.leaderboard, test, model_is)
    if winner is not None and test is not None:
        winner = replace(winner, test_images=images)
    return replace(
        state,
        winner=winner,
        leaderboard=board,
        calibration=_calibrated(decision, state.trials, folder, columns),
    )


def _tested(
    fit: TrialResult | None, folder: Path, columns: Columns, goal: Goal
) -> tuple[Interval | None, int]:
    """Return a model's score on the test rows that it has predicted, and their number; None and 0 without any."""
    rows = np.flatnonzero(columns.part == 2)
    if fit is None or fit.predictions is None or not len(rows):
        return None, 0
    with np.load(folder / fit.predictions, allow_pickle=False) as stored:
        rows = rows[np.isin(rows, stored["rows"])]
    predicted = predicted_classes(folder / fit.predictions, rows) if len(rows) else None
    if predicted is None:
        return None, 0
    group = None if columns.group is None else columns.group[rows]
    labels = columns.labels[rows]
    return metrics.interval(goal.metric, labels, predicted, len(columns.classes), group), len(rows)


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
    decision: Decision, trials: Sequence[TrialResult], folder: Path, columns: Columns
) -> Calibration | None:
    """Return the temperature of the winner's probabilities, from its predictions on the selection rows."""
    result = representative_results(_probes(trials)).get(decision.winner or "")
    if result is None or result.predictions is None:
        return None
    rows = selection(columns.part, columns.folds)
    group = None if columns.group is None else columns.group[rows]
    shares = probabilities_of(folder / result.predictions, rows)
    return None if shares is None else calibrate(shares, columns.labels[rows], group)


def _probes(trials: Sequence[TrialResult]) -> list[TrialResult]:
    return [result for result in trials if is_probe(result) and not result.trial.control]
