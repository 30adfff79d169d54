"""Decisions from predictions: who wins, who cannot be told apart, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autotl.builtin.strategies import STRATEGIES
from autotl.decision import judge, leaderboard, limits, reasons
from autotl.decision.evidence import Evidence, Judged, exportable, timed_alike
from autotl.records import Candidate, Columns, Decision, Depth, Goal, Interval, Strategy, Trial, TrialResult
from autotl.records.encoding import encode
from autotl.records.facts import Fact, Kind, fact
from autotl.records.result import Case
from autotl.report import wording
from autotl.report.format import printable
from autotl.stats import metrics

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
    fit_time: float = 1.0,
    strategy: str = "",
) -> Evidence:
    predicted = LABELS.copy()
    rows = (np.arange(wrong) * 7 + shift) % 300
    predicted[rows] = (predicted[rows] + 1) % 3
    strategy = strategy or ("fine_tune" if unfreeze else "linear_probe")
    candidate = Candidate(backbone=backbone, input_size=64, strategy=strategy, unfreeze=unfreeze)
    trial = Trial(id=backbone, candidate=candidate, epochs=5.0 if unfreeze else 0.0)
    result = TrialResult(
        trial=trial,
        status="finished",
        latency=latency,
        parameters=parameters,
        macs=1e8,
        epochs_done=trial.epochs,
        head="knn" if strategy == "knn" else "linear",
    )
    return Evidence(
        result=result, predicted=predicted, fit_time=fit_time, exportable=exportable(result, None)
    )


JUDGED = Judged(labels=LABELS, classes=3)


def decide(
    field: list[Evidence], judged: Judged, goal: Goal, expected: dict[str, float] | None = None
) -> Decision:
    """The decision where what is expected is given, or is the score itself."""
    intervals = {
        e.name: metrics.interval(goal.metric, judged.labels, e.predicted, judged.classes) for e in field
    }
    for name, value in (expected or {}).items():
        intervals[name] = replace(intervals[name], value=value)
    return judge.decide(field, judged, goal, intervals)


def of(facts: tuple[Fact, ...], kind: Kind) -> list[Fact]:
    return [one for one in facts if one.kind is kind]


def test_a_clear_winner_stands_alone() -> None:
    decision = decide([evidence("a", 10), evidence("b", 90)], JUDGED, Goal())
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
        decision = decide(field, JUDGED, Goal(prefer=prefer))  # type: ignore[arg-type]
        assert len(decision.winners_set) == 3
        chosen[prefer] = (decision.winner or "").partition("@")[0]
    assert chosen == {"accuracy": "best", "speed": "fast", "size": "small"}


def test_speed_is_not_bought_with_points() -> None:
    """Few images tell hardly anything apart; what is expected to be clearly worse is not taken for its pace."""
    field = [evidence("best", 20, latency=0.03), evidence("fast", 30, shift=3, latency=0.001)]
    decision = decide(field, JUDGED, Goal(prefer="speed"))
    assert len(decision.winners_set) == 2
    assert decision.winner == "best@64/linear_probe"


def test_limits_are_obeyed_and_named() -> None:
    field = [evidence("large", 5, parameters=9_000_000), evidence("small", 60, parameters=1_000)]
    goal = Goal(max_params=1_000_000)
    decision = decide(field, JUDGED, goal)
    assert decision.winner == "small@64/linear_probe"
    broken = limits.over_limit(field[0].result, goal)
    assert broken == fact(Kind.TOO_MANY_PARAMETERS, parameters=9_000_000, allowed=1_000_000)
    rows = leaderboard.rows(field, decision, JUDGED, goal)
    assert rows[0].candidate == decision.winner
    assert rows[1].facts == (broken,)


def test_no_candidate_no_winner() -> None:
    decision = decide([], JUDGED, Goal())
    assert decision.winner is None and decision.reasons


def test_guessing_is_called_no_signal() -> None:
    decision = decide([evidence("a", 200)], JUDGED, Goal())
    (shown,) = of(decision.reasons, Kind.NO_SIGNAL)
    assert shown.values["constant"] == pytest.approx(1 / 3)


def test_an_accuracy_that_one_class_nearly_makes_stands_beside_what_that_class_makes() -> None:
    labels = np.r_[np.zeros(140, int), np.ones(60, int)]
    right = Evidence(
        result=evidence("a", 0).result, predicted=np.r_[labels[:170], np.zeros(30, int)], fit_time=1.0
    )
    for metric, said in (("accuracy", True), ("balanced_accuracy", False)):
        decision = decide([right], Judged(labels=labels, classes=2), Goal(metric=metric))
        shown = of(decision.reasons, Kind.LARGEST_CLASS)
        assert bool(shown) == said
    shown = of(
        decide([right], Judged(labels=labels, classes=2), Goal(metric="accuracy")).reasons, Kind.LARGEST_CLASS
    )
    assert "right for 70.0% of the selection images, this is for 85.0%" in wording.sentence(*shown)


def test_fine_tuning_is_explained_against_its_own_linear_probe() -> None:
    decision = decide([evidence("a", 10, unfreeze="all"), evidence("a", 60)], JUDGED, Goal())
    assert decision.winner == "a@64/fine_tune:all"
    (shown,) = of(decision.reasons, Kind.FROZEN_OR_TUNED)
    assert shown.values["gap"]["difference"] == pytest.approx(1 / 6, abs=1e-6)
    assert "difference +16.7 points (95% CI" in wording.sentence(shown)


def test_what_is_frozen_is_compared_with_fine_tuning_at_the_same_input_size() -> None:
    small = evidence("a", 30, unfreeze=1)
    trial = replace(small.result.trial, candidate=replace(small.candidate, input_size=32))
    smaller = replace(small, result=replace(small.result, trial=trial), predicted=evidence("a", 25).predicted)
    decision = decide([evidence("a", 10), small, smaller], JUDGED, Goal())
    (shown,) = of(decision.reasons, Kind.FROZEN_OR_TUNED)
    assert shown.values["other"] == "a@64/fine_tune:1"


def test_the_leaderboard_has_the_expected_scores_that_the_choice_rests_on() -> None:
    field = [evidence("a", 10), evidence("b", 20)]
    expected = {"a@64/linear_probe": BEHIND, "b@64/linear_probe": BEHIND}
    rows = leaderboard.rows(field, decide(field, JUDGED, Goal()), JUDGED, Goal(), (), expected)
    assert [row.expected for row in rows] == [BEHIND.value, BEHIND.value]


def test_same_inputs_same_bytes() -> None:
    field = [evidence("a", 20), evidence("b", 24, shift=3), evidence("c", 50, unfreeze=2)]
    one = decide(field, JUDGED, Goal())
    other = decide(list(reversed(field)), JUDGED, Goal())
    assert encode(one) == encode(other)


def test_what_a_limit_costs_is_a_reason() -> None:
    field = [evidence("large", 5, latency=0.05), evidence("small", 60)]
    decision = decide(field, JUDGED, Goal(max_latency=0.02))
    reason = wording.sentence(*of(decision.reasons, Kind.LIMITS_COST))
    assert "large@64/linear_probe (50.0 ms an image, more than the 20.0 ms allowed)" in reason
    assert "18.3 points more" in reason
    worse = decide([evidence("a", 5), evidence("b", 60, latency=0.05)], JUDGED, Goal(max_latency=0.02))
    (shown,) = of(worse.reasons, Kind.LIMITS_COST)
    assert shown.values["gain"] < 0


def test_limits_that_nothing_keeps_say_what_the_cheapest_needs() -> None:
    decision = decide([evidence("a", 5), evidence("b", 60)], JUDGED, Goal(max_latency=0.001))
    assert decision.winner is None
    none, cheapest = decision.reasons
    assert none.values["candidates"] == 2 and cheapest.kind is Kind.CHEAPEST_BREAKS_LIMIT
    assert "10.0 ms" in wording.sentence(cheapest)


def test_as_many_images_as_it_says_would_have_told_them_apart() -> None:
    """Difference 3 points, 10% of the images discordant: the power analysis against drawing new images."""
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
    decision = decide(field, Judged(labels=labels, classes=3), Goal())
    more = decision.would_change[0].values["images"]
    found = [(decide(*pair(200 + more, seed), Goal()).margin or BEHIND) for seed in range(100)]
    assert 0.7 <= np.mean([margin.low > 0 for margin in found]) <= 0.9


def test_labels_and_minutes_that_would_separate_them_are_named() -> None:
    field = [evidence("a", 20), evidence("b", 26, shift=3)]
    decision = decide(field, replace(JUDGED, labelled=5000), Goal())
    images, minutes = decision.would_change
    assert images.kind is Kind.MORE_SELECTION_IMAGES and images.values["in_all"] > images.values["images"]
    assert minutes.kind is Kind.CROSS_VALIDATION_WOULD_TELL and minutes.values["images"] == 5000
    short = decide(field, replace(JUDGED, labelled=400), Goal())
    assert len(short.would_change) == 1  # too few at hand for cross-validation to do it


def test_a_gain_so_small_is_not_worth_fine_tuning() -> None:
    frozen, tuned = evidence("a", 12), evidence("a", 11, unfreeze=2, fit_time=60.0)
    expected = {frozen.name: 0.970, tuned.name: 0.9705}
    decision = decide([frozen, tuned], JUDGED, Goal(), expected)
    assert decision.winner == frozen.name
    (shown,) = of(decision.reasons, Kind.CHOSEN_OVER_BEST)
    assert shown.values["less"] == {"fit_time": [1.0, 60.0]}
    assert "costs less: training time 1 s or less instead of 1 min 00 s" in printable(wording.sentence(shown))
    decision = decide([frozen, tuned], JUDGED, Goal(), expected | {tuned.name: 0.98})
    assert decision.winner == tuned.name


@pytest.mark.parametrize("prefer", ["accuracy", "speed", "size"])
def test_what_another_member_beats_in_everything_is_never_the_winner(prefer: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        field = [
            evidence(
                name,
                20,
                shift=place,
                latency=float(generator.choice([0.001, 0.002, 0.004])),
                parameters=int(generator.choice([10**5, 10**6, 10**7])),
                fit_time=float(generator.choice([2.0, 8.0, 30.0])),
            )
            for place, name in enumerate("abcdef")
        ]
        expected = {e.name: float(generator.choice([0.930, 0.931, 0.932])) for e in field}
        decision = decide(field, JUDGED, Goal(prefer=prefer), expected)  # type: ignore[arg-type]
        (winner,) = [e for e in field if e.name == decision.winner]
        for other in field:
            pairs = [
                (expected[other.name], expected[winner.name]),
                (-other.fit_time, -winner.fit_time),
                (-(other.result.latency or 0), -(winner.result.latency or 0)),
                (-(other.result.parameters or 0), -(winner.result.parameters or 0)),
            ]
            assert not (all(a >= b for a, b in pairs) and any(a > b for a, b in pairs))


def test_a_head_that_cannot_be_exported_does_not_win_a_tie() -> None:
    linear, knn = evidence("a", 12, fit_time=9.0), evidence("a", 12, strategy="knn")
    expected = {linear.name: 0.960, knn.name: 0.962}
    assert decide([linear, knn], JUDGED, Goal(), expected).winner == linear.name
    # The same answers are a tie too, though cross-validation speaks for the neighbours.
    assert decide([linear, knn], JUDGED, Goal(), expected | {knn.name: 0.968}).winner == linear.name
    better = evidence("a", 4, strategy="knn")
    assert decide([linear, better], JUDGED, Goal(), expected | {knn.name: 0.985}).winner == better.name


def test_a_linear_head_of_a_plugin_can_be_exported_as_those_that_come_with_autotl() -> None:
    result = evidence("a", 12).result
    guest = Strategy(name="mine", summary="mine", head="mine:fit")
    assert exportable(result, guest)
    assert not exportable(replace(result, head="knn"), guest)
    assert not exportable(replace(result, head="arrays"), guest)
    assert not exportable(result, replace(guest, layers="all"))


def test_an_equal_rival_that_is_cheaper_in_everything_is_taken() -> None:
    """The leaderboard would show the recommended one behind both Pareto fronts."""
    dear = evidence("dear", 12, latency=0.0010, fit_time=3.7, parameters=578_000)
    cheap = evidence("cheap", 12, shift=3, latency=0.0007, fit_time=1.0, parameters=517_000)
    best = evidence("best", 11, shift=5, latency=0.0040, fit_time=9.0, parameters=900_000)
    expected = {best.name: 0.966, dear.name: 0.965, cheap.name: 0.964}
    decision = decide([best, dear, cheap], JUDGED, Goal(), expected)
    assert decision.winner == cheap.name
    worse = decide([best, dear, cheap], JUDGED, Goal(), expected | {cheap.name: 0.96})
    assert worse.winner == dear.name, "seconds that are spent already are not worth half a point"


@pytest.mark.parametrize(("wrong", "value", "recommended"), [
    (30, 0.87, "linear_probe"),  # expected to be far less, and within the interval; no lower score
    (36, 0.87, "knn"),  # a lower score
    (30, 0.70, "knn"),  # expected to be beyond the interval
])  # fmt: skip
def test_a_tie_is_not_decided_for_neighbours_that_cannot_be_exported(
    wrong: int, value: float, recommended: str
) -> None:
    near, line = evidence("a", 30, shift=3, strategy="knn"), evidence("a", wrong)
    decision = decide([near, line], JUDGED, Goal(), {near.name: 0.89, line.name: value})
    assert decision.winner == f"a@64/{recommended}"
    said = [wording.sentence(one) for one in of(decision.reasons, Kind.CHOSEN_OVER_BEST)]
    assert any("not significantly worse and can be exported" in text for text in said) == (
        wrong == 30 and value > 0.8
    )


def test_a_network_is_as_fast_whatever_trained_it() -> None:
    """Two timings of one network differ by the machine's load; the leaderboard shows one of them."""
    head, tuned = evidence("a", 9, latency=0.0012), evidence("a", 9, unfreeze=2, latency=0.0021)
    stored, other = evidence("a", 9, latency=0.003, parameters=5_000_000), evidence("b", 9, latency=0.004)
    untimed = replace(head.result, latency=None)
    results = [one.result for one in (head, tuned, stored, other)]
    assert [one.latency for one in timed_alike([*results, untimed])] == [0.0012, 0.0012, 0.003, 0.004, None]


