"""The sentences on a model with a head for each of several label columns."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.records.result import LabelColumn
from autotl.report.format import numbered, points, points_interval

__all__ = ["difference", "head", "note", "sentence"]


def sentence(columns: Sequence[LabelColumn]) -> str:
    """Return what the one model predicts, and which column the run decided on."""
    main, *others = columns
    names = ", ".join(each.name for each in others)
    return (
        f"The model predicts {numbered(len(columns), 'label column')} with one backbone: {main.name}, which the run"
        f" decided on, and {names}."
    )


def head(column: LabelColumn, *, main: bool) -> str:
    """Return how the head of a column came about."""
    if column.together:
        return "trained together"
    return "of the recipe" if main else "fitted on the finished features"


def difference(column: LabelColumn) -> str:
    """Return the paired difference of the model to its single-task twin; "" where there is none."""
    if column.difference is None:
        return ""
    of = column.difference
    clear = "" if of.low > 0 or of.high < 0 else ", not significant"
    return f"{points(of.value)} (95% CI {points_interval(of.low, of.high)}{clear})"


def note(columns: Sequence[LabelColumn]) -> str:
    """Return what the figures are measured on."""
    if not any(column.images for column in columns):
        return "No test images tell how good the heads are."
    if not any(column.alone for column in columns):
        return "Measured on the test images that have a label in the column. No training on one column alone was made."
    return (
        "Measured on the test images that have a label in the column. The single-task twin is the same recipe, trained"
        " on this column alone for as many epochs on the same images; one training of each: another seed gives other"
        " figures. Differences are the model's score minus the twin's, paired."
    )
