"""Accuracy against training time, prediction time and size."""

from __future__ import annotations

from typing import Any

from autotl.records.result import Distillation, Recommendation
from autotl.report.format import count, duration, interval, percent
from autotl.report.material import Material
from autotl.report.trainings import rivals
from autotl.report.wording import cost as wording

FASTER = (
    1.2  # times as fast as the winner: less is hardly noticed, and hardly more than the error of the timing
)


def section(result: Recommendation, _material: Material) -> dict[str, Any]:
    """Return what the figures show: a much faster candidate that is not significantly worse, and the limits."""
    scored = rivals(result)
    return {
        "sentence": _speed(result),
        "limits": wording.limits(result.goal),
        "any": bool(scored),
        "distilled": None if result.distillation is None else _distilled(result.distillation),
    }


def _distilled(of: Distillation) -> dict[str, Any]:
    """Return the winner, its student and the student without it beside each other."""
    models = {"winner": of.teacher, "distilled": of.student, "alone": of.alone}
    return {
        "sentence": wording.distilled(of),
        "note": wording.distilled_note(of),
        "rows": [
            {
                "name": wording.STUDENTS[name],
                "candidate": model.candidate,
                "score": percent(model.score_test),
                "interval": interval(model.test_low, model.test_high),
                "epochs": f"{model.epochs:g}" if model.epochs else "",
                "size": "" if model.parameters is None else count(model.parameters),
                "pred": "" if model.latency is None else duration(model.latency),
            }
            for name, model in models.items()
            if model is not None
        ],
    }


def _speed(result: Recommendation) -> str:
    scored = rivals(result)
    timed = [row for row in scored if row.pred_time]
    winner = result.winner.candidate if result.winner else None
    best = next((row for row in timed if row.candidate == winner), None)
    if len(scored) == 1:
        return wording.speed(1)
    if best is None:
        return ""
    faster = [
        row
        for row in timed
        if row.in_winners_set and FASTER * (row.pred_time or 0.0) < (best.pred_time or 0.0)
    ]
    if not faster:
        return wording.speed(len(scored))
    row = max(faster, key=lambda row: (row.score_val or 0.0, -(row.pred_time or 0.0)))
    return wording.speed(
        len(scored),
        faster=row.candidate,
        factor=(best.pred_time or 0.0) / (row.pred_time or 1.0),
        difference=(row.score_val or 0.0) - (best.score_val or 0.0),
    )
