from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_run import NASTY, example, full_folder, row, run_folder

import autotl
from autotl import pipeline
from autotl.engine import client
from autotl.errors import BudgetError, RunError
from autotl.options import Options
from autotl.records import Answers, Event
from autotl.run import Run
from autotl.run_folder.journal import claimed

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run")


class FakeEngine:
    """Says the second class of every file that exists, and how it was asked."""

    def __init__(self, **start: Any) -> None:
        self.start = start
        self.batches: list[list[str]] = []
        self.closed = False

    def predict(self, model: str, files: list[str], allowance: Any, features: bool = False) -> Answers:
        assert Path(model).is_absolute()
        assert allowance.left > 0
        self.batches.append(files)
        errors = [None if Path(file).exists() else "there is no such file" for file in files]
        table = np.tile(np.array([[0.25, 0.75]], np.float32), (len(files), 1))
        return Answers(probabilities=table, errors=errors)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[FakeEngine]:
    made: list[FakeEngine] = []

    def connect(**start: Any) -> FakeEngine:
        made.append(FakeEngine(**start))
        return made[-1]

    monkeypatch.setattr(client, "connect", connect)
    return made


def with_model(folder: Path) -> Path:
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text('{"classes": ["cat", "dog"]}')
    return folder


def test_it_is_a_view_of_its_folder(folder: Path) -> None:
    run = autotl.load(folder)
    assert run.path == folder
    assert run.result == example()
    assert run.decision == example().decision
    assert run.profile.images == 2071
    assert run.recommendation.startswith("Use autotl:resnet14t_small")
    assert run.leaderboard["candidate"].iloc[0] == "autotl:resnet14t_small@96/lp_ft:2"
    assert repr(run) == f"Run({str(folder)!r}, finished, autotl:resnet14t_small@96/lp_ft:2, 0.972)"


def test_it_follows_a_folder_that_is_still_written(folder: Path) -> None:
    run = autotl.load(folder)
    run_folder(folder, example(status="running", winner=None, leaderboard=()))
    assert "running, no winner" in repr(run)
    assert len(run.leaderboard) == 0


def test_a_folder_that_is_no_run_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no result\.json"):
        autotl.load(tmp_path)
    assert "unreadable" in repr(Run(tmp_path))


def test_a_notebook_shows_words_and_table_escaped(tmp_path: Path) -> None:
    run = Run(run_folder(tmp_path, example(leaderboard=(row(f"{NASTY}@1/knn", 0.5),))))
    page = run._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "unreadable" in repr(Run(tmp_path / "gone"))
    assert "has no" in Run(tmp_path / "gone")._repr_html_()


def test_predict_keeps_the_order_and_gives_errors_as_rows(folder: Path, engine: list[FakeEngine]) -> None:
    images = folder.parent / "images"
    (images / "deep").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "deep/c.jpeg", ".hidden.png", "notes.txt"):
        (images / name).touch()
    found = autotl.load(with_model(folder)).predict(["missing.png", images])
    assert list(found["path"]) == [
        "missing.png",
        *(str(images / n) for n in ("a.jpg", "b.png", "deep/c.jpeg")),
    ]
    assert list(found["label"].fillna("")) == ["", "dog", "dog", "dog"]
    assert found["probability"].iloc[1] == 0.75
    assert found["error"].iloc[0] == "there is no such file"
    assert engine[0].closed
    assert engine[0].start["offline"] is True


def test_predict_takes_one_path_and_batches_many(
    folder: Path, engine: list[FakeEngine], tmp_path: Path
) -> None:
    run = autotl.load(with_model(folder))
    (tmp_path / "x.png").touch()
    assert len(run.predict(tmp_path / "x.png")) == 1
    assert len(run.predict([])) == 0
    assert len(list(run.predictions(["no.png"] * 600))) == 600
    assert [len(batch) for batch in engine[-1].batches] == [256, 256, 88]


def test_predict_without_a_model_says_so(folder: Path) -> None:
    with pytest.raises(RunError, match="holds no model yet"):
        autotl.load(folder).predict("x.png")


def test_a_model_without_classes_is_an_error(folder: Path, engine: list[FakeEngine]) -> None:
    (with_model(folder) / "model" / "model.json").write_text("{}")
    with pytest.raises(RunError, match="has no list of classes"):
        autotl.load(folder).predict("x.png")


def test_recommend_hands_over_what_it_was_asked_for(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    asked: list[pipeline.Options] = []

    def fake(options: pipeline.Options, **_: object) -> Path:
        asked.append(options)
        return folder

    monkeypatch.setattr(pipeline, "recommend", fake)
    run = autotl.recommend(
        Path("photos"), "90s", backbones="timm:resnet18", weights=[Path("mine")], max_params=5e6
    )
    assert run.path == folder
    options = asked[0]
    assert (options.source, options.budget) == ("photos", 90.0)
    assert options.backbones == ("timm:resnet18",)
    assert options.weights == ("mine",)
    assert options.max_params == 5_000_000
    assert options.out is None  # the run names its folder


@pytest.mark.parametrize("how", ["recommend", "extend", "fit"])
def test_progress_is_shown_where_it_is_asked_for(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = full_folder(tmp_path / "run", options={"source": "photos"})

    def fake(options: pipeline.Options, *, tools: pipeline.Tools, **_: object) -> Path:
        for observe in tools.observers:
            observe(Event(time=1.0, stage="load", message="3 images", left=59.0))
        return folder

    monkeypatch.setattr(pipeline, "recommend", fake)
    seen: list[Event] = []

    def start(**following: Any) -> None:
        following["observers"] = [seen.append]
        if how == "recommend":
            autotl.recommend("photos", "90s", **following)
        elif how == "extend":
            Run(folder).extend("90s", **following)
        else:
            Run(folder).fit(**following)

    start(progress=True)
    assert capsys.readouterr().err == "[   1.0 s] load       3 images · 59 s left\n"
    start()
    assert capsys.readouterr().err == "" and len(seen) == 2
    with pytest.raises(TypeError, match="'progres' is not a"):
        start(progres=True)


def test_a_budget_that_is_none_is_refused() -> None:
    with pytest.raises(BudgetError, match="is not a duration"):
        autotl.recommend("photos", "soon")


@pytest.mark.parametrize(
    ("source", "name"), [("a/photos of cats/", "photos-of-cats"), ("data.csv", "data"), ("/", "run")]
)
def test_a_run_is_named_after_its_data(
    source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with claimed(Options(source=source)) as folder:
        assert folder.name.startswith(f"{name}-2")


def test_runs_that_begin_in_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = set()
    for _ in range(20):
        with claimed(Options(source="photos")) as folder:
            folders.add(folder)
    assert len(folders) == 20 and all(folder.is_dir() for folder in folders)