def test_costs_less_is_said_of_figures_that_are_less() -> None:
    one, other = evidence("a", 12), evidence("b", 12, shift=3)
    values = fact(
        Kind.CHOSEN_OVER_BEST,
        other=other.name,
        gap={"difference": 0.0, "low": -0.01, "high": 0.01, "images": 300},
        members=2,
        prefer="accuracy",
        less={},
        more={"latency": [0.0010, 0.0007]},
        exportable=False,
    )
    text = wording.sentence(values)
    assert "cost" not in text and "expected to be as good" in text and one.name not in text


def test_no_rival_is_in_the_winners_set_and_significantly_worse_at_once() -> None:
    """One level of significance, corrected for all comparisons, in the set, the reasons and the way out."""
    generator = np.random.default_rng(1)
    tied = 0
    for _ in range(40):
        field = [
            evidence(name, int(generator.integers(10, 40)), shift=int(generator.integers(60)))
            for name in "abcdef"
        ]
        decision = decide(field, JUDGED, Goal())
        worse = {one.values["candidate"] for one in of(decision.would_change, Kind.RUNNER_UP_WORSE)}
        assert not worse & set(decision.winners_set)
        compared = of(decision.reasons, Kind.BACKBONE_COMPARED)
        for one in compared:
            significant = one.values["gap"]["low"] > 0
            assert one.values["gap"]["comparisons"] == 5
            if decision.winner == max(field, key=lambda e: (e.predicted == LABELS).mean()).name:
                assert significant == (one.values["other"] not in decision.winners_set)
                tied += not significant
    assert tied


