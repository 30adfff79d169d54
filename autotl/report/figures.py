"""The figures of the report: each takes records and returns an ``<svg>``, or an empty text without data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autotl.records import CurvePoint, Depth, DepthProfile
from autotl.records.candidate_id import without_origin
from autotl.records.evaluation import ResidualBin
from autotl.records.result import Recommendation, Row
from autotl.report.discrimination import ClassCurves
from autotl.report.format import (
    NARROW,
    count,
    duration,
    interval,
    percent,
    shorten,
    shown,
)
from autotl.report.plot import ACCENT, CARD, INK, LINE, SERIES, SOFT, WARN, Drawing, share_axis
from autotl.report.predictions import Predictions, Reliability, drawn_classes
from autotl.report.trainings import Training, rivals
from autotl.report.wording.targets import metric_name
from autotl.stats import metrics

COUNTED = 20  # classes up to which the cells of a confusion matrix show counts
LONGEST_NAME = 22


def cost(
    result: Recommendation, price: Callable[[Row], float | None], axis: str, limit: float | None, name: str
) -> str:
    """Draw score against a cost: every candidate with its interval, the Pareto front, the winner's set, the limit."""
    scored = rivals(result)
    places = {row.candidate: place for place, row in enumerate(scored, start=1)}
    priced = [(row, value) for row in scored if (value := price(row))]
    if len(priced) < 2:
        return ""  # one point is no comparison
    winner = result.winner.candidate if result.winner else None
    drawing = Drawing()
    axes = drawing.axes
    front = pareto([(value, row.score_val or 0.0) for row, value in priced])
    floor = _floor(priced, front)
    axes.step(
        [priced[n][1] for n in front],
        [priced[n][0].score_val or 0.0 for n in front],
        where="post",
        color=SOFT,
        linewidth=1.2,
        linestyle=(0, (4, 3)),
    )
    for row, value in priced:
        won, tied = row.candidate == winner, row.in_winners_set
        colour = ACCENT if won or tied else SOFT
        score = row.score_val or 0.0
        below = score < floor
        if row.ci_low is not None and row.ci_high is not None and not below:
            axes.plot(
                [value] * 2, [max(floor, row.ci_low), row.ci_high], color=colour, alpha=0.35, linewidth=2
            )
        (dot,) = axes.plot(
            value,
            max(score, floor),
            "*" if won else "v" if below else "o",
            markersize=15 if won else 7.5,
            color=colour if won or tied else CARD,
            markeredgecolor=colour,
            markeredgewidth=1.4,
        )
        drawing.hover(dot, _about(row) + ("\nbelow the scale of this figure" if below else ""))
    values = [value for _, value in priced] + ([limit] if limit else [])
    _price_axis(axes, values, name)
    axes.margins(x=0.09)
    named = [number for number in front if priced[number][0].candidate != winner]
    named += [number for number, (row, _) in enumerate(priced) if row.candidate == winner]
    _number(
        axes, [(priced[n][1], priced[n][0].score_val or 0.0, places[priced[n][0].candidate]) for n in named]
    )
    if limit:
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
    axes.set_xlabel(axis)
    metric = metric_name(result.metric)
    axes.set_ylabel(metric)
    share_axis(axes.yaxis)
    best = max(priced, key=lambda pair: pair[0].score_val or 0.0)[0]
    words = f"{metric} against {axis} of {len(priced)} candidates; the best is {best.candidate}"
    return drawing.svg(f"cost-{name}", shown(f"{words} with {percent(best.score_val)}"))


def _floor(priced: Sequence[tuple[Row, float]], front: Sequence[int]) -> float:
    """Return where the scale begins: at the lowest score, or that of front and winner's set if it saves much room."""
    lows = [row.score_val or 0.0 if row.ci_low is None else row.ci_low for row, _ in priced]
    worth = [low for n, low in enumerate(lows) if n in front or priced[n][0].in_winners_set]
    top = max(row.score_val or 0.0 if row.ci_high is None else row.ci_high for row, _ in priced)
    near, far = min(worth), min(lows)
    near -= 0.15 * (top - near)
    return near if top - near < 0.6 * (top - far) else 0.0


def _number(axes: Any, points: Sequence[tuple[float, float, int]]) -> None:
    """Write leaderboard places beside points; one that would hide another is left out."""
    taken: list[tuple[float, float]] = []
    for price, score, place in reversed(points):
        x, y = axes.transData.transform((price, score))
        if all(abs(x - a) > 16 or abs(y - b) > 13 for a, b in taken):
            taken.append((x, y))
            axes.annotate(
                str(place), (price, score), xytext=(7, 5), textcoords="offset points", fontsize=11, color=INK
            )


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


