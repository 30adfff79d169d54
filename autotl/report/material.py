"""Material of a report besides the result: figures, predictions, thumbnails. Made once a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from autotl.errors import RunError
from autotl.records import Calibration, Metric
from autotl.records.result import Recommendation
from autotl.report import figures, occlusion, trainings
from autotl.report.discrimination import Discrimination, discrimination
from autotl.report.predictions import (
    ClassScore,
    Predictions,
    most_confident_errors,
    reliability,
    scores_by_class,
    winner_predictions,
)
from autotl.report.thumbnails import Sample, samples, thumbnails
from autotl.report.wording import page as wording
from autotl.run_folder import manifest

ERRORS = 12  # most confident errors that are shown


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """Figures by name, and what they were made from."""

    drawings: dict[str, str] = field(default_factory=dict)  # name → <svg>
    predictions: Predictions | None = None
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
    pictures = {}
    if predictions is not None:
        names = {int(predictions.rows[place]): str(predictions.names[place]) for place in places}
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
    except ImportError as error:
        missing = wording.no_drawings(error)
    return Material(
        drawings={name: drawn for name, drawn in drawings.items() if drawn},
        predictions=predictions,
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
    metric = result.metric.replace("_", " ")
    goal = result.goal
    drawings = {
        "cost-train": figures.cost(result, lambda row: row.fit_time, "training time", None, "train"),
        "cost-run": figures.cost(
            result, lambda row: row.pred_time, "prediction time per image", goal.max_latency, "run"
        ),
        "depths": figures.depths(trainings.by_depth(result), metric),
        "features": figures.features(trainings.depth_profiles(result)),
        "losses": figures.losses(trainings.curves(result)),
        "scores": figures.scores(trainings.curves(result), metric),
        "agreement": figures.agreement(trainings.expected_and_reached(result), metric),
    }
    if goal.max_params is not None or goal.prefer == "size":
        drawings["cost-size"] = figures.cost(
            result, lambda row: row.parameters, "parameters", goal.max_params, "size"
        )
    drawings["transfer"] = figures.transfer(
        trainings.transfer_pair(result), trainings.without_network(result), metric
    )
    hidden = 0
    if predictions is not None:
        drawings["confusion"], hidden = figures.confusion(predictions)
        drawings["calibration"] = figures.calibration(reliability(predictions))
    if measured is not None:
        drawings["roc"] = figures.roc(measured.curves)
        drawings["precision-recall"] = figures.precision_recall(measured.curves)
    return drawings, hidden
