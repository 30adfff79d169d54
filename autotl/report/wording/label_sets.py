"""Sentences on models that predict several labels an image."""

from __future__ import annotations

from autotl.records import LabelThresholds
from autotl.records.evaluation import LabelEvaluation, LabelSetEvaluation
from autotl.report.format import interval, percent

__all__ = ["error", "label_line", "size", "thresholds"]

FEW = 20  # images of a label, fewer of which give no reliable figure


def size(found: LabelSetEvaluation) -> str:
    """Return how good the model is beside one that knows nothing."""
    score = found.mean_average_precision
    return (
        f"mean average precision {percent(score.value)} (95% CI {interval(score.low, score.high)}); a model that knows"
        f" nothing has {percent(found.constant)}. At the thresholds below micro F1 is {percent(found.micro_f1)}, macro F1"
        f" {percent(found.macro_f1)}, and all labels are right on {percent(found.exact)} of the images."
    )


def thresholds(found: LabelThresholds | None) -> str:
    """Return where the thresholds come from and what they are worth."""
    if found is None:
        return ""
    text = (
        f"The threshold of a label is the probability with its highest F1 on {found.images:,} images that the model was"
        f" not fitted on; judged out-of-fold, micro F1 is {percent(found.micro_f1)} and macro F1"
        f" {percent(found.macro_f1)}."
    )
    if found.test_micro_f1 is not None:
        text += f" On the test images: {percent(found.test_micro_f1)} and {percent(found.test_macro_f1)}."
    return text


def error(has: bool) -> str:
    """Return which way a prediction of a label is wrong."""
    return "missed" if has else "not its label"


def label_line(each: LabelEvaluation) -> dict[str, str | bool]:
    """Return a line of the table of labels."""
    return {
        "name": each.name,
        "images": f"{each.images:,}",
        "average_precision": percent(each.average_precision),
        "average_precision_value": "" if each.average_precision is None else f"{each.average_precision}",
        "threshold": f"{each.threshold:.3f}",
        "precision": percent(each.precision),
        "recall": percent(each.recall),
        "f1": percent(each.f1),
        "few": each.images < FEW,
    }
