"""The predictions of the recommended model, image by image, and what they show of its errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autotl.decision.evidence import (
    digest,
    predicted_labels,
    representative_results,
    selection,
    stored_predictions,
)
from autotl.records import PARTS, Interval, TrialResult
from autotl.records.result import ModelIs, Recommendation, is_probe
from autotl.run_folder import manifest
from autotl.stats import calibration, metrics, values

BINS = 10  # of confidence, equally wide, as they are drawn
DRAWS = 200  # simulated labels of a perfectly calibrated model
PAIRS = 8  # confusions that are listed
ORDERED = 12  # with more classes, confused ones are drawn side by side
DRAWN = 100  # with more classes, only those with most confusions are drawn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Predictions with their labels, one row an image."""

    rows: np.ndarray  # (m,) int64, lines of the manifest
    names: np.ndarray  # (m,) object: paths relative to the source
    labels: np.ndarray  # (m,) int64; of another kind of target as `Target.values`
    proba: np.ndarray  # (m, outputs) float32: probabilities, calibrated as in `autotl predict`, or a number
    classes: tuple[str, ...]
    model: str  # which fit made them, in words
    images: str  # on which images, in words
    digest: str = ""  # of the predictions file
    shipped: bool = False  # made by the model in the run folder
    group: np.ndarray | None = None  # (m,) int64: images of a group are not independent

    @property
    def predicted(self) -> np.ndarray:
        return np.asarray(self.proba.argmax(1))

    @property
    def confidence(self) -> np.ndarray:
        return np.asarray(self.proba.max(1))

    @property
    def correct(self) -> np.ndarray:
        return np.asarray(self.predicted == self.labels)


def winner_predictions(result: Recommendation, folder: Path) -> Predictions | None:
    """Return the winner's predictions of classes on the test part if there are some, otherwise on the selection images.

    None if there is no winner, for another kind of target, or if manifest or predictions are not in the folder. Raises
    `RunError` that names a file which is there and damaged.
    """
    return winner_table(result, folder) if result.data.target == "multiclass" else None


def winner_table(result: Recommendation, folder: Path) -> Predictions | None:
    """Return the winner's predictions of any kind of target, as `winner_predictions`."""
    if result.winner is None or not (folder / "manifest.csv").is_file():
        return None
    table = manifest.read(folder / "manifest.csv")
    labels = table.labels(result.data.classes, result.data.target)
    own = [
        r for r in result.trials if r.trial.candidate.id == result.winner.candidate and not r.trial.control
    ]
    temperature = 1.0 if result.calibration is None else result.calibration.temperature
    source = _Source(
        folder=folder,
        names=table.names,
        labels=labels,
        group=table.group,
        classes=result.data.classes,
        temperature=temperature,
    )
    read = partial(_read, source)
    refitted = bool(result.options.get("refit"))  # the model in the folder has seen the test images too
    tested = next((r for r in reversed(own) if "test" in r.trial.evaluate_on), None)
    if tested is not None and result.winner.score_test is not None:
        rows = np.flatnonzero(table.part == PARTS.index("test"))
        model = (
            "the model of this run, as it was trained in the search,"
            if tested.trial.id == "tested"
            else "the model of this run"
        )
        answered = result.winner.test_images or len(rows)
        some = "" if answered == len(rows) else f"{answered:,} of the "
        on = f"{some}{len(rows):,} test images that no choice has used"
        predictions = read(tested, rows, model, on, shipped=not refitted)
        if predictions is not None:
            return predictions
    probe = representative_results([r for r in own if is_probe(r)]).get(result.winner.candidate)
    if probe is None:
        return None
    folds = result.data.folds
    rows = selection(table.part, folds)
    if folds:
        on = f"the {len(rows):,} training images (out-of-fold, {folds} folds)"
        return read(probe, rows, "the winning recipe", on)
    on, shipped = f"the {len(rows):,} selection images", result.winner.model_is is ModelIs.PROBE
    return read(probe, rows, "the winner, as it was trained in the search,", on, shipped=shipped)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """The run folder and the columns that predictions are read with."""

    folder: Path
    names: np.ndarray  # (n,) object
    labels: np.ndarray  # (n,) int64
    group: np.ndarray | None  # (n,) int64
    classes: tuple[str, ...]
    temperature: float


