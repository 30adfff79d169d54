"""What fine-tuning brings over a frozen head, before anything was fine-tuned and after some of it was. numpy alone.

Written as ``r``, how far six epochs of fine-tuning come above the best frozen head of a run, as a share of the
error that this head leaves. Of a recipe on backbone b, trained at depth d, on one data set,

    r = mean(d) + slope · (its own frozen head − the best) / error + lead · (published accuracy − usual)
        + what is particular to the data + to d on them + to b on them + to the way it is trained + to the recipe

and what is particular is normal about zero. The numbers were learnt by maximum likelihood from recorded trainings
(`python -m benchmarks.regret learn`). Given some probes, what remains unknown of all other recipes follows as in
Gaussian process regression (Rasmussen and Williams 2006, equations 2.23 and 2.24).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotl.records import Candidate, Depth

__all__ = [
    "LEARNT",
    "Learnt",
    "Recipe",
    "Seen",
    "draws",
    "grown",
    "kernel",
    "posterior",
    "sampling_variance",
    "scores",
    "share",
    "start",
]

HALF_WAY = 6.0  # epochs after which some two thirds of what fine-tuning brings is there
USUAL_PRIOR = 0.5  # that the lead of published accuracy is counted from
LEAST_ERROR = 0.01  # below it there is nothing to gain
WAY = 0.05  # deviation between strategies and between learning rates, which were not recorded: a guess
SMALLER = 0.03  # accuracy that half the input size costs a fine-tuning; a linear probe it costs more
LEAST_SPREAD = 0.02  # of right and wrong, in a variance
TINY = 1e-6  # on the diagonal of a covariance, so that its root exists
TOGETHER = 0.2  # correlation of these errors between two fine-tunings, less what they share with their heads: measured
LOSS = -0.25  # share of the error that a training must add to be called a failure, and that one says at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What recorded trainings taught; deviations are those of a normal distribution about zero."""

    mean: Mapping[Depth, float]
    slope: float  # how much of a frozen head's lead is kept
    lead: float  # of published accuracy
    data: float
    depth: float
    backbone: float
    recipe: float


