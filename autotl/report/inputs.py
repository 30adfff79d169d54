"""What the page shows beside the result: drawings, the model's answers, a few pictures. Made once a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from autotl.records import Calibration, Metric
from autotl.records.result import Recommendation
from autotl.report import explained, figures, learning
from autotl.report.answers import Answers, answers, reliability, worst
from autotl.report.thumbs import thumbnails

WORST = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """Drawings by name, and what they were made from."""

    drawings: dict[str, str] = field(default_factory=dict)  # name → <svg>, nothing where there is none
    found: Answers | None = None
    metric: Metric = "accuracy"
    calibration: Calibration | None = None  # what their probabilities are calibrated with
    worst: tuple[int, ...] = ()  # places in `found`
    pictures: dict[int, str] = field(default_factory=dict)  # row → data: address
    explained: dict[int, explained.Picture] = field(default_factory=dict)  # by place in `found`
    hidden: int = 0  # classes that the confusion matrix leaves out
    missing: str = ""  # why there are no drawings


def gather(result: Recommendation, folder: Path) -> Material:
    """Reads predictions and pictures from the run folder and draws. What cannot be had is left out, and said."""
    found = answers(result, folder)
    places = () if found is None else tuple(int(place) for place in worst(found, WORST))
    pictures = {}
    if found is not None:
        names = {int(found.rows[place]): str(found.names[place]) for place in places}
        pictures = thumbnails(folder, Path(result.data.source), names)
    drawings: dict[str, str] = {}
    hidden, missing = 0, ""
    try:
        drawings, hidden = _draw(result, found)
    except ImportError as error:
        missing = f"There are no drawings in this report: {error}; pip install matplotlib, then autotl report"
    return Material(
        drawings={name: drawn for name, drawn in drawings.items() if drawn},
        found=found,
        metric=result.metric,
        calibration=result.calibration,
        worst=places,
        pictures=pictures,
        explained={} if found is None else explained.pictures(folder, found),
        hidden=hidden,
        missing=missing,
    )


def _draw(result: Recommendation, found: Answers | None) -> tuple[dict[str, str], int]:
    metric = result.metric.replace("_", " ")
    goal = result.goal
    drawings = {
        "cost-train": figures.cost(result, lambda row: row.fit_time, "time to train", None, "train"),
        "cost-run": figures.cost(
            result, lambda row: row.pred_time, "time to predict an image", goal.max_latency, "run"
        ),
        "depths": figures.depths(learning.by_depth(result), metric),
        "features": figures.features(learning.profiles(result)),
        "losses": figures.losses(learning.curves(result)),
        "scores": figures.scores(learning.curves(result), metric),
        "agreement": figures.agreement(learning.expectations(result), metric),
    }
    if goal.max_params is not None or goal.prefer == "size":
        drawings["cost-size"] = figures.cost(
            result, lambda row: row.parameters, "parameters", goal.max_params, "size"
        )
    drawings["transfer"] = figures.transfer(
        learning.transfer_pair(result), learning.without_network(result), metric
    )
    hidden = 0
    if found is not None:
        drawings["confusion"], hidden = figures.confusion(found)
        drawings["calibration"] = figures.calibration(reliability(found))
    return drawings, hidden