def test_nearly_all_right_is_a_signal_unless_one_class_is_nearly_all() -> None:
    labels = np.zeros(61, int)
    labels[:6] = 1
    judged = Judged(labels=labels, classes=2)
    right = labels.copy()
    right[0] = 0  # 60 of 61
    winner = evidence("a", 0)
    good = replace(winner, predicted=right)
    constant = replace(winner, predicted=np.zeros(61, int))
    for goal in (Goal(), Goal(metric="balanced_accuracy")):
        assert not of(decide([good], judged, goal).reasons, Kind.NO_SIGNAL)
        (shown,) = of(decide([constant], judged, goal).reasons, Kind.NO_SIGNAL)
        assert shown.values["score"] == pytest.approx(shown.values["constant"])
        assert "shuffled labels are predicted as well (p = 1)" in wording.sentence(shown)


def test_score_and_expected_score_have_an_interval_each() -> None:
    one = evidence("a", 30)
    decision = judge.decide([one], JUDGED, Goal(), {one.name: Interval(value=0.88, low=0.85, high=0.91)})
    assert decision.score is not None and decision.expected is not None
    assert decision.score.value == pytest.approx(0.9)
    assert decision.score.low < 0.9 < decision.score.high
    assert decision.expected.value == 0.88


def test_what_is_open_holds_with_what_was_tried_nearly_all_of_the_probability() -> None:
    chances = {"a": 0.5, "b": 0.3, "c": 0.15, "d": 0.04, "e": 0.01}
    opened = judge.open_recipes(chances, ["a"], ["a", "c"])
    assert [one.candidate for one in opened] == ["b", "d"]
    assert judge.open_recipes(chances, [], list("abcde")) == ()