def depths(rows: Mapping[str, Mapping[Depth, Row]], metric: str) -> str:
    """Draw score against unfreeze depth, a line for each backbone, the winner's first."""
    if not rows:
        return ""
    drawing = Drawing()
    axes = drawing.axes
    every: set[Depth] = {depth for lines in rows.values() for depth in lines}
    order = sorted(every, key=lambda depth: math.inf if depth == "all" else depth)
    shift = np.linspace(-0.08, 0.08, len(rows)) if len(rows) > 1 else np.zeros(1)
    for colour, by, (backbone, lines) in zip(SERIES, shift, rows.items(), strict=False):
        kept = [depth for depth in order if depth in lines]
        x = [order.index(depth) + by for depth in kept]
        y = [lines[depth].score_val or 0.0 for depth in kept]
        axes.plot(x, y, color=colour, label=_label(backbone))
        for place, depth in zip(x, kept, strict=True):
            row = lines[depth]
            if row.ci_low is not None and row.ci_high is not None:
                axes.plot([place] * 2, [row.ci_low, row.ci_high], color=colour, alpha=0.35, linewidth=2)
            (dot,) = axes.plot(place, row.score_val or 0.0, "o", color=colour, markersize=7)
            drawing.hover(dot, _about(row))
    axes.set_xticks(range(len(order)), [depth_word(depth) for depth in order])
    axes.set_xlim(-0.4, len(order) - 0.6)
    axes.set_xlabel("layer groups fine-tuned")
    axes.set_ylabel(metric)
    share_axis(axes.yaxis)
    drawing.legend("best")
    return drawing.svg("depths", f"{metric} by unfreeze depth, a line for each of {len(rows)} backbones")


def depth_word(depth: Depth) -> str:
    """Return ``frozen``, a number or ``all``."""
    return "frozen" if depth == 0 else str(depth)


def features(profiles: Sequence[DepthProfile], metric: str) -> str:
    """Draw the score of frozen features after each layer group, a line for each backbone."""
    if not profiles:
        return ""
    drawing = Drawing()
    axes = drawing.axes
    for colour, profile in zip(SERIES, profiles, strict=False):
        x = [point.depth for point in profile.points]
        label = f"{_label(profile.backbone)}, {profile.size}{NARROW}px"
        axes.plot(x, [point.linear for point in profile.points], color=colour, label=label)
        for point in profile.points:
            (dot,) = axes.plot(point.depth, point.linear, "o", color=colour, markersize=6)
            accuracies = f"linear {percent(point.linear)}, nearest neighbours {percent(point.knn)}"
            about = f"{shown(profile.backbone)} at {profile.size} px\nafter layer group {point.depth}: {accuracies}"
            drawing.hover(dot, f"{about}\n{point.width} features, {profile.rows} images")
    axes.set_xticks(range(1, max(len(profile.points) for profile in profiles) + 1))
    axes.set_xlabel("layer group")
    axes.set_ylabel(f"{metric} of a linear head")
    share_axis(axes.yaxis)
    drawing.legend("best")
    return drawing.svg("features", f"{metric} of a linear head by depth, {len(profiles)} backbones")


def transfer(pair: tuple[Training, Training] | None, without: float | None, metric: str) -> str:
    """Draw score over training time, pretrained and from scratch, and the score without a network."""
    if pair is None:
        return ""
    drawing = Drawing()
    axes = drawing.axes
    end = max(training.points[-1][0] for training in pair)
    for colour, name, training in zip(SERIES, ("pretrained", "from scratch"), pair, strict=False):
        x, y = zip(*training.points, strict=True)
        what = f"{name}, head only" if training.frozen else name
        (line,) = axes.plot(x, y, color=colour, label=what, marker="o", markersize=4 if len(x) > 1 else 7)
        drawing.hover(line, f"{shown(training.candidate)}, {what}\n{percent(y[-1])} after {duration(x[-1])}")
        if training.frozen and x[-1] < end:  # its score does not depend on more time
            axes.plot([x[-1], end], [y[-1]] * 2, color=colour, linewidth=1.2, linestyle=(0, (1, 2)))
    if without is not None:
        (line,) = axes.plot(
            [0, end], [without] * 2, color=SOFT, linestyle=(0, (4, 3)), label="best without a network"
        )
        drawing.hover(line, f"best without a network\n{percent(without)}")
    axes.set_xlim(left=0)
    axes.set_xlabel("training time (s)")
    axes.set_ylabel(metric)
    share_axis(axes.yaxis)
    drawing.legend("best")
    return drawing.svg("transfer", f"{metric} over seconds of training, pretrained and from scratch")


