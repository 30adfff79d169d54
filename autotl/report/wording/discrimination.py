"""Sentences on how well probabilities separate the classes."""

from __future__ import annotations

from autotl.report.discrimination import ANSWERED, TOP, Discrimination
from autotl.report.format import percent


def separation(measured: Discrimination, classes: int) -> str:
    """Return log loss, area under the curves and top-5 accuracy in words."""
    worse = ", less than this model" if measured.log_loss > measured.constant_log_loss else ""
    text = (
        f"Log loss {measured.log_loss:.3f}; 0 is perfect, and predicting for every image the shares of the classes gives"
        f" {measured.constant_log_loss:.3f}{worse}."
    )
    if measured.auc is not None and measured.average_precision is not None:
        each = (
            f"of {measured.curves[0].name} against the other class"
            if classes == 2
            else "as the mean of each class against the rest"
        )
        text += (
            f" Area under the ROC curve {measured.auc:.3f}, average precision {measured.average_precision:.3f},"
            f" {each}."
        )
    if measured.top is not None:
        text += (
            f" For {percent(measured.top)} of the images the label is among the {TOP} most probable classes."
        )
    return text


def thresholds(name: str, best: float, f1: float) -> str:
    """Return how to read the table of thresholds for the class `name`."""
    text = (
        f"From which probability of {name} an image should count as {name}: a lower threshold finds more of them and"
        f" raises more false alarms. {ANSWERED:g} gives the answers of autotl predict."
    )
    if round(best, 3) == ANSWERED:
        return f"{text} It has the highest F1 ({f1:.3f})."
    return (
        f"{text} F1 is highest at {best:.3f} ({f1:.3f}); it was found on these images, so it is a little too high for"
        " new ones."
    )
