"""What trials scored, as the belief weighs it: how much the selection images say of a score. No clock, no files.

Selection images are the same for every trial: their errors go together as the paired predictions show. What these
images give a frozen head too much, by its cross-validation on the train images, is thereby taken off the fine-tunings
too (control variates).

Where small classes weigh as much as large ones, an image is worth fewer than one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autotl.records import Candidate
from autotl.search.prior import OTHERS, correlation, empirical

__all__ = ["Observation", "Selection", "between_backbones", "error_covariance", "with_correlations"]

PRIOR_IMAGES = 10.0  # that the usual correlation of hits counts for beside the measured one
BETWEEN = 0.3  # deviation between backbones' frozen heads before any was scored, worth one backbone's score


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The images that judge candidates: how many, how much each counts, and which go together."""

    rows: int
    weights: np.ndarray | None = None  # (rows,) that sum to 1; None: all alike
    cluster: np.ndarray | None = None  # (rows,) number of each row's group; None: each its own

    def image_worth(self) -> float:
        """Return how many independent images one image is worth, where small classes weigh as much as large ones."""
        weights = self.weights
        return 1.0 if weights is None else 1 / (len(weights) * float(np.sum(weights**2)))

    def deviations(self, right: np.ndarray) -> np.ndarray:
        """Return a trial's hits (rows,) less their mean, weighted and summed by group."""
        weights = self.weights
        if weights is None:
            weights = np.full(len(right), 1 / max(len(right), 1))
        centred = weights * (right.astype(float) - float(weights @ right / weights.sum()))
        return centred if self.cluster is None else np.bincount(self.cluster, weights=centred)

    def score_worth(self, score: float, deviations: np.ndarray | None) -> float:
        """Return how many independent images a score is worth: fewer where whole groups are right or wrong."""
        rows = self.rows
        if deviations is None or (self.weights is None and self.cluster is None):
            return float(max(rows, 1))
        groups = len(deviations)
        variance = float(deviations @ deviations) * groups / max(groups - 1, 1)
        share = min(max(score, 1 / (rows + 1)), rows / (rows + 1))
        spread = share * (1 - share)
        return float(min(max(spread / variance, 2.0), rows)) if variance > 0 else float(max(groups, 2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """The score of one training, and what the images that judged it say of it."""

    number: int  # in the order of arrival
    candidate: Candidate
    epochs: float
    score: float
    images: float  # independent ones that the score is worth
    hits: np.ndarray | None  # of length 1: the images' deviations from the mean, by group; None: unknown

    @property
    def key(self) -> tuple[str, float, float]:
        return self.candidate.id, self.epochs, self.score  # shorter first

    def logit(self) -> tuple[float, float]:
        """Return the empirical logit of the score, and its variance."""
        return empirical(self.score, self.images)


def with_correlations(
    together: np.ndarray, observed: Iterable[Observation], new: Observation, rows: int
) -> np.ndarray:
    """Return the correlations of what the selection images get wrong, with those of a new observation.

    `together` has those of `observed`, in the order of arrival. The correlation of hits is the measured one where
    both trials' answers are known, drawn a little towards the usual one.
    """
    trust = rows / (rows + PRIOR_IMAGES)
    together = np.pad(together, (0, 1), constant_values=1.0)
    for other in observed:
        usual = correlation(new.candidate, other.candidate)
        if new.hits is not None and other.hits is not None:
            usual += trust * (float(new.hits @ other.hits) - usual)
        together[new.number, other.number] = together[other.number, new.number] = usual
    return together


def error_covariance(observed: Sequence[Observation], together: np.ndarray) -> np.ndarray:
    """Return the covariance (m, m) of what the selection images get wrong, in logits.

    `together` has the correlations in the order of arrival.
    """
    deviations = np.sqrt([observation.logit()[1] for observation in observed])
    order = [observation.number for observation in observed]
    together = together[np.ix_(order, order)]
    values, vectors = np.linalg.eigh(together) if order else (np.zeros(0), together)
    together = (vectors * np.maximum(values, 1e-4)) @ vectors.T
    return np.asarray(np.outer(deviations, deviations) * together)


def between_backbones(heads: Iterable[Observation]) -> float:
    """Return the deviation between backbones' frozen heads, by what is left of it when sampling is taken off."""
    best: dict[str, tuple[float, float]] = {}
    for head in heads:
        backbone, measured = head.candidate.backbone, head.logit()
        best[backbone] = max(best.get(backbone, measured), measured)
    if len(best) < 2:
        return BETWEEN
    means, variances = np.array(list(best.values())).T
    excess = float(np.var(means, ddof=1) - variances.mean() * (1 - OTHERS))
    return math.sqrt((BETWEEN**2 + (len(best) - 1) * max(excess, 0.0)) / len(best))
