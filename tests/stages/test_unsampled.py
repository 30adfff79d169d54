"""Runs on a sample of a larger set: the final fit learns from the images outside it, within the budget, and says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_run import TABLE, Again, World

from autotl import pipeline
from autotl.data import unsampled
from autotl.records import Kind, TrialResult
from autotl.report import wording
from autotl.run_folder import result_file
from autotl.search.time_plan import stages, time_plan
from autotl.testing.simulated_engine import TableEngine

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")

LINEAR = {"strategies": ("linear_probe",), "backbones": ("mine:good",)}
SLOW = {("mine:good", 128): replace(TABLE["mine:good", 128], seconds=0.5)}
TUNE = {"strategies": ("fine_tune",), "backbones": ("mine:good",)}


def run(photos: Path, out: Path, world: World | None = None, **options: Any) -> tuple[TrialResult, str]:
    """Return the final fit and what the run says of the images outside the sample."""
    made = world or World()
    folder = made.run(photos, out, **({"sample": 120, "budget": 120.0} | options))
    assert made.clock.now <= options.get("budget", 120.0) * 1.05
    state = result_file.read(folder)
    notes = [wording.sentence(note) for note in state.notes if note.kind is Kind.FITTED_OUTSIDE]
    return state.trials[-1], " ".join(notes)


@pytest.mark.parametrize("options", [LINEAR, TUNE])
def test_the_final_fit_learns_from_all_images_outside_the_sample(
    photos: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    final, said = run(photos, tmp_path / "run", **options)
    assert final.trial.id == "final" and final.trial.evaluate_on == ("test",)
    assert final.unsampled == final.trial.unsampled == 120
    assert "of the sample and on 120 of the 120 outside it" in said
    assert "120 of the 120 outside it" in (tmp_path / "run" / "report.md").read_text()
    for page in ("report.html", "model/README.md"):
        shown = (tmp_path / "run" / page).read_text()
        assert "fitted on train and select, and on 120 images outside the sample" in shown


def test_where_time_is_short_it_learns_from_as_many_as_fit(photos: Path, tmp_path: Path) -> None:
    final, said = run(photos, tmp_path / "run", World(SLOW), sample=60, **LINEAR)
    assert 0 < final.unsampled < 160 and f"on {final.unsampled} of the 160 outside it" in said


def test_a_set_that_is_no_larger_than_its_sample_has_nothing_of_it(photos: Path, tmp_path: Path) -> None:
    final, said = run(photos, tmp_path / "run", sample=0, **LINEAR)
    assert final.trial.unsampled == 0 and said == ""
    assert time_plan(600).unsampled == 0 and time_plan(600, unsampled=True).unsampled == 90
    assert sum(row.seconds for row in stages(time_plan(600, unsampled=True))) == pytest.approx(600)


def test_nearest_neighbours_stay_as_large_as_they_were_judged(photos: Path, tmp_path: Path) -> None:
    final, said = run(photos, tmp_path / "run", strategies=("knn",), backbones=("mine:good",))
    assert final.trial.unsampled == 0 and "on none of the 120 outside it: nearest neighbours" in said


def test_images_that_the_budget_leaves_out_are_learned_from_first(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotl.stages.subsample.ALWAYS", 50)
    monkeypatch.setattr("autotl.stages.subsample.LEAST", 20)
    lists = []
    written = unsampled.write
    monkeypatch.setattr(
        unsampled, "write", lambda images, *rest: (lists.append(images), written(images, *rest))
    )
    world = World({("mine:good", 128): replace(TABLE["mine:good", 128], seconds=0.4)})
    final, said = run(photos, tmp_path / "run", world, sample=200, budget=120.0, **LINEAR)
    assert lists and final.unsampled > 0 and final.trial.unsampled > 40
    decoded = lists[0].row >= 0
    assert decoded.sum() == final.trial.unsampled - 40 and not decoded[-40:].any()
    assert f"on {final.unsampled} of the {final.trial.unsampled} outside it" in said


def test_a_run_that_is_continued_learns_from_more(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(photos, tmp_path / "run", World(SLOW), sample=60, **LINEAR)
    again = Again(SLOW)
    again.extend(tmp_path / "run", monkeypatch, "+5m")
    state = result_file.read(tmp_path / "run")
    assert state.trials[-1].trial.id == "final2" and state.trials[-1].unsampled > first.unsampled


def test_a_fit_that_does_not_finish_leaves_the_model_of_its_probe_and_says_that_it_saw_the_sample(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = TableEngine.answer

    def failing(self: TableEngine, trial: Any, *rest: Any) -> TrialResult:
        done = answer(self, trial, *rest)
        return replace(done, status="failed", model=None) if trial.unsampled else done

    monkeypatch.setattr(TableEngine, "answer", failing)
    final, said = run(photos, tmp_path / "run", **LINEAR)
    assert final.trial.id == "tested" and "on none of the 120 outside it" in said


def test_groups_that_were_found_in_names_keep_what_is_outside_the_sample_out(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pipeline.doctor

    def found(context: Any, setup: Any) -> Any:
        setup = original(context, setup)
        data = replace(setup.parts.data, group=np.arange(len(setup.parts.data.files)), group_from="names")
        split = replace(setup.parts.split, grouped=True)
        return replace(setup, parts=replace(setup.parts, data=data, split=split))

    monkeypatch.setattr("autotl.pipeline.doctor", found)
    final, said = run(photos, tmp_path / "run", **LINEAR)
    assert (
        final.trial.unsampled == 0
        and "on none of the 120 outside it: they are of groups that test, or may be" in said
    )


def test_images_that_no_reader_names_are_counted(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = pipeline.load
    monkeypatch.setattr("autotl.pipeline.load", lambda *given: replace(load(*given), unsampled=None))
    final, said = run(photos, tmp_path / "run", **LINEAR)
    assert (
        final.trial.unsampled == 0 and "on none of the 120 outside it: they are not on this machine" in said
    )


def test_a_refit_on_the_test_images_has_its_half_of_the_time(photos: Path, tmp_path: Path) -> None:
    final, _ = run(photos, tmp_path / "run", World(SLOW), refit=True, **LINEAR)
    notes = [note.kind for note in result_file.read(tmp_path / "run").notes]
    assert Kind.REFIT_ON_TEST in notes and Kind.REFIT_FAILED not in notes
    alone, _ = run(photos, tmp_path / "alone", World(SLOW), **LINEAR)
    assert 0 < final.unsampled < 0.7 * alone.unsampled
