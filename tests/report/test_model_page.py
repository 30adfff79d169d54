"""What the section on the model says of its errors, against the figures elsewhere on the page."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_run import example, full_folder

from autotl.records import (
    Calibration,
    Candidate,
    Cost,
    CurvePoint,
    Phase,
    ProbabilityErrors,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.records.result import Recommendation
from autotl.report import predictions, render, view
from autotl.report.format import printable
from autotl.report.material import Material, gather
from autotl.report.sections import model, recommendation
from autotl.report.wording import model as wording
from autotl.run_folder import result_file
from autotl.stats import metrics


def answers(
    labels: list[int], predicted: list[int], group: list[int] | None = None
) -> predictions.Predictions:
    """Return predictions of `predicted`, each with the same confidence."""
    number = max(*labels, *predicted) + 1
    rows = np.arange(len(labels))
    return predictions.Predictions(
        rows=rows,
        names=rows.astype(object),
        labels=np.array(labels),
        proba=(0.1 + 0.8 * np.eye(number)[predicted]).astype(np.float32),
        classes=tuple("abcdefghij"[:number]),
        model="it",
        images="these",
        group=None if group is None else np.array(group),
    )


def group_manifest(folder: Path, images: int) -> None:
    """Put every `images` lines of a manifest into one group."""
    path = folder / "manifest.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(line | {"group": str(number // images)} for number, line in enumerate(lines))


def test_the_accuracy_of_grouped_images_has_the_interval_of_the_headline(tmp_path: Path) -> None:
    """Images of one part are alike: with each counted for itself the interval was half as wide as the headline's."""
    folder = full_folder(tmp_path / "run", pictures=False)
    group_manifest(folder, 30)
    state = result_file.read(folder)
    shown = predictions.winner_predictions(state, folder)
    assert shown is not None and shown.group is not None
    headline = metrics.interval("accuracy", shown.labels, shown.predicted, 5, shown.rows // 30)
    alone = metrics.interval("accuracy", shown.labels, shown.predicted, 5)
    assert predictions.accuracy(shown) == headline != alone
    low, high = (f"{100 * end:.1f}" for end in (headline.low, headline.high))
    assert f"(95% CI {low}–{high})" in printable(
        model.section(state, gather(state, folder, late=True))["lede"]
    )


def test_predictions_of_a_part_of_the_test_images_are_not_said_to_be_of_all(tmp_path: Path) -> None:
    folder = full_folder(tmp_path / "run", pictures=False)
    state = result_file.read(folder)
    assert state.winner is not None
    shown = predictions.winner_predictions(
        replace(state, winner=replace(state.winner, test_images=60)), folder
    )
    assert shown is not None and shown.images == "60 of the 100 test images that no choice has used"


def test_recall_and_calibration_have_intervals_of_whole_groups() -> None:
    """Of two groups of 20 images one is right and one wrong: two observations, not forty."""
    labels, predicted, group = [0] * 40 + [1] * 40, [0] * 20 + [1] * 60, [n // 20 for n in range(80)]
    (lowest, _), (without, _) = (
        predictions.by_class(answers(labels, predicted, each)) for each in (group, None)
    )
    assert lowest["recall"].value == without["recall"].value == 0.5
    assert lowest["recall"].high - lowest["recall"].low > 0.8 > without["recall"].high - without["recall"].low
    bins, plain = (predictions.reliability(answers(labels, predicted, each)).bins for each in (group, None))
    assert bins[0][1].low < plain[0][1].low


def curve(first: int, *losses: float) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(epoch=float(epoch), seconds=float(epoch), loss=loss)
        for epoch, loss in enumerate(losses, start=first)
    )


def trainings_of(*parts: tuple[str, tuple[CurvePoint, ...]]) -> Recommendation:
    """Return a run whose winner was trained so: (id, curve), each after the first a continuation of the one before."""
    state = example()
    assert state.winner is not None
    candidate = Candidate(backbone=state.winner.backbone, input_size=96, strategy="lp_ft", unfreeze=2)
    results, before = [], 0.0
    for name, points in parts:
        final = name == "final"
        trial = Trial(
            id=name,
            candidate=candidate,
            fit_on=("train", "select") if final else ("train",),
            evaluate_on=("test",) if final else ("select",),
            resume_from="trials/before" if before else None,
            resumed_epochs=before,
        )
        before = points[-1].epoch if points else 0.0
        cost = Cost(backward=9.7 if not final else 7.2)
        results.append(
            TrialResult(trial=trial, status="finished", curve=points, cost=cost, epochs_done=before)
        )
    return replace(state, trials=tuple(results))


def test_a_short_final_fit_on_other_images_does_not_say_whether_the_loss_still_falls() -> None:
    """It begins at a higher rate and on more images, so that its loss falls, however flat that of the probe was."""
    flat = curve(1, 0.9, 0.5, 0.4, 0.3, 0.3, 0.3, 0.29, 0.29, 0.29, 0.29)
    state = trainings_of(("t1", flat), ("final", curve(11, 0.35, 0.33, 0.31, 0.28)))
    assert model.curves_of(state)["sentence"] == (
        "The training loss of the winner's longest training in the search had flattened over the last fifth of its 10"
        " epochs: more epochs alone are unlikely to help."
    )
    falling = curve(1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25)
    state = trainings_of(("t1", falling), ("final", curve(11, 0.25, 0.25, 0.25, 0.25)))
    sentence = printable(model.curves_of(state)["sentence"])
    assert (
        "winner's longest training in the search fell by 29% over the last fifth of its 10 epochs" in sentence
    )


def test_the_last_fifth_counts_the_epochs_before_a_continuation() -> None:
    """From epoch 16 to 20 of 20, not from 17 to 20: the continued part began at 5."""
    losses = [0.5] * 11 + [0.4, 0.4, 0.4, 0.4, 0.2]
    state = trainings_of(("t1", curve(1, 0.9, 0.8, 0.7, 0.6)), ("t2", curve(5, *losses)))
    assert "fell by 50% over the last fifth of its 20 epochs" in printable(model.curves_of(state)["sentence"])


def test_a_final_fit_from_the_start_is_judged_itself() -> None:
    state = trainings_of(("final", curve(1, 0.9, 0.8, 0.7, 0.6, 0.5)))
    assert "loss of the final fit fell by 17%" in printable(model.curves_of(state)["sentence"])


@pytest.mark.parametrize(
    "parts",
    [
        [("t1", curve(1, 0.9, 0.8))],
        [("t1", curve(1, 0.9))],
        [("t1", curve(1, *[0.9] * 18)), ("t2", curve(19, 0.95, 0.8))],  # it began within the last fifth
    ],
)
def test_a_training_that_is_too_short_says_so(parts: list[tuple[str, tuple[CurvePoint, ...]]]) -> None:
    """There was an empty paragraph, and one epoch of fine-tuning counted as a head in closed form."""
    shown = model.curves_of(trainings_of(*parts))
    assert not shown["none"]
    assert "too few epochs" in shown["sentence"]


def test_a_head_in_closed_form_has_no_curve() -> None:
    assert "closed form" in model.curves_of(trainings_of(("t1", ())))["none"]


def test_the_training_time_of_the_winner_counts_its_final_fit() -> None:
    state = trainings_of(("t1", curve(1, 0.9)), ("final", curve(2, 0.8)))
    board = (replace(state.leaderboard[0], fit_time=9.7), *state.leaderboard[1:])
    content = recommendation.section(replace(state, leaderboard=board), Material())
    first = printable(dict(content["lede"])["How good"])
    assert "Its trainings took 9.7 s in the search and 7.2 s in the final fit; prediction takes" in first
    shown = {
        each["label"]: (printable(each["value"]), printable(each["note"])) for each in content["figures"]
    }
    assert shown["training time"] == ("17 s", "9.7 s in the search, 7.2 s in the final fit")


def test_the_training_time_without_a_final_fit_is_that_of_the_search() -> None:
    state = trainings_of(("t1", curve(1, 0.9)))
    content = recommendation.section(state, Material())
    assert "Its trainings took 34 s in the search; prediction takes" in printable(
        dict(content["lede"])["How good"]
    )


def test_both_reports_say_what_the_column_of_training_times_counts(tmp_path: Path) -> None:
    render.render(example(), tmp_path)
    for name in ("report.html", "report.md"):
        text = " ".join((tmp_path / name).read_text(encoding="utf-8").split())
        assert "without the final fit" in text
        assert "Features of the images are computed once" in text


def confused(table: list[list[int]]) -> str:
    """Return what the report says of a confusion matrix, true classes as rows."""
    cells = [
        (true, taken)
        for true, line in enumerate(table)
        for taken, number in enumerate(line)
        for _ in range(number)
    ]
    shown = answers([true for true, _ in cells], [taken for _, taken in cells])
    return str(model.errors(Material(predictions=shown))["pairs_sentence"])


def test_two_classes_that_are_confused_both_ways_are_named_together() -> None:
    """Half of the errors go to the class c, and as many from it: c draws nothing."""
    assert confused([[30, 2, 7], [2, 140, 31], [0, 32, 140]]) == (
        "b and c are confused most: 63 of the 74 errors, 31 images of b and 32 of c."
    )
    assert "classified as c" in confused([[30, 0, 10], [0, 30, 10], [1, 1, 38]])


def test_the_most_confused_pair_is_named_where_errors_are_spread() -> None:
    """It said that no confusion stands out above a table with one at 23%."""
    table = (np.eye(10, dtype=int) * 40 + 2).tolist()
    table[3][5] = 16
    said = confused(table)
    assert said.startswith(
        "The errors are spread over many pairs of classes; d and f are confused most: 18 of the"
    )
    assert "stands out" not in said


def test_pairs_that_are_confused_as_often_are_counted() -> None:
    table = np.diag([30, 30, 30, 30])
    table[0][1], table[2][3], table[3][2], table[0][2] = 6, 3, 3, 2
    said = (
        "a and b are confused most, as often as 1 other pair: 6 of the 14 errors, 6 images of a and 0 of b."
    )
    assert confused(table.tolist()) == said


@pytest.mark.parametrize(("wrong", "words"), [(1, "1 error: too few"), (9, "too few to show a pattern")])
def test_few_errors_show_no_pattern(wrong: int, words: str) -> None:
    back = wrong // 2
    assert words in confused([[20, 0, 0], [0, 20, wrong - back], [0, back, 20]])


def test_no_error_of_the_probabilities_stands_twice() -> None:
    """The calibration error and the log loss were each given twice, once as a negative log likelihood."""
    measured = ProbabilityErrors(images=60, ece=0.0666, nll=0.682, brier=0.308)
    fitted = Calibration(temperature=1.0, ece=0.05, ece_before=0.05, images=60, test=measured)
    said = printable(wording.calibration("by chance", 0.81, 0.81, 0.0666, fitted, 60))
    assert said.count("6.7%") == 1 and "likelihood" not in said and "Brier score is 0.308" in said
    assert "likelihood 0.682" in wording.calibration("by chance", 0.81, 0.81, 0.02, fitted, 60)


def test_a_list_of_wrong_labels_has_a_line_for_each_and_ranks_stand_in_the_leaderboard(
    tmp_path: Path,
) -> None:
    """Markdown ran them into the next paragraph; figures refer to ranks that the leaderboard had replaced."""
    page = view.view(example())
    page["data"]["findings"][0]["listed"] = [
        {"name": f"{number}.jpg", "label": "a", "likelier": "b", "probability": "90%"} for number in range(3)
    ]
    lines = render.markdown(page).splitlines()
    assert [line for line in lines if line.startswith("  - ")] == [
        f"  - {number}.jpg: a, more likely b (90%)" for number in range(3)
    ]
    ranks = [line.split("|")[1].strip() for line in lines if "| 96 |" in line][:4]
    assert ranks == ["1 ★", "2 =", "3 =", "4"]
    assert "1 ★</span>" in render.html(page) and "2 =</span>" in render.html(page)


def test_both_reports_give_the_command_that_uses_the_model_and_say_what_their_words_mean(
    tmp_path: Path,
) -> None:
    """Neither form named autotl predict; lp_ft and layer group were undefined."""
    summary = "head first, then fine-tuning from there"
    strategy = Strategy(name="lp_ft", summary=summary, phases=(Phase(),), layers="last")
    render.render(example(strategies=(strategy,)), tmp_path)
    for name in ("report.html", "report.md"):
        text = " ".join((tmp_path / name).read_text(encoding="utf-8").replace("\\", "").split())
        assert "autotl predict . photo.jpg" in text
        assert f"Strategies: lp_ft: {summary}." in text
        assert "A layer group is" in text
    unfinished = view.view(example(winner=None, decision=None, leaderboard=(), status="running"))
    assert "autotl predict" not in render.html(unfinished)
