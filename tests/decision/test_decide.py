"""Decisions from predictions: who wins, who cannot be told apart, and why."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from autotl.decision.decide import Evidence, Judged, decide, leaderboard, over_limit, seen_elsewhere
from autotl.records import Candidate, Depth, Goal, Interval, Ranked, Ranking, Trial, TrialResult
from autotl.records.encoding import encode

LABELS = np.arange(300) % 3
BEHIND = Interval(value=-1.0, low=-1.0, high=-1.0)


def evidence(
    backbone: str,
    wrong: int,
    *,
    unfreeze: Depth = 0,
    shift: int = 0,
    latency: float = 0.01,
    parameters: int = 1_000_000,
) -> Evidence:
    predicted = LABELS.copy()
    rows = (np.arange(wrong) * 7 + shift) % 300
    predicted[rows] = (predicted[rows] + 1) % 3
    strategy = "fine_tune" if unfreeze else "linear_probe"
    candidate = Candidate(backbone=backbone, input_size=64, strategy=strategy, unfreeze=unfreeze)
    trial = Trial(id=backbone, candidate=candidate, epochs=5.0 if unfreeze else 0.0)
    result = TrialResult(
        trial=trial,
        status="finished",
        latency=latency,
        parameters=parameters,
        macs=1e8,
        epochs_done=trial.epochs,
    )
    return Evidence(result=result, predicted=predicted, fit_time=1.0)


JUDGED = Judged(labels=LABELS, classes=3)


def test_a_clear_winner_stands_alone() -> None:
    decision, _ = decide([evidence("a", 10), evidence("b", 90)], JUDGED, Goal())
    assert decision.winner == "a@64/linear_probe"
    assert decision.winners_set == ("a@64/linear_probe",)
    assert decision.margin is not None and decision.margin.low > 0.15


def test_what_chance_explains_is_a_tie_and_preference_chooses_in_it() -> None:
    field = [
        evidence("best", 20, latency=0.03, parameters=9_000_000),
        evidence("fast", 21, shift=3, latency=0.001, parameters=5_000_000),
        evidence("small", 22, shift=5, latency=0.02, parameters=100_000),
        evidence("poor", 120),
    ]
    chosen = {}
    for prefer in ("accuracy", "speed", "size"):
        decision, _ = decide(field, JUDGED, Goal(prefer=prefer))  # type: ignore[arg-type]
        assert len(decision.winners_set) == 3
        chosen[prefer] = (decision.winner or "").partition("@")[0]
    assert chosen == {"accuracy": "best", "speed": "fast", "size": "small"}


def test_speed_is_not_bought_with_points() -> None:
    """Few images tell hardly anything apart; what is expected to be clearly worse is not taken for its pace."""
    field = [evidence("best", 20, latency=0.03), evidence("fast", 30, shift=3, latency=0.001)]
    decision, _ = decide(field, JUDGED, Goal(prefer="speed"))
    assert len(decision.winners_set) == 2
    assert decision.winner == "best@64/linear_probe"


def test_limits_are_obeyed_and_named() -> None:
    field = [evidence("large", 5, parameters=9_000_000), evidence("small", 60, parameters=1_000)]
    goal = Goal(max_params=1_000_000)
    decision, intervals = decide(field, JUDGED, goal)
    assert decision.winner == "small@64/linear_probe"
    assert "9,000,000 parameters" in over_limit(field[0].result, goal)
    rows = leaderboard(field, decision, intervals, goal)
    assert rows[0].candidate == decision.winner
    assert "more than the 1,000,000" in rows[1].reason


def test_no_candidate_no_winner() -> None:
    decision, _ = decide([], JUDGED, Goal())
    assert decision.winner is None and decision.reasons


def test_guessing_is_called_no_signal() -> None:
    decision, _ = decide([evidence("a", 200)], JUDGED, Goal())
    assert any(reason.startswith("no signal") for reason in decision.reasons)


def test_fine_tuning_is_explained_against_its_own_linear_probe() -> None:
    decision, _ = decide([evidence("a", 10, unfreeze="all"), evidence("a", 60)], JUDGED, Goal())
    assert decision.winner == "a@64/fine_tune:all"
    assert any(reason.startswith("fine-tuned: +16.7 points") for reason in decision.reasons)


def test_the_best_of_many_equal_ones_is_not_taken_at_its_word() -> None:
    raw, corrected = [], []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        field = []
        for number in range(20):
            predicted = np.where(generator.random(300) < 0.8, LABELS, (LABELS + 1) % 3)
            field.append(
                Evidence(result=evidence(f"b{number:02d}", 0).result, predicted=predicted, fit_time=1.0)
            )
        decision, intervals = decide(field, JUDGED, Goal())
        assert decision.score is not None and decision.winner is not None
        raw.append(intervals[decision.winner].value)
        corrected.append(decision.score.value)
    assert np.mean(raw) > 0.83  # what the best of twenty shows, though each is right in 80 of 100
    assert abs(np.mean(corrected) - 0.8) < 0.6 * abs(np.mean(raw) - 0.8)


def test_same_inputs_same_bytes() -> None:
    field = [evidence("a", 20), evidence("b", 24, shift=3), evidence("c", 50, unfreeze=2)]
    one, _ = decide(field, JUDGED, Goal())
    other, _ = decide(list(reversed(field)), JUDGED, Goal())
    assert encode(one) == encode(other)


def test_what_a_limit_costs_is_a_reason() -> None:
    field = [evidence("large", 5, latency=0.05), evidence("small", 60)]
    decision, _ = decide(field, JUDGED, Goal(max_latency=0.02))
    (reason,) = [reason for reason in decision.reasons if reason.startswith("limits")]
    assert "large@64/linear_probe (50.0 ms an image, more than the 20.0 ms allowed)" in reason
    assert "18.3 points more" in reason
    worse, _ = decide([evidence("a", 5), evidence("b", 60, latency=0.05)], JUDGED, Goal(max_latency=0.02))
    assert any("would not have won" in reason for reason in worse.reasons)


def test_limits_that_nothing_keeps_say_what_the_cheapest_needs() -> None:
    decision, _ = decide([evidence("a", 5), evidence("b", 60)], JUDGED, Goal(max_latency=0.001))
    assert decision.winner is None
    assert "none of the 2" in decision.reasons[0] and "10.0 ms" in decision.reasons[1]


def test_as_many_images_as_it_says_would_have_told_them_apart() -> None:
    """Difference 3 points, 10 % of the images discordant: the power analysis against drawing new images."""
    shares = {(True, True): 0.8, (True, False): 0.065, (False, True): 0.035, (False, False): 0.1}

    def pair(rows: int, seed: int) -> tuple[list[Evidence], Judged]:
        drawn = np.random.default_rng(seed).choice(4, size=rows, p=list(shares.values()))
        right = np.array(list(shares))[drawn]
        labels = np.arange(rows) % 3
        field = [
            Evidence(
                result=evidence(name, 0).result,
                predicted=np.where(right[:, column], labels, (labels + 1) % 3),
                fit_time=1.0,
            )
            for column, name in enumerate("ab")
        ]
        return field, Judged(labels=labels, classes=3)

    # A draw that looks just as the shares say: 200 rows, difference 3 points.
    labels = np.arange(200) % 3
    right = np.repeat(np.array(list(shares)), [160, 13, 7, 20], axis=0)
    field = [
        Evidence(
            result=evidence(name, 0).result,
            predicted=np.where(right[:, column], labels, (labels + 1) % 3),
            fit_time=1.0,
        )
        for column, name in enumerate("ab")
    ]
    decision, _ = decide(field, Judged(labels=labels, classes=3), Goal())
    more = int(re.search(r"about ([\d,]+) more labelled", decision.would_change[0])[1].replace(",", ""))  # type: ignore[index]
    found = [(decide(*pair(200 + more, seed), Goal())[0].margin or BEHIND) for seed in range(100)]
    assert 0.7 <= np.mean([margin.low > 0 for margin in found]) <= 0.9


def test_labels_and_minutes_that_would_separate_them_are_named() -> None:
    field = [evidence("a", 20), evidence("b", 26, shift=3)]
    decision, _ = decide(field, replace(JUDGED, labelled=5000), Goal())
    images, minutes = decision.would_change
    assert "more in all, divided as these" in images
    assert "a minute of cross-validating these two in 5 folds" in minutes and "5,000" in minutes
    short, _ = decide(field, replace(JUDGED, labelled=400), Goal())
    assert len(short.would_change) == 1  # too few at hand for cross-validation to do it


def test_nobody_fine_tunes_for_a_hair() -> None:
    frozen, tuned = evidence("a", 12), evidence("a", 11, unfreeze=2)
    expected = {frozen.name: 0.970, tuned.name: 0.972}
    decision, _ = decide([frozen, tuned], JUDGED, Goal(), expected)
    assert decision.winner == frozen.name
    assert any("expected to be as good, and is cheaper" in reason for reason in decision.reasons)
    decision, _ = decide([frozen, tuned], JUDGED, Goal(), expected | {tuned.name: 0.98})
    assert decision.winner == tuned.name


def test_what_is_promised_is_the_estimate_where_more_images_than_chose_are_behind_it() -> None:
    field = [evidence("a", 30), evidence("b", 60)]
    expected = {field[0].name: 0.86, field[1].name: 0.8}
    few, intervals = decide(field, JUDGED, Goal(), expected, {field[0].name: 299})
    many, _ = decide(field, JUDGED, Goal(), expected, {field[0].name: 300})
    more, _ = decide(field, JUDGED, Goal(), expected, {field[0].name: 10_000})
    assert few.score is not None and many.score is not None and more.score is not None
    measured = intervals[field[0].name]
    assert few.score.value == pytest.approx(0.9, abs=0.01), "its score, less what choosing flatters"
    assert many.score.value == more.score.value == 0.86
    widths = [found.high - found.low for found in (measured, many.score, more.score)]
    assert widths[1] / widths[0] == pytest.approx(0.5**0.5, abs=1e-4)
    assert widths[2] / widths[0] == pytest.approx(0.6, abs=1e-4)


def test_a_perfect_score_on_few_images_leaves_room_above_the_estimate() -> None:
    perfect = evidence("a", 0)
    decision, intervals = decide([perfect], JUDGED, Goal(), {perfect.name: 0.99}, {perfect.name: 600})
    assert intervals[perfect.name].high == 1.0 and decision.score is not None
    assert decision.score.high - 0.99 == pytest.approx(0.99 - decision.score.low, abs=1e-6)
    assert decision.score.high > 0.99


def test_images_seen_elsewhere_are_those_that_a_linear_probe_was_cross_validated_on() -> None:
    arms = (
        Ranked(backbone="a", input_size=64, expected=0.8, rows=512, scores=(("linear", 0.8),)),
        Ranked(backbone="b", input_size=64, expected=0.8, rows=512, scores=(("logme", 0.8),)),
    )
    field = [evidence("a", 10), evidence("a", 10, unfreeze="all"), evidence("b", 10), evidence("c", 10)]
    assert seen_elsewhere(field, Ranking(ranked=arms)) == {field[0].name: 512, field[1].name: 512}
    assert seen_elsewhere(field, None) == {}
