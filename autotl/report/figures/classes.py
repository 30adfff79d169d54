"""Predictions of classes: confusions, calibration, and curves of each class against the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autotl.report.discrimination import ClassCurves
from autotl.report.figures.labels import short_name
from autotl.report.format import interval, percent, shown
from autotl.report.plot import ACCENT, CARD, INK, LINE, SERIES, SOFT, WARN, Drawing, share_axis
from autotl.report.predictions import Predictions, Reliability, drawn_classes
from autotl.stats import metrics

COUNTED = 20  # classes up to which the cells of a confusion matrix show counts
LOWEST = len(SERIES) - 1  # classes in a colour of their own, where there are more than colours


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


def _box(left: float, top: float, width: float, height: float, **look: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), width, height, linewidth=look.pop("linewidth", 0), **look)


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
