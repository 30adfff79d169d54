"""The leaderboard: the winner's set, the other candidates, the controls, and what has no score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autotl.records.candidate_id import hyper_of
from autotl.records.result import LabelColumn, Recommendation, Row
from autotl.report import recorded
from autotl.report.format import count, duration, interval, percent
from autotl.report.material import Material
from autotl.report.sections.candidates import details
from autotl.report.trainings import rivals
from autotl.report.wording import label_columns, terminal
from autotl.report.wording import page as wording

RAIL = 6  # widths of the best row's interval that the rail shows at most
LEAST_WIDTH = 0.01  # of that interval


def section(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return rows in groups, the scale of their intervals, each in full, and candidates without a score."""
    scored = rivals(result)
    controls = [row for row in result.leaderboard if row.score_val is not None and row.control]
    rest = [row for row in result.leaderboard if row.score_val is None]
    low, high = _scale(scored or controls, controls)
    winner = result.winner.candidate if result.winner else None
    lines = [_line(row, place, winner, (low, high)) for place, row in enumerate(scored, start=1)]
    groups = _groups(lines)
    if controls:
        groups.append(
            {"title": wording.CONTROLS, "rows": [_line(row, 0, winner, (low, high)) for row in controls]}
        )
    without = [(row.candidate, terminal.STATUS[row.status], recorded.reason(row)) for row in rest]
    without += [(name, terminal.STATUS["skipped"], reason) for name, reason in untrained(result).items()]
    return {
        "rows": lines,
        "groups": groups,
        "details": details(result, material, scored),
        "scale": tuple(percent(value, 0) for value in (low, (low + high) / 2, high)),
        "ties": sum(row.in_winners_set for row in scored),
        "strategies": _strategies(result, scored),
        "columns": _columns(result.label_columns),
        "rest": [{"candidate": name, "status": status, "reason": reason} for name, status, reason in without],
    }


def _strategies(result: Recommendation, rows: Sequence[Row]) -> str:
    """Return what the strategies of the rows do, in the order of the rows."""
    summaries = {strategy.name: strategy.summary for strategy in result.strategies}
    names = dict.fromkeys(row.strategy for row in rows if row.strategy in summaries)
    return "; ".join(f"{name}: {summaries[name]}" for name in names)


def _columns(columns: Sequence[LabelColumn]) -> dict[str, Any] | None:
    """Return the score of the model in each label column beside that of a training on it alone; None for one column."""
    if not columns:
        return None
    return {
        "sentence": label_columns.sentence(columns),
        "note": label_columns.note(columns),
        "rows": [
            {
                "name": column.name,
                "classes": len(column.classes),
                "labelled": f"{column.labelled:,}",
                "images": f"{column.images:,}",
                "head": label_columns.head(column, main=column is columns[0]),
                "score": percent(column.score_test),
                "interval": interval(column.test_low, column.test_high),
                "alone": percent(column.alone_score),
                "recipe": column.alone,
                "epochs": f"{column.alone_epochs:g}" if column.alone_epochs else "",
                "alone_interval": interval(column.alone_low, column.alone_high),
                "difference": label_columns.difference(column),
            }
            for column in columns
        ],
    }


def _scale(rows: list[Row], controls: list[Row]) -> tuple[float, float]:
    """Return the ends of the rail, round figures, so that the best interval takes a visible share of it.

    Rows that lie left of it are marked at its end. Controls lie left of it, too, and none lies right of it.
    """
    ends = [(_low(row), _high(row)) for row in rows]
    if not ends:
        return 0.0, 1.0
    best_low, best_high = ends[0]
    least = max(min(low for low, _ in ends), best_high - RAIL * max(best_high - best_low, LEAST_WIDTH))
    low = max(0.0, math.floor(least * 50) / 50)
    high = min(1.0, math.ceil(max(_high(row) for row in (*rows, *controls)) * 50) / 50)
    return low, max(high, low + 0.02)


def _low(row: Row) -> float:
    return (row.score_val or 0.0) if row.ci_low is None else row.ci_low


def _high(row: Row) -> float:
    return (row.score_val or 0.0) if row.ci_high is None else row.ci_high


def untrained(result: Recommendation) -> dict[str, str]:
    """Return the backbones that were ranked and not trained at any input size, with the reason."""
    trained = {row.backbone for row in result.leaderboard if not row.control}
    waiting: dict[str, str] = {}
    for place, ranked in enumerate(result.ranking.ranked if result.ranking else (), start=1):
        if ranked.backbone not in trained:
            reason = wording.untrained(place, ranked.expected, ranked.rows)
            waiting.setdefault(ranked.backbone, reason)
    return waiting


def _groups(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the winner with those not significantly worse, and the others."""
    best = [line for line in lines if line["won"] or line["tied"]]
    worse = [line for line in lines if not (line["won"] or line["tied"])]
    if not best:
        return [{"title": "", "rows": lines}] if lines else []
    groups = [{"title": wording.winners_set(len(best)), "rows": best}]
    return [*groups, {"title": wording.SIGNIFICANTLY_WORSE, "rows": worse}] if worse else groups


def _line(row: Row, place: int, winner: str | None, scale: tuple[float, float]) -> dict[str, Any]:
    score, low, high = row.score_val or 0.0, _low(row), _high(row)

    def across(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - scale[0]) / (scale[1] - scale[0]))), 2)

    return {
        "place": place or "",
        "candidate": row.candidate,
        "backbone": row.backbone or row.candidate,
        "input_size": row.input_size,
        "strategy": row.strategy + ("" if row.unfreeze == 0 else f":{row.unfreeze}") + _hyper(row),
        "won": row.candidate == winner,
        "tied": row.in_winners_set and row.candidate != winner,
        "score": percent(score),
        "score_value": score,
        "interval": "" if row.ci_low is None else interval(low, high),
        "dot": across(score),
        "off": score < scale[0],
        "left": across(low),
        "width": round(across(high) - across(low), 2),
        "fit": "" if row.fit_time is None else duration(row.fit_time),
        "fit_value": row.fit_time,
        "pred": "" if row.pred_time is None else duration(row.pred_time),
        "pred_value": row.pred_time,
        "size": count(row.parameters) if row.parameters else "",
        "size_value": row.parameters,
        "status": "" if row.status == "finished" else terminal.STATUS[row.status],
        "reason": terminal.control(row.control) if row.control else recorded.reason(row),
    }


def _hyper(row: Row) -> str:
    """Return the hyperparameters that differ from the strategy's defaults, as in the candidate id."""
    hyper = hyper_of(row.candidate)
    return f" ({hyper.replace('&', ', ')})" if hyper else ""