def _read(
    source: _Source, trial: TrialResult, rows: np.ndarray, model: str, images: str, *, shipped: bool = False
) -> Predictions | None:
    if trial.predictions is None or not len(rows):
        return None
    path = source.folder / trial.predictions
    if not path.is_file():
        return None
    stored = stored_predictions(path)
    stored_rows, proba = stored["rows"], stored["proba"]
    kept = np.isin(stored_rows, rows)
    if proba.shape[1:] != (len(source.classes),) or not kept.any():
        return None
    stored_rows, proba = stored_rows[kept], np.nan_to_num(proba[kept])
    return Predictions(
        rows=stored_rows,
        names=source.names[stored_rows],
        labels=source.labels[stored_rows],
        proba=(
            calibration.apply(proba, source.temperature).astype(np.float32)
            if isinstance(values.of(source.labels), values.Classes)
            else proba
        ),
        classes=source.classes,
        model=model,
        images=images,
        digest=digest(source.folder, trial.predictions) or "",
        shipped=shipped,
        group=None if source.group is None else source.group[stored_rows],
    )


# --------------------------------------------------------------------------- errors and calibration


def confusions(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the pairs of classes that are confused most, both ways; of a pair the class first that loses more images."""
    table = metrics.confusion(predictions.labels, predictions.predicted, len(predictions.classes))
    images = table.sum(1)
    wrong = table - np.diag(np.diag(table))
    both = np.triu(wrong + wrong.T)
    pairs = []
    for cell in np.argsort(-both, axis=None, kind="stable")[:PAIRS]:
        one, other = divmod(int(cell), len(predictions.classes))
        if both[one, other] == 0:
            break
        if wrong[other, one] > wrong[one, other]:
            one, other = other, one
        pairs.append(
            {
                "one": predictions.classes[one],
                "other": predictions.classes[other],
                "images": int(wrong[one, other] + wrong[other, one]),
                "forth": f"{wrong[one, other]:,} of {images[one]:,}",
                "back": f"{wrong[other, one]:,} of {images[other]:,}",
            }
        )
    return pairs


def by_class(predictions: Predictions) -> list[dict[str, Any]]:
    """Return recall with interval, precision, F1 and support of each class with images, lowest recall first."""
    table = metrics.confusion(predictions.labels, predictions.predicted, len(predictions.classes))
    lines = []
    for number, name in enumerate(predictions.classes):
        support, claimed, hits = int(table[number].sum()), int(table[:, number].sum()), table[number, number]
        if not support:
            continue
        recall = accuracy(predictions, predictions.labels == number)
        precision = hits / claimed if claimed else None
        f1 = 2 * hits / (support + claimed)
        lines.append(
            {
                "name": name,
                "support": support,
                "recall": recall,
                "precision": None if precision is None else float(precision),
                "f1": float(f1),
            }
        )
    return sorted(lines, key=lambda line: (line["recall"].value, line["name"]))


class ClassScore(NamedTuple):
    """The recall of a candidate on one class."""

    name: str
    images: int
    correct: int


def scores_by_class(
    result: Recommendation, folder: Path, table: manifest.Manifest
) -> dict[str, tuple[ClassScore, ...]]:
    """Return what each candidate with predictions in the folder answers on the selection images, by its id."""
    if result.data.target != "multiclass":
        return {}
    labels, classes = table.labels(result.data.classes), result.data.classes
    rows = selection(table.part, result.data.folds)
    scores: dict[str, tuple[ClassScore, ...]] = {}
    for name, trial in representative_results([r for r in result.trials if is_probe(r)]).items():
        if trial.trial.control or trial.predictions is None or not (folder / trial.predictions).is_file():
            continue
        predicted = predicted_labels(folder / trial.predictions, rows, len(classes))
        if predicted is None:
            continue
        images = np.bincount(labels[rows], minlength=len(classes))
        right = np.bincount(labels[rows][predicted == labels[rows]], minlength=len(classes))
        lines = [
            ClassScore(classes[number], int(images[number]), int(right[number]))
            for number in np.flatnonzero(images)
        ]
        scores[name] = tuple(sorted(lines, key=lambda line: (line.correct / line.images, line.name)))
    return scores


def accuracy(predictions: Predictions, of: np.ndarray | None = None) -> Interval:
    """Return the accuracy with its 95% interval, groups whole; `of` (m,) bool chooses images."""
    chosen = np.ones(len(predictions.rows), bool) if of is None else of
    return metrics.interval(
        "accuracy",
        predictions.labels[chosen],
        predictions.predicted[chosen],
        len(predictions.classes),
        None if predictions.group is None else predictions.group[chosen],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Accuracy by confidence, and the expected calibration error."""

    bins: tuple[tuple[float, Interval, int], ...]  # mean confidence, accuracy, images
    ece: float  # expected calibration error, as `autotl.stats.calibration` measures it
    chance: float  # 95% quantile of the error of a perfectly calibrated model on as many images
    over: float  # mean confidence minus accuracy: above 0 the model is overconfident


def reliability(predictions: Predictions) -> Reliability:
    """Return ten bins of equal width without the empty ones (Guo et al., ICML 2017)."""
    confidence, correct = predictions.confidence.astype(float), predictions.correct
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        (float(confidence[place == number].mean()), accuracy(predictions, place == number), int(count))
        for number, count in enumerate(np.bincount(place, minlength=BINS))
        if count
    ]
    return Reliability(
        bins=tuple(bins),
        ece=calibration.expected_error(predictions.proba, predictions.labels),
        chance=_by_chance(predictions.proba),
        over=float(confidence.mean() - correct.mean()),
    )


