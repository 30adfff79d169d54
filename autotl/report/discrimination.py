"""Compute ROC and precision-recall curves, their areas, log loss and thresholds of the recommended model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.report.predictions import Predictions

TOP, FEWEST_FOR_TOP = 5, 6  # classes: top-5 accuracy says something from six on
POINTS = 120  # of a curve that are drawn
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ANSWERED = 0.5  # threshold of two classes at which the more probable one is the answer

Curve = tuple[np.ndarray, np.ndarray]  # x and y, each (points,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassCurves:
    """One class against the rest."""

    name: str
    images: int  # of the class
    auc: float  # area under the ROC curve
    average_precision: float
    roc: Curve  # false positive rate, true positive rate
    precision_recall: Curve  # recall, precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The consequences of assigning images to the positive class from this probability on."""

    value: float
    flagged: int  # images that are assigned to the positive class
    precision: float | None  # None where no image is
    recall: float
    false_positives: float  # share of the other class that is assigned to the positive one
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Discrimination:
    """Curves, areas and log loss of probabilities, on the images of some predictions."""

    log_loss: float
    constant_log_loss: float  # of always answering the shares of the classes on these images
    top: float | None  # share of images whose label is among the five most probable classes
    curves: tuple[ClassCurves, ...]  # of classes with images; of two classes, that of the rarer one alone
    auc: float | None  # mean over the classes
    average_precision: float | None
    thresholds: tuple[Threshold, ...]  # of two classes; for the class of the one curve

    @property
    def best(self) -> Threshold | None:
        """Return the threshold with the highest F1."""
        return max(self.thresholds, key=lambda each: (each.f1, -each.value), default=None)


def discrimination(predictions: Predictions) -> Discrimination:
    """Return log loss, curves and thresholds of predictions."""
    from sklearn.metrics import log_loss, top_k_accuracy_score

    labels, every = predictions.labels, np.arange(len(predictions.classes))
    proba = predictions.proba.astype(float)
    proba /= proba.sum(1, keepdims=True)
    shares = np.bincount(labels, minlength=len(every)) / len(labels)
    top = None
    if len(every) >= FEWEST_FOR_TOP:
        top = float(top_k_accuracy_score(labels, proba, k=TOP, labels=every))
    curves = _curves(predictions, proba)
    positive = predictions.classes.index(curves[0].name) if len(every) == 2 and curves else None
    return Discrimination(
        log_loss=float(log_loss(labels, proba, labels=every)),
        constant_log_loss=float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()),
        top=top,
        curves=curves,
        auc=float(np.mean([curve.auc for curve in curves])) if curves else None,
        average_precision=float(np.mean([curve.average_precision for curve in curves])) if curves else None,
        thresholds=() if positive is None else _thresholds(labels == positive, proba[:, positive]),
    )


def _curves(predictions: Predictions, proba: np.ndarray) -> tuple[ClassCurves, ...]:
    """Return the curves of each class that has images, and whose rest has some."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    counts = np.bincount(predictions.labels, minlength=len(predictions.classes))
    chosen = np.flatnonzero((counts > 0) & (counts < len(predictions.labels)))
    if len(predictions.classes) == 2:  # the other class is its mirror; the rarer one, or the second
        chosen = chosen[np.lexsort((-chosen, counts[chosen]))][:1]
    curves = []
    for number in chosen:
        own, probability = predictions.labels == number, proba[:, number]
        false, true, _ = roc_curve(own, probability)
        precision, recall, _ = precision_recall_curve(own, probability)
        curves.append(
            ClassCurves(
                name=predictions.classes[number],
                images=int(counts[number]),
                auc=float(roc_auc_score(own, probability)),
                average_precision=float(average_precision_score(own, probability)),
                roc=_thinned(false, true),
                precision_recall=_thinned(recall[::-1], precision[::-1]),
            )
        )
    return tuple(curves)


def _thinned(x: np.ndarray, y: np.ndarray) -> Curve:
    kept = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    return x[kept], y[kept]


def _thresholds(own: np.ndarray, probability: np.ndarray) -> tuple[Threshold, ...]:
    """Return rows at round probabilities, and one at that with the highest F1 of all."""
    values = np.unique(probability)
    best = max((_threshold(own, probability, float(value)) for value in values), key=lambda each: each.f1)
    rows = {each.value: each for each in (_threshold(own, probability, value) for value in THRESHOLDS)}
    if best.f1 > max(each.f1 for each in rows.values()):
        rows[best.value] = best
    return tuple(rows[value] for value in sorted(rows))


def _threshold(own: np.ndarray, probability: np.ndarray, value: float) -> Threshold:
    flagged = probability >= value
    hits, number = int((flagged & own).sum()), int(flagged.sum())
    return Threshold(
        value=value,
        flagged=number,
        precision=hits / number if number else None,
        recall=hits / int(own.sum()),
        false_positives=(number - hits) / int((~own).sum()),
        f1=2 * hits / (number + int(own.sum())),
    )
