"""Weights of labelled images of another source: how much each counts beside the images that train. Imports no torch."""

from __future__ import annotations

import warnings

import numpy as np

from autotl import hardware
from autotl.protocols import RelatedCall

__all__ = ["importance", "pooled"]

FOLDS = 5
AXES = 16  # principal axes that the two kinds are told apart by: on as many as there are rows any two can be
LEAST = 0.01  # weights below it are 0: the image is not learned from


def pooled(call: RelatedCall) -> np.ndarray:
    """Return the weight 1 for every image: both sources are one."""
    return np.ones(len(call.related))


def importance(call: RelatedCall) -> np.ndarray:
    """Return importance weights: how much likelier an image is among those that train than in the other source.

    The ratio is that of the probabilities of a classifier that tells the two kinds apart, each by folds that it was not
    fitted on (Bickel, Brückner and Scheffer, ICML 2007). No image counts more than one of those that train: larger
    weights make the few that have them the whole training set.
    """
    from sklearn.decomposition import PCA
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    both = np.concatenate([call.features, call.related]).astype(np.float64)
    own = np.arange(len(both)) < len(call.features)
    fewest = int(min(own.sum(), (~own).sum()))
    if fewest < 2:
        return pooled(call)
    axes = max(1, min(AXES, fewest // 2, both.shape[1]))
    classifier = make_pipeline(
        StandardScaler(),
        PCA(axes, random_state=call.seed),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=200),
    )
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=call.seed)
    with warnings.catch_warnings(), hardware.one_thread():
        warnings.simplefilter("ignore")  # of a separation that is perfect
        score = cross_val_predict(classifier, both, own, cv=folds, method="decision_function")
    # Half of a source may be as the data are and the other far away: no logistic curve, but a rising one.
    balanced = np.where(own, 1 / own.sum(), 1 / (~own).sum())
    rising = IsotonicRegression(y_min=0.0, y_max=1.0).fit(score, own.astype(float), balanced)
    probability = rising.predict(score[~own])
    weights = np.clip(probability / np.maximum(1 - probability, 1e-9), 0.0, 1.0)
    return np.where(weights < LEAST, 0.0, weights)
