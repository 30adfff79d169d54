"""The transferability scores that come with autotl: numbers from features and labels, without training.

Each takes a `ScoreCall` and returns a float; higher is better. Scores that need classes decline other kinds of target by
`Score.targets`. Rows of one fold are predicted from the other folds, so that a group, which is in one fold, is never
predicted from itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from autotl import hardware
from autotl.hookspecs import hookimpl
from autotl.protocols import ScoreCall
from autotl.records import Score, TargetName
from autotl.stats import merits, ridge, values
from autotl.stats.ridge import standardise

EVERY: tuple[TargetName, ...] = ("multiclass", "multilabel", "regression")
SCORES = (
    Score(
        name="linear",
        summary="cross-validated score of ridge regression on the labels (closed form)",
        compute="autotl.builtin.scores:linear",
        targets=EVERY,
    ),
    Score(
        name="knn",
        summary="cross-validated score of nearest neighbours by cosine similarity",
        compute="autotl.builtin.scores:knn",
        targets=EVERY,
    ),
    Score(
        name="logme",
        summary="log maximum evidence of a Bayesian linear model (You et al., ICML 2021)",
        compute="autotl.builtin.scores:logme",
        targets=EVERY,
    ),
    Score(
        name="hscore",
        summary="H-score with shrunk covariance (Ibrahim et al., ECML PKDD 2022)",
        compute="autotl.builtin.scores:hscore",
        proposed=False,
    ),
    Score(
        name="nleep",
        summary="log likelihood of labels given Gaussian clusters of features (Li et al., CVPR 2021)",
        compute="autotl.builtin.scores:nleep",
        proposed=False,
    ),
    Score(
        name="source_head",
        summary="certainty of the backbone's own classifier on these images, without labels",
        compute="autotl.builtin.scores:source_head",
        needs_logits=True,
        targets=EVERY,
    ),
)

NEIGHBOURS = 5
ENERGY = 0.8  # share of the variance that the principal components of N-LEEP keep, as in its paper
CLUSTERS = 5  # Gaussians a class, as in its paper; fewer where a Gaussian would have less than...
CLUSTER_ROWS = 4  # ...so many rows


@hookimpl
def register_scores() -> tuple[Score, ...]:
    return SCORES


def linear(call: ScoreCall) -> float:
    """Return the accuracy of ridge regression on one-hot labels, each fold predicted by the others, best penalty.

    Of numbers it is R², of sets of labels the mean average precision.
    """
    return _score(call.labels, linear_answers(call))


def linear_answers(call: ScoreCall) -> np.ndarray:
    """Return the predictions that `linear` scores, in the form of the labels; of label sets a table of numbers."""
    features, labels, folds = call.features, call.labels, call.folds
    kind = values.of(labels)
    if isinstance(kind, values.Classes):
        tables = ridge.left_out(standardise(features), labels, folds)
    else:
        aims = kind.targets(labels, 1)
        usual = aims.mean(0)
        left_out = ridge.left_out_targets(standardise(features), aims - usual, folds)
        tables = [table + usual for table in left_out]
    return max(map(kind.answers, tables), key=lambda answers: _score(labels, answers))


def knn(call: ScoreCall) -> float:
    """Return the accuracy of a vote of the 5 nearest neighbours outside the row's own fold, weighted by similarity.

    Of numbers it is R², of sets of labels the mean average precision, by their weighted mean.
    """
    labels, folds = call.labels, call.folds
    kind = values.of(labels)
    x = call.features.astype(np.float32)
    x = x - x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    similarity = x @ x.T
    similarity[folds[:, None] == folds[None, :]] = -np.inf
    near = np.argpartition(-similarity, min(NEIGHBOURS, len(x) - 1), axis=1)[:, :NEIGHBOURS]
    weight = np.exp(np.take_along_axis(similarity, near, 1) / 0.1)
    if not isinstance(kind, values.Classes):
        shares = weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)
        return _score(labels, kind.answers((shares[:, :, None] * kind.targets(labels, 1)[near]).sum(1)))
    votes = np.zeros((len(x), int(labels.max()) + 1), np.float64)
    for column in range(near.shape[1]):
        votes[np.arange(len(x)), labels[near[:, column]]] += weight[:, column]
    return _score(labels, votes.argmax(1))


def _score(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return accuracy, R² or mean average precision, not below 0: what is worse than a constant has learned nothing."""
    if isinstance(values.of(labels), values.Classes):
        return float(np.mean(predicted == labels))
    of_kind = merits.mean_average_precision if labels.ndim == 2 else merits.r2
    return max(0.0, float(of_kind(labels, predicted).mean()))


