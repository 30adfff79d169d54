"""Fit the prior of `autotl.search.belief` to recorded trainings by maximum likelihood. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from autotl.ranking import screening
from autotl.records import Depth
from autotl.search import belief
from autotl.search.planner import DEPTHS
from benchmarks.regret.space import FROZEN, Space

LEAST_ERROR = 0.05  # of a set's best linear probe: below it there is nothing for a fine-tuning to remove
WIDE = 0.01  # precision of the weights before anything was seen: hardly any
CENTRE, PULL = (
    -2.0,
    0.02,
)  # of the deviations' logarithms: nine sets are few, and a penalty keeps them from nought


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """What a set's fine-tunings reached: one row a cell."""

    recipes: tuple[belief.Recipe, ...]
    features: np.ndarray  # (n, weights): one-hot depth, own lead of the linear probe, lead of the prior
    gained: np.ndarray  # (n,) `r` on the test images
    noise: float  # its variance from these images being few


def learnt_from(spaces: Sequence[Space]) -> belief.Learnt:
    """The weights and deviations that make what these sets show most likely, the weights integrated out."""
    tables = [table for space in spaces if (table := _table(space)) is not None]
    if not tables:
        return belief.LEARNT
    found = minimize(
        lambda logs: _fit(tables, logs)[0],
        np.full(4, CENTRE),
        method="Nelder-Mead",
        options={"maxiter": 400, "xatol": 0.01, "fatol": 0.01},
    )
    weights = _fit(tables, found.x)[1]
    data, depth, backbone, recipe = np.exp(found.x).round(4).tolist()
    return belief.Learnt(
        mean={name: round(float(weight), 4) for name, weight in zip(DEPTHS, weights, strict=False)},
        slope=round(float(weights[-2]), 4),
        lead=round(float(weights[-1]), 4),
        data=data,
        depth=depth,
        backbone=backbone,
        recipe=recipe,
    )


def _table(space: Space) -> Table | None:
    """None for a set whose linear probes leave hardly any error."""
    linear = {name: space.scores[name][max(space.scores[name])].values["linear"] for name in space.backbones}
    level = max(linear.values())
    error = 1 - level
    if error < LEAST_ERROR:
        return None
    cells = [(place, cell) for place, cell in enumerate(space.cells) if cell.recipe[1] != FROZEN[0]]
    recipes = tuple(
        belief.Recipe(
            candidate=cell.candidate,
            base=linear[cell.candidate.backbone],
            prior=screening.prior(space.specs[cell.candidate.backbone]),
        )
        for _, cell in cells
    )
    right = space.right.mean(1)
    return Table(
        recipes=recipes,
        features=np.array(
            [
                [
                    *_one_hot(recipe.candidate.unfreeze),
                    (recipe.base - level) / error,
                    (recipe.prior or 0.0) - belief.USUAL_PRIOR,
                ]
                for recipe in recipes
            ]
        ),
        gained=np.array([(right[place] - level) / error for place, _ in cells]),
        noise=level * error / space.right.shape[1] / error**2,
    )


def _one_hot(depth: Depth) -> list[float]:
    return [float(depth == other) for other in DEPTHS]


def _fit(tables: Sequence[Table], logs: np.ndarray) -> tuple[float, np.ndarray]:
    """Negative log likelihood with the weights integrated out, and the weights."""
    data, depth, backbone, recipe = np.exp(logs)
    learnt = belief.Learnt(
        mean={}, slope=0.0, lead=0.0, data=data, depth=depth, backbone=backbone, recipe=recipe
    )
    width = tables[0].features.shape[1]
    precision, moment, total = (
        WIDE * np.eye(width),
        np.zeros(width),
        PULL * float(np.sum((logs - CENTRE) ** 2)),
    )
    for table in tables:
        covariance = belief.kernel(table.recipes, table.recipes, learnt)
        root = cholesky(covariance + table.noise * np.eye(len(table.gained)), lower=True)
        solved = cho_solve((root, True), np.column_stack([table.features, table.gained]))
        precision += table.features.T @ solved[:, :-1]
        moment += table.features.T @ solved[:, -1]
        total += 0.5 * float(table.gained @ solved[:, -1]) + float(np.log(np.diag(root)).sum())
    weights = np.linalg.solve(precision, moment)
    total += 0.5 * float(np.linalg.slogdet(precision)[1] - moment @ weights)
    return total, weights
