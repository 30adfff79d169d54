"""What fine-tuning is taken to bring: before and after probes, and against the same sum done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.records import Candidate, Depth
from autotl.search import belief


def recipe(
    backbone: str = "a", depth: Depth = 2, strategy: str = "fine_tune", base: float = 0.7
) -> belief.Recipe:
    candidate = Candidate(backbone=backbone, input_size=96, strategy=strategy, unfreeze=depth)
    return belief.Recipe(candidate=candidate, base=base, prior=0.5)


def test_a_score_and_the_share_it_speaks_of_are_one_another_s_inverse() -> None:
    for epochs in (4.0, 6.0, 20.0):
        seen = belief.share(recipe(base=0.6), 0.7, epochs, 0.75, 1e-4)
        assert belief.scores(recipe(base=0.6), 0.7, epochs, seen.value) == pytest.approx(0.75)


def test_longer_training_brings_more_and_less_each_time() -> None:
    gained = [belief.scores(recipe(), 0.7, epochs, 0.1) for epochs in (2.0, 6.0, 10.0)]
    assert gained[0] < gained[1] < gained[2]
    assert gained[1] - gained[0] > gained[2] - gained[1]


def test_the_posterior_is_the_conditional_normal_distribution() -> None:
    """Held against the mean of many draws from the joint prior that agree with what was seen."""
    recipes = [recipe("a"), recipe("a", 1), recipe("b")]
    seen = [belief.Seen(recipe=recipes[0], score=0.8, value=0.4, variance=0.02)]
    mean, covariance = belief.posterior(recipes, 0.7, seen)
    before, wide = belief.posterior(recipes, 0.7, [])
    generator = np.random.default_rng(0)
    drawn = generator.multivariate_normal(before, wide, size=400_000)
    shown = drawn[:, 0] + generator.normal(0, np.sqrt(0.02), len(drawn))
    near = drawn[np.abs(shown - 0.4) < 0.02]
    assert near.mean(0) == pytest.approx(mean, abs=0.01)
    assert np.cov(near.T) == pytest.approx(covariance, abs=0.002)


def test_kin_learn_more_from_a_probe_than_strangers() -> None:
    recipes = [recipe("a", 1), recipe("b", 2), recipe("b", 1)]
    before, _ = belief.posterior(recipes, 0.7, [])
    after, left = belief.posterior(
        recipes, 0.7, [belief.Seen(recipe=recipe("a"), score=0.9, value=0.6, variance=0.001)]
    )
    moved = after - before
    assert moved[0] > moved[1] > moved[2] > 0
    assert np.sqrt(np.diag(left))[0] < np.sqrt(np.diag(left))[2]


def test_a_failure_speaks_of_its_own_strategy_alone() -> None:
    recipes = [recipe("b"), recipe("b", strategy="lp_ft")]
    before, _ = belief.posterior(recipes, 0.7, [])
    failed = belief.share(recipe("a"), 0.7, 6.0, 0.1, 1e-4)
    assert failed.failed
    after, _ = belief.posterior(recipes, 0.7, [failed])
    assert after[0] < before[0] - 0.05
    assert after[1] == pytest.approx(before[1])


def test_what_earlier_groups_knew_can_be_had_back() -> None:
    knows = belief.Recipe(candidate=recipe().candidate, base=0.6, prior=0.5, recoverable=0.5)
    (plain, regained), _ = belief.posterior([recipe(base=0.6), knows], 0.7, [])
    assert belief.scores(knows, 0.7, 6.0, regained) - belief.scores(knows, 0.7, 6.0, plain) == pytest.approx(
        0.2
    )


def test_a_small_input_starts_from_what_a_larger_one_knew_less_a_little() -> None:
    linear = {("a", 224): 0.8, ("a", 112): 0.6, ("b", 112): 0.6}
    assert belief.start(("a", 112), linear) == pytest.approx(0.8 - belief.SMALLER)
    assert belief.start(("a", 224), linear) == 0.8
    assert belief.start(("b", 112), linear) == 0.6, "another backbone's input says nothing"
