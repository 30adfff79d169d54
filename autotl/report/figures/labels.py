"""Names and tooltips of what figures show."""

from __future__ import annotations

from autotl.records.candidate_id import without_origin
from autotl.records.result import Row
from autotl.report.format import count, duration, interval, percent, shorten, shown

LONGEST_NAME = 22


def legend_name(name: str, most: int = LONGEST_NAME) -> str:
    """Return a backbone or a candidate without its origin, as long as a legend has room for."""
    return shorten(without_origin(shown(name)), most)


def about(row: Row) -> str:
    """Return a candidate in a few lines, for a tooltip."""
    lines = [shown(row.candidate), f"{percent(row.score_val)} [{interval(row.ci_low, row.ci_high)}]"]
    if row.fit_time is not None:
        lines.append(f"training {duration(row.fit_time)}")
    if row.pred_time is not None:
        lines.append(f"prediction {duration(row.pred_time)} per image")
    if row.parameters:
        lines.append(f"{count(row.parameters)} parameters")
    return "\n".join(lines)


def short_name(name: str) -> str:
    """Return a class name that fits beside a matrix."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
