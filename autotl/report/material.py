"""Material of a report besides the result: figures, predictions, thumbnails. Made once a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autotl.errors import RunError
from autotl.records import Calibration, Metric
from autotl.records.evaluation import LabelSetEvaluation, NumberEvaluation
from autotl.records.result import Recommendation
from autotl.report import occlusion, trainings
from autotl.report.discrimination import Discrimination, discrimination
from autotl.report.figures import backbones, classes, costs, regression, training
from autotl.report.predictions import (
    ClassScore,
    Predictions,
    most_confident_errors,
    reliability,
    scores_by_class,
    winner_predictions,
    winner_table,
)
from autotl.report.thumbnails import Sample, samples, thumbnails
from autotl.report.wording import page as wording
from autotl.report.wording.targets import metric_name
from autotl.run_folder import manifest
from autotl.stats import label_errors, number_errors

_PROBED = {"multiclass": "accuracy", "multilabel": "mean average precision", "regression": "R²"}
ERRORS = 12  # most confident errors that are shown
HALF = 0.5  # of a probability: less is no error of a label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberMaterial:
    """The predictions of numbers, their errors, and the worst of them."""

    predictions: Predictions
    errors: NumberEvaluation
    worst: tuple[int, ...]  # places in `predictions`, the largest error first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelMaterial:
    """The predictions of several labels an image, their errors, and the worst of them."""

    predictions: Predictions
    errors: LabelSetEvaluation
    worst: tuple[tuple[int, int], ...]  # places in `predictions` and labels, the most confident error first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """Figures by name, and what they were made from."""

    drawings: dict[str, str] = field(default_factory=dict)  # name → <svg>
    predictions: Predictions | None = None  # of classes
    numbers: NumberMaterial | None = None  # where the target are numbers
    label_sets: LabelMaterial | None = None  # where an image may have several labels
    metric: Metric = "accuracy"
    calibration: Calibration | None = None  # of the predictions
    errors: tuple[int, ...] = ()  # places in `predictions`
    pictures: dict[int, str] = field(default_factory=dict)  # row → data: address
    compared: dict[str, str] = field(default_factory=dict)  # name of an image in a finding → data: address
    explained: dict[int, occlusion.Picture] = field(default_factory=dict)  # by place in `predictions`
    discrimination: Discrimination | None = None  # of the predictions
    samples: dict[str, tuple[Sample, ...]] = field(default_factory=dict)  # by class
    by_class: dict[str, tuple[ClassScore, ...]] = field(
        default_factory=dict
    )  # by candidate, lowest recall first
    hidden: int = 0  # classes that the confusion matrix leaves out
    missing: str = ""  # why there are no figures


def gather(
    result: Recommendation, folder: Path, source: Path | None = None, *, late: bool = False
) -> Material:
    """Read predictions and thumbnails from the run folder and draw the figures. What is missing is left out.

    `source` holds the images, for thumbnails that are not in the folder yet. Without it no image is read. A `late` run
    draws no figures.
    """
    predictions = winner_predictions(result, folder)
    errors = () if predictions is None else most_confident_errors(predictions, ERRORS)
    places = tuple(int(place) for place in errors)
    numbers, label_sets = numbers_of(result, folder), label_sets_of(result, folder)
    pictures = {}
    shown, those = predictions, places
    if numbers is not None:
        shown, those = numbers.predictions, numbers.worst
    elif label_sets is not None:
        shown, those = label_sets.predictions, tuple(dict.fromkeys(place for place, _ in label_sets.worst))
    if shown is not None:
        names = {int(shown.rows[place]): str(shown.names[place]) for place in those}
        pictures = thumbnails(folder, source, names)
    table = _manifest(folder)
    compared = {} if table is None else _compared(result, folder, source, table)
    measured = None if predictions is None else discrimination(predictions)
    drawings: dict[str, str] = {}
    hidden, missing = 0, ""
    try:
        if late:
            missing = wording.no_time_for_drawings()
        else:
            drawings, hidden = _draw(result, predictions, measured)
            if numbers is not None:
                drawings |= _of_numbers(numbers)
    except ImportError as error:
        missing = wording.no_drawings(error)
    return Material(
        drawings={name: drawn for name, drawn in drawings.items() if drawn},
        predictions=predictions,
        numbers=numbers,
        label_sets=label_sets,
        metric=result.metric,
        calibration=result.calibration,
        errors=places,
        pictures=pictures,
        compared=compared,
        explained={} if predictions is None else occlusion.pictures(folder, predictions),
        discrimination=measured,
        samples={} if table is None else samples(result, folder, source, table),
        by_class={} if table is None else scores_by_class(result, folder, table),
        hidden=hidden,
        missing=missing,
    )


def numbers_of(result: Recommendation, folder: Path) -> NumberMaterial | None:
    """Return the winner's predictions of numbers with their errors; None for another kind of target."""
    found = winner_table(result, folder) if result.data.target == "regression" else None
    if found is None:
        return None
    predicted = found.proba[:, 0].astype(float)
    width = None if result.conformal is None else result.conformal.half_width
    errors = number_errors.measured(result.metric, found.labels, predicted, found.group, half_width=width)
    worst = np.argsort(-np.abs(found.labels - predicted), kind="stable")[:ERRORS]
    return NumberMaterial(predictions=found, errors=NumberEvaluation(**errors), worst=tuple(worst.tolist()))


