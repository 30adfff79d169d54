"""`TransferClassifier`: a run behind scikit-learn's interface."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from autotl import predict as autotl_predict
from autotl.errors import DatasetError
from autotl.options import OptionArguments
from autotl.run import recommend

__all__ = ["TransferClassifier"]


class TransferClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Find the backbone and the transfer recipe that suit some images within `budget`, and classify with them.

    `X` is a list of paths, PIL images or arrays, (H, W), (H, W, 3) or (H, W, 4) in uint8 or floats from 0 to 1,
    or a stack of arrays; `y` holds a label for each. The parameters are those of `autotl.recommend`;
    `random_state` is its `seed`. `progress` shows how far a fit is, as there. Two fits with one seed give the same
    model if the budget suffices for all planned trainings; a search that is ended by the clock does not always end
    at the same training.

    After `fit`: `classes_` (labels, sorted), `recommendation_` (words), `candidate_` (the candidate id) and
    `score_val_` (the score on the selection images). The model is kept in memory, so that the estimator can be
    copied and pickled.
    """

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

    def fit(self, X: Any, y: Any) -> Self:
        """Search and train. Raises `ValueError` for unequal lengths, otherwise as `autotl.recommend` does."""
        images, labels = _images(X), np.asarray(y)
        if labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(
                f"{len(images)} images have labels of shape {labels.shape}; expected one label for each image; check X"
                " and y"
            )
        check_classification_targets(labels)
        self.classes_, index = np.unique(labels, return_inverse=True)
        with tempfile.TemporaryDirectory(prefix="autotl-") as place:
            source = _write(images, index, Path(place))
            options = self._options() | {
                "out": Path(place) / "run",
                "test_size": 0.0,  # scikit-learn's caller keeps test images of its own
                "seed": int(self.random_state),
                "progress": self.progress,
            }
            run = recommend(source, self.budget, **options)
            self.recommendation_ = run.recommendation
            state = run.result
            self.candidate_ = state.winner.candidate if state.winner else None
            self.score_val_ = state.winner.score_val if state.winner else None
            self.model_ = {file.name: file.read_bytes() for file in (run.path / "model").iterdir()}
        return self

    def _options(self) -> dict[str, Any]:
        """Return the parameters that are options of a run under the same name."""
        parameters = self.get_params(deep=False)
        return {name: parameters[name] for name in parameters if name in OptionArguments.__annotations__}

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return calibrated probabilities (n, classes), columns as in `classes_`.

        Raises `DatasetError` for an image that cannot be read, `NotFittedError` before `fit`.
        """
        check_is_fitted(self, "model_")
        with tempfile.TemporaryDirectory(prefix="autotl-") as place:
            folder = Path(place) / "model"
            folder.mkdir()
            for name, content in self.model_.items():
                (folder / name).write_bytes(content)
            predictions = list(
                autotl_predict.predictions(folder, _images(X), device=self.device, top=len(self.classes_))
            )
        table = np.zeros((len(predictions), len(self.classes_)))
        for row, prediction in enumerate(predictions):
            if prediction.error is not None:
                raise DatasetError(
                    f"{prediction.path} cannot be read: {prediction.error}; expected an image; remove it from X"
                )
            for label, probability in prediction.top:
                table[row, int(label)] = probability
        return np.asarray(table / table.sum(1, keepdims=True)) if len(table) else table

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each image. Raises what `predict_proba` raises."""
        best = self.predict_proba(X).argmax(1)  # first: it raises NotFittedError
        return np.asarray(self.classes_[best])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.non_deterministic = True  # the clock may end a search
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")


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


def _write(images: list[Any], index: np.ndarray, place: Path) -> Path:
    """Write the images as a data source, a CSV beside links to the files, labelled by class number."""
    items = list(autotl_predict.items_of(images, place / "images"))
    if len(items) != len(images):
        raise ValueError(
            f"X holds {len(items)} images for {len(images)} labels, because a folder or a CSV holds several; expected one"
            " path for each label; list the files"
        )
    (place / "links").mkdir()
    source, width = place / "images.csv", len(str(int(index.max(initial=0))))
    with source.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        for number, item in enumerate(items):
            given = Path(item.file).resolve()
            link = place / "links" / f"{number:07d}{given.suffix}"
            _link(given, link)
            rows.writerow((link.relative_to(place), f"{index[number]:0{width}d}"))
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
