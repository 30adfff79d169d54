"""Score against cost: the candidates, the Pareto front and the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autotl.records.result import Recommendation, Row
from autotl.report.figures.labels import about
from autotl.report.format import NARROW, percent, shown
from autotl.report.plot import ACCENT, CARD, INK, SOFT, WARN, Drawing, share_axis
from autotl.report.trainings import rivals
from autotl.report.wording.targets import metric_name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A candidate with a score, at its cost."""

    row: Row
    cost: float
    place: int  # in the leaderboard, from 1
    won: bool

    @property
    def score(self) -> float:
        return self.row.score_val or 0.0

    @property
    def low(self) -> float:
        """Return the lower end of the interval, the score where there is none."""
        return self.score if self.row.ci_low is None else self.row.ci_low

    @property
    def high(self) -> float:
        return self.score if self.row.ci_high is None else self.row.ci_high


def cost(
    result: Recommendation, price: Callable[[Row], float | None], axis: str, limit: float | None, name: str
) -> str:
    """Draw score against a cost: every candidate with its interval, the Pareto front, the winner's set, the limit."""
    winner = result.winner.candidate if result.winner else None
    points = [
        _Point(row=row, cost=value, place=place, won=row.candidate == winner)
        for place, row in enumerate(rivals(result), start=1)
        if (value := price(row))
    ]
    if len(points) < 2:
        return ""  # one point is no comparison
    drawing = Drawing()
    axes = drawing.axes
    front = [points[n] for n in pareto([(point.cost, point.score) for point in points])]
    floor = _floor(points, front)
    axes.step(
        [point.cost for point in front],
        [point.score for point in front],
        where="post",
        color=SOFT,
        linewidth=1.2,
        linestyle=(0, (4, 3)),
    )
    for point in points:
        _draw_point(drawing, point, floor)
    _cost_axis(axes, [point.cost for point in points] + ([limit] if limit else []), name)
    axes.margins(x=0.09)
    _number(axes, [point for point in front if not point.won] + [point for point in points if point.won])
    if limit:
        _draw_limit(axes, limit)
    axes.set_xlabel(axis)
    metric = metric_name(result.metric)
    axes.set_ylabel(metric)
    share_axis(axes.yaxis)
    best = max(points, key=lambda point: point.score).row
    words = f"{metric} against {axis} of {len(points)} candidates; the best is {best.candidate}"
    return drawing.svg(f"cost-{name}", shown(f"{words} with {percent(best.score_val)}"))


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the Pareto front of points (cost, score), cheapest first.

    >>> pareto([(1, 0.5), (2, 0.4), (3, 0.9)])
    [0, 2]
    """
    front: list[int] = []
    for number in sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1])):
        if not front or points[number][1] > points[front[-1]][1]:
            front.append(number)
    return front


def _floor(points: Sequence[_Point], front: Sequence[_Point]) -> float:
    """Return where the scale begins: at the lowest score, or that of front and winner's set if it saves much room."""
    top = max(point.high for point in points)
    far = min(point.low for point in points)
    near = min(point.low for point in points if point in front or point.row.in_winners_set)
    near -= 0.15 * (top - near)
    return near if top - near < 0.6 * (top - far) else 0.0


def _draw_point(drawing: Drawing, point: _Point, floor: float) -> None:
    """Draw a candidate with its interval; one below the `floor` of the scale as a mark on it."""
    row, below = point.row, point.score < floor
    filled = point.won or row.in_winners_set
    colour = ACCENT if filled else SOFT
    if row.ci_low is not None and row.ci_high is not None and not below:
        ends = [max(floor, row.ci_low), row.ci_high]
        drawing.axes.plot([point.cost] * 2, ends, color=colour, alpha=0.35, linewidth=2)
    (dot,) = drawing.axes.plot(
        point.cost,
        max(point.score, floor),
        "*" if point.won else "v" if below else "o",
        markersize=15 if point.won else 7.5,
        color=colour if filled else CARD,
        markeredgecolor=colour,
        markeredgewidth=1.4,
    )
    drawing.hover(dot, about(row) + ("\nbelow the scale of this figure" if below else ""))


def _draw_limit(axes: Any, limit: float) -> None:
    axes.axvline(limit, color=WARN, linewidth=1.4)
    axes.annotate(
        "limit",
        (limit, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-4, 0),
        textcoords="offset points",
        color=WARN,
        fontsize=11,
        ha="right",
    )


def _number(axes: Any, points: Sequence[_Point]) -> None:
    """Write leaderboard places beside points, the last ones first; one that would hide another is left out."""
    taken: list[tuple[float, float]] = []
    for point in reversed(points):
        at = (point.cost, point.score)
        x, y = axes.transData.transform(at)
        if all(abs(x - a) > 16 or abs(y - b) > 13 for a, b in taken):
            taken.append((x, y))
            place = str(point.place)
            axes.annotate(place, at, xytext=(7, 5), textcoords="offset points", fontsize=11, color=INK)


def _cost_axis(axes: Any, values: Sequence[float], name: str) -> None:
    """Label costs in one unit; the axis is logarithmic if they differ tenfold."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    units = _SIZES if name == "size" else _TIMES
    factor, unit = next(((f, u) for f, u in units if max(values) >= f), units[-1])
    if max(values) >= 10 * min(values):
        axes.set_xscale("log")
        wide = max(values) > 300 * min(values)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 3)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / factor:.6g}{unit}")


_TIMES = (
    (7200, f"{NARROW}h"),
    (180, f"{NARROW}min"),
    (1, f"{NARROW}s"),
    (0.001, f"{NARROW}ms"),
    (1e-6, f"{NARROW}µs"),
)
_SIZES = ((1e9, f"{NARROW}G"), (1e6, f"{NARROW}M"), (1e3, f"{NARROW}k"), (1, ""))
