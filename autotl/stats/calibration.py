"""Calibration of probabilities by one temperature, fitted on images that the model was not fitted on.

Temperature scaling (Guo, Pleiss, Sun, Weinberger, ICML 2017) divides the logits by one number; it changes
the confidence, never the predicted class. Torch-free: probabilities in, a number out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from autotl import checksums
from autotl.cache import atomic_write
from autotl.records import Calibration, ProbabilityErrors
from autotl.stats.folds import folds_for

BINS = 15
FOLDS = 5
FEWEST = 20  # images; with fewer the temperature stays 1
_RANGE = (0.1, 10.0)


def calibrate(probabilities: np.ndarray, labels: np.ndarray, group: np.ndarray | None = None) -> Calibration:
    """Return the temperature for probabilities (n, classes) of images with `labels` (n,), and its effect.

    The errors of calibration are fractions; the one after is out-of-fold: each image has a
    temperature that was fitted without it. Where the temperature does not reduce the loss out-of-fold it stays 1.
    """
    before = expected_error(probabilities, labels)
    if len(labels) < FEWEST:
        return Calibration(temperature=1.0, ece=_six(before), ece_before=_six(before), images=len(labels))
    fold = folds_for(labels, group, FOLDS)
    judged = np.empty_like(probabilities, dtype=np.float64)
    for number in np.unique(fold):
        out = fold == number
        judged[out] = apply(probabilities[out], temperature(probabilities[~out], labels[~out]))
    helps = _loss(judged, labels) < _loss(probabilities, labels)
    return Calibration(
        temperature=round(temperature(probabilities, labels), 4) if helps else 1.0,
        ece=_six(expected_error(judged, labels) if helps else before),
        ece_before=_six(before),
        images=len(labels),
    )


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature of least log loss against targets softened as Platt did.

    Soft targets, (n + 1) / (n + 2) for the true class, keep a few images, all predicted correctly, from
    driving the probabilities to 1. The minimum is found by `scipy.optimize.minimize_scalar` on its logarithm.
    """
    from scipy.optimize import minimize_scalar

    classes = probabilities.shape[1]
    sure = (len(labels) + 1) / (len(labels) + 2)
    target = np.full(probabilities.shape, (1 - sure) / max(classes - 1, 1))
    target[np.arange(len(labels)), labels] = sure
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))

    def loss(exponent: float) -> float:
        scaled = logits / math.exp(exponent)
        scaled -= scaled.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(1)) - (target * scaled).sum(1)))

    bounds = (math.log(_RANGE[0]), math.log(_RANGE[1]))
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))


def apply(probabilities: np.ndarray, by: float) -> np.ndarray:
    """Return probabilities (n, classes) at another temperature."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12)) / by
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True))


def expected_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error: mean difference of confidence and accuracy over 15 bins."""
    if len(labels) == 0:
        return float("nan")
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / len(labels))


def errors(probabilities: np.ndarray, labels: np.ndarray, by: float) -> ProbabilityErrors:
    """Return the errors of probabilities (n, classes) at a temperature, on images with `labels` (n,)."""
    shares = apply(probabilities, by)
    true = np.eye(shares.shape[1])[labels]
    return ProbabilityErrors(
        ece=_six(expected_error(shares, labels)),
        nll=_six(_loss(shares, labels)),
        brier=_six(float(((shares - true) ** 2).sum(1).mean())),
        images=len(labels),
    )


def write(fields: Mapping[str, Any], model: Path) -> None:
    """Write fields, such as the temperature, into the description of a model folder; another engine's stays as it is."""
    file = model / "model.json"
    try:
        described = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return
    described.update(fields)
    atomic_write(file, msgspec.json.format(msgspec.json.encode(described), indent=1))
    checksums.seal(model)


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return -float(np.mean(np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))))


def _six(value: float) -> float:
    return round(float(value), 6)