def _by_chance(proba: np.ndarray) -> float:
    """Return the 95% quantile of the calibration error of a perfectly calibrated model."""
    generator = np.random.default_rng(0)
    confidence, predicted = proba.max(1), proba.argmax(1)
    wrong = (predicted + 1) % proba.shape[1]
    drawn = [
        calibration.expected_error(
            proba, np.where(generator.random(len(proba)) < confidence, predicted, wrong)
        )
        for _ in range(DRAWS)
    ]
    return float(np.quantile(drawn, 0.95))


def most_confident_errors(predictions: Predictions, most: int) -> np.ndarray:
    """Return places (k,) of the errors with the highest probability of the predicted class."""
    wrong = np.flatnonzero(~predictions.correct)
    return np.asarray(wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:most])


def to_explain(predictions: Predictions, most: int) -> np.ndarray:
    """Return places (k,) to explain: the most confident errors, then the least confident correct predictions."""
    wrong, right = most_confident_errors(predictions, most), np.flatnonzero(predictions.correct)
    unsure = right[np.argsort(predictions.confidence[right], kind="stable")]
    return np.asarray(np.concatenate([wrong, unsure])[:most])


def drawn_classes(table: np.ndarray) -> np.ndarray:
    """Return which classes a confusion matrix draws, in which order.

    Few classes: all, in their order. Many: ordered by the second eigenvector of the graph of confusions, so
    that confused classes are neighbours. Too many: only those with most confusions.
    """
    wrong = (table - np.diag(np.diag(table))).astype(float)
    both = wrong + wrong.T
    chosen = np.arange(len(table))
    if len(table) > DRAWN:
        chosen = np.sort(np.argsort(-both.sum(1), kind="stable")[:DRAWN])
    if len(table) <= ORDERED:
        return chosen
    near = both[np.ix_(chosen, chosen)] + 1e-3
    laplacian = np.diag(near.sum(1)) - near
    return np.asarray(chosen[np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable")])
