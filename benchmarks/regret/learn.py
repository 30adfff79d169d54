"""Fit the numbers of `autotl.search.prior` to recorded trainings by maximum likelihood. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from autotl.ranking import screening
from autotl.records import Candidate, Depth
from autotl.search import prior
from autotl.search.recipe import DEPTHS
from benchmarks.regret.space import FROZEN, LENGTH, Space

LEAST_ERROR = 0.05  # of a set's best linear probe: below it there is nothing for a fine-tuning to remove
WIDE = 0.01  # precision of the weights before any data: hardly any
# Of the deviations' logarithms: nine sets are few, and a penalty keeps them from nought.
CENTRE, PULL = -1.0, 0.02


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A set's fine-tunings: one row a cell."""

    candidates: tuple[Candidate, ...]
    features: (
        np.ndarray
    )  # (n, weights): one-hot depth, from the head, own lead of the linear probe, lead of published accuracy
    gained: np.ndarray  # (n,) logits above the level, on the test images
    noise: np.ndarray  # (n,) variance of that from these images being few


def fitted_to(spaces: Sequence[Space]) -> prior.Prior:
    """Return the weights and deviations of largest likelihood on these sets, the weights integrated out."""
    tables = [table for space in spaces if (table := _table(space)) is not None]
    if not tables:
        return prior.FITTED
    best = minimize(
        lambda logs: _fit(tables, logs)[0],
        np.full(3, CENTRE),
        method="Nelder-Mead",
        options={"maxiter": 400, "xatol": 0.01, "fatol": 0.01},
    )
    weights = _fit(tables, best.x)[1]
    depth, backbone, recipe = np.exp(best.x).round(4).tolist()
    return prior.Prior(
        mean={name: round(float(weight), 4) for name, weight in zip(DEPTHS, weights, strict=False)},
        from_head=round(float(weights[-3]), 4),
        slope=round(float(weights[-2]), 4),
        lead=round(float(weights[-1]), 4),
        data=prior.DATA,
        depth=depth,
        backbone=backbone,
        recipe=recipe,
    )


def _table(space: Space) -> Table | None:
    """Return the table of a set; None where its linear probes leave hardly any error."""
    linear = {name: space.scores[name][max(space.scores[name])].values["linear"] for name in space.backbones}
    level = max(linear.values())
    if 1 - level < LEAST_ERROR:
        return None
    cells = [(place, cell) for place, cell in enumerate(space.cells) if cell.recipe[1] != FROZEN[0]]
    # The prior's numbers are of trainings of the usual length.
    usual = [cell.tested[0.0 if cell.frozen else LENGTH] for cell in space.cells]
    measured = np.array([prior.empirical(float(right.mean()), len(right)) for right in usual])
    places = [place for place, _ in cells]
    return Table(
        candidates=tuple(cell.candidate for _, cell in cells),
        features=np.array(
            [
                [
                    *_one_hot(cell.candidate.unfreeze),
                    float(cell.candidate.strategy in prior.FROM_HEAD),
                    prior.logit(linear[cell.candidate.backbone]) - prior.logit(level),
                    screening.prior(space.specs[cell.candidate.backbone]) - prior.USUAL_PRIOR,
                ]
                for _, cell in cells
            ]
        ),
        gained=measured[places, 0] - prior.logit(level),
        noise=measured[places, 1] * (1 - prior.OTHERS),  # what all share is the data's
    )


def _one_hot(depth: Depth) -> list[float]:
    return [float(depth == one) for one in DEPTHS]


def _fit(tables: Sequence[Table], logs: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the negative log likelihood with the weights integrated out, and the weights."""
    depth, backbone, recipe = np.exp(logs)
    numbers = prior.Prior(
        mean={},
        from_head=0.0,
        slope=0.0,
        lead=0.0,
        data=prior.DATA,
        depth=depth,
        backbone=backbone,
        recipe=recipe,
    )
    width = tables[0].features.shape[1]
    precision, moment, total = (
        WIDE * np.eye(width),
        np.zeros(width),
        PULL * float(np.sum((logs - CENTRE) ** 2)),
    )
    for table in tables:
        forms = prior.matrix([prior.particular(candidate, numbers) for candidate in table.candidates])
        covariance = forms @ forms.T + np.diag(table.noise)
        root = cholesky(covariance, lower=True)
        solved = cho_solve((root, True), np.column_stack([table.features, table.gained]))
        precision += table.features.T @ solved[:, :-1]
        moment += table.features.T @ solved[:, -1]
        total += 0.5 * float(table.gained @ solved[:, -1]) + float(np.log(np.diag(root)).sum())
    weights = np.linalg.solve(precision, moment)
    total += 0.5 * float(np.linalg.slogdet(precision)[1] - moment @ weights)
    return total, weights