def losses(curves: Mapping[tuple[str, str], Sequence[CurvePoint]]) -> str:
    """Draw training loss over epochs, a line for each training (title, candidate)."""
    if not curves:
        return ""
    drawing = Drawing()
    axes = drawing.axes
    lines = [(key, [(point.epoch, point.loss) for point in curve]) for key, curve in curves.items()]
    _trainings(drawing, lines, lambda loss: f"{loss:.3g}")
    low = min(point.loss for curve in curves.values() for point in curve)
    high = max(point.loss for curve in curves.values() for point in curve)
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel("training loss")
    drawing.legend("upper right")
    return drawing.svg("losses", f"training loss by epoch of {len(curves)} trainings")


def scores(curves: Mapping[tuple[str, str], Sequence[CurvePoint]], metric: str) -> str:
    """Draw the score on the selection images over epochs, of trainings that measured it more than once."""
    lines = [
        (key, [(point.epoch, point.score) for point in curve if point.score is not None])
        for key, curve in curves.items()
    ]
    if all(len(points) < 2 for _, points in lines):
        return ""
    drawing = Drawing()
    _trainings(drawing, lines, percent)
    drawing.axes.set_ylabel(metric)
    share_axis(drawing.axes.yaxis)
    drawing.legend("lower right")
    return drawing.svg("scores", f"{metric} by epoch of {len(drawing.axes.lines)} trainings")


def _trainings(
    drawing: Drawing,
    lines: Sequence[tuple[tuple[str, str], Sequence[tuple[float, float]]]],
    text: Callable[[float], str],
) -> None:
    """Draw a line for each training (title, candidate) over its epochs, in a colour of its place."""
    for colour, ((title, candidate), points) in zip(SERIES, lines, strict=False):
        if len(points) < 2:
            continue
        x, y = zip(*points, strict=True)
        label = title or _label(candidate, 30)
        (line,) = drawing.axes.plot(x, y, color=colour, label=label, marker="o", markersize=3.5)
        drawing.hover(
            line, f"{shown(candidate)}{', ' + title if title else ''}\n{text(y[0])} → {text(y[-1])}"
        )
    drawing.axes.set_xlabel("epochs")


def confusion(predictions: Predictions) -> tuple[str, int]:
    """Draw the confusion matrix, true classes as rows; return it and how many classes it leaves out."""
    table = metrics.confusion(predictions.labels, predictions.predicted, len(predictions.classes))
    order = drawn_classes(table)
    part = table[np.ix_(order, order)]
    many = len(order)
    support = np.maximum(table.sum(1)[order], 1)
    names = [shown(predictions.classes[number]) for number in order]
    cut = [short_name(name) for name in names]
    side = 52 if many <= 6 else 34 if many <= COUNTED else max(11.0, 760 / many)
    letters = 6.2 * max(len(name) for name in cut)
    small = min(11.0, max(6.0, side * 0.8))
    drawing = Drawing(side * many + letters + 60, side * many + letters + 40)
    axes = drawing.axes
    axes.grid(visible=False)
    axes.add_patch(_box(-0.5, -0.5, many, many, facecolor=CARD))
    edges = np.arange(many + 1) - 0.5
    for lines in (axes.hlines, axes.vlines):
        lines(edges, -0.5, many - 0.5, color=LINE, linewidth=0.5)
    for true, taken in zip(*np.nonzero(part), strict=True):
        share = part[true, taken] / support[true]
        right = true == taken
        box = _box(
            taken - 0.5, true - 0.5, 1, 1, facecolor=ACCENT if right else WARN, alpha=0.08 + 0.5 * share
        )
        axes.add_patch(box)
        what = "classified correctly" if right else f"classified as {names[taken]}"
        drawing.hover(
            box, f"{names[true]}: {part[true, taken]} of {support[true]} ({percent(share, 0)}) {what}"
        )
        if many <= COUNTED:
            axes.text(taken, true, str(part[true, taken]), ha="center", va="center", fontsize=11, color=INK)
    axes.set_xlim(-0.5, many - 0.5)
    axes.set_ylim(many - 0.5, -0.5)
    axes.set_aspect("equal")
    upright = many <= 6 and max(len(name) for name in cut) * 6.2 < side
    axes.set_xticks(range(many), cut, rotation=0 if upright else 90, fontsize=small)
    axes.set_yticks(range(many), cut, fontsize=small)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for spine in axes.spines.values():
        spine.set_visible(False)
    correct, total = int(np.trace(table)), int(table.sum())
    label = f"Confusion matrix of {many} classes: {correct} of {total} images classified correctly"
    return drawing.svg("confusion", label), len(table) - many


