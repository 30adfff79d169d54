"""A run with several label columns: the search decides on the first, the model that ships answers all."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from simulated_run import World

from autotl.cli import main
from autotl.errors import AutotlError, DatasetError
from autotl.records import Kind, Trial, TrialResult
from autotl.run_folder import config, result_file
from autotl.run_folder.replay import replay
from autotl.search.time_plan import time_plan
from autotl.testing.simulated_engine import TableEngine

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")
COLUMNS = ("color", "shape")


@pytest.fixture(scope="module")
def table(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the photos with a color, which is their folder, and a shape that every fifth image lacks."""
    path = tmp_path_factory.mktemp("table") / "photos.csv"
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "color", "shape", "same", "size"))
        for number, image in enumerate(sorted(photos.glob("*/*.png"))):
            name = image.relative_to(photos)
            rows.writerow(
                (
                    name,
                    image.parent.name,
                    ["", "disc", "ring"][(number % 5 > 0) * (1 + number % 2)],
                    "x",
                    number,
                )
            )
    return path


def run(table: Path, photos: Path, out: Path, world: World | None = None, **options: Any) -> Path:
    options = {"label": COLUMNS, "root": str(photos), "backbones": ("mine:good",)} | options
    return (world or World()).run(table, out, **options)


def test_each_column_stands_beside_a_training_on_it_alone(table: Path, photos: Path, tmp_path: Path) -> None:
    world = World()
    folder = run(table, photos, tmp_path / "run", world, strategies=("multi_task",), budget=600.0)
    state = result_file.read(folder)
    assert world.engine is not None and state.winner is not None and world.clock.now <= 600
    assert [target.name for target in world.engine.columns.others] == ["shape"] == list(state.profile.others)
    values = world.engine.columns.others[0].values
    assert (np.bincount(values + 1).tolist()) == [48, 96, 96]
    color, shape = state.label_columns
    assert (color.name, shape.name) == COLUMNS and shape.classes == ("disc", "ring") and shape.labelled == 192
    test = world.engine.columns.part == 2
    assert color.images == test.sum() and shape.images == (test & (values >= 0)).sum()
    twins = [trial for trial in world.engine.trials if trial.id.startswith("alone")]
    assert shape.alone == twins[0].candidate.id and color.alone == twins[1].candidate.id
    assert [trial.target for trial in twins] == ["shape", ""] and color.together and shape.together
    assert twins[0].epochs == shape.epochs == state.trials[-1].epochs_done and twins[1].epochs >= 1
    assert {trial.candidate.strategy for trial in twins} == {"fine_tune"}
    assert shape.difference is not None and shape.score_test is not None and shape.alone_score is not None
    assert shape.difference.value == pytest.approx(shape.score_test - shape.alone_score, abs=1e-5)
    assert color.score_test == state.winner.score_test
    for page in ("report.html", "report.md"):
        text = (folder / page).read_text(encoding="utf-8")
        assert "Label columns" in text and "which the run decided on" in text
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    assert "The model predicts shape too: test accuracy" in card and "Classes: disc, ring" in card
    with open(folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label:shape"] for row in rows} == {"", "disc", "ring"} and rows[0]["label"] == "class0"
    assert replay(folder) == []


def test_a_model_that_learned_one_column_is_its_own_twin_there(
    table: Path, photos: Path, tmp_path: Path
) -> None:
    world = World()
    folder = run(table, photos, tmp_path / "run", world, strategies=("fine_tune",))
    assert world.engine is not None
    alone = [trial for trial in world.engine.trials if trial.id.startswith("alone")]
    assert [trial.target for trial in alone] == ["shape"]
    color, shape = result_file.read(folder).label_columns
    assert not color.together and not color.alone and color.score_test is not None
    assert not shape.together and shape.alone


def test_a_run_with_one_label_column_has_nothing_of_it(table: Path, photos: Path, tmp_path: Path) -> None:
    folder = run(table, photos, tmp_path / "run", label="color")
    state = result_file.read(folder)
    assert state.options["label"] == "color" and not state.label_columns
    assert "multi_task" not in {strategy.name for strategy in state.strategies}
    assert "Label columns" not in (folder / "report.md").read_text()
    assert "label:" not in (folder / "manifest.csv").read_text()
    assert time_plan(600).label_columns == 0
    assert time_plan(600, columns=True).search == pytest.approx(time_plan(600).search - 120)
    with pytest.raises(AutotlError, match=r"multi_task learn from further label columns.*--label"):
        run(table, photos, tmp_path / "named", label="color", strategies=("multi_task",))


def test_without_test_images_the_heads_are_made_and_nothing_is_compared(
    table: Path, photos: Path, tmp_path: Path
) -> None:
    world = World()
    folder = run(table, photos, tmp_path / "run", world, test_size=0.0)
    assert world.engine is not None
    assert not [trial for trial in world.engine.trials if trial.id.startswith("alone")]
    color, shape = result_file.read(folder).label_columns
    assert color.score_test is shape.score_test is None and not shape.images
    assert "No test images tell how good the heads are" in (folder / "report.md").read_text()


def test_heads_that_cannot_be_fitted_are_a_note(
    table: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise AutotlError("too few images")

    monkeypatch.setattr(TableEngine, "fit_others", fail)
    folder = run(table, photos, tmp_path / "run")
    state = result_file.read(folder)
    assert state.status == "finished" and not state.label_columns
    (note,) = [note for note in state.notes if note.kind is Kind.NO_OTHER_HEADS]
    assert note.values == {"columns": ["shape"], "error": "too few images"}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (("color", "weight"), "no column 'weight'.*it has: path, color, shape"),
        (("color", "same"), "column 'same'.*one class, 'x'.*at least two classes"),
        (("color", "size"), "column 'size'.*regression.*one class an image"),
        (("size", "color"), "column 'size'.*regression.*one class an image"),
        (("color", "color"), "'color'.*named before"),
        (("color", "path"), "'path'.*something else"),
    ],
)
def test_a_column_that_cannot_be_learned_ends_the_run_before_it_begins(
    table: Path, photos: Path, tmp_path: Path, label: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        run(table, photos, tmp_path / "run", label=label)
    assert not (tmp_path / "run").exists()


def test_a_folder_has_no_second_column(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"one label an image.*no column 'shape'"):
        World().run(photos, tmp_path / "run", label=COLUMNS)


def test_the_option_is_repeated_on_the_command_line_and_kept(
    table: Path, photos: Path, tmp_path: Path
) -> None:
    given = ["run", str(table), "--root", str(photos), "--label", "color", "--label", "shape", "--dry-run"]
    ran = CliRunner().invoke(main, [*given, "--json"])
    assert ran.exit_code == 0 and '"multi_task"' in ran.output, ran.output
    state = result_file.read(run(table, photos, tmp_path / "run"))
    assert "multi_task" in {strategy.name for strategy in state.strategies}
    assert config.read(tmp_path / "run" / config.FILE)["label"] == ["color", "shape"]


def test_a_training_on_one_column_that_is_shorter_is_not_compared(
    table: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TableEngine.answer

    def hurried(self: TableEngine, trial: Trial, *more: Any) -> TrialResult:
        result = original(self, trial, *more)
        return replace(result, status="stopped", epochs_done=1.0) if trial.target else result

    monkeypatch.setattr(TableEngine, "answer", hurried)
    folder = run(table, photos, tmp_path / "run", strategies=("multi_task",))
    _, shape = result_file.read(folder).label_columns
    assert shape.alone_score is not None and shape.alone_epochs == 1 and shape.difference is None
    assert "not compared: 1 of" in (folder / "report.md").read_text()
