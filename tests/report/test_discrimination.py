"""Curves, areas, log loss and thresholds, and where the report shows them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_run import NASTY, example, full_folder

from autotl.records import (
    Candidate,
    CurvePoint,
    DepthPoint,
    DepthProfile,
    Phase,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.report import material, model_card, render, trainings
from autotl.report.discrimination import discrimination
from autotl.report.format import loss
from autotl.report.predictions import Predictions, scores_by_class
from autotl.report.sections import depth
from autotl.report.thumbnails import samples
from autotl.report.view import view
from autotl.report.wording import candidate
from autotl.report.wording import discrimination as separation
from autotl.run_folder import manifest, result_file


def predictions(labels: list[int], proba: list[list[float]]) -> Predictions:
    classes = tuple(f"class {number}" for number in range(len(proba[0])))
    rows = np.arange(len(labels))
    return Predictions(
        rows=rows, names=rows.astype(object), labels=np.array(labels), proba=np.array(proba, np.float32),
        classes=classes, model="it", images="these",
    )  # fmt: skip


def pair(probabilities: list[float]) -> list[list[float]]:
    return [[1 - value, value] for value in probabilities]


def test_two_classes_have_one_curve_that_of_the_rarer() -> None:
    found = discrimination(predictions([0, 0, 0, 1, 1], pair([0.1, 0.2, 0.7, 0.6, 0.9])))
    (curve,) = found.curves
    assert (curve.name, curve.images) == ("class 1", 2)
    assert curve.auc == pytest.approx(5 / 6)  # of six pairs one is in the wrong order
    assert curve.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found.log_loss == pytest.approx(
        -(math.log(0.9) + math.log(0.8) + math.log(0.3) + math.log(0.6) + math.log(0.9)) / 5, abs=1e-6
    )
    assert found.constant_log_loss == pytest.approx(-(0.6 * math.log(0.6) + 0.4 * math.log(0.4)))
    assert found.top is None


def test_thresholds_trade_precision_against_recall() -> None:
    found = discrimination(predictions([0, 0, 0, 1, 1], pair([0.1, 0.2, 0.7, 0.6, 0.9])))
    rows = {each.value: each for each in found.thresholds}
    assert (rows[0.5].flagged, rows[0.5].recall) == (3, 1.0)
    assert rows[0.5].precision == pytest.approx(2 / 3)
    assert rows[0.5].false_positives == pytest.approx(1 / 3)
    assert (rows[0.8].precision, rows[0.8].recall) == (1.0, 0.5)
    assert rows[0.95].precision is None
    recalls = [each.recall for each in found.thresholds]
    assert recalls == sorted(recalls, reverse=True)
    assert found.best is not None and found.best.f1 == pytest.approx(0.8)


def test_the_best_threshold_is_found_between_the_round_ones() -> None:
    found = discrimination(predictions([0, 0, 1, 1], pair([0.02, 0.52, 0.55, 0.58])))
    assert found.best is not None
    assert (round(found.best.value, 2), found.best.f1) == (0.55, 1.0)
    text = separation.thresholds("class 1", found.best.value, found.best.f1)
    assert "highest at 0.550" in text and "a little too high" in text
    assert "a little too high" not in separation.thresholds("class 1", 0.5, 0.9)


def test_of_many_classes_each_stands_against_the_rest_and_top_five_counts() -> None:
    labels = list(range(6)) * 5
    proba = np.full((30, 7), 0.05)
    proba[np.arange(30), labels] = 0.7
    proba[0] = [0.01, 0.2, 0.2, 0.2, 0.2, 0.15, 0.04]
    found = discrimination(predictions(labels, proba.tolist()))
    assert [each.name for each in found.curves] == [
        f"class {number}" for number in range(6)
    ]  # none of the 7th
    assert found.top == pytest.approx(29 / 30)
    assert found.auc is not None and 0.9 < found.auc < 1
    assert not found.thresholds and found.best is None
    assert "among the 5 most probable" in separation.separation(found, 7)


def test_images_of_one_class_have_a_log_loss_and_no_curve() -> None:
    found = discrimination(predictions([1, 1], pair([0.9, 0.8])))
    assert found.curves == () and found.auc is None and not found.thresholds
    assert "ROC" not in separation.separation(found, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    classes = ("rare", NASTY)
    strategies = (
        Strategy(
            name="lp_ft", summary="head first", phases=(Phase(trains="head", share=0.3), Phase(lr=5e-4))
        ),
    )
    made = full_folder(tmp_path_factory.mktemp("two") / "run", classes, images=60, strategies=strategies)
    result = result_file.read(made)
    render.render(result, made, material.gather(result, made, made / "photos"))
    return made


def test_the_page_folds_out_curves_thresholds_epochs_and_candidates(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "Separation of the classes",
        "ROC and precision-recall curves, thresholds",
        'aria-label="ROC curves of 1 classes',
        "Loss and score of each epoch (",
        "Score: accuracy on a part of the selection images",
        "Each candidate in full",
        "training, phase 1",
        "head alone, peak learning rate of the head 0.002",
        "head and last 2 layer groups, peak learning rate of the head 0.0005",
    ):
        assert words in page, words
    assert "<script>alert" not in page
    anchors = re.findall(r'href="#(candidate-\d+)"', page)
    assert anchors and all(f'id="{anchor}"' in page for anchor in anchors)
    words = (folder / "report.md").read_text(encoding="utf-8")
    assert "| threshold |" in words and "Log loss" in words


def test_markdown_has_the_candidates_and_the_epochs_of_the_page(folder: Path) -> None:
    page, words = (
        (folder / name).read_text(encoding="utf-8").replace("\\", "") for name in ("report.html", "report.md")
    )
    result = result_file.read(folder)
    scored = [row for row in result.leaderboard if row.score_val is not None and not row.control]
    assert re.findall(r"^### \d+ · (.*)", words, re.MULTILINE) == [row.candidate for row in scored]
    for trial in trainings.with_epochs(result):
        assert f"### {trial.trial.id}: {trial.trial.candidate.id}" in words
        rows = [f"| {point.epoch:g} | {loss(point.loss)} |" for point in trainings.shown_points(trial.curve)]
        assert all(row in words for row in rows)
    for text in ("head and last 2 layer groups, peak learning rate of the head 0.0005", "multiply-adds"):
        assert text in page and text in words
    assert "<script>" not in words


def test_percent_signs_stand_without_a_space(folder: Path) -> None:
    (folder / "model").mkdir()
    model_card.write(result_file.read(folder), folder)
    for name in ("report.html", "report.md", "model/README.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert re.search(r"\d%", text), name
        assert not re.findall(r".{20}\d(?:\s|&nbsp;)%.{9}", text), name


def test_candidates_are_scored_by_class_on_the_selection_images(folder: Path) -> None:
    result = result_file.read(folder)
    shown = material.Material(
        by_class=scores_by_class(result, folder, manifest.read(folder / "manifest.csv"))
    )
    content = view(result, shown)["leaderboard"]["details"]
    first = content[0]
    assert first["candidate"] == result.leaderboard[0].candidate
    assert {line["name"] for line in first["classes"]} == {"rare", NASTY}
    assert [trial["what"] for trial in first["trials"]] == ["probe", "probe", "probe", "final fit"]
    recalls = [float(line["recall"].rstrip("%")) for line in first["classes"]]
    assert recalls == sorted(recalls)


def test_sample_images_come_from_the_training_part_and_outlive_the_data(tmp_path: Path) -> None:
    made = full_folder(tmp_path / "run", ("cat", "dog"), images=30)
    result, table = result_file.read(made), manifest.read(made / "manifest.csv")
    photos = made / "photos"
    for name in ("train/0/14.jpg", "train/1/1.jpg"):  # the helper writes pictures of the test part alone
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(next(photos.rglob("test/*/*.jpg")).read_bytes())
    shown = samples(result, made, photos, table)
    assert {name: [each.name for each in images] for name, images in shown.items()} == {
        "cat": ["train/0/14.jpg"],
        "dog": ["train/1/1.jpg"],
    }
    for file in photos.rglob("*.jpg"):
        file.unlink()
    assert samples(result, made, None, table) == shown
    words = render.markdown(view(result, material.Material(samples=shown)))
    linked = re.findall(r"^- (\w+): !\[(.*?)\]\((.*?)\)", words, re.MULTILINE)
    assert [(name, image) for name, image, _ in linked] == [
        ("cat", "train/0/14.jpg"),
        ("dog", "train/1/1.jpg"),
    ]
    assert all((made / file).is_file() for *_, file in linked)


def test_long_trainings_show_lines_at_equal_distances() -> None:
    curve = [CurvePoint(epoch=float(n), seconds=float(n), loss=1 / n) for n in range(1, 201)]
    points = trainings.shown_points(curve)
    assert len(points) == trainings.SHOWN_EPOCHS
    assert (points[0], points[-1]) == (curve[0], curve[-1])
    assert trainings.shown_points(curve[:5]) == curve[:5]


def test_a_phase_is_described_by_what_it_trains() -> None:
    assert candidate.phase(Phase(), "all", {"lr": "0.0002"}).startswith(
        "all layers, peak learning rate of the head 0.0002"
    )
    assert "head and last layer group," in candidate.phase(Phase(), 1, {})
    assert "batch norm frozen" in candidate.phase(Phase(norm="frozen"), 1, {})
    assert candidate.phase_name(1, 1) == "training"


def test_depths_are_not_compared_by_an_accuracy_that_the_largest_class_has() -> None:
    points = tuple(DepthPoint(depth=n, linear=0.96 + n / 1000, knn=0.9, width=8) for n in range(1, 5))
    shown = DepthProfile(backbone="autotl:resnet14t_small", size=64, points=points, rows=256)
    for counts, words in (
        ((970, 30), "always answering the largest class (97.0"),
        ((500, 500), "layer group"),
    ):
        profile = replace(example().profile, classes=("other", "rare"), counts=counts)
        state = replace(example(), depth_profiles=(shown,), profile=profile)
        text = depth.section(state, None)["sentences"][-1]  # type: ignore[arg-type]
        assert words in text


def test_a_probe_that_was_tested_is_one_training() -> None:
    candidate_ = Candidate(backbone="a", input_size=64, strategy="fine_tune", unfreeze=1)
    curve = tuple(CurvePoint(epoch=float(n), seconds=float(n), loss=1 / n) for n in (1, 2))
    probe = TrialResult(
        trial=Trial(id="t001", candidate=candidate_, epochs=2.0), status="finished", curve=curve
    )
    tested = replace(probe, trial=replace(probe.trial, id="tested", evaluate_on=("test",)))
    fitted = replace(probe, trial=replace(probe.trial, id="final", fit_on=("train", "select")))
    state = replace(example(), trials=(probe, tested, fitted))
    assert [each.trial.id for each in trainings.with_epochs(state)] == ["t001", "final"]
    assert [line["id"] for line in view(state)["time"]["trials"]] == ["t001", "final"]
