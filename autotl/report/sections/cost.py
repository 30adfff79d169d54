"""Accuracy against training time, prediction time and size."""

from __future__ import annotations

from typing import Any

from autotl.records.result import Recommendation
from autotl.report.figures import pareto
from autotl.report.material import Material
from autotl.report.trainings import rivals
from autotl.report.wording import page as wording

FASTER = (
    1.2  # times as fast as the winner: less is hardly noticed, and hardly more than the error of the timing
)


def section(result: Recommendation, _material: Material) -> dict[str, Any]:
    """Return what the figures show: a much faster candidate on the Pareto front, and the limits."""
    scored = rivals(result)
    return {"sentence": _speed(result), "limits": wording.limits(result.goal), "any": bool(scored)}


def _speed(result: Recommendation) -> str:
    scored = rivals(result)
    timed = [row for row in scored if row.pred_time]
    front = [timed[n] for n in pareto([(row.pred_time or 0.0, row.score_val or 0.0) for row in timed])]
    winner = result.winner.candidate if result.winner else None
    best = next((row for row in timed if row.candidate == winner), None)
    if len(scored) == 1:
        return wording.speed(1)
    if best is None:
        return ""
    faster = [row for row in front if FASTER * (row.pred_time or 0.0) < (best.pred_time or 0.0)]
    if not faster:
        return wording.speed(len(scored))
    row = max(faster, key=lambda row: row.score_val or 0.0)
    return wording.speed(
        len(scored),
        faster=row.candidate,
        factor=(best.pred_time or 0.0) / (row.pred_time or 1.0),
        difference=(row.score_val or 0.0) - (best.score_val or 0.0),
    )
