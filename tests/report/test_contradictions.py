"""Sentences that another number of the same page would contradict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from example_run import example

from autotl.records import (
    Calibration,
    DepthPoint,
    DepthProfile,
    Fact,
    Finding,
    Forecast,
    Interval,
    Kind,
    StagePlan,
    fact,
)
from autotl.records.evaluation import NumberEvaluation
from autotl.records.result import Recommendation, Row
from autotl.report import discrimination, plot, predictions, trainings
from autotl.report.format import printable
from autotl.report.material import Material
from autotl.report.sections import cost, data, depth, model, recommendation, reproduce, time, transfer
from autotl.report.wording import action, nothing_finished, sentence, terminal
from autotl.report.wording import evaluation as of_evaluation
from autotl.report.wording import model as of_model
from autotl.report.wording import time as of_time
from autotl.report.wording.discrimination import separation
from autotl.report.wording.page import accuracy_and_cost


def line(name: str, right: int, images: int) -> dict[str, Any]:
    share = right / images
    return {"name": name, "support": images, "recall": Interval(value=share, low=share, high=share)}


def test_every_class_is_right_only_where_every_class_is() -> None:
    lines = [line("rare", 0, 1), line("common", 60, 60)]
    assert model.lowest_recall(lines, 2).startswith("Lowest recall: rare, 0")
    lines = [line("rare", 0, 1), line("middling", 9, 10), line("common", 60, 60)]
    assert model.lowest_recall(lines, 3).startswith("Lowest recall: middling")
    assert model.lowest_recall([line("rare", 1, 1), line("common", 60, 60)], 2).startswith("Every image")


def profile(*linear: float) -> DepthProfile:
    points = tuple(
        DepthPoint(depth=place, linear=value, knn=value, width=8)
        for place, value in enumerate(linear, start=1)
    )
    return DepthProfile(backbone="autotl:resnet14t_small", size=64, points=points, rows=200)


@pytest.mark.parametrize(
    ("linear", "words"),
    [
        ((1.0, 1.0, 1.0, 1.0), "layer group 1 of 4 is at least as accurate as on the last"),
        ((0.5, 0.7, 0.9, 0.95), "truncating the backbone does not help"),
        ((0.5, 0.9, 0.95, 0.7), "layer group 3 of 4 is the best"),
    ],
)
def test_a_truncated_backbone_that_would_do_is_named(linear: tuple[float, ...], words: str) -> None:
    state = example()
    assert state.winner is not None
    state = replace(state, depth_profiles=(profile(*linear),), winner=replace(state.winner, unfreeze=0))
    content = depth.section(state, None)  # type: ignore[arg-type]
    assert any(words in sentence and "200 train images" in sentence for sentence in content["sentences"])
    assert trainings.enough_depth(profile(1.0, 1.0, 1.0)) == 1


def test_an_accuracy_by_depth_has_its_interval_beside_it() -> None:
    first, last = profile(0.5, 0.9).points
    points = (replace(first, low=0.43, high=0.57), replace(last, low=0.85, high=0.93))
    state = replace(example(), depth_profiles=(replace(profile(0.5, 0.9), points=points),))
    text = " ".join(depth.section(state, None)["sentences"])  # type: ignore[arg-type]
    assert "90.0% (95% CI 85.0–93.0) with a linear head, compared with 50.0% (95% CI 43.0–57.0)" in text


def test_what_is_as_accurate_and_faster_is_named_before_what_is_only_faster() -> None:
    board = (
        row("a:won@64/linear_probe", 0.9, 0.0020),
        row("a:same@64/linear_probe", 0.9, 0.0015),
        row("a:poor@64/linear_probe", 0.723, 0.0012),
    )
    state = example()
    assert state.winner is not None
    state = replace(state, leaderboard=board, winner=replace(state.winner, candidate=board[0].candidate))
    sentence = cost.section(state, None)["sentence"]  # type: ignore[arg-type]
    assert "a:same@64/linear_probe is 1.3 times as fast as the winner, with the same score (not" in sentence


def test_what_is_significantly_worse_is_no_faster_choice() -> None:
    """Half a millisecond for 14 points was advised."""
    board = (
        row("a:won@64/linear_probe", 0.9, 0.0020),
        row("a:poor@64/linear_probe", 0.76, 0.0010, tied=False),
    )
    state = example()
    assert state.winner is not None
    state = replace(state, leaderboard=board, winner=replace(state.winner, candidate=board[0].candidate))
    sentence = cost.section(state, None)["sentence"]  # type: ignore[arg-type]
    assert sentence == "No candidate that is not significantly worse is noticeably faster than the winner."


def test_no_truncation_is_advised_where_the_last_layers_are_tuned_or_of_another_backbone() -> None:
    """The advice was to cut off the very layer group that the recommendation fine-tunes."""
    same = profile(1.0, 1.0, 1.0, 1.0)
    state = replace(example(), depth_profiles=(same,))  # the winner is lp_ft:2
    assert "truncat" not in str(depth.section(state, None)["sentences"])  # type: ignore[arg-type]
    other = replace(state, depth_profiles=(replace(same, backbone="timm:another"),))
    assert "timm:another" not in str(depth.section(other, None)["sentences"])  # type: ignore[arg-type]


def row(candidate: str, score: float, latency: float, *, tied: bool = True) -> Row:
    return Row(
        candidate=candidate, status="finished", score_val=score, pred_time=latency, in_winners_set=tied
    )


def test_one_ratio_of_the_classes_is_shown() -> None:
    """The profile's own ratio leaves out test images, which the bars and the finding beside it do not."""
    state = example()
    profile = replace(state.profile, classes=("a", "b", "c"), counts=(120, 10, 0), imbalance=10.6)
    finding = Finding(kind=Kind.IMBALANCE, values={"ratio": 12.0}, count=1)
    content = data.section(replace(state, profile=replace(profile, findings=(finding,))), Material())
    assert ("largest : smallest class", "12.0 : 1") in content["facts"]
    assert any("12.0 times" in each["text"] for each in content["findings"])