@pytest.mark.parametrize(
    ("own", "members", "goal", "exportable", "because"),
    [
        (0.80, "ab", Goal(), True, "accuracy"),
        (0.80, "ab", Goal(prefer="speed"), True, "speed"),
        (0.82, "ab", Goal(), True, "expected"),
        (0.80, "ab", Goal(), False, "exportable"),
        (0.80, "a", Goal(), True, "significant"),
        (0.80, "ab", Goal(max_params=5_000_000), True, "limit"),
    ],
)
def test_why_another_is_recommended_than_the_likeliest_to_be_the_best(
    own: float, members: str, goal: Goal, exportable: bool, because: str
) -> None:
    a, b = evidence("a", 20), replace(evidence("b", 22, parameters=10_000_000), exportable=exportable)
    expected = {e.name: Interval(value=v, low=0.7, high=0.9) for e, v in ((a, own), (b, 0.81))}
    decision = Decision(winner=a.name, winners_set=tuple(e.name for e in (a, b) if e.name[0] in members))
    shown = judge.likelier(decision, {a.name: 0.3, b.name: 0.7}, [a, b], expected, goal)
    assert shown == {
        "likeliest": b.name, "likeliest_chance": 0.7, "expected": [own, 0.81], "because": because,
    }  # fmt: skip
    assert judge.likelier(decision, {a.name: 0.5, b.name: 0.5}, [a, b], expected, goal) == {}


