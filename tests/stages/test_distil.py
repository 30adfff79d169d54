"""A smaller backbone learns from the winner after the search, and the three are compared on the test images."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_run import World

from autotl.errors import UnknownNameError
from autotl.records import Kind
from autotl.run_folder import result_file
from autotl.run_folder.replay import replay
from autotl.search.time_plan import time_plan
from autotl.stages import distil

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")


def test_the_student_is_compared_with_its_teacher_and_with_itself_alone(photos: Path, tmp_path: Path) -> None:
    world = World()
    folder = world.run(photos, tmp_path / "run", backbones=("mine:good",), distil_into="mine:small")
    state = result_file.read(folder)
    made = state.distillation
    assert made is not None and state.winner is not None and made.alone is not None
    assert made.teacher.candidate == state.winner.candidate and made.images == state.data.counts["test"]
    assert made.teacher.score_test == state.winner.score_test
    assert made.student.candidate == "mine:small@64/distilled:all"
    assert made.alone.candidate == "mine:small@64/fine_tune:all"
    assert made.student.epochs == made.alone.epochs >= 2
    assert made.gain is not None and made.behind is not None
    assert made.behind.low <= made.behind.value <= made.behind.high
    assert (folder / "distilled" / "model.json").is_file()
    assert world.engine is not None and world.clock.now <= 120
    alone, student = world.engine.trials[-2:]
    assert not alone.parents and [parent.model for parent in student.parents] == [state.trials[-1].model]
    assert (
        (student.fit_on, student.evaluate_on)
        == (("train", "select"), ("test",))
        == (alone.fit_on, alone.evaluate_on)
    )
    assert all(row.backbone != "mine:small" for row in state.leaderboard), "it does not compete"
    for page in ("report.html", "report.md"):
        text = (folder / page).read_text(encoding="utf-8")
        assert "distilled: taught by the winner" in text and "the same training without it" in text
    assert replay(folder) == []


def test_a_run_keeps_the_time_for_it(photos: Path, tmp_path: Path) -> None:
    assert time_plan(600, distils=True).search == pytest.approx(time_plan(600).search - 120)
    world = World()
    folder = world.run(photos, tmp_path / "run", distil_into="mine:small", test_size=0.0)
    state = result_file.read(folder)
    (row,) = [row for row in state.time_plan if row.stage == "distillation"]
    assert row.seconds == 24 and world.clock.now <= 120
    assert state.distillation is not None and state.distillation.alone is None, (
        "nothing tells which is better"
    )
    assert "no test images tell how good it is" in (folder / "report.md").read_text(encoding="utf-8")


def test_a_winner_does_not_learn_from_itself(photos: Path, tmp_path: Path) -> None:
    folder = World().run(photos, tmp_path / "run", backbones=("mine:small",), distil_into="mine:small")
    state = result_file.read(folder)
    assert state.distillation is None and not (folder / distil.FOLDER).exists()
    (note,) = [note for note in state.notes if note.kind is Kind.NOT_DISTILLED]
    assert note.values["cause"] == "winner"


def test_an_unknown_student_ends_the_run_before_anything_trains(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="mine:smaller"):
        World().run(photos, tmp_path / "run", distil_into="mine:smaller")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_continued_can_distil(photos: Path, tmp_path: Path) -> None:
    from autotl import pipeline
    from autotl.run_folder import resume

    folder = World().run(photos, tmp_path / "run", backbones=("mine:good",), budget=60.0)
    assert result_file.read(folder).distillation is None
    earlier = resume.read(folder)
    options = pipeline.Options(
        source=str(photos), out=str(folder), budget=60.0, backbones=("mine:good",), distil_into="mine:small"
    )
    pipeline.recommend(options, tools=World().tools, started=0.0, earlier=earlier)
    assert result_file.read(folder).distillation is not None
