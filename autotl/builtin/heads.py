"""Heads fitted in closed form on pooled features: no training pass, no torch.

Each takes a `HeadCall` and returns a `Head`. Rows of one fold are judged by the others where something is chosen by
cross-validation. The weights of a call are those of the rows in the metric of the goal, times those that the data give
to their items: larger for rare classes where classes weigh the same. `knn` uses them to choose the number of neighbours
alone, so its strategy does not take weights of the data.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autotl import hardware
from autotl.builtin.standardised import constant, standardised
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats import merits, values
from autotl.stats import ridge as ridges
from autotl.stats.folds import stratified_order

__all__ = ["FAST", "MOST_UNLABELLED", "SHARPNESS", "knn", "linear", "logistic", "ridge"]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # C of the logistic regression, on standardised features
SHARPNESSES = tuple(float(value) for value in np.geomspace(1.0, 50.0, 16))  # of a ridge's scores as logits
NEIGHBOURS = (1, 3, 5, 10, 20)
SHARPNESS = 20.0  # of a neighbour's vote in its cosine similarity
STEPS = 100
# Rows × columns × classes that logistic regression is fitted on, at most: some five seconds of one core. What is
# larger has a ridge alone, whose price hardly depends on the classes.
LOGISTIC_WORK = 3e8
# Heads of the same kind for a run that is short of time: no logistic regression, nor the import of its library.
FAST = {"autotl.builtin.heads:linear": "autotl.builtin.heads:ridge"}
MOST_UNLABELLED = 2000  # images without a label whose features a head gets, where it needs them
NEIGHBOUR_ROWS = 8000  # that how many neighbours is chosen on, at most: it costs the square of them
STRONG = 2  # of `ridges.PENALTIES`, the first that is a start of a fine-tuning
OF_CLASS = 5  # images with a class, and without, that a regression for it needs

Method = Literal["ridge", "logistic"]


def linear(call: HeadCall) -> Head:
    """Fit logistic or ridge regression on standardised features; cross-validation chooses method and penalty.

    The standardisation is folded into the weights, so the head is a plain linear layer. Classes without a row are ruled
    out. Numbers have a ridge; sets of labels a logistic regression for each class against the rest, or the ridge of all
    of them with Platt's scaling where these are too many.
    """
    return _fitted(call, ("ridge", "logistic"))


def ridge(call: HeadCall) -> Head:
    """Fit ridge regression on one-hot labels (Hoerl and Kennard, 1970); its scores are scaled to be logits.

    It takes a fraction of the time of `linear` and, for classes, imports no library.
    """
    return _fitted(call, ("ridge",))


def logistic(call: HeadCall) -> Head:
    """Fit logistic regression as in `linear`: the start of a fine-tuning.

    A ridge with a small penalty predicts well, and its weights are so large that the first steps ruin it: numbers have
    one with the largest penalties alone.
    """
    return _fitted(call, ("logistic",))


def _fitted(call: HeadCall, methods: tuple[Method, ...]) -> Head:
    """Return the linear head of the best of some methods and its best penalty."""
    if not isinstance(values.of(call.labels), values.Classes):
        return _of_values(call, methods)
    if len(np.unique(call.labels)) < 2:
        return constant(call)
    return _of_classes(call, methods)


def _of_classes(call: HeadCall, methods: tuple[Method, ...]) -> Head:
    columns = standardised(call)
    x, labels, folds, weights = columns.x, call.labels, call.folds, columns.weights
    present, own = np.unique(labels, return_inverse=True)
    best = None
    if "ridge" in methods:
        best = _best_ridge(x, own, folds, weights)
        if best is None and "logistic" not in methods:
            best = _usual_ridge(x, own, weights)
    large = x.size * len(present) > LOGISTIC_WORK
    penalty, accuracy = 0.0, -1.0  # of the logistic regression
    if best is None or ("logistic" in methods and not large):
        if large:
            kept = _sample(
                labels, max(int(LOGISTIC_WORK / (x.shape[1] * len(present))), 2 * len(present)), call.seed
            )
            x, labels, folds, weights = x[kept], labels[kept], folds[kept], weights[kept]
        penalty, accuracy = _best_penalty(x, labels, folds, weights, call.seconds)
    if best is not None and best.accuracy > accuracy:
        weight, bias = ridges.fit(x, own, best.index, weights)
        weight, bias = weight * best.sharpness, bias * best.sharpness
        method, setting = "ridge", float(ridges.PENALTIES[best.index])
    else:
        present, weight, bias = _fit(x, labels, penalty, weights)
        method, setting = "logistic", float(penalty)
    return columns.linear(weight, bias, present=present, classes=call.classes, method=method, setting=setting)


def _of_values(call: HeadCall, methods: tuple[Method, ...]) -> Head:
    """Fit numbers or sets of labels on standardised features; cross-validation chooses method and penalty.

    Without "ridge" among the `methods` numbers have a ridge of the larger penalties, and sets of labels one only where
    logistic regressions are too many.
    """
    labels, folds, outputs = call.labels, call.folds, call.classes
    kind = values.of(labels)
    columns = standardised(call)
    x, weights = columns.x, columns.weights
    aims = kind.targets(labels, outputs)
    usual = np.average(aims, 0, weights)
    # Least squares with weights are plain ones on rows times the root of theirs.
    root = np.sqrt(weights)[:, None]
    scaled = ridges.left_out_targets(root * x, root * (aims - usual), folds, root=root)
    left_out = [table / root for table in scaled]
    of_kind = merits.r2 if isinstance(kind, values.Numbers) else merits.mean_average_precision
    scores = [
        float(np.average(of_kind(labels, kind.answers(table + usual)), weights=weights)) for table in left_out
    ]
    first = 0 if "ridge" in methods else STRONG
    index = first + int(np.argmax(scores[first:]))
    weight, bias = ridges.fit_targets(root * x, root * (aims - usual), index), usual
    method, setting = "ridge", float(ridges.PENALTIES[index])
    if not isinstance(kind, values.Numbers):
        slope, offset = _platt(left_out[index] + usual, labels, weights)
        weight, bias = weight * slope[:, None], bias * slope + offset
        if "logistic" in methods and x.size * outputs * len(PENALTIES) <= LOGISTIC_WORK:
            penalty, logistic_score = _best_of_sets(x, labels, folds, weights, call.seconds)
            if "ridge" not in methods or logistic_score > scores[index]:
                weight, bias = _fit_sets(x, labels, penalty, weights)
                method, setting = "logistic", penalty
    every = np.arange(outputs)
    return columns.linear(weight, bias, present=every, classes=outputs, method=method, setting=setting)


def _platt(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and offset (classes,) that make logits of scores (n, classes), a logistic regression for each.

    Platt, Probabilistic outputs for support vector machines, 1999. A class that all or no images have keeps its share.
    """
    slope, offset = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for place in range(scores.shape[1]):
        own = labels[:, place] > 0
        spread = float(scores[:, place].std())
        if not 0 < own.sum() < len(own) or spread <= 0:
            offset[place] = _logit(own.mean(), len(own))
            continue
        _, weight, bias = _fit(scores[:, [place]] / spread, own.astype(int), 1.0, weights)
        slope[place] = (weight[1, 0] - weight[0, 0]) / spread
        offset[place] = bias[1] - bias[0]
    return slope, offset


