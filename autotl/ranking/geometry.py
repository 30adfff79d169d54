"""Choose how long images become the square input of a network, by linear probes on features of a few images.

A backbone was pretrained on central crops. Where images are far from square a crop may cut off what tells the
classes apart, and an image that is squashed or padded may be less like those of the pretraining: neither is known
before it was tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from autotl.ranking.left_out import heads_left_out, outputs
from autotl.records import Finding, Geometry, Kind
from autotl.stats import merits, ridge, values

SHARE = 0.25  # of the images that are elongated, below which the declared geometry stays
IMAGES = 512  # that are embedded in each geometry, at most
FEWEST = 40  # images, with fewer of which a difference would be chance
ERRORS = 0.5  # standard errors by which another geometry has to be better than the central crop
DECLARED: Geometry = "crop"
PENALTY = 2  # of `ridge.PENALTIES`, for numbers and sets of labels


def recognised(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return which images (n,) bool a linear probe on features (n, d) recognises, out-of-fold.

    Of numbers and sets of labels it is the merit (n,) of each image for R² and for mean average precision.
    """
    kind = values.of(labels)
    if not isinstance(kind, values.Classes):
        aims = kind.targets(labels, 1)
        usual = aims.mean(0)
        table = ridge.left_out_targets(ridge.standardise(features), aims - usual, folds, (PENALTY,))[0]
        of_kind = merits.r2 if isinstance(kind, values.Numbers) else merits.mean_average_precision
        return of_kind(labels, kind.answers(table + usual))
    right = np.zeros(len(labels), bool)
    names, codes = np.unique(labels, return_inverse=True)
    for out, head in heads_left_out(features, codes, len(names), folds):
        if head is not None:
            right[out] = outputs(head, features[out]).argmax(1) == codes[out]
    return right


def choose(recognised: Mapping[Geometry, np.ndarray]) -> Geometry:
    """Return the geometry that recognises most images, given which (n,) bool of the same ones each recognises.

    It is the central crop unless another is better by more than `ERRORS` standard errors of the paired difference.
    """
    best = max(recognised, key=lambda name: (recognised[name].mean(), name == DECLARED))
    if best == DECLARED:
        return best
    difference = recognised[best].astype(float) - recognised[DECLARED].astype(float)
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return best if float(difference.mean()) > ERRORS * error else DECLARED


def measured_geometry(findings: Sequence[Finding]) -> Geometry | None:
    """Return the geometry that a run measured to be the best; None where it measured none."""
    return next((finding.values["geometry"] for finding in findings if finding.kind is Kind.GEOMETRY), None)
