from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autotl.decision import controls, leaderboard, transfer
from autotl.decision.evidence import Evidence, Judged
from autotl.records import BackboneSpec, Candidate, Control, Goal, Ranked, Trial, TrialResult, Weights
from autotl.records.facts import Kind
from autotl.report import wording
from autotl.stats.permutation import Permuted

GOAL = Goal()
ROWS = 400


def judged(classes: int = 4) -> Judged:
    return Judged(labels=np.arange(ROWS) % classes, classes=classes)


def answers(
    accuracy: float,
    control: Control = "",
    *,
    name: str = "a",
    strategy: str = "linear_probe",
    shift: int = 0,
    epochs: float = 0.0,
) -> Evidence:
    """A candidate that answers a share of the rows rightly, from row `shift` on."""
    labels = judged().labels
    right = (np.arange(ROWS) - shift) % ROWS < accuracy * ROWS
    candidate = Candidate(backbone=name, input_size=64, strategy=control or strategy)
    trial = Trial(id=control or strategy, candidate=candidate, control=control)
    result = TrialResult(trial=trial, status="finished", epochs_done=epochs)
    return Evidence(result=result, predicted=np.where(right, labels, (labels + 1) % 4), fit_time=1.0)


def from_scratch(accuracy: float, half: float, epochs: float = 40.0) -> list[Evidence]:
    return [answers(accuracy, "scratch", epochs=epochs), answers(half, "scratch_half", epochs=epochs / 2)]


# --------------------------------------------------------------------------- what pretraining gains


def test_a_forest_that_is_as_good_leaves_no_gain_however_bad_the_network_is() -> None:
    """After one epoch from scratch a network reaches 30%; a forest on pixels is what the winner is held against."""
    winner, forest = answers(0.97), answers(0.965, "pixels", shift=8)
    found, shown = transfer.verdict(winner, [forest, *from_scratch(0.3, 0.28, 1.0)], judged(), GOAL)
    assert found is not None and found.low <= 0 <= found.high and abs(found.value) < 0.01
    assert shown is not None and shown.values["control"] == "pixels"
    assert "no significant gain" in wording.sentence(shown)


def test_it_helps_only_where_the_network_from_scratch_has_converged_and_the_interval_is_above_zero() -> None:
    winner = answers(0.97)
    done, shown = transfer.verdict(winner, from_scratch(0.9, 0.895), judged(), GOAL)
    assert done is not None and done.low > 0
    assert shown is not None and wording.sentence(shown).startswith("pretraining helps:")
    going, shown = transfer.verdict(winner, from_scratch(0.9, 0.8), judged(), GOAL)
    assert going == done
    assert shown is not None and "gains 7.0 points at most" in wording.sentence(shown)
    assert "helps" not in wording.sentence(shown)
    same, shown = transfer.verdict(winner, from_scratch(0.965, 0.965), judged(), GOAL)
    assert same is not None and same.low <= 0
    assert shown is not None and "no significant gain" in wording.sentence(shown)


def test_it_is_unknown_where_no_control_comes_near_and_none_converged() -> None:
    far = [answers(0.4, "pixels"), *from_scratch(0.6, 0.5)]
    found, shown = transfer.verdict(answers(0.97), far, judged(), GOAL)
    assert found is None
    assert shown is not None and shown.kind is Kind.PRETRAINING_UNKNOWN
    assert "not converged after 40 epochs" in wording.sentence(shown)
    found, shown = transfer.verdict(answers(0.97), far[:1], judged(), GOAL)
    assert found is None and shown is not None and "no time to train" in wording.sentence(shown)
    assert transfer.verdict(answers(0.97), [], judged(), GOAL) == (None, None)


def test_a_gain_far_above_a_converged_network_is_measured() -> None:
    found, shown = transfer.verdict(answers(0.97), from_scratch(0.6, 0.595), judged(), GOAL)
    assert found is not None and found.value == pytest.approx(0.37)
    assert shown is not None and "pretraining helps" in wording.sentence(shown)


def test_what_has_learned_nothing_twice_has_not_converged() -> None:
    assert not transfer.converged(from_scratch(0.25, 0.25), judged(), GOAL)
    assert not transfer.converged(from_scratch(0.9, 0.8)[:1], judged(), GOAL)


def test_negative_transfer_is_called_by_its_name() -> None:
    found, shown = transfer.verdict(answers(0.5), [answers(0.8, "gradients")], judged(), GOAL)
    assert found is not None and found.high < 0
    assert shown is not None and "negative transfer" in wording.sentence(shown)
    assert "no model of it is written" in wording.sentence(shown)
    assert "ridge regression on gradients (HOG) with 80.0%" in wording.sentence(shown)


def test_the_best_without_a_network_is_held_against_the_winner() -> None:
    by_hand = [answers(0.5, "pixels"), answers(0.8, "gradients")]
    shown = transfer.without_network(answers(0.97), by_hand, judged(), GOAL)
    assert shown is not None and shown.values["control"] == "gradients"
    assert "against the winner" in wording.sentence(shown)
    ahead = transfer.without_network(answers(0.5), by_hand, judged(), GOAL)
    assert ahead is not None and "more than the winner" in wording.sentence(ahead)
    assert transfer.without_network(answers(0.5), from_scratch(0.5, 0.5), judged(), GOAL) is None


# --------------------------------------------------------------------------- at equal seconds


