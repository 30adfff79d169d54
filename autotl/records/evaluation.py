"""The record of a model's evaluation on labelled images that the run has not seen."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records.decision import Interval
from autotl.records.specs import Metric

__all__ = ["ClassEvaluation", "Evaluation", "Threshold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEvaluation:
    """The figures of one class."""

    name: str
    images: int
    recall: Interval | None  # None where the class has no image
    precision: float | None  # None where no image is predicted as the class


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Precision and recall of one class of two, predicted from a probability on."""

    probability: float
    precision: float | None  # None where no image reaches the probability
    recall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics of a model on labelled images; scores are fractions."""

    candidate: str  # the recommended one
    images: int  # that have a label of the model and could be read
    metric: Metric  # of the run
    score: Interval
    accuracy: Interval
    top5: float | None = (
        None  # share of images whose class is among the five most probable; for more than five classes
    )
    auc: float | None = None  # area under the ROC curve; the mean over the classes, each against all others
    log_loss: float
    confidence: float  # mean probability of the predicted class
    calibration_error: float  # expected calibration error
    classes: tuple[ClassEvaluation, ...]
    confusions: tuple[
        tuple[str, str, int], ...
    ] = ()  # true class, predicted class, images; most frequent first
    positive: str = ""  # of two classes the rarer one, which the thresholds are about
    thresholds: tuple[Threshold, ...] = ()
    far: int | None = None  # images far from the training images; None where the model cannot tell
    far_p: float | None = None  # probability of so many by chance among images of the same kind
    expected: Interval | None = None  # what the run expected on new images
    test: Interval | None = None  # what it measured on its test part
    unreadable: int = 0
    unknown: tuple[tuple[str, int], ...] = ()  # labels that the model does not have, with their images
