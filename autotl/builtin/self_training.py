"""A head on frozen features that learns from images without a label, too: labels spread to them along a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from autotl.builtin import heads
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats.folds import folds_for, stratified_order

__all__ = ["pseudo_labels"]

NEIGHBOURS = 10  # of each image in the graph
POWER = 3  # of a cosine similarity as the weight of an edge: the paper's
KEPT = 0.99  # of a score that goes on to the neighbours: the paper's
STEPS = 50  # of conjugate gradients
SPREADING = 2000  # images whose labels spread, at most
GUESSED = 1.0  # weight of all guesses together, against that of all labels


def pseudo_labels(call: HeadCall) -> Head:
    """Fit logistic regression on labels, and on those that label propagation guesses (Iscen et al., CVPR 2019).

    Labels spread from the rows with one to those without along a graph of nearest neighbours. A guess weighs by how
    sure it is; all together they weigh as much as the labels.
    """
    unlabelled = call.features[:0] if call.unlabelled is None else call.unlabelled
    weights = np.ones(len(call.labels)) if call.weights is None else call.weights
    guesses, certainty = _spread(call.features, call.labels, unlabelled, call.seed)
    if not certainty.sum():  # there are no images, or one class alone
        return heads.logistic(call)
    share = GUESSED * weights.sum() * certainty / certainty.sum()
    every = np.concatenate([weights, share])
    extended = replace(
        call,
        features=np.concatenate([call.features, unlabelled]),
        labels=np.concatenate([call.labels, guesses]),
        folds=np.concatenate([call.folds, folds_for(guesses, None)]),
        weights=every / every.mean(),
    )
    return replace(heads.logistic(extended), method="propagated labels")


def _spread(
    features: np.ndarray, labels: np.ndarray, unlabelled: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return guessed labels (u,) and how sure each is, 0 to 1: one less the entropy of its scores."""
    present = np.unique(labels)
    if len(present) < 2 or not len(unlabelled):
        return np.full(len(unlabelled), labels[0]), np.zeros(len(unlabelled))
    spreading = stratified_order(labels, np.random.default_rng(seed))[:SPREADING]
    graph = _graph(np.concatenate([features[spreading], unlabelled]))
    system = sparse.identity(graph.shape[0]) - KEPT * graph
    scores = np.zeros((len(unlabelled), len(present)))
    for place, label in enumerate(present):
        begin = np.zeros(graph.shape[0])
        begin[: len(spreading)] = labels[spreading] == label
        reached, _ = cg(system, begin / max(begin.sum(), 1.0), maxiter=STEPS)
        scores[:, place] = np.maximum(reached[len(spreading) :], 0.0)
    total = scores.sum(1, keepdims=True)
    shares = np.where(total > 0, scores / np.maximum(total, 1e-30), 1 / len(present))
    entropy = -(shares * np.log(shares + 1e-30)).sum(1) / np.log(len(present))
    return present[shares.argmax(1)], np.clip(1 - entropy, 0.0, 1.0)


def _graph(features: np.ndarray) -> sparse.csr_array:
    """Return the normalised weights (n, n) between each row and its nearest ones by cosine of centred features."""
    x = features - features.mean(0)
    x = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12)
    similarity = x @ x.T
    np.fill_diagonal(similarity, -1.0)
    count = min(NEIGHBOURS, len(x) - 1)
    near = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    weights = np.maximum(np.take_along_axis(similarity, near, 1), 0.0).astype(np.float64) ** POWER
    rows = np.repeat(np.arange(len(x)), count)
    one_way = sparse.csr_array((weights.ravel(), (rows, near.ravel())), shape=(len(x), len(x)))
    both = one_way + one_way.T
    scale = sparse.diags_array(1 / np.sqrt(both.sum(1) + 1e-12))
    return (scale @ both @ scale).tocsr()
