"""Further heads on frozen features, each available by name: discriminants, a margin, a small network, several layers.

All but the small network give a linear head. What has a setting chooses it by accuracy on rows that were left out;
scores that are no log-probabilities are multiplied by the factor that makes the labels of these rows likeliest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import log_softmax

from autotl import hardware
from autotl.builtin import heads
from autotl.builtin.standardised import ABSENT, constant, standardised
from autotl.errors import EngineError
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats import ridge as ridges

__all__ = [
    "best_layer",
    "class_mean",
    "head2toe",
    "lda",
    "linear_svm",
    "mlp",
    "mlp_logits",
    "zero_shot",
]

JUDGED = 3  # folds that are left out, at most
MARGINS = (1e-4, 1e-3, 1e-2)  # C of the support vector machine, on standardised features
FACTORS = tuple(float(value) for value in np.geomspace(0.1, 100.0, 31))  # on scores of deviation 1
HIDDEN = 128  # units of the small network
DECAYS = (1e-2, 1.0)  # of its weights
PASSES = 60  # through the rows
FRACTIONS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # of the features of all layer groups that are kept
# Rows × columns × classes beyond which the first setting is taken without trying others: some ten seconds of one core.
WORK = 3e8

Linear = tuple[np.ndarray, np.ndarray]  # weight (classes, d) and bias (classes,)
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, float], Linear]  # x, labels 0..k-1, weights, setting


def class_mean(call: HeadCall) -> Head:
    """Fit the nearest class mean of standardised features by Euclidean distance (Mensink et al., TPAMI 2013)."""

    def fit(x: np.ndarray, own: np.ndarray, weights: np.ndarray, setting: float) -> Linear:
        means = _means(x, own, weights)
        return means, -np.sum(means**2, 1) / 2

    return _best_linear(call, fit, "class mean")


def lda(call: HeadCall) -> Head:
    """Fit linear discriminant analysis with the covariance within classes shrunk by Ledoit and Wolf (JMVA 2004)."""

    def fit(x: np.ndarray, own: np.ndarray, weights: np.ndarray, setting: float) -> Linear:
        from sklearn.covariance import ledoit_wolf

        means = _means(x, own, weights)
        within = (x - means[own]) * np.sqrt(weights / weights.mean())[:, None]
        covariance, _ = ledoit_wolf(within, assume_centered=True)
        covariance += 1e-6 * np.eye(len(covariance))  # one row a class leaves nothing within it
        weight = np.linalg.solve(covariance, means.T).T
        prior = np.bincount(own, weights) / weights.sum()
        return weight, np.log(prior) - np.sum(weight * means, 1) / 2

    return _best_linear(call, fit, "discriminant")


def linear_svm(call: HeadCall) -> Head:
    """Fit a linear support vector machine, each class against the rest (Cortes and Vapnik, 1995; LIBLINEAR, 2008)."""

    def fit(x: np.ndarray, own: np.ndarray, weights: np.ndarray, setting: float) -> Linear:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine = LinearSVC(C=setting, dual="auto", max_iter=300, tol=1e-3, random_state=call.seed)
            machine.fit(x, own, weights)
        weight, bias = machine.coef_, machine.intercept_
        if len(machine.classes_) == 2:  # scikit-learn keeps one row for two classes
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return weight, bias

    return _best_linear(call, fit, "support vectors", MARGINS)


def mlp(call: HeadCall) -> Head:
    """Fit a network with one hidden layer on standardised features; `mlp_logits` predicts.

    Rows that weigh more are drawn more often.
    """
    columns = standardised(call)
    x, weights, folds = columns.x, columns.weights, call.folds
    present, own = np.unique(call.labels, return_inverse=True)
    if len(present) < 2:
        return constant(call)
    decay = DECAYS[0]
    out = folds == np.unique(folds)[0]
    if 0 < out.sum() < len(out) and len(np.unique(own[~out])) == len(present):
        rates = [
            _right(_network(x[~out], own[~out], weights[~out], d, call.seed), x[out], own[out])
            for d in DECAYS
        ]
        decay = DECAYS[int(np.argmax(rates))]
    first, first_bias, last, last_bias = _network(x, own, weights, decay, call.seed)
    full_last, full_bias = np.zeros((call.classes, HIDDEN)), np.full(call.classes, last_bias.min() - ABSENT)
    full_last[present], full_bias[present] = last.T, last_bias
    unscaled, unscaled_bias = columns.unscaled(first.T, first_bias)
    arrays = {"first": unscaled, "first_bias": unscaled_bias, "last": full_last, "last_bias": full_bias}
    single = {name: value.astype(np.float32) for name, value in arrays.items()}
    return Head(kind="arrays", arrays=single, method="network", setting=decay)


def mlp_logits(features: Any, arrays: dict[str, Any], classes: int) -> Any:
    """Return the logits (B, classes) of the small network for features (B, d)."""
    hidden = (features @ arrays["first"].T + arrays["first_bias"]).clip(0)
    return hidden @ arrays["last"].T + arrays["last_bias"]


# --------------------------------------------------------------------------- names of the classes


def zero_shot(call: HeadCall) -> Head:
    """Return the head whose weights are the features of the class names (Radford et al., ICML 2021).

    Its predictions do not depend on the labels. Cosines are those of images of mean length, so that the head is linear
    and a fine-tuning can begin with it.
    """
    expected = (call.classes, call.features.shape[1])
    if call.text is None or call.text.shape != expected:
        shape = None if call.text is None else call.text.shape
        raise EngineError(
            f"the text features have the shape {shape}; expected {expected}: those of the images"
        )
    length = float(np.linalg.norm(call.features, axis=1).mean())
    arrays = {
        "weight": (call.factor / max(length, 1e-12) * call.text).astype(np.float32),
        "bias": np.zeros(call.classes, np.float32),
    }
    return Head(kind="linear", arrays=arrays, method="names of the classes")


# --------------------------------------------------------------------------- features of all layer groups


def best_layer(call: HeadCall) -> Head:
    """Fit the usual linear head on the layer group on which a ridge is the most accurate (Alain and Bengio, 2016)."""
    ends = np.cumsum(call.widths)
    groups = [np.arange(end - width, end) for width, end in zip(call.widths, ends, strict=True)]
    columns = standardised(call)
    rates = [_ridge_accuracy(columns.x[:, own], call.labels, call.folds, columns.weights) for own in groups]
    best = len(rates) - 1 - int(np.argmax(rates[::-1]))  # the deepest of equals
    return _on(groups[best], call, f"layer group {best + 1}")


def head2toe(call: HeadCall) -> Head:
    """Fit the usual linear head on the features of all layers that matter most (Head2Toe, Evci et al., ICML 2022).

    A feature's relevance is the norm of its weights in a ridge on all of them, where the paper has a group lasso.
    How many are kept is chosen on left-out rows, for which the relevance is measured on the others as well.
    """
    columns = standardised(call)
    x, weights = columns.x, columns.weights
    present, own = np.unique(call.labels, return_inverse=True)
    if len(present) < 2:
        return constant(call)
    index = len(ridges.PENALTIES) // 2
    counts = sorted({max(1, round(fraction * x.shape[1])) for fraction in FRACTIONS})
    right = np.zeros(len(counts))
    for out in _left_out(call.folds):
        if len(np.unique(own[~out])) < len(present):
            continue
        order = _relevance(x[~out], own[~out], index, weights[~out])
        for place, count in enumerate(counts):
            kept = order[:count]
            weight, bias = ridges.fit(x[~out][:, kept], own[~out], index, weights[~out])
            right[place] += weights[out] @ ((x[out][:, kept] @ weight.T + bias).argmax(1) == own[out])
    count = counts[int(np.argmax(right))] if right.any() else x.shape[1]
    kept = np.sort(_relevance(x, own, index, weights)[:count])
    return _on(kept, call, "selected features")


def _relevance(x: np.ndarray, own: np.ndarray, index: int, weights: np.ndarray) -> np.ndarray:
    """Return the columns, those with the largest norm of weights in a ridge first."""
    weight, _ = ridges.fit(x, own, index, weights)
    return np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")


def _ridge_accuracy(x: np.ndarray, labels: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> float:
    own = np.unique(labels, return_inverse=True)[1]
    tables = ridges.left_out(x, own, folds, weights)
    return max(float(np.average(table.argmax(1) == own, weights=weights)) for table in tables)


def _on(columns: np.ndarray, call: HeadCall, method: str) -> Head:
    """Return the usual linear head on some columns, as one on all of them."""
    fitted = heads.linear(replace(call, features=call.features[:, columns], widths=()))
    weight = np.zeros((call.classes, call.features.shape[1]), np.float32)
    weight[:, columns] = fitted.arrays["weight"]
    arrays = {"weight": weight, "bias": fitted.arrays["bias"]}
    return Head(kind="linear", arrays=arrays, method=method, setting=float(len(columns)))


# --------------------------------------------------------------------------- shared by the heads above


def _best_linear(call: HeadCall, fit: Fit, method: str, settings: Sequence[float] = (0.0,)) -> Head:
    """Return the linear head of the setting that is the most accurate on left-out rows, its scores made logits."""
    columns = standardised(call)
    present, own = np.unique(call.labels, return_inverse=True)
    if len(present) < 2:
        return constant(call)
    settings = settings if columns.x.size * len(present) <= WORK else settings[len(settings) // 2 :][:1]
    with hardware.one_thread():
        setting, factor = _chosen(columns.x, own, call.folds, columns.weights, fit, settings)
        weight, bias = fit(columns.x, own, columns.weights, setting)
    return columns.linear(
        weight * factor,
        bias * factor,
        present=present,
        classes=call.classes,
        method=method,
        setting=setting if len(settings) > 1 else None,
    )


def _chosen(
    x: np.ndarray,
    own: np.ndarray,
    folds: np.ndarray,
    weights: np.ndarray,
    fit: Fit,
    settings: Sequence[float],
) -> tuple[float, float]:
    """Return the setting with the best left-out accuracy, and the factor on its scores with the least log loss."""
    classes = int(own.max()) + 1
    outs = [out for out in _left_out(folds) if len(np.unique(own[~out])) == classes]
    middle = settings[len(settings) // 2]
    if not outs:
        return middle, 1.0 / max(_deviation(_scores(x, fit(x, own, weights, middle))), 1e-12)
    best, best_accuracy, factor = middle, -1.0, 1.0
    labels = np.concatenate([own[out] for out in outs])
    counted = np.concatenate([weights[out] for out in outs])
    for setting in settings:
        tables = [_scores(x[out], fit(x[~out], own[~out], weights[~out], setting)) for out in outs]
        scores = np.concatenate(tables)
        accuracy = float(np.average(scores.argmax(1) == labels, weights=counted))
        if accuracy > best_accuracy:
            best, best_accuracy, factor = setting, accuracy, _factor(scores, labels, counted)
    return best, factor


def _factor(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the factor on scores (n, k) that makes the labels likeliest under their softmax."""
    unit = 1.0 / max(_deviation(scores), 1e-12)

    def loss(factor: float) -> float:
        likelihood = log_softmax(factor * unit * scores, axis=1)[np.arange(len(labels)), labels]
        return -float(np.average(likelihood, weights=weights))

    return unit * min(FACTORS, key=loss)


