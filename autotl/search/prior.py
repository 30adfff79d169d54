"""The prior of what recipes score, before anything is trained, on the logit scale. numpy alone.

The latent score of a recipe is the logit of its accuracy. Of a recipe on backbone b, trained at depth d for six
epochs on one data set,

    z = level + slope · (its own frozen head − level) + mean(d) + lead · (published accuracy − usual)
        + what is particular to the data + to d on them + to b on them + to the way it is trained + to the recipe

where `level` is the best frozen head of the ranking, and what is particular is normal about zero. The numbers are
fitted by maximum likelihood to recorded trainings (`python -m benchmarks.regret learn`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotl.records import Candidate, Depth, Ranked

__all__ = [
    "FITTED",
    "Form",
    "Prior",
    "correlation",
    "empirical",
    "grown",
    "logit",
    "longer",
    "matrix",
    "particular",
    "sigmoid",
    "usual",
]

HALF_WAY = 3.0  # epochs after which some two thirds of what fine-tuning brings is there
USUAL_PRIOR = 0.5  # published accuracy that its lead is counted from
SAME_RECIPE, SAME_BACKBONE, OTHERS = 0.55, 0.5, 0.4  # correlation of hits, median on the recorded sets
DATA = 0.25  # deviation between data sets. Most gain little and a few 1.4 logits: the likelihood of a normal prior is
# largest at 0.1, which no single probe moves; this one lets the first fine-tuning show what the data have to gain
# How much of it a depth takes part in: what data have to gain shows little where the last layer group alone trains.
# First principal component of the mean gains by depth over the recorded sets.
LOADING: Mapping[Depth, float] = {1: 0.3, 2: 0.95, "all": 1.0}
# And how much of that a strategy does that starts from the linear probe's head, at a lower rate: it gains less where
# fine-tuning gains much, and loses less where that loses. Over the recorded sets its mean gain is 0.69 (all layer
# groups) and 0.82 (the last two) times that of `fine_tune`, less 0.08, within 0.09 logits.
FROM_HEAD: Mapping[str, float] = {"lp_ft": 0.75}
# What twice as many epochs bring beyond six, and its deviations between data sets and between recipes: from ten
# trainings of 18 epochs on five sets.
LONGER, LONGER_DATA, LONGER_OWN = 0.12, 0.12, 0.1
# Deviation between strategies and between learning rates. Between `lp_ft` and `fine_tune` it is below 0.1 for each of
# the two, once what the data have to gain is taken off (`FROM_HEAD`); of learning rates it is a guess.
WAY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """The numbers of the model; deviations are those of a normal distribution about zero, in logits."""

    mean: Mapping[Depth, float]
    from_head: float  # of a training that starts from the linear probe's head, beside that
    slope: float  # how much of a frozen head's lead is kept
    lead: float  # of published accuracy
    data: float
    depth: float
    backbone: float
    recipe: float


FITTED = Prior(
    mean={1: -0.0356, 2: 0.0411, "all": 0.047},
    from_head=-0.0373,
    slope=0.6991,
    lead=0.8933,
    data=DATA,
    depth=0.007,
    backbone=0.2055,
    recipe=0.0895,
)


@dataclass(frozen=True, slots=True)
class Form:
    """A latent score as a constant and a weighted sum of independent standard normal variables, by name."""

    constant: float
    weights: Mapping[str, float]

    def __add__(self, other: Form) -> Form:
        weights = dict(self.weights)
        for name, weight in other.weights.items():
            weights[name] = weights.get(name, 0.0) + weight
        return Form(self.constant + other.constant, weights)

    def times(self, factor: float) -> Form:
        """Return the form, scaled."""
        return Form(self.constant * factor, {name: weight * factor for name, weight in self.weights.items()})


def matrix(forms: Sequence[Form]) -> np.ndarray:
    """Return the weights (n, k) of forms on all variables that occur in them."""
    names = dict.fromkeys(name for form in forms for name in form.weights)
    place = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(forms), len(place)))
    for row, form in enumerate(forms):
        for name, weight in form.weights.items():
            table[row, place[name]] = weight
    return table


def particular(candidate: Candidate, prior: Prior) -> Form:
    """Return what is particular to a fine-tuning: the more two have in common, the more of it they share."""
    way = "&".join((candidate.strategy, *(f"{name}={value}" for name, value in candidate.hyper)))
    share = LOADING.get(candidate.unfreeze, 1.0) * FROM_HEAD.get(candidate.strategy, 1.0)
    return Form(
        0.0,
        {
            "data": prior.data * share,
            f"depth {candidate.unfreeze}": prior.depth,
            f"backbone {candidate.backbone}": prior.backbone,
            f"way {way}": WAY,
            f"recipe {candidate.id}": prior.recipe,
        },
    )


def longer(candidate: Candidate, doublings: float, scale: float) -> Form:
    """Return what a training gains that is longer than six epochs, by so many doublings; `scale` is of its deviations."""
    return Form(
        LONGER * doublings,
        {
            "longer": scale * LONGER_DATA * doublings,
            f"longer {candidate.id}": scale * LONGER_OWN * doublings,
        },
    )


def usual(candidate: Candidate, entry: Ranked, prior: Prior) -> float:
    """Return how far above the level a fine-tuning is expected to come, its frozen head aside."""
    lead = 0.0 if entry.prior is None else entry.prior - USUAL_PRIOR
    mean = prior.mean.get(candidate.unfreeze, max(prior.mean.values(), default=0.0))
    return mean + (prior.from_head if candidate.strategy in FROM_HEAD else 0.0) + prior.lead * lead


def grown(epochs: float) -> float:
    """Return what so many epochs bring of fine-tuning, in units of what six do."""
    return (1 - math.exp(-epochs / HALF_WAY)) / (1 - math.exp(-6 / HALF_WAY))


def empirical(score: float, rows: float) -> tuple[float, float]:
    """Return the empirical logit of a share of `rows` images, and its variance.

    With half an image added on either side, so that 0 and 1 stay finite (Cox and Snell 1989, section 2.1).
    """
    right, wrong = rows * score + 0.5, rows * (1 - score) + 0.5
    return math.log(right / wrong), 1 / right + 1 / wrong


def correlation(one: Candidate, other: Candidate) -> float:
    """Return the usual correlation of two recipes' hits on the same images."""
    if one == other:
        return SAME_RECIPE
    return SAME_BACKBONE if one.backbone == other.backbone else OTHERS


def logit(share: float) -> float:
    """Return the logit, finite: shares are kept within 0.001 and 0.999."""
    share = min(max(share, 0.001), 0.999)
    return math.log(share / (1 - share))


def sigmoid(value: np.ndarray | float) -> np.ndarray:
    """Return the inverse of the logit."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(value, float))))
