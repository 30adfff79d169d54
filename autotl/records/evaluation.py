"""The record of a model's evaluation on labelled images that the run has not seen."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records.decision import Interval
from autotl.records.specs import Metric

__all__ = [
    "ClassEvaluation",
    "Evaluation",
    "LabelEvaluation",
    "LabelSetEvaluation",
    "NumberEvaluation",
    "ResidualBin",
    "Threshold",
]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualBin:
    """The errors of the images with predictions of about the same size."""

    low: float  # lowest prediction
    high: float
    images: int
    bias: float  # mean of label minus prediction
    mae: float  # mean absolute error
    coverage: float | None  # share within the interval; None where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberEvaluation:
    """The errors of a model that predicts numbers, on labelled images."""

    candidate: str = ""  # the recommended one
    images: int  # that have a number and could be read
    metric: Metric  # of the run
    score: Interval
    mae: Interval  # mean absolute error, in the unit of the labels
    rmse: Interval  # root of the mean squared error
    r2: Interval
    spearman: Interval  # rank correlation
    constant_mae: float  # of always answering the median of these labels
    bias: float  # mean of label minus prediction
    spread: float  # rank correlation of the prediction and the absolute error: how errors grow,
    spread_p: float  # and its p-value
    half_width: float | None = None  # of the interval of a prediction
    level: float | None = None  # share of images that it should hold
    coverage: float | None = None  # share that it holds
    bins: tuple[ResidualBin, ...] = ()  # smallest predictions first
    far: int | None = None  # images far from the training images; None where the model cannot tell
    far_p: float | None = None
    expected: Interval | None = None  # what the run expected on new images
    test: Interval | None = None  # what it measured on its test part
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvaluation:
    """The figures of one label, where an image may have several."""

    name: str
    images: int  # that have it
    average_precision: float | None  # None where no image has it
    threshold: float  # probability from which it is predicted
    precision: float | None  # None where it is never predicted
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSetEvaluation:
    """The errors of a model that predicts several labels an image, on labelled images."""

    candidate: str = ""  # the recommended one
    images: int
    metric: Metric  # of the run
    score: Interval
    mean_average_precision: Interval
    constant: float  # mean average precision of a model that knows nothing: the mean share of the labels
    micro_f1: float  # at the thresholds
    macro_f1: float
    exact: float  # share of images whose labels are all right
    labels: tuple[LabelEvaluation, ...]  # lowest average precision first
    far: int | None = None
    far_p: float | None = None
    expected: Interval | None = None
    test: Interval | None = None
    unreadable: int = 0
    unknown: tuple[tuple[str, int], ...] = ()  # labels that the model does not have, with their images
