"""The belief of a run: joint normal, updated by trials in any order, and read by every view."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from autotl.records import Candidate, Depth, Ranked, Trial, TrialResult
from autotl.search.belief import Belief
from autotl.search.observations import Selection

ROWS = 200


def recipe(backbone: str = "a", depth: Depth = 2, strategy: str = "fine_tune", size: int = 96) -> Candidate:
    if depth == 0 and strategy == "fine_tune":
        strategy = "linear_probe"
    return Candidate(backbone=backbone, input_size=size, strategy=strategy, unfreeze=depth)


def entry(backbone: str, expected: float, size: int = 96, rows: int = 400) -> Ranked:
    return Ranked(
        backbone=backbone,
        input_size=size,
        expected=expected,
        prior=0.5,
        rows=rows,
        scores=(("linear", expected),),
    )


def trained(candidate: Candidate, score: float, epochs: float | None = None) -> TrialResult:
    length = (6.0 if candidate.unfreeze else 0.0) if epochs is None else epochs
    trial = Trial(id=f"{candidate.id}-{length:g}", candidate=candidate, epochs=length)
    return TrialResult(trial=trial, status="finished", score_val=score, epochs_done=length)


def belief(*entries: Ranked, **options: object) -> Belief:
    return Belief(entries=entries, selection=Selection(rows=ROWS), **options)  # type: ignore[arg-type]


def right(share: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.arange(ROWS) < share * ROWS)


FIELD = (entry("a", 0.8), entry("b", 0.75), entry("c", 0.6))
RESULTS = (
    trained(recipe("a", 0), 0.82),
    trained(recipe("b", 0), 0.74),
    trained(recipe("a", 2), 0.86),
    trained(recipe("a", 2), 0.88, epochs=14.0),
    trained(recipe("b", 1), 0.3),  # failed
)


def test_the_order_of_updates_does_not_matter() -> None:
    points = [(recipe(name, depth), 6.0 if depth else 0.0) for name in "abc" for depth in (0, 1, 2, "all")]  # type: ignore[arg-type]
    answers = [right(result.score_val or 0.0, seed) for seed, result in enumerate(RESULTS)]
    seen = []
    for order in list(permutations(range(len(RESULTS))))[::17]:
        one = belief(*FIELD)
        for place in order:
            one.update(RESULTS[place], answers[place])
        seen.append((one.means(points), one.draws(points, 50)))
    for means, draws in seen[1:]:
        assert np.array_equal(means, seen[0][0])
        assert np.array_equal(draws, seen[0][1])


def test_draws_have_the_mean_and_deviation_of_the_posterior_and_stay_below_one() -> None:
    one = belief(*FIELD, entry("solved", 1.0))
    for result in RESULTS:
        one.update(result)
    points = [
        (recipe("a", 2), 6.0),
        (recipe("c", "all"), 20.0),
        (recipe("c", 0), 0.0),
        (recipe("solved"), 30.0),
    ]
    drawn, (mean, deviation) = one.latent_draws(points, 40_000), one.latent(points)
    assert drawn.mean(0) == pytest.approx(mean, abs=0.03)
    assert drawn.std(0) == pytest.approx(deviation, rel=0.03)
    assert (
        one.draws(points, 40_000).max() < 1.0
        and one.forthcoming(points, one.latent_draws(points, 40_000)).max() < 1.0
    )


def test_the_posterior_is_the_conditional_normal_distribution() -> None:
    """Held against those of many draws from the prior that agree with what was observed."""
    before, after = belief(*FIELD), belief(*FIELD)
    after.update(trained(recipe("a"), 0.9))
    points = [(recipe("a"), 6.0), (recipe("a", 1), 6.0), (recipe("b"), 6.0)]
    drawn = before.latent_draws(points, 400_000)
    k = 0.9 * ROWS
    observed, variance = np.log((k + 0.5) / (ROWS - k + 0.5)), 1 / (k + 0.5) + 1 / (ROWS - k + 0.5)
    shown = drawn[:, 0] + np.random.default_rng(0).normal(0, np.sqrt(variance), len(drawn))
    near = drawn[np.abs(shown - observed) < 0.02]
    mean, deviation = after.latent(points)
    assert near.mean(0) == pytest.approx(mean, abs=0.02)
    assert near.std(0) == pytest.approx(deviation, abs=0.02)


def test_longer_training_brings_more_and_less_each_time() -> None:
    one = belief(*FIELD)
    one.update(trained(recipe("a"), 0.9))
    gained = one.means([(recipe("a"), epochs) for epochs in (2.0, 6.0, 10.0)])
    assert gained[0] < gained[1] < gained[2]
    assert gained[1] - gained[0] > gained[2] - gained[1]


def test_similar_recipes_learn_more_from_a_probe() -> None:
    one = belief(*FIELD)
    points = [(recipe("a", 1), 6.0), (recipe("b", 2), 6.0), (recipe("b", 1), 6.0)]
    before, wide = one.latent(points)
    one.update(trained(recipe("a"), 0.88))
    after, narrow = one.latent(points)
    moved = after - before
    assert moved[0] > moved[1] > moved[2] > 0
    assert narrow[0] / wide[0] < narrow[2] / wide[2] < 1


def test_a_lucky_selection_score_is_weighed_against_cross_validation() -> None:
    one = belief(entry("lucky", 0.70), entry("solid", 0.80))
    one.update(trained(recipe("lucky", 0), 0.84))
    one.update(trained(recipe("solid", 0), 0.80))
    lucky, solid = one.means([(recipe("lucky", 0), 0.0), (recipe("solid", 0), 0.0)])
    assert 0.70 < lucky < 0.80
    assert solid == pytest.approx(0.80, abs=0.02)


def test_what_the_images_give_a_head_too_much_is_taken_off_its_fine_tuning() -> None:
    """The more, the more both are right and wrong together."""
    values = {}
    answers = right(0.85)
    for name, head in (("together", answers), ("apart", right(0.85, seed=1))):
        one = belief(entry("a", 0.75))
        one.update(trained(recipe("a", 0), 0.85), head)
        one.update(trained(recipe("a", 2), 0.85), answers)
        values[name] = one.estimate(recipe("a", 2), 6.0).value
    assert values["together"] < values["apart"] < 0.85


def test_a_failure_says_little_of_other_strategies_and_is_taken_at_its_own_score() -> None:
    one = belief(entry("a", 0.7), entry("b", 0.7))
    points = [(recipe("b"), 6.0), (recipe("b", strategy="lp_ft"), 6.0)]
    before = one.means(points)
    one.update(trained(recipe("a"), 0.1))
    after = one.means(points)
    assert one.failed(recipe("a")) and not one.failed(recipe("b"))
    assert after[0] < before[0] - 0.02
    assert after[1] == pytest.approx(before[1], abs=0.015)
    assert one.estimate(recipe("a"), 6.0).value == pytest.approx(0.1, abs=0.02)


def test_what_earlier_groups_knew_can_be_recovered_by_training_those_above() -> None:
    plain, deep = belief(entry("a", 0.6)), belief(entry("a", 0.6), recoverable={"a": (2, 0.5)})
    assert deep.estimate(recipe("a", 2), 6.0).value > plain.estimate(recipe("a", 2), 6.0).value + 0.15
    assert deep.estimate(recipe("a", 1), 6.0) == plain.estimate(recipe("a", 1), 6.0)


def test_a_small_input_starts_from_what_a_larger_one_knew_less_a_little() -> None:
    both = belief(entry("a", 0.8, size=224), entry("a", 0.6, size=112), entry("b", 0.6, size=112))
    values = both.means(
        [(recipe(name, 2, size=size), 6.0) for name, size in (("a", 224), ("a", 112), ("b", 112))]
    )
    assert values[0] > values[1] > values[2]


def test_a_fine_tuning_without_a_frozen_head_counts_as_tried() -> None:
    one = belief(*FIELD)
    before = one.estimate(recipe("b"), 6.0)
    one.update(trained(recipe("b"), 0.93))
    after = one.estimate(recipe("b"), 6.0)
    assert after.value > before.value + 0.05
    assert after.high - after.low < before.high - before.low
    assert one.point(recipe("b")) == (recipe("b"), 6.0)


def test_where_small_classes_weigh_more_an_image_is_worth_less() -> None:
    skewed = np.array([0.01] * 50 + [0.5])
    widths = []
    for weights in (None, skewed):
        selection = Selection(rows=51, weights=weights)
        interval = Belief(entries=[entry("a", 0.8)], selection=selection).estimate(recipe("a", 0), 0.0)
        widths.append(interval.high - interval.low)
    assert widths[1] > widths[0] + 0.05


def test_out_of_fold_the_ranking_speaks_of_what_has_no_score_yet() -> None:
    one = belief(entry("a", 0.9), entry("b", 0.5), out_of_fold=True)
    one.update(trained(recipe("a", 0), 0.7))
    assert one.estimate(recipe("a", 0), 0.0).value == pytest.approx(0.7, abs=0.03)
    assert one.estimate(recipe("b", 0), 0.0).value == pytest.approx(0.5, abs=0.03)


def test_the_best_of_many_equal_ones_is_not_taken_at_its_word() -> None:
    raw, expected = [], []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        one = belief()
        scores = {f"b{number:02d}": float((generator.random(ROWS) < 0.8).mean()) for number in range(20)}
        for name, score in scores.items():
            one.update(trained(recipe(name, 0), score))
        best = max(scores, key=lambda name: scores[name])
        raw.append(scores[best])
        expected.append(one.estimate(recipe(best, 0), 0.0).value)
    assert np.mean(raw) > 0.83  # what the best of twenty shows, though each is right in 80 of 100
    assert abs(np.mean(expected) - 0.8) < 0.6 * abs(np.mean(raw) - 0.8)


def test_whole_groups_are_worth_fewer_images() -> None:
    answers = np.repeat(np.random.default_rng(0).random(10) < 0.8, ROWS // 10)
    score = float(answers.mean())
    spread = {}
    for name, cluster in (("alone", None), ("grouped", np.arange(ROWS) // (ROWS // 10))):
        one = Belief(entries=(), selection=Selection(rows=ROWS, cluster=cluster))
        one.update(trained(recipe("a", 0), score), answers)
        interval = one.estimate(recipe("a", 0), 0.0)
        spread[name] = interval.high - interval.low
    assert spread["grouped"] > 2 * spread["alone"]


def test_chances_are_those_of_one_winner_among_all() -> None:
    one = belief(*FIELD)
    for result in RESULTS[:3]:
        one.update(result)
    candidates = [recipe(name, depth) for name in "abc" for depth in (0, 1, 2, "all")]  # type: ignore[arg-type]
    tried = [result.trial.candidate for result in RESULTS[:3]]
    seen = one.outlook(tried, [one for one in candidates if one not in tried], 2000)
    chances = seen.chances
    assert set(seen.among_tried) == {candidate.id for candidate in tried}
    assert sum(seen.among_tried.values()) == pytest.approx(1.0)
    assert all(chances[name] <= share for name, share in seen.among_tried.items())
    assert sum(chances.values()) == pytest.approx(1.0)
    assert list(chances.values()) == sorted(chances.values(), reverse=True)
    assert chances["b@96/fine_tune:2"] > chances["c@96/fine_tune:2"]
    assert chances["a@96/fine_tune:2"] > chances["a@96/linear_probe"]
    gaps = seen.behind
    assert all(0 <= gap.low <= gap.value <= gap.high for gap in gaps.values())
    assert gaps["a@96/fine_tune:2"].value < gaps["c@96/linear_probe"].value


def test_a_copy_and_its_original_draw_on_their_own() -> None:
    one = belief(*FIELD)
    one.update(RESULTS[0])
    points, more = [(recipe("a"), 6.0)], [(recipe("b"), 6.0), (recipe("c", "all"), 20.0)]
    drawn = one.draws(points, 50)
    other = deepcopy(one)
    own = other.draws([*points, *more], 50)
    assert np.array_equal(one.draws(points, 50), drawn)
    assert np.array_equal(one.draws([*points, *more[::-1]], 50)[:, [0, 2, 1]], own)


def test_a_trial_without_a_score_says_nothing() -> None:
    one = belief(*FIELD)
    before = one.estimate(recipe("a"), 6.0)
    one.update(replace(trained(recipe("a"), 0.9), score_val=None, status="failed"))
    assert one.estimate(recipe("a"), 6.0) == before


def test_a_few_images_hardly_show_that_nearest_neighbours_beat_the_linear_probe() -> None:
    def ahead(rows: int) -> float:
        scored = replace(entry("a", 0.7, rows=rows), scores=(("knn", 0.78), ("linear", 0.7)))
        knn, linear = belief(scored).means([(recipe(depth=0, strategy="knn"), 0.0), (recipe(depth=0), 0.0)])
        return float(knn - linear)

    assert ahead(64) < ahead(5000) / 3
    assert ahead(5000) == pytest.approx(0.08, abs=0.02)


def test_nearest_neighbours_that_were_not_scored_are_expected_below_the_linear_probe() -> None:
    knn, linear = belief(entry("a", 0.7)).means(
        [(recipe(depth=0, strategy="knn"), 0.0), (recipe(depth=0), 0.0)]
    )
    assert 0.6 < knn < linear


def test_starting_from_the_head_gains_less_where_fine_tuning_gains_much_and_loses_less_where_that_loses() -> (
    None
):
    points = [(recipe("b", "all"), 6.0), (recipe("b", "all", "lp_ft"), 6.0)]
    for score in (0.9, 0.7):
        one = belief(*FIELD)
        before = one.means(points)
        one.update(trained(recipe("a", "all"), score))
        moved = one.means(points) - before
        assert (moved[0] > moved[1] > 0) if score > 0.8 else (moved[0] < moved[1] < 0)
