"""Evaluate the model of a run on labelled images that the run has not seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from autotl import predict
from autotl.data.load import load
from autotl.errors import DatasetError
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Interval, Kind
from autotl.records.evaluation import Evaluation
from autotl.records.result import ModelIs, Recommendation
from autotl.stats import evaluation, ood

__all__ = ["evaluate"]


def evaluate(
    model: Path, state: Recommendation, source: str, options: dict[str, str], *, device: str
) -> Evaluation:
    """Return the evaluation of a model folder on all images of a source, whichever part they are in.

    Raises `DatasetError` where no image has a label of the model, and as `autotl.predict` does.
    """
    data = load(source, options, load_plugins(), state.plugins)
    classes = tuple(predict.class_names(model))
    rows, unknown = _known(data, classes)
    files = [str(file) for file in data.files[rows]]
    number = {name: place for place, name in enumerate(classes)}
    predictions = list(predict.predictions(model, files, device=device, top=len(classes)))
    good = np.array([not prediction.error for prediction in predictions], bool)
    if not good.any():
        raise DatasetError(
            f"none of the {len(rows):,} images of {source} can be read; expected image files; check DATA"
        )
    proba = np.zeros((len(predictions), len(classes)))
    for row, prediction in enumerate(predictions):
        for name, probability in prediction.top:
            proba[row, number[name]] = probability
    rows, proba = rows[good], proba[good]
    labels = np.array([number[data.classes[label]] for label in data.labels[rows]])
    far = None
    if (model / ood.FILE).is_file():
        far = sum(prediction.warning is not None for prediction in predictions)
    winner = state.winner
    own = winner is not None and winner.model_is is not ModelIs.ANOTHER_CANDIDATES
    return Evaluation(
        candidate="" if winner is None else winner.candidate,
        **evaluation.measured(
            state.metric, labels, proba, classes, None if data.group is None else data.group[rows]
        ),
        far=far,
        far_p=None if far is None else round(evaluation.by_chance(far, len(rows)), 6),
        expected=_interval(winner.expected, winner.expected_low, winner.expected_high)
        if winner and own
        else None,
        test=_interval(winner.score_test, winner.test_low, winner.test_high) if winner and own else None,
        unreadable=int((~good).sum()) + _left_out(data),
        unknown=unknown,
    )


def _known(data: Dataset, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[tuple[str, int], ...]]:
    """Return the rows whose label the model has, and the other labels with their images."""
    names = [data.classes[label] for label in data.labels]
    known = np.array([name in set(classes) for name in data.classes], bool)[data.labels]
    others = Counter(name for name in names if name not in set(classes))
    if not known.any():
        raise DatasetError(
            f"no image of {data.source} has a label that the model predicts; it has {_few(sorted(others))}, expected"
            f" {_few(list(classes))}; check DATA, or --label"
        )
    return np.flatnonzero(known), tuple(others.most_common())


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _left_out(data: Dataset) -> int:
    """Return the files of the source that were meant to be images and cannot be read."""
    return sum(
        item.reason.kind in {Kind.UNREADABLE, Kind.EMPTY_FILE, Kind.NO_PIXELS} for item in data.left_out
    )


def _interval(value: float | None, low: float | None, high: float | None) -> Interval | None:
    return None if value is None or low is None or high is None else Interval(value=value, low=low, high=high)
