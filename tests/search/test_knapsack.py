from __future__ import annotations

from itertools import combinations

import numpy as np

from autotl.search.knapsack import Slots, best_plan


def test_several_short_trainings_may_promise_more_than_a_long_one() -> None:
    draws = np.random.default_rng(0).standard_normal((2000, 4))
    values = 0.7 + 0.05 * draws + np.array([0.01, 0.0, 0.0, 0.0])
    plan = best_plan(values, 0.7, np.array([9.0, 3.0, 3.0, 3.0]), np.ones(4), seconds=10.0)
    assert set(plan.chosen) == {1, 2, 3}


def test_it_keeps_the_time_of_the_dearest_final_fit() -> None:
    values = np.full((10, 2), 0.9)
    plan = best_plan(values, 0.5, np.array([4.0, 4.0]), np.array([7.0, 3.0]), seconds=10.0)
    assert plan.chosen == (1,)
    assert best_plan(values, 0.5, np.array([4.0, 4.0]), np.zeros(2), seconds=10.0, reserve=7.0).chosen == ()


def test_what_is_certain_to_be_no_better_is_not_tried() -> None:
    plan = best_plan(np.full((10, 3), 0.6), 0.7, np.ones(3), np.ones(3), seconds=100.0)
    assert plan.chosen == () and plan.gain == 0.0


def test_it_is_near_the_best_set_there_is() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        values = 0.05 * generator.standard_normal((500, 6)) + generator.uniform(-0.05, 0.05, 6)
        costs = generator.uniform(1, 5, 6)
        sets = [s for k in range(7) for s in combinations(range(6), k) if costs[list(s)].sum() <= 8.0]
        best = max(np.maximum(values[:, list(s)].max(1), 0.0).mean() if s else 0.0 for s in sets)
        assert best_plan(values, 0.0, costs, np.zeros(6), seconds=8.0).gain >= 0.9 * best


def test_it_chooses_what_looking_at_every_training_each_time_would_choose() -> None:
    generator = np.random.default_rng(2)
    for slots in (Slots(), Slots(number=3, taken=4.0)):
        values = 0.1 * generator.standard_normal((200, 30))
        costs, finals = generator.uniform(1, 5, 30), generator.uniform(0, 4, 30)
        ways = []
        for weigh in (np.ones(30), costs):
            top, chosen, spent, final = np.zeros(200), list[int](), slots.taken, 0.0
            while True:
                fits = (spent + costs) / slots.number + np.maximum(finals, final) <= 20.0
                adds = np.where(fits, np.maximum(values, top[:, None]).mean(0) - top.mean(), 0.0)
                place = int(np.argmax(adds / weigh))
                if adds[place] <= 1e-5:
                    break
                chosen.append(place)
                top, spent, final = (
                    np.maximum(top, values[:, place]),
                    spent + costs[place],
                    max(final, finals[place]),
                )
            ways.append((float(top.mean()), tuple(chosen)))
        plan = best_plan(values, 0.0, costs, finals, seconds=20.0, slots=slots)
        assert (round(plan.gain, 12), plan.chosen) == (round(max(ways)[0], 12), max(ways)[1])
