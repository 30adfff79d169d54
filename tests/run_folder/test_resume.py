"""Going on with a run: more time, more backbones, more data; nothing is trained twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from made_images import pictures
from PIL import Image
from simulated_run import SPECS, TABLE, Again, World

from autotl import pipeline
from autotl.cli import main
from autotl.data import load as data_load
from autotl.decision import judge as decision_judge
from autotl.errors import AutotlError, RunError
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.records import Trial, result
from autotl.records.result import ModelIs
from autotl.report.wording.recommendation import recommendation
from autotl.run_folder import result_file, resume
from autotl.testing.simulated_engine import TableEngine

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")


def start(source: Path, out: Path, **options: Any) -> Path:
    return World().run(source, out, **({"budget": 60.0, "backbones": ("mine:small",)} | options))


def recipes(state: result.Recommendation) -> list[tuple[str, float]]:
    return [(done.trial.candidate.id, done.trial.epochs) for done in state.trials if result.is_probe(done)]


def test_more_time_and_backbones_find_a_better_one(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = start(photos, tmp_path / "run")
    before = result_file.read(folder)
    trained = Again().extend(
        folder, monkeypatch, "+2m", backbones="mine:good", slots=2.0
    )  # as the command line gives it
    after = result_file.read(folder)
    assert after.status == "finished"
    assert after.winner is not None and after.winner.backbone == "mine:good"
    probes = [done for done in before.trials if result.is_probe(done) and not done.trial.control]
    kept = [replace(done, model=None) for done in probes]
    assert list(after.trials[: len(kept)]) == kept
    assert type(after.options["slots"]) is int
    assert len(set(recipes(after))) == len(recipes(after))
    tried_before = set(recipes(before))
    assert not any((t.candidate.id, t.epochs) in tried_before for t in trained if "select" not in t.fit_on)
    ids = [done.trial.id for done in after.trials]
    assert len(set(ids)) == len(ids)
    assert (folder / "model" / "model.json").read_text() == after.winner.candidate
    assert after.seconds["budget"] == 180
    assert after.seconds["total"] > before.seconds["total"]
    assert result.looks(after) == 2 and "seen by 2 models" in recommendation(after)
    assert after.data.counts == before.data.counts


def test_a_winner_that_stays_is_not_fitted_or_tested_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = start(photos, tmp_path / "run", budget=600.0)
    before = result_file.read(folder)
    trained = Again().extend(folder, monkeypatch, "30s")
    after = result_file.read(folder)
    assert after.winner == before.winner
    assert not any("select" in trial.fit_on for trial in trained)
    assert result.looks(after) == 1


def test_an_interrupted_run_is_finished_with_what_was_left(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TableEngine.submit

    def submit(self: TableEngine, trial: Trial, *rest: Any) -> Any:
        if len(self.trials) == 3:
            raise KeyboardInterrupt
        return original(self, trial, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TableEngine, "submit", submit)
        with pytest.raises(KeyboardInterrupt):
            start(photos, tmp_path / "run", backbones=("mine:*",), budget=120.0)
    folder = tmp_path / "run"
    before = result_file.read(folder)
    assert before.status == "interrupted"
    world = Again()
    world.extend(folder, monkeypatch)
    after = result_file.read(folder)
    assert after.status == "finished" and after.winner is not None and after.winner.score_test is not None
    assert world.clock.now <= 1.05 * resume.time_left(before) + 10
    assert len(set(recipes(after))) == len(recipes(after))


def test_ctrl_c_before_anything_was_done_leaves_the_run_as_it_was(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = start(photos, tmp_path / "run")
    before = (folder / "result.json").read_bytes()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "split", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Again().extend(folder, monkeypatch, "+2m")
    assert (folder / "result.json").read_bytes() == before
    assert (folder / "model" / "model.json").exists()


def test_a_finished_run_has_no_time_left(photos: Path, tmp_path: Path) -> None:
    folder = start(photos, tmp_path / "run")
    before = (folder / "result.json").read_bytes()
    found = CliRunner().invoke(main, ["run", "--continue", str(folder)])
    assert found.exit_code == 1 and "--budget +10m" in found.stderr
    assert (folder / "result.json").read_bytes() == before


def test_new_images_train_and_the_others_keep_their_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autotl.run_folder import manifest

    source = pictures(tmp_path / "photos")
    folder = start(source, tmp_path / "run")
    before, parts = result_file.read(folder), manifest.read(folder / "manifest.csv")
    for label in range(4):
        for number in range(10):
            Image.new("RGB", (24, 24), (label * 60, number, 7)).save(
                source / f"class{label}" / f"000-{number}.png"
            )
    Again().extend(folder, monkeypatch, "3m")  # for a fit on more images, too
    after, now = result_file.read(folder), manifest.read(folder / "manifest.csv")
    assert after.data.counts["train"] == before.data.counts["train"] + 40
    assert after.data.counts["test"] == before.data.counts["test"]
    place = dict(zip(now.names, now.part, strict=True))
    assert all(place[name] == part for name, part in zip(parts.names, parts.part, strict=True))
    scored = {
        done.trial.id: done.score_val
        for done in before.trials
        if result.is_probe(done) and not done.trial.control
    }
    assert all(done.score_val == scored[done.trial.id] for done in after.trials if done.trial.id in scored)
    assert result.looks(after) == 2  # fitted on more images, the winner is another model


@pytest.mark.parametrize("change", ["gone", "relabelled", "new class"])
def test_data_that_no_longer_fit_are_refused(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "photos", each=40)
    folder = start(source, tmp_path / "run")
    before = (folder / "result.json").read_bytes()
    if change == "gone":
        (source / "class0" / "000.png").unlink()
    elif change == "relabelled":
        (source / "class0" / "000.png").rename(source / "class1" / "moved.png")
    else:
        shutil.copytree(source / "class0", source / "class9")
    with pytest.raises(RunError, match=r"start a new run"):
        Again().extend(folder, monkeypatch, "1m")
    assert (folder / "result.json").read_bytes() == before
    assert (folder / "model" / "model.json").exists()


def test_few_images_judged_out_of_fold_go_on_and_refuse_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "few", each=9, classes=3)
    folder = start(source, tmp_path / "run")
    Again().extend(folder, monkeypatch, "1m", backbones="mine:good")
    assert result_file.read(folder).winner is not None
    Image.new("RGB", (24, 24)).save(source / "class0" / "new.png")
    with pytest.raises(RunError, match="out-of-fold"):
        Again().extend(folder, monkeypatch, "1m")


def test_a_backbone_that_nothing_offers_any_more_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = start(photos, tmp_path / "run", backbones=("mine:s*", "mine:good"))
    monkeypatch.setattr("simulated_run.SPECS", [spec for spec in SPECS if spec.name != "mine:good"])
    with pytest.raises(AutotlError, match="mine:good"):
        Again().extend(folder, monkeypatch, "1m")
    assert ("mine:good", 128) in TABLE


def test_usage() -> None:
    assert "DATA is missing" in CliRunner().invoke(main, ["run"]).stderr
    found = CliRunner().invoke(main, ["run", "--continue", ".", "--metric", "macro_f1"])
    assert found.exit_code == 2
    assert "--metric cannot be combined with --continue" in " ".join(found.stderr.split())


def test_ctrl_c_before_anything_new_leaves_the_folder_as_it_was(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = start(photos, tmp_path / "run")
    before = result_file.read(folder)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(image_store, "decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Again().extend(folder, monkeypatch, "1m")
    assert result_file.read(folder) == before
    assert (folder / "model" / "model.json").exists()


def test_a_new_winner_whose_fit_fails_is_not_passed_off_as_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "photos")
    folder = start(source, tmp_path / "run", backbones=("mine:small", "mine:good"))
    state = result_file.read(folder)
    assert state.winner is not None
    other = next(
        done.trial.candidate.id
        for done in state.trials
        if result.is_probe(done)
        and not done.trial.control
        and done.trial.candidate.id != state.winner.candidate
    )
    original, judge = TableEngine.answer, decision_judge.judge

    def train(self: TableEngine, trial: Trial, *rest: Any) -> Any:
        from autotl.errors import EngineError

        if "select" in trial.fit_on or trial.epochs:
            raise EngineError("out of memory")
        return original(self, trial, *rest)

    def judged(*given: Any, **more: Any) -> Any:
        found = judge(*given, **more)
        return replace(found, decision=replace(found.decision, winner=other))

    monkeypatch.setattr(TableEngine, "answer", train)
    monkeypatch.setattr(decision_judge, "judge", judged)
    Again().extend(folder, monkeypatch, "1m")
    after = result_file.read(folder)
    assert after.winner is not None and after.winner.candidate == other
    assert after.winner.score_test is None
    assert after.winner.model_is == ModelIs.ANOTHER_CANDIDATES
    assert "another candidate's" in recommendation(after)
    assert (folder / "model" / "model.json").read_text() == state.winner.candidate


def test_classes_that_an_earlier_version_sorted_as_text_keep_the_order_of_the_run(tmp_path: Path) -> None:
    for name in ("1", "2", "10"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), (int(name), 0, 0)).save(tmp_path / name / "a.png")
    data = data_load.load(str(tmp_path), {}, load_plugins())
    assert data.classes == ("1", "2", "10")

    def of(*classes: str) -> Any:
        return SimpleNamespace(state=SimpleNamespace(data=SimpleNamespace(classes=classes)))

    kept = resume.with_classes(of("1", "10", "2"), data)
    assert kept.classes == ("1", "10", "2")
    assert [kept.classes[label] for label in kept.labels] == [data.classes[label] for label in data.labels]
    assert resume.with_classes(of("1", "10", "3"), data) is data, "other classes are refused later"