def _logit(share: float, rows: int) -> float:
    return float(np.log((rows * share + 0.5) / (rows * (1 - share) + 0.5)))


def _penalties(seconds: float) -> Iterator[float]:
    """Yield penalties to try, the first in any case, as long as there is time for the next one and for the last fit."""
    importlib.import_module("sklearn.linear_model")  # its seconds are not those of a fit
    began = time.monotonic()
    for number, penalty in enumerate(PENALTIES):
        if number and (number + 2) / number * (time.monotonic() - began) > seconds:
            return
        yield penalty


def _best_of_sets(
    x: np.ndarray, labels: np.ndarray, folds: np.ndarray, weights: np.ndarray, seconds: float
) -> tuple[float, float]:
    """Return C of the least log loss on two folds, and the mean average precision there."""
    names = np.unique(folds)
    if len(names) < 2:
        return 1e-2, -1.0
    losses, scores = [], []
    for penalty in _penalties(seconds):
        tables, own = [], []
        for name in names[:2]:
            out = folds == name
            weight, bias = _fit_sets(x[~out], labels[~out], penalty, weights[~out])
            tables.append(x[out] @ weight.T + bias)
            own.append(labels[out])
        logits, truth = np.concatenate(tables), np.concatenate(own)
        losses.append(float(np.mean(np.logaddexp(0, logits) - truth * logits)))
        scores.append(float(merits.mean_average_precision(truth, logits).mean()))
    best = int(np.argmin(losses))
    return PENALTIES[best], scores[best]