def label_sets_of(result: Recommendation, folder: Path) -> LabelMaterial | None:
    """Return the winner's predictions of several labels an image with their errors; None for another kind of target."""
    found = winner_table(result, folder) if result.data.target == "multilabel" else None
    if found is None:
        return None
    limits = () if result.thresholds is None else result.thresholds.thresholds
    errors = label_errors.measured(
        result.metric, found.labels, found.proba, found.classes, found.group, limits=limits
    )
    wrong = np.abs(found.labels - found.proba)
    order = np.argsort(-wrong, axis=None, kind="stable")[:ERRORS]
    worst = tuple(divmod(int(cell), found.labels.shape[1]) for cell in order if wrong.flat[cell] > HALF)
    return LabelMaterial(predictions=found, errors=LabelSetEvaluation(**errors), worst=worst)


def _of_numbers(found: NumberMaterial) -> dict[str, str]:
    labels, predicted = found.predictions.labels, found.predictions.proba[:, 0].astype(float)
    unit, width = found.predictions.classes[0], found.errors.half_width
    return {
        "predicted": regression.predicted(labels, predicted, unit, width),
        "residuals": regression.residuals(labels, predicted, found.errors.bins, unit, width),
    }


def _manifest(folder: Path) -> manifest.Manifest | None:
    try:
        return manifest.read(folder / "manifest.csv")
    except RunError:
        return None


def _compared(
    result: Recommendation, folder: Path, source: Path | None, table: manifest.Manifest
) -> dict[str, str]:
    """Return the pictures of the images that findings show side by side."""
    findings = (*result.data.findings, *result.profile.findings)
    names = {name for finding in findings for pair in finding.pairs for name in pair}
    if not names:
        return {}
    rows = {str(name): row for row, name in enumerate((*table.names, *table.unlabelled))}
    shown = {rows[name]: name for name in sorted(names) if name in rows}
    made = thumbnails(folder, source, shown)
    return {shown[row]: address for row, address in made.items()}


def _draw(
    result: Recommendation, predictions: Predictions | None, measured: Discrimination | None
) -> tuple[dict[str, str], int]:
    metric = metric_name(result.metric)
    goal = result.goal
    drawings = {
        "cost-train": costs.cost(result, lambda row: row.fit_time, "training time", None, "train"),
        "cost-run": costs.cost(
            result, lambda row: row.pred_time, "prediction time per image", goal.max_latency, "run"
        ),
        "depths": backbones.depths(trainings.by_depth(result), metric),
        "features": backbones.features(trainings.depth_profiles(result), _PROBED[result.data.target]),
        "losses": training.losses(trainings.curves(result)),
        "scores": training.scores(trainings.curves(result), metric),
        "agreement": backbones.agreement(trainings.expected_and_reached(result), metric),
    }
    if goal.max_params is not None or goal.prefer == "size":
        drawings["cost-size"] = costs.cost(
            result, lambda row: row.parameters, "parameters", goal.max_params, "size"
        )
    drawings["transfer"] = training.transfer(
        trainings.transfer_pair(result), trainings.without_network(result), metric
    )
    hidden = 0
    if predictions is not None:
        drawings["confusion"], hidden = classes.confusion(predictions)
        drawings["calibration"] = classes.calibration(reliability(predictions))
    if measured is not None:
        drawings["roc"] = classes.roc(measured.curves)
        drawings["precision-recall"] = classes.precision_recall(measured.curves)
    return drawings, hidden