def test_a_stage_that_took_longer_than_planned_contradicts_no_limit() -> None:
    """A busy machine is slower than its forecasts: no row says 'at most' beside a larger number."""
    rows = content_of_plan(StagePlan(stage="rank", seconds=21.0, fixed=False, covers=("rank",)), 31.0)
    assert rows == [{"stage": "rank", "planned": "21 s", "kind": "share of the budget", "used": "31 s"}]


def content_of_plan(row: StagePlan, used: float) -> list[dict[str, str]]:
    state = replace(example(), time_plan=(row,), seconds={"total": used, "budget": 60.0, "rank": used})
    return [
        {name: printable(text) for name, text in line.items()}
        for line in time.section(state, Material())["plan"]
    ]


def test_a_wide_tie_says_that_the_images_are_too_few() -> None:
    wide = terminal.legend("accuracy", winner=True, ties=3, behind=0.308)
    assert "too few images to tell 31 points apart" in wide
    assert "too few" not in terminal.legend("accuracy", winner=True, ties=3, behind=0.01)


def test_no_axis_of_shares_goes_beyond_a_hundred_percent() -> None:
    drawing = plot.Drawing()
    drawing.axes.plot([1, 2, 3], [1.0, 1.0, 1.0])
    plot.share_axis(drawing.axes.yaxis)
    low, high = drawing.axes.get_ylim()
    assert low < 1.0 < high < 1.01
    form = drawing.axes.yaxis.get_major_formatter()
    assert form(1.02) == "" and form(np.float64(1.0)).startswith("100")
    ticks = [form(value) for value in np.arange(0.44, 0.9, 0.02)]
    assert ticks == [f"{number}%" for number in range(44, 90, 2)]  # one form on one axis
    assert form(0.725) == "72.5%"


def test_a_larger_budget_is_advised_only_where_this_one_was_used_up() -> None:
    early, late = nothing_finished(10, 60, []), nothing_finished(58, 60, ["mine: no weights"])
    assert "--budget" not in early and "--strategies" in early and "no time" not in early
    assert late.endswith("use a larger --budget or other --backbones") and "mine: no weights" in late
    assert nothing_finished(98, 90, []).startswith("no candidate finished in 98 s, with a budget of 90 s: ")


def test_the_most_confident_errors_are_listed_by_the_probability_beside_them() -> None:
    """By its lead over the true class the second would come first."""
    proba = np.array([[0.9, 0.1, 0.0], [0.82, 0.03, 0.15], [0.1, 0.8, 0.1]], np.float32)
    shown = predictions.Predictions(
        rows=np.arange(3),
        names=np.array(["a.png", "b.png", "c.png"], object),
        labels=np.array([1, 1, 1]),
        proba=proba,
        classes=("x", "y", "z"),
        model="probe",
        images="test",
    )
    assert predictions.most_confident_errors(shown, 5).tolist() == [0, 1]


