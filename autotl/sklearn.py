"""`TransferClassifier` and `TransferRegressor`: a run behind scikit-learn's interface."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from autotl import predict as autotl_predict
from autotl.errors import DatasetError
from autotl.options import OptionArguments
from autotl.records import TargetName
from autotl.run import recommend

__all__ = ["TransferClassifier", "TransferRegressor"]


class _Transfer(BaseEstimator):  # type: ignore[misc]
    """The base of both estimators: the parameters, and a run in a folder that is removed after it."""

    def __init__(  # noqa: PLR0913 (scikit-learn reads an estimator's parameters from its signature)
        self,
        budget: str | float = "1m",
        *,
        backbones: str | Sequence[str] = (),
        strategies: str | Sequence[str] = (),
        weights: str | Sequence[str] = (),
        metric: str | None = None,
        prefer: str = "accuracy",
        device: str = "auto",
        offline: bool = False,
        random_state: int = 0,
        progress: bool = False,
    ) -> None:
        self.budget = budget
        self.backbones = backbones
        self.strategies = strategies
        self.weights = weights
        self.metric = metric
        self.prefer = prefer
        self.device = device
        self.offline = offline
        self.random_state = random_state
        self.progress = progress

    def _fit(self, images: list[Any], labels: Sequence[str], target: TargetName) -> None:
        """Search and train on images with labels as a table has them."""
        with tempfile.TemporaryDirectory(prefix="autotl-") as place:
            source = _write(images, labels, Path(place))
            options = self._options() | {
                "out": Path(place) / "run",
                "test_size": 0.0,  # scikit-learn's caller keeps test images of its own
                "seed": int(self.random_state),
                "progress": self.progress,
                "target": target,
            }
            run = recommend(source, self.budget, **options)
            self.recommendation_ = run.recommendation
            state = run.result
            self.candidate_ = state.winner.candidate if state.winner else None
            self.score_val_ = state.winner.score_val if state.winner else None
            self.model_ = {file.name: file.read_bytes() for file in (run.path / "model").iterdir()}

    def _options(self) -> dict[str, Any]:
        """Return the parameters that are options of a run under the same name."""
        parameters = self.get_params(deep=False)
        return {name: parameters[name] for name in parameters if name in OptionArguments.__annotations__}

    def _predictions(self, X: Any, top: int) -> list[autotl_predict.Prediction]:
        """Return the predictions of the model. Raises `DatasetError` for an image that cannot be read."""
        check_is_fitted(self, "model_")
        with tempfile.TemporaryDirectory(prefix="autotl-") as place:
            folder = Path(place) / "model"
            folder.mkdir()
            for name, content in self.model_.items():
                (folder / name).write_bytes(content)
            predictions = list(autotl_predict.predictions(folder, _images(X), device=self.device, top=top))
        unread = next((each for each in predictions if each.error is not None), None)
        if unread is not None:
            raise DatasetError(
                f"{unread.path} cannot be read: {unread.error}; expected an image; remove it from X"
            )
        return predictions

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.non_deterministic = True  # the clock may end a search
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")


class TransferClassifier(ClassifierMixin, _Transfer):  # type: ignore[misc]
    """Find the backbone and the transfer recipe that suit some images within `budget`, and classify with them.

    `X` is a list of paths, PIL images or arrays, (H, W), (H, W, 3) or (H, W, 4) in uint8 or floats from 0 to 1,
    or a stack of arrays; `y` holds a label for each. Where an image may have several labels `y` is a table (n, labels)
    of 0 and 1, or a list of labels for each image. The parameters are those of `autotl.recommend`;
    `random_state` is its `seed`. `progress` shows how far a fit is, as there. Two fits with one seed give the same
    model if the budget suffices for all planned trainings; a search that is ended by the clock does not always end
    at the same training.

    After `fit`: `classes_` (labels, sorted; the columns of a table), `recommendation_` (words), `candidate_` (the
    candidate id) and `score_val_` (the score on the selection images). The model is kept in memory, so that the
    estimator can be copied and pickled.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Search and train. Raises `ValueError` for unequal lengths, otherwise as `autotl.recommend` does."""
        images = _images(X)
        self.sets_ = _form_of_sets(y)
        if self.sets_ == "lists":
            own = [list(dict.fromkeys(each)) for each in y]
            self.classes_ = np.unique([label for each in own for label in each])
            table = np.array([np.isin(self.classes_, each) for each in own]).reshape(len(own), -1)
        elif self.sets_ == "table":
            table = np.asarray(y)
            check_classification_targets(table)
            self.classes_ = np.arange(table.shape[1])
        if self.sets_:
            _as_many(images, table)
            width = len(str(max(table.shape[1] - 1, 0)))
            texts = [
                json.dumps([f"{place:0{width}d}" for place in np.flatnonzero(row).tolist()]) for row in table
            ]
            never = np.flatnonzero(~table.any(0))
            if len(never):
                raise ValueError(
                    f"no image has label {self.classes_[never[0]]!r}; expected an image for each; leave its column out"
                )
            self._fit(images, texts, "multilabel")
            return self
        labels = np.asarray(y)
        _as_many(images, labels, ndim=1)
        check_classification_targets(labels)
        self.classes_, index = np.unique(labels, return_inverse=True)
        width = len(str(int(index.max(initial=0))))
        self._fit(images, [f"{number:0{width}d}" for number in index], "multiclass")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return calibrated probabilities (n, classes), columns as in `classes_`.

        Of one class each they sum to 1. Raises `DatasetError` for an image that cannot be read, `NotFittedError` before
        `fit`.
        """
        check_is_fitted(self, "model_")
        predictions = self._predictions(X, len(self.classes_))
        table = np.zeros((len(predictions), len(self.classes_)))
        for row, prediction in enumerate(predictions):
            for label, probability in prediction.top:
                table[row, int(label)] = probability
        if self.sets_ or not len(table):
            return table
        return np.asarray(table / table.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each image; of several labels those that reach their threshold.

        These have the form of `y`. Raises what `predict_proba` raises.
        """
        check_is_fitted(self, "model_")
        if not self.sets_:
            return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])
        predictions = self._predictions(X, 1)
        table = np.zeros((len(predictions), len(self.classes_)), int)
        for row, prediction in enumerate(predictions):
            table[row, [int(label) for label in prediction.labels or ()]] = 1
        if self.sets_ == "table":
            return table
        lists = np.empty(len(table), object)
        lists[:] = [tuple(self.classes_[row > 0].tolist()) for row in table]
        return lists

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of images whose class, or whose labels all together, are predicted, as scikit-learn does.

        `y` has the form of the one that was fitted. Raises what `predict` raises.
        """
        predicted = self.predict(X)
        if self.sets_ != "lists":
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))
        right = [set(one) == set(other) for one, other in zip(y, predicted, strict=True)]
        return float(np.average(right, weights=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class TransferRegressor(RegressorMixin, _Transfer):  # type: ignore[misc]
    """Find the backbone and the transfer recipe that suit some images within `budget`, and predict a number with them.

    `X` and the parameters are those of `TransferClassifier`; `y` (n,) holds a number for each image. `metric` is r2, mae
    or spearman. `score` is R², as scikit-learn's regressors have it.

    After `fit`: `recommendation_` (words), `candidate_` (the candidate id) and `score_val_` (the score on the selection
    images).
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Search and train. Raises `ValueError` for unequal lengths and for what is no finite number."""
        images = _images(X)
        numbers = np.asarray(y, float)
        if numbers.ndim == 2 and numbers.shape[1] == 1:
            numbers = numbers[:, 0]
        _as_many(images, numbers, ndim=1)
        if not np.isfinite(numbers).all():
            raise ValueError("y holds NaN or infinity; expected finite numbers; leave these images out")
        self._fit(images, [repr(float(number)) for number in numbers], "regression")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the number of each image (n,). Raises `DatasetError` for one that cannot be read."""
        return np.array([each.value for each in self._predictions(X, 1)], float)

    def predict_interval(self, X: Any) -> np.ndarray:
        """Return the ends (n, 2) of the prediction intervals, which hold 90 % of new images; NaN where there are none."""
        nothing = float("nan")
        return np.array(
            [
                (nothing if each.low is None else each.low, nothing if each.high is None else each.high)
                for each in self._predictions(X, 1)
            ],
            float,
        ).reshape(-1, 2)


def _form_of_sets(y: Any) -> str:
    """Return whether `y` is a table of labels or a list of lists of them; "" for one label an image."""
    if hasattr(y, "ndim"):
        return "table" if y.ndim == 2 and y.shape[1] > 1 else ""
    if not len(y) or not all(isinstance(each, list | tuple | set | frozenset) for each in y):
        return ""
    numbers = all(len(each) == len(y[0]) and set(each) <= {0, 1} for each in y)
    return "table" if numbers and len(y[0]) > 1 else "lists"


def _as_many(images: list[Any], labels: np.ndarray, *, ndim: int | None = None) -> None:
    """Raise `ValueError` where there is not one label, or one row of them, for each image."""
    if len(images) != len(labels) or (ndim is not None and labels.ndim != ndim):
        raise ValueError(
            f"{len(images)} images have labels of shape {labels.shape}; expected one label for each image; check X"
            " and y"
        )


def _images(X: Any) -> list[Any]:
    """Return images as a list. Raises `ValueError` for a single path or a table of numbers."""
    array = X if isinstance(X, np.ndarray) else None
    table = array is not None and (array.ndim < 3 and array.dtype.kind in "uifbc")
    if isinstance(X, (str, os.PathLike)) or table or not hasattr(X, "__len__"):
        shape = f" of shape {array.shape}" if array is not None else ""
        raise ValueError(
            f"a {type(X).__name__}{shape} is not a list of images; expected paths, PIL images or arrays (n, H, W, 3);"
            " convert X"
        )
    if array is not None and array.dtype.kind in "OU":
        return list(array.ravel())
    return list(X)


def _write(images: list[Any], labels: Sequence[str], place: Path) -> Path:
    """Write the images as a data source, a CSV beside links to the files, with their labels as they are read again."""
    items = list(autotl_predict.items_of(images, place / "images"))
    if len(items) != len(images):
        raise ValueError(
            f"X holds {len(items)} images for {len(images)} labels, because a folder or a CSV holds several; expected one"
            " path for each label; list the files"
        )
    (place / "links").mkdir()
    source = place / "images.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        for number, item in enumerate(items):
            given = Path(item.file).resolve()
            link = place / "links" / f"{number:07d}{given.suffix}"
            _link(given, link)
            rows.writerow((link.relative_to(place), labels[number]))
    return source


def _link(given: Path, link: Path) -> None:
    """Make a hard link or a copy: a CSV may not name a file outside its folder."""
    import shutil

    if not given.is_file():
        raise DatasetError(f"{given} does not exist; expected an image file; correct the path")
    try:
        os.link(given, link)
    except OSError:  # another file system, or one without links
        shutil.copyfile(given, link)