def logme(call: ScoreCall) -> float:
    """Return the mean over classes of the maximised log evidence per row of y = Fw + noise, w ~ N(0, I/alpha).

    You, Liu, Wang, Long: LogME, ICML 2021 (fixed-point iteration of alpha and beta on the spectrum of
    F'F). Unlike the others it is no accuracy: compare its values within one data set only. Sets of labels have one y a
    class; numbers are one y, standardised.
    """
    f = call.features.astype(np.float64)
    n, d = f.shape
    u, s, _ = np.linalg.svd(f, full_matrices=False)
    spectrum = s**2
    evidences = []
    for y in _regressands(call.labels):
        z2 = (u.T @ y) ** 2
        rest = max(float(y @ y - z2.sum()), 0.0)
        alpha, beta = 1.0, 1.0
        for _ in range(50):
            before = alpha / beta
            shrink = alpha + beta * spectrum
            gamma = float(np.sum(beta * spectrum / shrink))
            m2 = float(np.sum(beta**2 * spectrum * z2 / shrink**2))
            residual = float(np.sum(z2 * (alpha / shrink) ** 2)) + rest
            alpha = gamma / (m2 + 1e-12)
            beta = (n - gamma) / (residual + 1e-12)
            if abs(alpha / beta - before) < 1e-4 * before:
                break
        shrink = alpha + beta * spectrum
        m2 = float(np.sum(beta**2 * spectrum * z2 / shrink**2))
        residual = float(np.sum(z2 * (alpha / shrink) ** 2)) + rest
        evidence = (
            d * np.log(alpha)
            + n * np.log(beta)
            - np.log(shrink).sum()
            - (d - len(s)) * np.log(alpha)
            - beta * residual
            - alpha * m2
            - n * np.log(2 * np.pi)
        ) / 2
        evidences.append(evidence / n)
    return float(np.mean(evidences))


def _regressands(labels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what LogME fits: each class against the rest, or the standardised numbers."""
    kind = values.of(labels)
    if isinstance(kind, values.Numbers):
        yield standardise(labels[:, None])[:, 0]
    elif isinstance(kind, values.LabelSets):
        yield from labels.T[labels.any(0)].astype(np.float64)
    else:
        for label in np.unique(labels):
            yield (labels == label).astype(np.float64)


def hscore(call: ScoreCall) -> float:
    """Return the variance between classes, in units of the variance of the features: tr(cov(f)^-1 cov(E[f|y])).

    Ibrahim, Ponomareva, Mazumder: Newer is not always better, ECML PKDD 2022: both covariances shrunk by the
    intensity of Ledoit and Wolf, without which the score is useless where features outnumber images. At most
    the number of classes less one; compare its values within one data set only.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    x, labels = call.features.astype(np.float64), call.labels
    x -= x.mean(0)
    n, d = x.shape
    shrinkage = float(ledoit_wolf_shrinkage(x, assume_centered=True))
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    spectrum = (1 - shrinkage) * s**2 / n + shrinkage * float(np.sum(s**2)) / (n * d)
    if spectrum[0] <= 0:  # constant features
        return 0.0
    total = 0.0
    for label in np.unique(labels):
        rows = labels == label
        mean = u[rows].mean(0) * s  # of the class, in the basis of the principal axes
        total += rows.mean() * float(np.sum(mean**2 / spectrum))
    return (1 - shrinkage) * total


def nleep(call: ScoreCall) -> float:
    """Return the mean log likelihood of each label under the class frequencies of the row's Gaussian clusters.

    Li, Jia, Sun, Gong, Zhao, Xia, Luo, Yuille, Yang: Ranking neural checkpoints, CVPR 2021: LEEP (Nguyen et
    al., ICML 2020) with a mixture of Gaussians on the principal components in the place of the source
    classifier, so that any backbone has one. Here the clusters of a row are named by the rows of other folds
    (with one row of every class added to each cluster), since a cluster of one row knows its own label.
    """
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    x = call.features.astype(np.float64)
    x -= x.mean(0)
    x = PCA(svd_solver="full").fit(x).transform(x) if x.any() else x[:, :1]
    variance = x.var(0)
    kept = np.searchsorted(np.cumsum(variance), ENERGY * variance.sum()) + 1
    # Clusters begin from seeds drawn among the rows: in an order of their own, whatever order they came in.
    order = np.argsort(x[:, 0], kind="stable")
    x, labels, folds = x[order][:, :kept], call.labels[order], call.folds[order]
    _, targets = np.unique(labels, return_inverse=True)
    classes = int(targets.max()) + 1
    mixture = GaussianMixture(
        max(1, min(CLUSTERS * classes, len(x) // CLUSTER_ROWS)),
        covariance_type="diag",
        reg_covar=1e-3 * max(float(variance.mean()), 1e-12),
        max_iter=50,
        random_state=0,
    )
    with warnings.catch_warnings(), hardware.one_thread():  # of libraries that were loaded above
        warnings.simplefilter("ignore")  # as well as it is after 50 steps, or on rows that are all alike
        clusters = mixture.fit(x).predict_proba(x)
    one_hot = np.eye(classes)[targets]
    prior = one_hot.mean(0)
    likelihood = 0.0
    for fold in np.unique(folds):
        out = folds == fold
        joint = clusters[~out].T @ one_hot[~out] + prior
        of_class = joint / joint.sum(1, keepdims=True)
        answers = clusters[out] @ of_class
        likelihood += float(np.log(answers[np.arange(out.sum()), targets[out]]).sum())
    return likelihood / len(x)


def source_head(call: ScoreCall) -> float:
    """Return the certainty of the source classifier, 0 to 1: mean over images of 1 - H(p) / log S for its S classes.

    It needs neither labels nor images of the source, so it stands in where there is no reference to measure a
    similarity by. Confidence falls on inputs unlike the source's (Hendrycks and Gimpel, ICLR 2017), but how sure
    a network is in general differs by network: it is shown beside the backbone, and weighs nothing in the ranking.
    Raises `ValueError` without logits (n, S) of at least two classes.
    """
    logits = call.logits
    if logits is None or logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError("the certainty of a source's classifier needs its logits for two or more classes")
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    entropy = -(np.exp(log_p) * log_p).sum(1)
    return float(1 - entropy.mean() / np.log(logits.shape[1]))
