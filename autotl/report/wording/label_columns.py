"""The sentences on a model with a head for each of several label columns."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.records import Metric
from autotl.records.result import LabelColumn
from autotl.report.format import numbered, percent, percent_range, points, points_interval
from autotl.report.wording.targets import metric_name

__all__ = ["difference", "further", "head", "note", "sentence"]


def sentence(columns: Sequence[LabelColumn]) -> str:
    """Return what the one model predicts, and which column the run decided on."""
    main, *others = columns
    names = ", ".join(each.name for each in others)
    return (
        f"The model predicts {numbered(len(columns), 'label column')} with one backbone: {main.name}, which the run"
        f" decided on, and {names}."
    )


def further(column: LabelColumn, metric: Metric) -> str:
    """Return how good the model is in a further column, and how a training on it alone compares."""
    if column.score_test is None or column.test_low is None or column.test_high is None:
        return f"The model predicts {column.name} too; no test images tell how well."
    measured = (
        f"The model predicts {column.name} too: test {metric_name(metric)} {percent(column.score_test)} on"
        f" {numbered(column.images, 'image')} (95% CI {percent_range(column.test_low, column.test_high)})"
    )
    if column.difference is None:
        return f"{measured}."
    return f"{measured}; against a training on it alone {difference(column)}."


def head(column: LabelColumn, *, main: bool) -> str:
    """Return how the head of a column came about."""
    if column.together:
        return "trained together"
    return "of the recipe" if main else "fitted on the finished features"


def difference(column: LabelColumn) -> str:
    """Return the paired difference of the model to its single-task twin; "" where there is none."""
    if column.difference is None:
        short = f"not compared: {column.alone_epochs:.3g} of {column.epochs:.3g} epochs"
        return short if column.alone else ""
    of = column.difference
    clear = "" if of.low > 0 or of.high < 0 else ", not significant"
    return f"{points(of.value)} (95% CI {points_interval(of.low, of.high)}{clear})"


def note(columns: Sequence[LabelColumn]) -> str:
    """Return what the figures are measured on."""
    if not any(column.images for column in columns):
        return "No test images tell how good the heads are."
    if not any(column.alone for column in columns):
        return "Measured on the test images that have a label in the column. No training on one column alone was made."
    text = (
        "Measured on the test images that have a label in the column. Alone is the same recipe, trained on this column"
        " only, for as many epochs on the same images where there is time; one training of each: another seed gives"
        " other figures. Differences are the model's score minus that, paired."
    )
    of = (
        columns if columns[0].together else columns[1:]
    )  # else the model's own training is that of the main column
    short = [column.name for column in of if column.images and not column.alone]
    return f"{text} There was no time to train {', '.join(short)} alone." if short else text
