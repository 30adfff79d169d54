"""Whole runs on a table engine whose labels are numbers, or several labels an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_targets import COLOURS, discs, tiles
from simulated_run import World, offered

from autotl.candidates import gather
from autotl.decision import evidence
from autotl.errors import AutotlError, DatasetError, UnknownNameError
from autotl.records import Kind, Strategy
from autotl.records.result import Recommendation
from autotl.report import wording
from autotl.run_folder import manifest, redecide, replay, result_file

MADE = {"regression": discs, "multilabel": tiles}


@pytest.fixture(scope="module", params=list(MADE))
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp(request.param)
    source = MADE[request.param](place, 260)
    with offered():
        yield World().run(source, place / "run")


def state_of(folder: Path, target: str) -> Recommendation:
    state = result_file.read(folder)
    if state.data.target != target:
        pytest.skip("of the other kind of target")
    return state


def test_the_better_backbone_wins_and_is_tested(finished: Path) -> None:
    state = result_file.read(finished)
    assert state.status == "finished" and state.winner is not None
    assert state.winner.backbone == "mine:good"
    assert state.metric == {"regression": "r2", "multilabel": "mean_average_precision"}[state.data.target]
    assert state.winner.score_test is not None and state.winner.test_low is not None
    assert state.winner.test_low < state.winner.score_test
    assert 0.5 < state.winner.score_val <= 1
    controls = {row.control for row in state.leaderboard if row.control}
    assert {"pixels", "pixels_ridge", "gradients", "scratch", "shuffled"} <= controls


def test_shuffled_labels_score_nothing(finished: Path) -> None:
    state = result_file.read(finished)
    (chance,) = (row.score_val for row in state.leaderboard if row.control == "shuffled")
    assert chance is not None
    if state.data.target == "regression":
        assert chance < 0.05
    else:  # a random order has the share of a label
        assert abs(chance - np.mean([count / 260 for count in state.profile.counts])) < 0.1


def test_scores_follow_from_the_folder_alone(finished: Path) -> None:
    state = result_file.read(finished)
    table = manifest.read(finished / "manifest.csv")
    columns = table.columns(state.data.classes, state.data.folds, state.data.target)
    probe = next(t for t in state.trials if t.score_val is not None and not t.trial.control)
    again = evidence.score_trial(probe, finished, columns, state.goal)
    assert again.score_val == probe.score_val


def test_the_run_is_replayed_byte_for_byte(finished: Path) -> None:
    assert replay.replay(finished) == []  # no difference


def test_another_metric_of_the_kind_can_decide_and_one_of_classes_cannot(finished: Path) -> None:
    target = result_file.read(finished).data.target
    metric = {"regression": "mae", "multilabel": "macro_f1"}[target]
    assert redecide.revise(finished, metric=metric).state.metric == metric  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match=f"metric of {target} labels"):
        redecide.revise(finished, metric="accuracy")


def test_parts_have_the_same_distribution(finished: Path) -> None:
    state = result_file.read(finished)
    table = manifest.read(finished / "manifest.csv")
    labels = table.labels(state.data.classes, state.data.target)
    train, test = (labels[table.part == code].mean(0) for code in (0, 2))
    spread = labels.std(0)
    assert (np.abs(train - test) < 0.15 * spread + 0.02).all()


def test_intervals_of_numbers_hold_new_images(finished: Path) -> None:
    state = state_of(finished, "regression")
    assert state.calibration is None and state.thresholds is None
    found = state.conformal
    assert found is not None and found.level == 0.9 and found.half_width is not None
    assert found.coverage is not None and found.coverage > 0.75 and found.tested == state.winner.test_images  # type: ignore[union-attr]
    assert state.profile.numbers is not None and sum(state.profile.numbers.counts) == 260
    report = (finished / "report.html").read_text()
    assert "Residuals" in report and "Predictions and labels" in report and "radius" in report
    assert "Confusions" not in report and "classified correctly" not in report
    assert "Sample images</summary>" in report
    text = (finished / "report.md").read_text()
    assert "mean absolute error" in text and "Largest errors" in text and "R²" in text
    card = (finished / "model" / "README.md").read_text()
    assert "predicts a number for an image: radius" in card and "mean absolute error" in card


def test_thresholds_of_labels_are_chosen_out_of_fold(finished: Path) -> None:
    state = state_of(finished, "multilabel")
    assert state.calibration is None and state.conformal is None
    found = state.thresholds
    assert state.data.classes == tuple(sorted(COLOURS))
    assert found is not None and len(found.thresholds) == 3 and found.test_macro_f1 is not None
    assert state.profile.label_sets is not None and state.profile.label_sets.without > 0
    report = (finished / "report.html").read_text()
    assert "Labels that go together" in report and "average precision" in report
    assert "Sample images of each label</summary>" in report  # there are also images without one
    assert "Confusions" not in report
    card = (finished / "model" / "README.md").read_text()
    assert "several labels an image: 3 labels" in card


def test_what_a_kind_of_target_has_not_is_said(finished: Path) -> None:
    state = result_file.read(finished)
    said = wording.sentences(state.notes)
    assert any("occlusion maps: not available" in text for text in said)
    names = {score for entry in state.ranking.ranked for score, _ in entry.scores}  # type: ignore[union-attr]
    assert {"linear", "knn", "logme"} <= names and not {"hscore", "nleep"} & names


@pytest.mark.usefixtures("guest")
def test_numbers_with_groups_keep_them_whole_and_each_is_left_out_once(tmp_path: Path) -> None:
    source = discs(tmp_path, 120)
    lines = source.read_text().splitlines()
    grouped = [f"{lines[0]},person", *(f"{line},p{n // 30}" for n, line in enumerate(lines[1:]))]
    source.write_text("\n".join(grouped))
    folder = World().run(source, tmp_path / "run", group="person", budget=60.0)
    table = manifest.read(folder / "manifest.csv")
    assert table.group is not None
    sides = np.unique(np.stack([table.group, table.part, table.fold]), axis=1)
    assert len(np.unique(sides[0])) == sides.shape[1]
    (found,) = [f for f in result_file.read(folder).profile.findings if f.kind is Kind.DOMAIN_LEFT_OUT]
    assert [one["images"] for one in found.values["domains"]] == [30] * 4 and found.values["metric"] == "r2"
    assert "leave-one-domain-out" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("guest")
def test_each_declared_domain_is_left_out_once_and_does_not_bind_the_parts(tmp_path: Path) -> None:
    source = discs(tmp_path, 120)
    lines = source.read_text().splitlines()
    sites = [("north", "south", "west")[n // 40] for n in range(120)]
    with_site = [f"{line},{site}" for line, site in zip(lines, ["site", *sites], strict=True)]
    source.write_text("\n".join(with_site))
    folder = World().run(source, tmp_path / "run", domain="site", budget=60.0)
    table = manifest.read(folder / "manifest.csv")
    assert table.group is None
    assert all(
        len(np.unique(table.part[place : place + 40])) > 1 or (table.fold >= 0).any() for place in (0, 40, 80)
    )
    (found,) = [f for f in result_file.read(folder).profile.findings if f.kind is Kind.DOMAIN_LEFT_OUT]
    assert [one["name"] for one in found.values["domains"]] == ["north", "south", "west"]
    assert "images of north" in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(DatasetError, match=r"--domain 'path' gives 120 domains.*2 to 12.*--group"):
        World().run(source, tmp_path / "no", domain="path", label="radius", budget=60.0)


@pytest.mark.usefixtures("guest")
def test_a_metric_of_another_kind_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    source = discs(tmp_path, 30)
    with pytest.raises(UnknownNameError, match=r"metric of regression labels.*r2"):
        World().run(source, tmp_path / "run", metric="accuracy")
    assert not (tmp_path / "run").exists()


def test_a_strategy_for_classes_alone_declines_numbers() -> None:
    plain = Strategy(name="plain", summary="for classes", head="autotl.builtin.heads:knn")
    profile = type("Profile", (), {"target": "regression"})()
    able, declined = gather.for_target([plain, _able("knn")], profile, named=False)
    assert [s.name for s in able] == ["knn"] and declined[0].reason.kind is Kind.STRATEGY_DECLINES
    assert "does not train on numbers" in wording.sentence(declined[0].reason)
    with pytest.raises(AutotlError, match="no strategy is left for regression labels"):
        gather.for_target([plain], profile, named=True)


def _able(name: str) -> Strategy:
    return Strategy(name=name, summary="any", head="autotl.builtin.heads:knn", targets=("regression",))