def short_name(name: str) -> str:
    """Return a class name that fits beside a matrix."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def calibration(measured: Reliability) -> str:
    """Draw the reliability diagram: accuracy over confidence with intervals; the diagonal is perfect."""
    drawing = Drawing(380, 330)
    axes = drawing.axes
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    total = sum(number for *_, number in measured.bins)
    axes.plot(
        [mean for mean, *_ in measured.bins], [share.value for _, share, _ in measured.bins], color=ACCENT
    )
    for mean, share, number in measured.bins:
        axes.plot([mean] * 2, [share.low, share.high], color=ACCENT, alpha=0.35, linewidth=2)
        size = 5 + 13 * math.sqrt(number / total)
        (dot,) = axes.plot(mean, share.value, "o", color=ACCENT, markersize=size, clip_on=False)
        correct = f"accuracy {percent(share.value)} [{interval(share.low, share.high)}]"
        drawing.hover(dot, f"{number} images, mean confidence {percent(mean)}: {correct}")
    axes.set_xlim(-0.02, 1.04)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    share_axis(axes.xaxis)
    share_axis(axes.yaxis)
    return drawing.svg(
        "calibration", f"Reliability diagram, expected calibration error {percent(measured.ece)}"
    )


LOWEST = len(SERIES) - 1  # classes in a colour of their own, where there are more than colours


def roc(curves: Sequence[ClassCurves]) -> str:
    """Draw the ROC curve of each class against the rest, those with the smallest area in colour."""
    if not curves:
        return ""
    drawing = Drawing(380, 330)
    drawing.axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    _classes(drawing, curves, lambda each: each.auc, lambda each: each.roc, "AUC")
    drawing.axes.set_xlabel("false positive rate")
    drawing.axes.set_ylabel("true positive rate (recall)")
    return drawing.svg("roc", f"ROC curves of {len(curves)} classes, each against the rest")


def precision_recall(curves: Sequence[ClassCurves]) -> str:
    """Draw precision over recall of each class against the rest, those with the lowest average in colour."""
    if not curves:
        return ""
    drawing = Drawing(380, 330)
    _classes(drawing, curves, lambda each: each.average_precision, lambda each: each.precision_recall, "AP")
    for line in drawing.axes.lines:
        line.set_drawstyle("steps-pre")  # average precision is the area under these steps
    drawing.axes.set_xlabel("recall")
    drawing.axes.set_ylabel("precision")
    return drawing.svg("precision-recall", f"Precision-recall curves of {len(curves)} classes")


def _classes(
    drawing: Drawing,
    curves: Sequence[ClassCurves],
    value: Callable[[ClassCurves], float],
    points: Callable[[ClassCurves], tuple[Any, Any]],
    name: str,
) -> None:
    """Draw a line for each class: the lowest by `value` in colour and named, the others thin."""
    ordered = sorted(curves, key=value)
    coloured = len(ordered) if len(ordered) <= len(SERIES) else LOWEST
    for place in reversed(range(len(ordered))):  # the named ones lie on top
        each = ordered[place]
        named = place < coloured
        look: dict[str, Any] = {"color": SOFT, "linewidth": 0.8, "alpha": 0.3}
        if named:
            look = {"color": SERIES[place], "label": f"{short_name(shown(each.name))} {value(each):.3f}"}
        (line,) = drawing.axes.plot(*points(each), **look)
        drawing.hover(line, f"{shown(each.name)}, {each.images} images: {name} {value(each):.3f}")
    axes = drawing.axes
    axes.set_xlim(-0.02, 1.04)
    axes.set_ylim(-0.02, 1.04)
    share_axis(axes.xaxis)
    share_axis(axes.yaxis)
    handles, labels = axes.get_legend_handles_labels()
    title = name if coloured == len(ordered) else f"{name}, lowest {coloured} of {len(ordered)}"
    legend = axes.legend(
        handles[::-1], labels[::-1], loc="best", labelcolor=INK, fontsize=11, title=title,
        facecolor=CARD, edgecolor="none", framealpha=0.85,
    )  # fmt: skip
    legend.get_title().set_fontsize(11)


def agreement(pairs: Sequence[tuple[str, float, float]], metric: str) -> str:
    """Draw the best score of each backbone against what the ranking expected: (name, expected, reached)."""
    if len(pairs) < 2:
        return ""
    drawing = Drawing(380, 330)
    axes = drawing.axes
    both = [value for _, *values in pairs for value in values]
    low, high = min(both), max(both)
    axes.plot([low, high], [low, high], color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    for name, expected, reached in pairs:
        (dot,) = axes.plot(expected, reached, "o", color=ACCENT, markersize=7.5)
        drawing.hover(dot, f"{shown(name)}\nexpected {percent(expected)}, reached {percent(reached)}")
    axes.set_xlabel("expected before training")
    axes.set_ylabel(f"best {metric}")
    share_axis(axes.xaxis)
    share_axis(axes.yaxis)
    axes.margins(0.08)
    return drawing.svg("agreement", f"Expected and reached {metric} of {len(pairs)} backbones")


# --------------------------------------------------------------------------- numbers

DOTS = 1500  # images that are drawn one by one, at most


def predicted(labels: np.ndarray, answers: np.ndarray, unit: str, width: float | None) -> str:
    """Draw predictions (n,) against labels (n,); the diagonal is right, the band is the prediction interval."""
    drawing = Drawing(420, 380)
    axes = drawing.axes
    low, high = (float(of(np.concatenate([labels, answers]))) for of in (np.min, np.max))
    ends = np.array([low, high])
    if width is not None:
        axes.fill_between(ends, ends - width, ends + width, color=ACCENT, alpha=0.12, linewidth=0)
    axes.plot(ends, ends, color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    kept = _drawn(len(labels))
    axes.plot(labels[kept], answers[kept], "o", color=ACCENT, markersize=4, alpha=0.5, markeredgewidth=0)
    axes.set_xlabel(f"label: {shown(unit)}")
    axes.set_ylabel(f"prediction: {shown(unit)}")
    axes.margins(0.04)
    return drawing.svg("predicted", f"Predictions against labels of {len(labels)} images")


def residuals(
    labels: np.ndarray, answers: np.ndarray, bins: Sequence[ResidualBin], unit: str, width: float | None
) -> str:
    """Draw label minus prediction (n,) over the prediction, with the mean absolute error of each bin of predictions."""
    drawing = Drawing(420, 380)
    axes = drawing.axes
    kept = _drawn(len(labels))
    axes.axhline(0, color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    for end in () if width is None else (-width, width):
        axes.axhline(end, color=ACCENT, linewidth=1, alpha=0.5)
    axes.plot(
        answers[kept], (labels - answers)[kept], "o", color=ACCENT, markersize=4, alpha=0.5, markeredgewidth=0
    )
    for each in bins:
        for end in (-each.mae, each.mae):
            (line,) = axes.plot([each.low, each.high], [end, end], color=WARN, linewidth=2.4)
            about = f"{each.images} images from {each.low:.4g} to {each.high:.4g}"
            drawing.hover(line, f"{about}: mean absolute error {each.mae:.4g}")
    axes.set_xlabel(f"prediction: {shown(unit)}")
    axes.set_ylabel("label − prediction")
    axes.margins(0.04)
    return drawing.svg("residuals", f"Residuals of {len(labels)} images over their predictions")


def _drawn(images: int) -> np.ndarray:
    """Return the places of the images that are drawn: at equal distances where there are too many."""
    return np.unique(np.linspace(0, images - 1, min(images, DOTS)).round().astype(int))


# --------------------------------------------------------------------------- parts of figures


def _label(name: str, most: int = LONGEST_NAME) -> str:
    return shorten(without_origin(shown(name)), most)


def _about(row: Row) -> str:
    """Return a candidate in a few lines, for a tooltip."""
    lines = [shown(row.candidate), f"{percent(row.score_val)} [{interval(row.ci_low, row.ci_high)}]"]
    if row.fit_time is not None:
        lines.append(f"training {duration(row.fit_time)}")
    if row.pred_time is not None:
        lines.append(f"prediction {duration(row.pred_time)} per image")
    if row.parameters:
        lines.append(f"{count(row.parameters)} parameters")
    return "\n".join(lines)


def _price_axis(axes: Any, values: Sequence[float], name: str) -> None:
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


def _box(left: float, top: float, width: float, height: float, **look: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), width, height, linewidth=look.pop("linewidth", 0), **look)