def timed(accuracy: float, seconds: float, strategy: str = "linear_probe") -> transfer.Timed:
    return transfer.Timed(evidence=answers(accuracy, strategy=strategy), seconds=seconds)


def test_the_head_start_is_measured_at_equal_seconds() -> None:
    short, long = timed(0.8, 5.0), timed(0.95, 60.0, strategy="fine_tune")
    control = transfer.Timed(evidence=answers(0.5, "scratch"), seconds=10.0)
    shown = transfer.head_start([short, long], control, "a@64/linear_probe", judged(), GOAL)
    assert shown is not None and shown.kind is Kind.HEAD_START
    assert (shown.values["seconds"], shown.values["scratch_seconds"]) == (5.0, 10.0)
    assert "difference +30.0 points" in wording.sentence(shown)


def test_a_network_that_learned_nothing_has_no_head_start_to_show() -> None:
    control = transfer.Timed(evidence=answers(0.25, "scratch"), seconds=10.0)
    assert transfer.head_start([timed(0.9, 5.0)], control, "a@64/linear_probe", judged(), GOAL) is None


def test_where_no_candidate_was_as_quick_the_quickest_stands_for_pretraining() -> None:
    rivals = [timed(0.7, 30.0), timed(0.9, 90.0, strategy="fine_tune")]
    control = transfer.Timed(evidence=answers(0.5, "scratch"), seconds=10.0)
    shown = transfer.head_start(rivals, control, "a@64/linear_probe", judged(), GOAL)
    assert shown is not None and shown.values["seconds"] == 30.0


# --------------------------------------------------------------------------- shuffled labels


def permuted(score: float) -> TrialResult:
    shuffled = np.linspace(0.2, 0.3, 299)
    entry = Ranked(backbone="a", input_size=64, expected=0.5)
    return controls.shuffled(entry, Permuted(score=score, shuffled=shuffled, rows=300), 0)


def test_the_test_of_shuffled_labels_names_p_and_the_chance_level() -> None:
    signal, none = (wording.sentence(permuted(score).notes[0]) for score in (0.9, 0.29))
    assert "scores 25.0% on average (95% range 20.2% to 29.8%)" in signal
    assert signal.endswith("with the true labels it scores 90.0%, which no shuffling reached (p = 0.0033)")
    assert "not significantly more than by chance (p = 0.1)" in none


def test_its_row_in_the_leaderboard_is_the_chance_level() -> None:
    row = leaderboard.shuffled_row(permuted(0.9))
    assert (row.control, row.in_winners_set) == ("shuffled", False)
    assert row.score_val == pytest.approx(0.25)
    assert row.ci_low is not None and row.ci_high is not None and row.ci_low < 0.25 < row.ci_high


def test_labels_are_shuffled_for_the_winners_backbone_else_for_the_cheapest() -> None:
    def arm(name: str, rows: int, seconds: float) -> Ranked:
        return Ranked(backbone=name, input_size=64, expected=0.5, embedded=rows, seconds_per_image=seconds)

    ranked = [arm("slow", 100, 0.01), arm("part", 50, 0.001), arm("quick", 100, 0.002)]
    for winner, chosen in (("slow", "slow"), ("part", "quick"), ("gone", "quick")):
        entry = controls.shuffled_on(
            ranked, Candidate(backbone=winner, input_size=64, strategy="linear_probe"), 100
        )
        assert entry is not None and entry.backbone == chosen
    none = controls.shuffled_on(ranked[1:2], Candidate(backbone="part", input_size=64, strategy="knn"), 100)
    assert none is None


# --------------------------------------------------------------------------- the trainings


def test_the_scratch_control_has_no_weights_and_its_half_is_another_candidate() -> None:
    winner = answers(0.9).result
    weights = Weights(kind="file", location="w.safetensors")
    spec = BackboneSpec(name="a", build="m:b", weights=weights)
    trial, fresh = controls.scratch(winner, spec, 64, 3)
    half, _ = controls.scratch(winner, spec, 64, 3, half=True)
    assert (fresh.init, fresh.weights) == ("random", None)
    assert (trial.control, trial.candidate.unfreeze, trial.seed) == ("scratch", "all", 3)
    assert half.control == "scratch_half" and half.candidate.id != trial.candidate.id


@pytest.mark.parametrize("baseline", controls.BY_HAND, ids=lambda one: one.control)
def test_a_baseline_tells_classes_apart_without_a_network(baseline: controls.ByHand) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2 * 2
    features = generator.random((120, 30)).astype(np.float32)
    features[:, 4] += labels
    table = baseline.fit(
        features[:90], labels[:90], features[90:], controls.Fitting(metric="accuracy", classes=4)
    )
    assert table.shape == (30, 4)
    assert (table.argmax(1) == labels[90:]).mean() > 0.9
    trial = baseline.trial
    assert trial.control == baseline.control and trial.candidate.id.startswith(baseline.features)


def test_where_classes_weigh_the_same_a_rare_one_is_not_given_up() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 12])
    features = (generator.normal(size=(312, 4)) + 1.2 * labels[:, None]).astype(np.float32)
    how = controls.Fitting(metric="balanced_accuracy", classes=2)
    recall = {}
    for metric in ("accuracy", "balanced_accuracy"):
        table = controls.linear(features, labels, features, replace(how, metric=metric))  # type: ignore[arg-type]
        recall[metric] = (table.argmax(1) == labels)[labels == 1].mean()
    assert recall["balanced_accuracy"] > recall["accuracy"] + 0.2