def test_every_figure_reads_as_plain_english() -> None:
    field = [evidence("a", 20), evidence("b", 22, shift=5)]
    decision = decide(field, JUDGED, Goal())
    (shown,) = of(decision.reasons, Kind.BACKBONE_COMPARED)
    assert re.fullmatch(
        r"backbone: against b@64/linear_probe, difference \+0\.7 points"
        r" \(95% CI \N{MINUS SIGN}\d\.\d to \+\d\.\d, 300 images\): not significant",
        wording.sentence(shown),
    )


PROBE, TUNES = (next(s for s in STRATEGIES if s.name == name) for name in ("linear_probe", "fine_tune"))
ENDED = fact(Kind.NO_RECIPE_FITS)
UNLIKELY = fact(Kind.NO_GAIN_EXPECTED, chance=0.01, gain=0.005)


@pytest.mark.parametrize(
    ("failed", "strategies", "notes", "words"),
    [
        ((), (PROBE,), (ENDED,), "no strategy that fine-tunes was to be tried"),
        ((), (PROBE, TUNES), (), "no fine-tuning of this backbone was tried"),
        ((), (PROBE, TUNES), (UNLIKELY, ENDED), "fitted into the time"),
        ((), (PROBE, TUNES), (ENDED, UNLIKELY), "that fitted into the time was likely to score more"),
        (("a",), (PROBE, TUNES), (ENDED,), "the fine-tuning of this backbone that was tried ended without a score"),
        (("a", "a", "b"), (PROBE, TUNES), (), "each of the 2 fine-tunings"),
        (("b",), (PROBE, TUNES), (ENDED,), "fitted into the time"),
    ],
)  # fmt: skip
def test_a_backbone_that_was_not_fine_tuned_has_one_reason(
    failed: tuple[str, ...], strategies: tuple[Any, ...], notes: tuple[Fact, ...], words: str
) -> None:
    zeros = np.zeros(300, int)
    columns = Columns(classes=("x", "y", "z"), labels=LABELS, part=zeros, fold=zeros, group=None, order=zeros)
    case = Case(columns=columns, goal=Goal(), strategies=strategies, notes=notes)
    trials = [replace(evidence(name, 0, unfreeze="all").result, status="failed") for name in failed]
    sentence = wording.sentence(reasons.why_not_tuned("a", trials, case))
    assert sentence.startswith("frozen: ") and words in sentence
    assert " or " not in sentence
