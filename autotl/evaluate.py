"""Evaluate the model of a run on labelled images that the run has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autotl import predict
from autotl.data.load import load
from autotl.errors import DatasetError
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Interval, Kind
from autotl.records.evaluation import Evaluation, LabelSetEvaluation, NumberEvaluation
from autotl.records.result import ModelIs, Recommendation
from autotl.stats import conformal, evaluation, label_errors, number_errors, ood

__all__ = ["evaluate"]


def evaluate(
    model: Path, state: Recommendation, source: str, options: dict[str, str], *, device: str
) -> Evaluation | LabelSetEvaluation | NumberEvaluation:
    """Return the evaluation of a model folder on all images of a source, whichever part they are in.

    Raises `DatasetError` where no image has a label of the model, and as `autotl.predict` does.
    """
    if "\n" in options.get("label", ""):
        raise DatasetError(
            "--label names several columns; expected the one that the run decided on; name it alone"
        )
    described = predict.description(model)
    if described.target != "multiclass":
        options = {"target": described.target, **options}
    data = load(source, options, load_plugins(), state.plugins)
    if data.targets[0].kind != described.target:
        raise DatasetError(
            f"{source} has {data.targets[0].kind} labels and the model predicts {described.target}; expected labels of"
            " the same kind; check DATA, or --label"
        )
    classes = tuple(described.classes)
    rows, labels, unknown = _ROWS[described.target](data, classes)
    predictions = list(
        predict.predictions(model, [str(file) for file in data.files[rows]], device=device, top=len(classes))
    )
    good = np.array([not prediction.error for prediction in predictions], bool)
    if not good.any():
        raise DatasetError(
            f"none of the {len(rows):,} images of {source} can be read; expected image files; check DATA"
        )
    table = _table(predictions, classes)[good]
    rows, labels = rows[good], labels[good]
    group = None if data.group is None else data.group[rows]
    far = None
    if (model / ood.FILE).is_file():
        far = sum(prediction.warning is not None for prediction in predictions)
    shared: dict[str, Any] = {
        "far": far,
        "far_p": None if far is None else round(evaluation.by_chance(far, len(rows)), 6),
        "unreadable": int((~good).sum()) + _left_out(data),
        **_of_run(state),
    }
    if described.target == "regression":
        measured = number_errors.measured(
            state.metric, labels, table[:, 0], group, half_width=described.half_width
        )
        level = None if described.half_width is None else conformal.LEVEL
        return NumberEvaluation(**shared, **measured, level=level)
    if described.target == "multilabel":
        measured = label_errors.measured(
            state.metric, labels, table, classes, group, limits=described.thresholds
        )
        return LabelSetEvaluation(**shared, **measured, unknown=unknown)
    return Evaluation(
        **shared, **evaluation.measured(state.metric, labels, table, classes, group), unknown=unknown
    )


def _of_run(state: Recommendation) -> dict[str, Any]:
    """Return the winner and what the run expected and measured of it, if the model is the winner's."""
    winner = state.winner
    if winner is None:
        return {"candidate": "", "expected": None, "test": None}
    own = winner.model_is is not ModelIs.ANOTHER_CANDIDATES
    expected = _interval(winner.expected, winner.expected_low, winner.expected_high)
    test = _interval(winner.score_test, winner.test_low, winner.test_high)
    return {
        "candidate": winner.candidate,
        "expected": expected if own else None,
        "test": test if own else None,
    }


def _table(predictions: Sequence[predict.Prediction], classes: tuple[str, ...]) -> np.ndarray:
    """Return the probabilities, or the number, of each prediction: (n, outputs)."""
    number = {name: place for place, name in enumerate(classes)}
    table = np.zeros((len(predictions), len(classes)))
    for row, prediction in enumerate(predictions):
        if prediction.value is not None:
            table[row, 0] = prediction.value
        for name, probability in prediction.top:
            table[row, number[name]] = probability
    return table


Known = tuple[
    np.ndarray, np.ndarray, tuple[tuple[str, int], ...]
]  # rows, their labels, labels that are unknown


def _of_classes(data: Dataset, classes: tuple[str, ...]) -> Known:
    """Return the rows whose class the model has, with its index there."""
    rows, unknown = _known(data, classes)
    number = {name: place for place, name in enumerate(classes)}
    return rows, np.array([number[data.classes[label]] for label in data.labels[rows]]), unknown


def _of_sets(data: Dataset, classes: tuple[str, ...]) -> Known:
    """Return all rows with the labels that the model has."""
    table = np.zeros((len(data.files), len(classes)), np.int8)
    unknown = []
    for place, name in enumerate(data.classes):
        if name in classes:
            table[:, classes.index(name)] = data.labels[:, place]
        else:
            unknown.append((name, int(data.labels[:, place].sum())))
    if not table.any():
        raise DatasetError(
            f"no image of {data.source} has a label that the model predicts; it has {_few(list(data.classes))}, expected"
            f" {_few(list(classes))}; check DATA, or --label"
        )
    return np.arange(len(table)), table, tuple(sorted(unknown, key=lambda pair: -pair[1]))


def _of_numbers(data: Dataset, classes: tuple[str, ...]) -> Known:
    """Return all rows with their numbers."""
    return np.arange(len(data.files)), data.labels, ()


_ROWS = {"multiclass": _of_classes, "multilabel": _of_sets, "regression": _of_numbers}


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