LEARNT = Learnt(
    mean={1: 0.021, 2: 0.076, "all": 0.064},
    slope=0.807,
    lead=0.565,
    data=0.145,
    depth=0.045,
    backbone=0.151,
    recipe=0.043,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A fine-tuning that could be tried, and what is known of its backbone on these data."""

    candidate: Candidate
    base: float  # score of the frozen head it starts from
    prior: float | None = (
        None  # what the backbone promises on any data: published accuracy or a guess (`rank.prior`)
    )
    recoverable: float = 0.0  # share of the frozen head's error that earlier layer groups would not make


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a probe showed of a recipe: `r`, with the variance that few selection images leave it.

    Of a training that failed, `value` is how little of that is said of others; it itself is taken to have `score`.
    """

    recipe: Recipe
    score: float
    value: float
    variance: float
    failed: bool = False  # it learnt nothing: the same network may learn by another strategy


def start(arm: tuple[str, int], linear: Mapping[tuple[str, int], float]) -> float:
    """Where a fine-tuning of a backbone at a size starts from, by the scores of frozen heads by backbone and size.

    Its own frozen head, or that of a larger input less a little: a smaller input costs features that were learnt
    at a larger one more than it costs a network that is trained at the smaller one.
    """
    backbone, size = arm
    larger = [
        score - SMALLER * math.log2(other / size)
        for (name, other), score in linear.items()
        if name == backbone and other > size
    ]
    return max([linear[arm], *larger])


def grown(epochs: float) -> float:
    """What so many epochs bring of fine-tuning, in units of what six do."""
    return (1 - math.exp(-epochs / HALF_WAY)) / (1 - math.exp(-6 / HALF_WAY))


def scores(recipe: Recipe, level: float, epochs: float, value: np.ndarray | float) -> np.ndarray | float:
    """Scores of a recipe trained for `epochs` at values of `r`; `level` is the best frozen head's score."""
    return recipe.base + grown(epochs) * (_error(level) * value - (recipe.base - level))


def share(recipe: Recipe, level: float, epochs: float, score: float, variance: float) -> Seen:
    """What a training for `epochs` that reached `score`, give or take `variance`, says of `r`."""
    unit = _error(level) * grown(max(epochs, 1.0))
    lost = LOSS * max(1 - recipe.base, LEAST_ERROR)
    gained = score - recipe.base
    return Seen(
        recipe=recipe,
        score=score,
        value=(max(lost, gained) / grown(max(epochs, 1.0)) + recipe.base - level) / _error(level),
        variance=variance / unit**2,
        failed=gained <= lost,
    )


def posterior(
    recipes: Sequence[Recipe], level: float, seen: Sequence[Seen], learnt: Learnt | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n,) and covariance (n, n) of the recipes' `r`, given what was seen.

    Probes that failed speak of recipes of their own strategy alone.
    """
    learnt = learnt or LEARNT
    mean = np.array([_expected(recipe, level, learnt) for recipe in recipes])
    covariance = kernel(recipes, recipes, learnt)
    strategies = np.array([recipe.candidate.strategy for recipe in recipes])
    failed = {each.recipe.candidate.strategy for each in seen if each.failed}
    blocks = [strategies == name for name in sorted(failed)] + [~np.isin(strategies, sorted(failed))]
    for block in (np.flatnonzero(chosen) for chosen in blocks if chosen.any()):
        here = [recipes[place] for place in block.tolist()]
        told = [s for s in seen if not s.failed or s.recipe.candidate.strategy == here[0].candidate.strategy]
        if not told:
            continue
        known = [each.recipe for each in told]
        between = kernel(here, known, learnt)
        among = kernel(known, known, learnt) + _noise([each.variance for each in told])
        surprise = np.array([each.value - _expected(each.recipe, level, learnt) for each in told])
        mean[block] += between @ np.linalg.solve(among, surprise)
        within = covariance[np.ix_(block, block)] - between @ np.linalg.solve(among, between.T)
        covariance[block, :] = covariance[:, block] = 0.0  # what ties strategies together is small by now
        covariance[np.ix_(block, block)] = within
    return mean, covariance


def sampling_variance(score: np.ndarray | float, rows: int) -> np.ndarray:
    """Variance of a share of `rows` images that is `score` in expectation; no less than where a few are wrong.

    `score` is a number or (n,); so is what is answered. A hundred images that are all answered rightly prove little.
    """
    share = np.clip(score, 0, 1)
    return np.asarray(np.maximum(share * (1 - share), LEAST_SPREAD) / max(rows, 1))


def _noise(variances: Sequence[float]) -> np.ndarray:
    """Covariance (n, n) of what the selection images get wrong: they are the same for every probe."""
    deviations = np.sqrt(variances)
    together = TOGETHER + (1 - TOGETHER) * np.eye(len(deviations))
    return np.asarray(np.outer(deviations, deviations) * together)


def draws(covariance: np.ndarray, number: int, generator: np.random.Generator) -> np.ndarray:
    """Draws (number, n) of what recipes' `r` may differ from its mean."""
    root = np.linalg.cholesky(covariance + TINY * np.eye(len(covariance)))
    return np.asarray(generator.standard_normal((number, len(covariance))) @ root.T)


def _expected(recipe: Recipe, level: float, learnt: Learnt) -> float:
    """`r` before anything was seen.

    Training all groups above the depth that tells the labels best can do at least what a frozen head does
    at that depth.
    """
    lead = 0.0 if recipe.prior is None else recipe.prior - USUAL_PRIOR
    usual = learnt.mean.get(recipe.candidate.unfreeze, max(learnt.mean.values()))
    own = learnt.slope * (recipe.base - level) / _error(level)
    regained = recipe.recoverable * (1 - recipe.base) / _error(level)
    return usual + own + learnt.lead * lead + regained


def kernel(ones: Sequence[Recipe], others: Sequence[Recipe], learnt: Learnt) -> np.ndarray:
    """Covariance (n, m) of what is particular to recipes: the more they have in common, the more of it."""

    def same(part: str) -> np.ndarray:
        first, second = ([_part(recipe.candidate, part) for recipe in some] for some in (ones, others))
        code = {key: number for number, key in enumerate(dict.fromkeys([*first, *second]))}
        a, b = (np.array([code[key] for key in keys]) for keys in (first, second))
        return np.asarray(a[:, None] == b[None, :], float)

    return np.asarray(
        learnt.data**2
        + learnt.depth**2 * same("depth")
        + learnt.backbone**2 * same("backbone")
        + WAY**2 * same("way")
        + learnt.recipe**2 * same("recipe")
    )


def _part(candidate: Candidate, part: str) -> object:
    if part == "depth":
        return candidate.unfreeze
    if part == "backbone":
        return candidate.backbone
    if part == "way":
        return candidate.strategy, candidate.hyper
    return candidate.id


def _error(level: float) -> float:
    return max(1 - level, LEAST_ERROR)
