from __future__ import annotations

from itertools import combinations

import numpy as np

from autotl.search.knapsack import best_plan


def test_several_short_trainings_may_promise_more_than_a_long_one() -> None:
    draws = np.random.default_rng(0).standard_normal((2000, 4))
    values = 0.7 + 0.05 * draws + np.array([0.01, 0.0, 0.0, 0.0])
    plan = best_plan(values, 0.7, np.array([9.0, 3.0, 3.0, 3.0]), np.ones(4), seconds=10.0)
    assert set(plan.chosen) == {1, 2, 3}
    assert plan.first in plan.chosen


def test_it_keeps_the_time_of_the_dearest_final_fit() -> None:
    values = np.full((10, 2), 0.9)
    plan = best_plan(values, 0.5, np.array([4.0, 4.0]), np.array([7.0, 3.0]), seconds=10.0)
    assert plan.chosen == (1,)
    assert best_plan(values, 0.5, np.array([4.0, 4.0]), np.zeros(2), seconds=10.0, reserve=7.0).first is None


def test_what_is_certain_to_be_no_better_is_not_tried() -> None:
    plan = best_plan(np.full((10, 3), 0.6), 0.7, np.ones(3), np.ones(3), seconds=100.0)
    assert plan.first is None and plan.gain == 0.0


def test_it_is_near_the_best_set_there_is() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        values = 0.05 * generator.standard_normal((500, 6)) + generator.uniform(-0.05, 0.05, 6)
        costs = generator.uniform(1, 5, 6)
        sets = [s for k in range(7) for s in combinations(range(6), k) if costs[list(s)].sum() <= 8.0]
        best = max(np.maximum(values[:, list(s)].max(1), 0.0).mean() if s else 0.0 for s in sets)
        assert best_plan(values, 0.0, costs, np.zeros(6), seconds=8.0).gain >= 0.9 * best
