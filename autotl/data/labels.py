"""Labels that are probably wrong, by confident learning on out-of-fold probabilities of frozen features. numpy only.

Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021, arXiv 1911.00068): an image is likely to be of another
class where its probability of that class is near the mean of the images that bear that label. How far this can be
trusted is measured on the same images: wrong labels are planted, and those that are found again are counted. How sure
the classifier is of planted ones tells how many of the listed ones can be wrong, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.stats import ridge
from autotl.stats.folds import folds_for

FEWEST = 60  # images, below which nothing is concluded
FEWEST_OF_CLASS = 5  # images of a class that another image may be said to belong to
PENALTIES = (1, 2, 3)  # of `ridge.PENALTIES`
TEMPERATURES = np.geomspace(0.02, 1.0, 14)  # by which scores become probabilities
FLOOR = 1e-3  # of a probability in the log loss: one wrong label decides no temperature
CONFIDENT = 0.8  # of the mean: with few images half of a class lies below it
PLANTED = 0.05  # share of the labels that are replaced to measure how many are found
DRAWS = 3
MARGINS = np.arange(0.3, 0.99, 0.04)  # of the likelier class over the label, from which an image is listed
RECALL = 0.7  # share of the planted labels that must be found, else the features do not separate the classes,
PRECISION = 0.7  # and estimated share of wrong labels among those that are listed
COMPARED = 0.3  # share of the planted labels above a margin, with less of which it tells nothing of how many are wrong
MOST_WRONG = 0.15  # of all labels; an estimate beyond shows classes that overlap, not slips


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suspects:
    """Images whose label is probably wrong, the likeliest first."""

    places: np.ndarray  # (k,) places among the images that were examined
    likelier: np.ndarray  # (k,) class index
    probability: np.ndarray  # (k,) of the likelier class, out-of-fold
    precision: float  # estimated share of wrong labels among the listed ones
    recall: float  # share of planted labels that were listed
    planted: float  # share of labels that were planted


def suspects(
    features: np.ndarray, labels: np.ndarray, group: np.ndarray | None = None, *, seed: int = 0
) -> Suspects | None:
    """Return the images of features (n, d) whose label is probably wrong; rows of a group are judged by others.

    None where there are too few images, or where planted wrong labels are not found well enough to name any.
    """
    present, labels = np.unique(labels, return_inverse=True)
    if len(labels) < FEWEST or len(present) < 2:
        return None
    generator = np.random.default_rng(seed)
    noisy = [_planted(labels, len(present), generator) for _ in range(DRAWS)]
    variants = (labels, *(replaced for replaced, _ in noisy))
    # The folds may not depend on the labels: an image whose label is planted has the same neighbours in its fold.
    # Nor on the order: rows that come in turn, one of each class, would leave whole classes out.
    order = generator.permutation(len(labels))
    folds = np.empty(len(labels), np.int64)
    folds[order] = folds_for(np.zeros(len(labels), np.int64), None if group is None else group[order])
    probabilities = _out_of_fold(features, variants, len(present), folds)
    own, *others = [_Judged.of(proba, given) for proba, given in zip(probabilities, variants, strict=True)]
    leads = np.concatenate([each.lead[wrong] for each, (_, wrong) in zip(others, noisy, strict=True)])
    recalls = np.array([(leads > margin).mean() for margin in MARGINS])
    listed = np.array([(own.lead > margin).mean() for margin in MARGINS])
    trusted = first_trusted(recalls, listed)
    if trusted is None:
        return None
    number, precision = trusted
    places = np.flatnonzero(own.lead > MARGINS[number])
    places = places[np.argsort(-own.lead[places], kind="stable")]
    return Suspects(
        places=places,
        likelier=present[own.likelier[places]],
        probability=own.probability[places],
        precision=precision,
        recall=round(float(recalls[number]), 6),
        planted=PLANTED,
    )


def first_trusted(recalls: np.ndarray, listed: np.ndarray) -> tuple[int, float] | None:
    """Return the first limit from which a list can be trusted, and the estimated share of wrong labels in it.

    `recalls` (k,) are the shares of planted labels that are found by each limit, `listed` (k,) the shares of all images.
    None where no list can be trusted.
    """
    wrong = wrong_share(recalls, listed)
    if wrong > MOST_WRONG:
        return None
    for number, (recall, share) in enumerate(zip(recalls, listed, strict=True)):
        precision = min(1.0, wrong * recall / share) if share else 1.0
        if recall >= RECALL and precision >= PRECISION:
            return number, round(float(precision), 6)
    return None


def wrong_share(recalls: np.ndarray, listed: np.ndarray) -> float:
    """Return the largest share of wrong labels that the listed images allow, by margin; 1 where that cannot be said.

    Wrong labels are found above each margin at the rate of those that were planted, so no more can be wrong than listed
    / recall at any margin. That is the estimate of a mixture proportion (Elkan and Noto, KDD 2008) by the purest end.
    """
    compared = recalls >= COMPARED
    return float((listed[compared] / recalls[compared]).min()) if compared.any() else 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    likelier: np.ndarray  # (n,) class of those that an image may be of, its own included
    probability: np.ndarray  # (n,) of that class
    lead: np.ndarray  # (n,) its probability minus that of the label; -1 where the image may be of no class

    @classmethod
    def of(cls, proba: np.ndarray, labels: np.ndarray) -> _Judged:
        counts = np.bincount(labels, minlength=proba.shape[1])
        own = proba[np.arange(len(labels)), labels]
        usual = CONFIDENT * np.bincount(labels, own, proba.shape[1]) / np.maximum(counts, 1)
        usual[counts < FEWEST_OF_CLASS] = np.inf
        confident = np.where(proba >= usual, proba, -1.0)
        likelier = confident.argmax(1)
        probability = confident.max(1)
        lead = np.where((probability < 0) | (likelier == labels), -1.0, probability - own)
        return cls(likelier=likelier, probability=probability, lead=lead)

    def listed(self, margin: float) -> np.ndarray:
        return np.asarray(self.lead > margin)


def _planted(
    labels: np.ndarray, classes: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which some were replaced by another class, and which (n,) bool."""
    replaced, wrong = labels.copy(), np.zeros(len(labels), bool)
    rows = generator.permutation(len(labels))[: max(1, round(PLANTED * len(labels)))]
    replaced[rows] = (labels[rows] + generator.integers(1, classes, len(rows))) % classes
    wrong[rows] = True
    return replaced, wrong


def _out_of_fold(
    features: np.ndarray, variants: tuple[np.ndarray, ...], classes: int, folds: np.ndarray
) -> list[np.ndarray]:
    """Return probabilities (n, classes) of each variant of the labels, by a ridge regression on the other folds.

    All variants share its factorisation; penalty and temperature are those of the least log loss on the first.
    """
    one_hot = [np.eye(classes)[labels] for labels in variants]
    shares = [each.mean(0) for each in one_hot]
    targets = np.concatenate([each - share for each, share in zip(one_hot, shares, strict=True)], axis=1)
    answers = ridge.left_out_targets(ridge.standardise(features), targets, folds, PENALTIES)
    first = [answer[:, :classes] + shares[0] for answer in answers]
    chosen, temperature = min(
        ((number, t) for number in range(len(first)) for t in TEMPERATURES),
        key=lambda pair: _loss(first[pair[0]] / pair[1], variants[0]),
    )
    scores = np.split(answers[chosen], len(variants), axis=1)
    return [_softmax((score + share) / temperature) for score, share in zip(scores, shares, strict=True)]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    own = _softmax(logits)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, FLOOR)).mean())