@pytest.mark.parametrize(("log_loss", "more"), [(1.09, True), (0.4, False)])
def test_a_log_loss_above_that_of_the_shares_is_called_more(log_loss: float, more: bool) -> None:
    measured = discrimination.Discrimination(
        log_loss=log_loss,
        constant_log_loss=1.066,
        top=None,
        curves=(),
        auc=None,
        average_precision=None,
        thresholds=(),
    )
    assert ("1.066, less than this model" in separation(measured, 3)) == more


@pytest.mark.parametrize(
    ("metric", "more"),
    [
        ("accuracy", "more images narrow it"),
        ("balanced_accuracy", "more images of the smallest classes narrow it"),
        ("macro_f1", "more images of the smallest classes narrow it"),
        ("mean_average_precision", "more images narrow it"),
        ("r2", "more images narrow it"),
    ],
)
def test_small_classes_are_asked_for_where_classes_weigh_alike_alone(metric: str, more: str) -> None:
    text = sentence(fact(Kind.WIDE_INTERVAL, metric=metric, low=0.7, high=0.9, images=40))
    assert text.endswith(f"; {more}")


def test_a_ratio_of_labels_is_not_said_of_classes() -> None:
    state = example()
    state = replace(state, profile=replace(state.profile, target="multilabel", counts=(12, 6)))
    facts = dict(data.section(state, Material())["facts"])
    assert facts["largest : smallest label"] == "2.0 : 1"


def test_a_head_start_names_two_times_that_need_not_be_equal() -> None:
    gap = {"difference": 0.2, "low": 0.1, "high": 0.3, "images": 40}
    text = sentence(fact(Kind.HEAD_START, candidate="a:net", seconds=1.0, scratch_seconds=8.0, gap=gap))
    assert text.startswith(
        "head start: a:net after 1 s against the same network from scratch after 8 s, difference"
    )


def test_a_search_without_time_is_not_said_to_have_nought_seconds_left() -> None:
    none, some = (sentence(fact(Kind.NO_RECIPE_FITS, least=39.0, left=left)) for left in (-3.2, 4.0))
    assert printable(none).endswith("the shortest would take 39 s with its final fit, and none is left")
    assert printable(some).endswith("with its final fit, and 4.0 s are left")


def test_a_final_fit_that_failed_names_what_ships_in_the_words_of_the_report() -> None:
    values = {"status": "failed", "error": "out of memory"}
    shipped, nothing = (sentence(fact(Kind.FINAL_FIT_FAILED, probe=probe, **values)) for probe in ("t3", ""))
    assert nothing == "Final fit failed: out of memory"
    assert (
        shipped == f"{nothing}; the winner's model from the search ships instead (t3, fitted on train alone)"
    )


def test_the_budget_stands_beside_the_time_of_a_run_that_was_over_it() -> None:
    forecast = Forecast(seconds=84.0, seconds_low=82.0, seconds_high=88.0)
    over, within = (
        printable(
            terminal.forecast_outcome(example(forecast=forecast, seconds={"budget": 90.0, "total": total}))
        )
        for total in (96.0, 88.0)
    )
    assert over.startswith("Time: 1 min 36 s of a budget of 1 min 30 s; forecast before training: 1 min 24 s")
    assert within.startswith("Time: 1 min 28 s; forecast")


def test_the_recommended_candidate_does_not_score_higher_than_itself() -> None:
    """The score of a decision that is made again is rounded, that of its row is not."""
    state = example()
    assert state.winner is not None
    own = next(row for row in state.leaderboard if row.candidate == state.winner.candidate)
    rounded_down = replace(state.winner, score_val=(own.score_val or 0.0) - 4e-7)
    alone = replace(state, winner=rounded_down, leaderboard=(replace(own, in_winners_set=True),))
    assert terminal.higher_scores(alone) == ""


GAP = {"difference": 0.062, "low": -0.02, "high": 0.147, "images": 129}


def with_reasons(*reasons: Fact) -> Recommendation:
    state = example()
    assert state.decision is not None
    return replace(state, decision=replace(state.decision, reasons=reasons))