def _fit_sets(
    x: np.ndarray, labels: np.ndarray, penalty: float, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (classes, d) and bias (classes,): a regression for each class against the rest."""
    weight, bias = np.zeros((labels.shape[1], x.shape[1])), np.zeros(labels.shape[1])
    for place in range(labels.shape[1]):
        own = (labels[:, place] > 0).astype(int)
        if not OF_CLASS <= own.sum() <= len(own) - OF_CLASS:
            bias[place] = _logit(own.mean(), len(own))
            continue
        _, both, offsets = _fit(x, own, penalty, weights)
        weight[place], bias[place] = both[1] - both[0], offsets[1] - offsets[0]
    return weight, bias


def _sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return a stratified sample of `count` row indices, in ascending order."""
    if count >= len(labels):
        return np.arange(len(labels))
    order = stratified_order(labels, np.random.default_rng(seed))
    return np.sort(order[:count])


def knn(call: HeadCall) -> Head:
    """Fit nearest neighbours by cosine similarity of centred features; cross-validation chooses their number."""
    labels, classes, folds = call.labels, call.classes, call.folds
    kind = values.of(labels)
    is_class = isinstance(kind, values.Classes)
    aims = kind.targets(labels, classes)
    centre = call.features.mean(0)
    x = call.features - centre
    x = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12)
    judged = _sample(labels, NEIGHBOUR_ROWS, call.seed)
    seen, own = x[judged], labels[judged]
    counting = None if call.weights is None else call.weights[judged]
    similarity = seen @ seen.T
    similarity[folds[judged][:, None] == folds[judged][None, :]] = -2.0
    order = np.argsort(-similarity, axis=1)[:, : max(NEIGHBOURS)]
    votes = np.exp(SHARPNESS * (np.take_along_axis(similarity, order, 1) - 1))
    best, best_score = 1, -np.inf
    for count in NEIGHBOURS:
        near = votes[:, :count]
        if is_class:
            tally = np.zeros((len(seen), classes))
            np.add.at(tally, (np.arange(len(seen))[:, None], own[order[:, :count]]), near)
            score = float(np.average(tally.argmax(1) == own, weights=counting))
        else:
            shares = near / near.sum(1, keepdims=True)
            mean = (shares[:, :, None] * aims[judged][order[:, :count]]).sum(1)
            of_kind = merits.r2 if isinstance(kind, values.Numbers) else merits.mean_average_precision
            score = float(of_kind(own, kind.answers(mean)).mean())
        if score > best_score + 1e-9:
            best, best_score = count, score
    arrays = {
        "features": x.astype(np.float32),
        "labels": labels.astype(np.int64 if is_class else np.float32),
        "centre": centre.astype(np.float32),
        "count": np.array(best, np.int64),
    }
    return Head(kind="knn", arrays=arrays, method="nearest", setting=float(best))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ridge:
    index: int  # of the penalty
    accuracy: float  # left out
    sharpness: float  # factor on the scores that makes their softmax likeliest, left out


def _best_ridge(x: np.ndarray, labels: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> _Ridge | None:
    """Return the penalty with the best left-out accuracy; None where there is nothing to leave out."""
    if len(np.unique(folds)) < 2 or len(x) < 2 * len(np.unique(labels)):
        return None
    left_out = ridges.left_out(x, labels, folds, weights)
    accuracies = [float(np.average(scores.argmax(1) == labels, weights=weights)) for scores in left_out]
    index = int(np.argmax(accuracies))
    scores = left_out[index]

    def loss(sharpness: float) -> float:
        return _log_loss(sharpness * scores, labels, weights)

    return _Ridge(index=index, accuracy=accuracies[index], sharpness=float(min(SHARPNESSES, key=loss)))


def _usual_ridge(x: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> _Ridge:
    """Return the penalty in the middle, for rows too few to leave any out; its scores get the deviation 1."""
    index = len(ridges.PENALTIES) // 2
    weight, bias = ridges.fit(x, labels, index, weights)
    deviation = float((x @ weight.T + bias).std(1).mean())
    return _Ridge(index=index, accuracy=0.0, sharpness=1.0 / max(deviation, 1e-12))


def _best_penalty(
    x: np.ndarray, labels: np.ndarray, folds: np.ndarray, weights: np.ndarray, seconds: float
) -> tuple[float, float]:
    """Return C of the logistic regression with the least log loss on a few folds, and its accuracy there."""
    names = np.unique(folds)
    if len(names) < 2 or len(x) < 2 * len(np.unique(labels)):
        return 1e-2, 0.0
    judged = names[: 3 if x.size * len(np.unique(labels)) < 3e7 else 2]
    losses, accuracies = [], []
    for penalty in _penalties(seconds):
        loss, right, count = 0.0, 0.0, 0.0
        for name in judged:
            out = folds == name
            if len(np.unique(labels[~out])) < 2:
                continue
            present, weight, bias = _fit(x[~out], labels[~out], penalty, weights[~out])
            logits = x[out] @ weight.T + bias
            place = np.searchsorted(present, labels[out])
            fitted = (place < len(present)) & (present[np.minimum(place, len(present) - 1)] == labels[out])
            counting = weights[out]
            loss += _log_loss(logits[fitted], place[fitted], counting[fitted]) * float(counting[fitted].sum())
            right += float(counting[fitted] @ (logits[fitted].argmax(1) == place[fitted]))
            count += float(counting.sum())
        losses.append(loss)
        accuracies.append(right / max(count, 1e-9))
    best = int(np.argmin(losses))
    return PENALTIES[best], accuracies[best]


def _log_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean of -log softmax at the labels; 0 for no rows."""
    if not len(labels):
        return 0.0
    logits = logits - logits.max(1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -float(np.average(log_probabilities[np.arange(len(labels)), labels], weights=weights))


def _fit(
    x: np.ndarray, labels: np.ndarray, penalty: float, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes (k,), weight (k, d) and bias (k,) of one regression, fitted in single precision: half the time."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings(), hardware.one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred steps are near enough
        model = LogisticRegression(C=penalty, max_iter=STEPS, tol=1e-3)
        model.fit(x.astype(np.float32), labels, weights)
    weight, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return np.asarray(model.classes_), weight.astype(np.float64), bias.astype(np.float64)