def _deviation(scores: np.ndarray) -> float:
    return float(scores.std(1).mean())


def _scores(x: np.ndarray, linear: Linear) -> np.ndarray:
    return np.asarray(x @ linear[0].T + linear[1])


def _left_out(folds: np.ndarray) -> list[np.ndarray]:
    """Return masks (n,) of the first folds; none where all rows are of one."""
    names = np.unique(folds)
    return [folds == name for name in names[:JUDGED]] if len(names) > 1 else []


def _means(x: np.ndarray, own: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean (k, d) of the rows of each class."""
    one_hot = np.eye(int(own.max()) + 1)[own] * weights[:, None]
    return np.asarray(one_hot.T @ x / one_hot.sum(0)[:, None])


def _network(
    x: np.ndarray, own: np.ndarray, weights: np.ndarray, decay: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights (d, h), biases (h,), weights (h, k) and biases (k,) of a network with one hidden layer."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    if np.ptp(weights) > 0:
        drawn = np.random.default_rng(seed).choice(len(own), len(own), p=weights / weights.sum())
        rows = np.concatenate([np.unique(own, return_index=True)[1], drawn])  # each class at least once
        x, own = x[rows], own[rows]
    with warnings.catch_warnings(), hardware.one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the passes are the limit
        network = MLPClassifier(
            (HIDDEN,), alpha=decay, max_iter=PASSES, random_state=seed, batch_size=min(64, len(own))
        )
        network.fit(x.astype(np.float32), own)
    (first, last), (first_bias, last_bias) = network.coefs_, network.intercepts_
    if last.shape[1] == 1:  # scikit-learn keeps one output for two classes
        last = np.concatenate([-last, last], 1) / 2
        last_bias = np.concatenate([-last_bias, last_bias]) / 2
    return first, first_bias, last, last_bias


def _right(layers: tuple[np.ndarray, ...], x: np.ndarray, own: np.ndarray) -> float:
    hidden = np.maximum(x @ layers[0] + layers[1], 0.0)
    return float(((hidden @ layers[2] + layers[3]).argmax(1) == own).mean())
