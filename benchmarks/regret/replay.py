"""Runs the policies on every set, several sub-pools of backbones and seeds, and makes the tables. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from autotl.search import prior as search_prior
from autotl.stats import metrics
from benchmarks.regret import regret
from benchmarks.regret.learn import fitted_to
from benchmarks.regret.policies import RANDOM, Choice, Policy, Prior, exhaustive, finished
from benchmarks.regret.space import Recipe, Space, Wallet

LEVELS = (0.05, 0.1, 0.2)  # of the grid's cost; 2% buys less than three cells of any grid we have
POOLS = 10  # random sub-pools of backbones, besides all of them
POOL_SHARE = 0.625  # of the backbones
SEEDS = 3
UNCOUNTED = ("esc10_spectrogram", "hymenoptera")  # their test parts are small


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A policy on a set, a sub-pool, a level of cost and a seed."""

    policy: str
    name: str  # of the set
    pool: int
    level: float
    seed: int
    regret: float
    excess: float  # over exhaustive validation
    share: float  # of the grid's cost that was spent
    holds: bool | None = None  # whether the winner's set or what is open holds the cell that is best on test
    size: float | None = None  # of the winner's set, over the size it has on the finished grid
    cheapest: float | None = None  # what the cheapest member loses against the winner
    thinking: float = 0.0  # share of the spent time that the decision logic took
    covers: bool | None = None  # whether the interval of the choice holds its accuracy on new images
    off: float | None = None  # expected minus measured on the test images
    chance: float | None = None  # that the choice is the best cell, as the policy says
    best: bool = False  # whether it is, on the test images


def replay(
    spaces: Mapping[str, Space],
    policies: Mapping[str, Policy],
    levels: Sequence[float] = LEVELS,
    pools: int = POOLS,
    seeds: int = SEEDS,
    teachers: Mapping[str, Space] | None = None,
) -> list[Outcome]:
    """Return every policy on every set × sub-pool × level × seed; the same call gives the same outcomes.

    What is fitted is fitted to `teachers`, or from these sets themselves, never from the one that is replayed.
    """
    outcomes = []
    for name, whole in spaces.items():
        others = [space for other, space in (teachers or spaces).items() if other != name]
        outcomes += _on(name, whole, others, policies, levels, pools, seeds)
    return outcomes


def _on(
    name: str,
    whole: Space,
    others: Sequence[Space],
    policies: Mapping[str, Policy],
    levels: Sequence[float],
    pools: int,
    seeds: int,
) -> list[Outcome]:
    """Return the outcomes on one set; what is fitted is fitted to the others."""
    outcomes = []
    prior = prior_from(others)
    with patch.object(search_prior, "FITTED", fitted_to(others)):
        for pool, space in enumerate([whole, *sub_pools(whole, pools)]):
            group = None if space.about.group is None else space.about.group[space.about.part == 2]
            lost = regret.regrets(space.right, group)
            floor = float(lost[_ask(exhaustive, space, 0.0, prior, 0).place])
            complete = len(finished(space).winners_set)
            best = set(np.flatnonzero(space.right.sum(1) == space.right.sum(1).max()).tolist())
            for label, policy in policies.items():
                for level in levels:
                    for seed in range(seeds if label in RANDOM else 1):
                        choice = _ask(policy, space, space.level(level), prior, seed)
                        spent = max(choice.spent, 1e-9)
                        outcomes.append(
                            Outcome(
                                policy=label,
                                name=name,
                                pool=pool,
                                level=level,
                                seed=seed,
                                regret=float(lost[choice.place]),
                                excess=float(lost[choice.place]) - floor,
                                share=choice.spent / space.cost,
                                holds=bool(best & {*choice.members, *choice.opened})
                                if choice.members
                                else None,
                                size=len({*choice.members, *choice.opened}) / complete
                                if choice.members
                                else None,
                                cheapest=None
                                if choice.cheapest is None
                                else float(lost[choice.cheapest] - lost[choice.place]),
                                thinking=choice.thinking / spent,
                                chance=choice.chance,
                                best=choice.place in best,
                                **kept(space, choice),
                            )
                        )
    return outcomes


def kept(space: Space, choice: Choice) -> dict[str, Any]:
    """Return whether the accuracy that a choice expects agrees with the test images, and by how much it is off.

    The test part has an error of its own (whole groups are drawn where there are groups): two independent
    figures agree where 0 lies in the interval of their difference, made of both intervals (MOVER: Zou and
    Donner, Statistics in Medicine 27, 2008).
    """
    if choice.expected is None:
        return {}
    cell, about = space.cells[choice.place], space.about
    right = cell.tested[cell.longest if choice.epochs is None else choice.epochs]
    group = None if about.group is None else about.group[about.part == 2]
    said, seen = (
        choice.expected,
        metrics.interval("accuracy", np.ones(len(right), int), right.astype(int), 2, group),
    )
    gap = said.value - seen.value
    below, above = (
        np.hypot(said.value - said.low, seen.high - seen.value),
        np.hypot(said.high - said.value, seen.value - seen.low),
    )
    return {"covers": bool(gap - below <= 0 <= gap + above), "off": gap}


def _ask(policy: Policy, space: Space, limit: float, prior: Prior, seed: int) -> Choice:
    return policy(Wallet(space=space, limit=limit), prior, np.random.default_rng(seed))


def sub_pools(space: Space, count: int, seed: int = 0) -> list[Space]:
    """Return the random parts of the space, each of some of the backbones."""
    generator = np.random.default_rng(seed)
    size = max(2, round(POOL_SHARE * len(space.specs)))
    names = list(space.specs)
    return [space.among(generator.choice(names, size, replace=False).tolist()) for _ in range(count)]


def prior_from(spaces: Sequence[Space]) -> dict[Recipe, float]:
    """Return how far above a set's mean each recipe came on these sets' test images, mean over those that have it."""
    above: dict[Recipe, list[float]] = defaultdict(list)
    for space in spaces:
        scores = space.right.mean(1)
        for cell, score in zip(space.cells, scores - scores.mean(), strict=True):
            above[cell.recipe].append(float(score))
    return {recipe: float(np.mean(found)) for recipe, found in above.items()}