@pytest.mark.parametrize("kind", [Kind.PRETRAINING_UNKNOWN, Kind.PRETRAINING_GAIN])
def test_the_score_of_a_control_stands_in_one_sentence(kind: Kind) -> None:
    """The pixels were given with their accuracy twice, one line after the other."""
    by_hand = fact(Kind.PIXELS_ONLY, control="pixels_ridge", score=0.496, gap=GAP)
    values = {"converged": False, "gap": GAP} if kind is Kind.PRETRAINING_GAIN else {}
    state = with_reasons(fact(kind, control="pixels_ridge", score=0.496, epochs=0.0, **values), by_hand)
    content = transfer.section(state, Material())
    assert str([content["verdict"], *content["sentences"]]).count("49.6%") == 1
    told = recommendation.section(state, Material())
    assert str([told["reasons"], told["more_reasons"], told["warnings"]]).count("49.6%") == 1
    other = with_reasons(fact(kind, control="scratch", score=0.7, epochs=9.0, **values), by_hand)
    content = transfer.section(other, Material())
    assert "70.0%" in content["verdict"] and "49.6%" in str(content["sentences"])


def test_a_difference_stands_in_one_reason() -> None:
    chosen = fact(
        Kind.CHOSEN_OVER_BEST, other="b:net@96/knn", gap=GAP, members=3, prefer="accuracy", less={}, more={},
        exportable=False,
    )  # fmt: skip
    frozen = fact(Kind.FROZEN_OR_TUNED, frozen=True, other="a:net@96/lp_ft:1", gap=GAP)
    thumb = fact(
        Kind.RULE_OF_THUMB, images=520, large=False, similarity="near", domain="imagenet-1k", advised="last layers",
        chosen="frozen", other="a:net@96/lp_ft:1", gap=GAP,
    )  # fmt: skip
    compared = fact(Kind.BACKBONE_COMPARED, other="b:net@96/knn", gap=GAP)
    told = recommendation.section(with_reasons(chosen, compared, frozen, thumb), Material())
    text = " ".join((*told["reasons"], *told["more_reasons"]))
    assert text.count("difference") == 2 and text.endswith("measured best: frozen backbone.")
    other = fact(Kind.BACKBONE_COMPARED, other="c:net@96/knn", gap=GAP)
    told = recommendation.section(with_reasons(chosen, other), Material())
    assert "against c:net@96/knn" in str(told["reasons"])


def test_examples_of_two_sides_say_which_is_which() -> None:
    """Train and test images stood in one list of names."""
    pairs = (("train/a.png", "test/b.png"), ("train/c.png", "test/d.png"))
    finding = Finding(
        kind=Kind.TEST_IMAGES_DIFFER,
        values={"area": 0.9, "p": 0.01, "classes": [], "grouped": False},
        count=40,
        where=tuple(name for pair in pairs for name in pair),
        pairs=pairs,
    )
    state = example()
    state = replace(state, profile=replace(state.profile, findings=(finding,)))
    shown = data.section(state, Material())["findings"][-1]
    assert shown["where"] == [] and shown["examples"] == (
        "Examples, each an image of another part and a test image: train/a.png and test/b.png; train/c.png and test/d.png"
    )
    pictures = Material(compared=dict.fromkeys(finding.where, "data:,"))
    (first, _) = data.section(state, pictures)["findings"][-1]["pairs"]
    assert first["caption"] == "left: an image of another part, right: a test image"


def test_groups_in_several_given_parts_are_not_called_kept_in_one() -> None:
    kept = Finding(kind=Kind.GROUPS, values={"shared": 0}, count=9, action="held_together")
    assert action(kept) == "kept in one part"
    assert action(replace(kept, values={"shared": 3})) == ""


def test_the_parts_and_the_images_outside_them_sum_to_all_images() -> None:
    """Files that are no image were counted with the images that take no part."""
    state = example()
    counts = {"train": 117, "select": 0, "test": 77, "left out": 10}
    state = replace(
        state, data=replace(state.data, counts=counts), profile=replace(state.profile, images=200)
    )
    facts = dict(data.section(state, Material())["facts"])
    assert facts["parts"] == "117 train, 77 test, 6 in none" and facts["other files left out"] == "4"


def test_the_sizes_of_the_parts_stand_once() -> None:
    state = example()
    split = (fact(Kind.SPLIT_SIZES, train=10, test=5), fact(Kind.GROUPS_WHOLE))
    content = data.section(replace(state, data=replace(state.data, split=split)), Material())
    assert content["split"] == "Groups kept whole."


