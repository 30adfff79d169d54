"""Conditioning of joint normal variables on what was observed of their weighted sums. No recipes, no clock, no files.

Every quantity is a constant and a weighted sum of independent standard normal variables (`autotl.search.prior.Form`),
so conditioning has a closed form (Rasmussen and Williams 2006, equation 2.23), and joint draws follow by Matheron's
rule (Wilson and others, JMLR 22, 2021). A sum holds a dozen of some thousand variables: weights are held as sparse
rows, and variables have numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_array

from autotl.search.prior import Form

__all__ = ["Conditions", "Posterior", "Row", "Table", "conditions", "numbered", "posterior", "table_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A form whose variables are numbers."""

    constant: float
    places: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Several forms: constants (n,) and weights (n, variables)."""

    constants: np.ndarray
    weights: Any  # a sparse array


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """What the observations show of the variables."""

    noise: np.ndarray  # (m, m) covariance of their errors
    surprise: np.ndarray  # (m,) observed less expected
    root: tuple[np.ndarray, bool]  # Cholesky factor of the covariance of `surprise`
    fit: float  # the surprise in units of that covariance
    places: np.ndarray  # (k,) variables that occur in the observations
    weights: np.ndarray  # (m, k) theirs

    @property
    def likelihood(self) -> float:
        """Return the logarithm of how likely the observations are, but for a constant."""
        return -0.5 * self.fit - float(np.log(np.diag(self.root[0])).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The variables given the observations."""

    conditions: Conditions
    mean: np.ndarray  # (k,) of the variables that occur in the observations
    explained: np.ndarray  # (k, m) whose rows' products are what their covariance is less than before
    drawn: dict[int, np.ndarray] = field(default_factory=dict)  # all variables, by number of draws

    def moments(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and deviation (n,) of the sums of a table."""
        mean, variance = table.constants, table.weights.power(2).sum(1)
        if len(self.conditions.surprise):
            own = table.weights[:, self.conditions.places]
            mean = mean + own @ self.mean
            variance = variance - ((own @ self.explained) ** 2).sum(1)
        return mean, np.sqrt(np.maximum(variance, 1e-8))

    def draws(self, names: Sequence[str], errors: Sequence[str], number: int) -> np.ndarray:
        """Return joint draws (variables, number) of the variables; one has the same draws in every call.

        `names` are those of the variables, `errors` (m,) those of the observations' errors.
        """
        drawn = self.drawn.get(number)
        if drawn is None:
            drawn = np.reshape([_standard(name, number) for name in names], (len(names), number))
            if errors:
                conditions, noise = self.conditions, [_standard(name, number) for name in errors]
                shown = conditions.weights @ drawn[conditions.places] + _root(conditions.noise) @ noise
                lacking = cho_solve(conditions.root, conditions.surprise[:, None] - shown)
                drawn[conditions.places] += conditions.weights.T @ lacking
        elif len(drawn) < len(names):  # those that occurred since: no observation speaks of them
            drawn = np.concatenate([drawn, [_standard(name, number) for name in names[len(drawn) :]]])
        self.drawn[number] = drawn
        return drawn


def numbered(form: Form, numbers: dict[str, int]) -> Row:
    """Return a form by the variables' numbers; those without one are added to `numbers`."""
    places = [numbers.setdefault(name, len(numbers)) for name in form.weights]
    return Row(form.constant, np.array(places, np.int32), np.array(list(form.weights.values())))


def table_of(rows: Sequence[Row], variables: int) -> Table:
    """Return rows as a table of so many variables."""
    ends = np.cumsum([0, *(len(row.places) for row in rows)])
    places = np.concatenate([row.places for row in rows]) if rows else np.zeros(0, np.int32)
    weights = np.concatenate([row.weights for row in rows]) if rows else np.zeros(0)
    shape = (len(rows), variables)
    return Table(np.array([row.constant for row in rows]), csr_array((weights, places, ends), shape=shape))


def conditions(table: Table, measured: np.ndarray, noise: np.ndarray) -> Conditions:
    """Return what measurements (m,) of a table's sums show, whose errors have the covariance `noise` (m, m)."""
    surprise = measured - table.constants
    places = np.unique(table.weights.indices)
    weights = table.weights[:, places].toarray()
    root = cho_factor(weights @ weights.T + noise, lower=True) if len(weights) else (noise, True)
    fit = float(surprise @ cho_solve(root, surprise)) if len(weights) else 0.0
    return Conditions(noise, surprise, root, fit, places, weights)


def posterior(conditions: Conditions) -> Posterior:
    """Return the variables given what observations show."""
    if not len(conditions.weights):
        return Posterior(conditions, np.zeros(0), np.zeros((0, 0)))
    mean = conditions.weights.T @ cho_solve(conditions.root, conditions.surprise)
    explained = solve_triangular(conditions.root[0], conditions.weights, lower=True).T
    return Posterior(conditions, mean, explained)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


@lru_cache(maxsize=20_000)
def _standard(name: str, number: int) -> np.ndarray:
    """Return standard normal draws (number,) of a variable: the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(number)
