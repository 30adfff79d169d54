"""Permutation test of a linear probe: what it scores on true labels and on shuffled ones. numpy only.

Every permutation is judged against its own labels, so a probe scores at its chance level whatever the features
are. The p-value counts the permutations that score at least as much as the true labels do (Ojala and Garriga, JMLR 11,
2010), the true order among them, as a p-value of 0 does not exist.

Ridge regression is linear in the labels: one matrix takes any of them to their predictions, each row's by the
other folds, so that all permutations share one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.records import Metric
from autotl.stats import metrics, ridge, values

__all__ = ["PERMUTATIONS", "Permuted", "association", "permutation_test", "permuted", "rows_in_seconds"]

PERMUTATIONS = 300
PENALTY = 2  # of `ridge.PENALTIES`: one for all, as choosing one would be part of what is tested
MOST_ROWS = 2000
WORK = 5e9  # multiplications that a core does in a second


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Permuted:
    """The score on true labels beside the scores on shuffled ones."""

    score: float
    shuffled: np.ndarray  # (permutations,)
    rows: int

    @property
    def p(self) -> float:
        """Return the p-value of the score: at least 1 / (permutations + 1)."""
        # Scores are sums of the same fractions in another order: they differ in the last digit.
        reached = int((self.shuffled >= self.score - 1e-9).sum())
        return (1 + reached) / (1 + len(self.shuffled))

    @property
    def chance(self) -> float:
        """Return the chance level: the mean score on shuffled labels."""
        return float(self.shuffled.mean())


def rows_in_seconds(classes: int, seconds: float) -> int:
    """Return on how many rows the test takes about so many seconds."""
    return min(MOST_ROWS, int((WORK * max(seconds, 0.1) / (PERMUTATIONS * max(classes, 2))) ** 0.5))


def permutation_test(
    metric: Metric,
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    seed: int,
    group: np.ndarray | None = None,
) -> Permuted | None:
    """Return what a cross-validated linear probe scores on features (n, d) with the labels and with shuffled ones.

    None where a single class, or a single fold, leaves nothing to test.
    """
    kind = values.of(labels)
    is_class = isinstance(kind, values.Classes)
    if is_class:
        labels = np.unique(labels, return_inverse=True)[1]
    classes = len(np.unique(labels, axis=0))
    if classes < 2 or len(np.unique(folds)) < 2:
        return None
    outputs = classes if is_class else kind.targets(labels[:1], 1).shape[1]
    generator = np.random.default_rng(seed)
    x = ridge.standardise(features)
    predict = ridge.left_out_targets(x, np.eye(len(x)), folds, (PENALTY,))[0].astype(np.float32)
    # Folds are stratified by the true labels alone, so the shares of the other folds would speak for these.
    others = folds[:, None] != folds[None, :]
    predict -= (others / others.sum(1, keepdims=True)).astype(np.float32)
    shares = np.bincount(labels) / len(labels) if is_class else kind.targets(labels, outputs).mean(0)

    def score(order: np.ndarray) -> float:
        above = predict @ (kind.targets(order, outputs) - shares).astype(
            np.float32
        )  # how much above the usual
        likely = above / shares if metric == "balanced_accuracy" else above + shares
        return metrics.score(metric, order, kind.answers(likely), classes)

    shuffled = [score(permuted(labels, group, generator)) for _ in range(PERMUTATIONS)]
    return Permuted(score=score(labels), shuffled=np.array(shuffled), rows=len(labels))


def association(
    metric: Metric,
    labels: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    group: np.ndarray | None = None,
) -> float:
    """Return the p-value of predictions: how often permuted labels are predicted as well as the true ones.

    One class for everything has a p-value of 1, however often it is right.
    """
    if not len(labels):
        return 1.0
    generator = np.random.default_rng(0)
    shuffled = [
        metrics.score(metric, permuted(labels, group, generator), predicted, classes)
        for _ in range(PERMUTATIONS)
    ]
    reached = metrics.score(metric, labels, predicted, classes)
    return Permuted(score=reached, shuffled=np.array(shuffled), rows=len(labels)).p


def permuted(labels: np.ndarray, group: np.ndarray | None, generator: np.random.Generator) -> np.ndarray:
    """Return the labels in another order; where every group is of one class, whole groups exchange theirs.

    Rows of such a group are not exchangeable one by one: they are alike, and so are their answers.
    """
    if group is None:
        return generator.permutation(labels)
    _, first, unit = np.unique(group, return_index=True, return_inverse=True)
    if (labels[first][unit] != labels).any():
        return generator.permutation(labels)
    return np.asarray(generator.permutation(labels[first])[unit])