def test_a_temperature_fitted_on_the_images_shown_says_so() -> None:
    """Two calibration errors, 6.3% and 10.0%, were both said of the same 226 images."""
    fitted = Calibration(temperature=0.63, ece=0.1, ece_before=0.167, images=226)
    same = of_model.calibration("by chance", 0.74, 0.77, 0.063, fitted, 226)
    assert "fitted on the same images" in same and "out-of-fold calibration error, 10.0%" in same
    others = of_model.calibration("by chance", 0.74, 0.77, 0.063, fitted, 351)
    assert "changed the calibration error from 16.7% to 10.0% on 226 selection images" in others


def test_what_is_under_beware_is_no_note_again() -> None:
    failed = fact(Kind.FINAL_FIT_FAILED, status="failed", error="out of memory", probe="")
    ended = fact(Kind.ALL_TRIED)
    state = replace(example(), notes=(failed, ended, fact(Kind.ENDED_EARLY, seconds=9.0)))
    assert "out of memory" in str(recommendation.section(state, Material())["warnings"])
    notes = reproduce.section(state, Material())["notes"]
    assert "out of memory" not in str(notes) and "9.0" in str(notes)
    assert "every recipe on offer was tried" in str(time.section(state, Material())["spare"])
    assert "recipe on offer" not in str(notes)
    state = replace(state, notes=(ended,))
    assert "recipe on offer" in str(reproduce.section(state, Material())["notes"])


def test_one_reason_is_given_for_a_missing_test_score() -> None:
    """The first sentence said that no time was left, the warning below that memory was."""
    state = example()
    assert state.winner is not None
    winner = replace(state.winner, score_test=None, test_low=None, test_high=None)
    counts = state.data.counts | {"test": 40}
    state = replace(state, winner=winner, data=replace(state.data, counts=counts))
    text = accuracy_and_cost(state, None, None, None)
    assert text.endswith("Not evaluated on the 40 test images.")


def test_a_recall_has_the_digits_of_its_table() -> None:
    lines = [line("daisy", 52, 64), line("rose", 64, 64)]
    assert "daisy, 81.2% of its 64 images" in model.lowest_recall(lines, 2)


def test_a_tie_within_a_tenth_of_a_point_is_not_called_equal() -> None:
    text = sentence(fact(Kind.RUNNER_UP_EQUAL, candidate="b:net@96/knn", images=40))
    assert text == "little: b:net@96/knn has the same score within 0.1 points on these 40 images"


def test_what_scores_expect_of_numbers_is_no_accuracy() -> None:
    assert of_time.expected("r2") == "expected R² (all scores)"


def test_the_time_of_the_run_stands_once_on_the_page() -> None:
    forecast = Forecast(
        seconds=49.0, seconds_low=46.0, seconds_high=52.0, bytes=10**9, bytes_low=10**9, bytes_high=2 * 10**9
    )
    state = replace(example(), forecast=forecast, peak=1_030_000_000, seconds={"total": 69.0, "budget": 60.0})
    text = printable(time.section(state, Material())["forecasts"])
    assert text.startswith(
        "Forecast before training: 49 s (80% interval 46–52 s). Memory: at most 1.0 GB; forecast: 1.0 GB"
    )
    assert printable(terminal.forecast_outcome(state)).startswith(
        "Time: 1 min 09 s of a budget of 1 min 00 s;"
    )


def test_central_squares_that_are_kept_with_a_lower_figure_have_a_reason() -> None:
    values = {"geometry": "crop", "images": 384, "elongated": 0.4}
    kept = sentence(fact(Kind.GEOMETRY, recognised={"crop": 0.451, "squash": 0.456, "pad": 0.432}, **values))
    assert "and 43.2% padded, too little to leave the central square; --geometry" in kept.replace(
        "\u202f", " "
    )
    best = sentence(fact(Kind.GEOMETRY, recognised={"crop": 0.47, "squash": 0.456, "pad": 0.432}, **values))
    assert "too little" not in best


def test_an_evaluation_of_numbers_gives_their_r2_once() -> None:
    one = Interval(value=0.9, low=0.8, high=0.95)
    found = NumberEvaluation(
        images=40, metric="r2", score=one, mae=one, rmse=one, r2=one, spearman=one, constant_mae=3.0, bias=0.0,
        spread=0.0, spread_p=1.0,
    )  # fmt: skip
    assert " ".join(of_evaluation.sentences(found)).count("90.0%") == 1
    by_mae = " ".join(of_evaluation.sentences(replace(found, metric="mae")))
    assert "R² is 90.0%: the share of the variance that is explained" in by_mae
