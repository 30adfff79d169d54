"""The course of trainings: loss and score over epochs, and over seconds with pretraining and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autotl.records import CurvePoint
from autotl.report.figures.labels import legend_name
from autotl.report.format import duration, percent, shown
from autotl.report.plot import SERIES, SOFT, Drawing, share_axis
from autotl.report.trainings import Training


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
        label = title or legend_name(candidate, 30)
        (line,) = drawing.axes.plot(x, y, color=colour, label=label, marker="o", markersize=3.5)
        drawing.hover(
            line, f"{shown(candidate)}{', ' + title if title else ''}\n{text(y[0])} → {text(y[-1])}"
        )
    drawing.axes.set_xlabel("epochs")
