"""The whole order of stages on real files and a table engine: budget, folder, errors, replay."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_images import pictures
from simulated_run import TABLE, World

from autotl import pipeline
from autotl.decision import judge
from autotl.errors import AutotlError, BudgetError, DatasetError, EngineError, RunError, UnknownNameError
from autotl.ranking import history, screening
from autotl.records import (
    Event,
    Explained,
    Kind,
    Machine,
    Trial,
    encoding,
)
from autotl.records.result import ModelIs, is_probe
from autotl.report import wording
from autotl.report.wording.recommendation import recommendation
from autotl.run_folder import manifest, result_file
from autotl.run_folder.replay import case_of
from autotl.search.planner import DefaultPlanner
from autotl.testing.simulated_engine import Cell, TableEngine

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")


def test_it_finds_the_better_backbone_and_fine_tunes_it(photos: Path, tmp_path: Path) -> None:
    world = World()
    folder = world.run(photos, tmp_path / "run")
    state = result_file.read(folder)
    assert state.status == "finished"
    assert state.winner is not None and state.winner.backbone == "mine:good"
    assert state.winner.unfreeze != 0
    assert state.winner.score_test is not None
    assert state.leaderboard[0].candidate == state.winner.candidate
    assert "mine:good" in [known.backbone for known in state.depth_profiles]
    assert all(known.rows and known.points for known in state.depth_profiles)
    broken = [row for row in state.leaderboard if row.backbone == "mine:broken"]
    assert broken and "no such file" in wording.joined(broken[0].facts)
    assert (folder / "report.html").exists() and (folder / "model" / "model.json").exists()
    assert not (folder / ".pixels").exists()
    final = world.engine.trials[-1] if world.engine else None
    assert isinstance(final, Trial) and final.fit_on == ("train", "select") and final.evaluate_on == ("test",)


@pytest.mark.parametrize("budget", [15.0, 30.0, 60.0, 180.0, 600.0, 3600.0])
@pytest.mark.parametrize("slow", [1.0, 20.0])
def test_the_budget_is_kept(photos: Path, tmp_path: Path, budget: float, slow: float) -> None:
    table = {
        key: Cell(seconds=cell.seconds * slow, linear=cell.linear, tuned=cell.tuned, fails=cell.fails)
        for key, cell in TABLE.items()
    }
    world = World(table)
    folder = world.run(photos, tmp_path / "run", budget=budget)
    assert world.clock.now <= budget * 1.05 + 10
    assert result_file.read(folder).winner is not None
    assert (folder / "model" / "model.json").exists()


def test_a_run_with_nothing_left_to_do_ends_early_and_says_so(photos: Path, tmp_path: Path) -> None:
    table = {key: Cell(linear=1.0, tuned={"all": 1.0}, fails=cell.fails) for key, cell in TABLE.items()}
    world = World(table)
    state = result_file.read(world.run(photos, tmp_path / "run", budget=3600.0))
    assert world.clock.now < 600
    assert Kind.ENDED_EARLY in [note.kind for note in state.notes]


def test_the_decision_comes_out_again_from_the_folder(photos: Path, tmp_path: Path) -> None:
    folder = World().run(photos, tmp_path / "run")
    state = result_file.read(folder)
    trials = [r for r in state.trials if is_probe(r) or r.trial.control]
    again = judge.judge(trials, folder, case_of(state, manifest.read(folder / "manifest.csv")))
    assert encoding.encode(again.decision) == encoding.encode(state.decision)


def test_the_choice_is_made_with_the_scores_of_linear_probes_on_all_train_images(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = screening.Screening.__init__

    def reading_few(self: screening.Screening, *args: Any) -> None:
        original(self, *args)
        self.rungs = [24, 32]

    monkeypatch.setattr(screening.Screening, "__init__", reading_few)
    state = result_file.read(World().run(photos, tmp_path / "run"))
    assert state.ranking is not None
    train = int((manifest.read(tmp_path / "run" / "manifest.csv").part == 0).sum())
    probed = {r.trial.candidate.backbone for r in state.trials if is_probe(r) and not r.trial.epochs}
    rows = {entry.backbone: entry.rows for entry in state.ranking.ranked if entry.input_size != 64}
    assert "mine:good" in probed and rows["mine:good"] == train > 32


def test_the_same_seed_gives_the_same_run(photos: Path, tmp_path: Path) -> None:
    one, other = (result_file.read(World().run(photos, tmp_path / name)) for name in ("a", "b"))
    assert encoding.encode(one.decision) == encoding.encode(other.decision)
    assert [t.trial for t in one.trials] == [t.trial for t in other.trials]


def test_ctrl_c_keeps_the_best_model_and_writes_the_report(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    original = TableEngine.submit

    def submit(self: TableEngine, trial: Trial, *rest: Any) -> Any:
        if len(self.trials) == 3:
            raise KeyboardInterrupt
        return original(self, trial, *rest)

    monkeypatch.setattr(TableEngine, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        world.run(photos, tmp_path / "run")
    state = result_file.read(tmp_path / "run")
    assert state.status == "interrupted"
    assert state.winner is not None and (tmp_path / "run" / "model").exists()
    assert (tmp_path / "run" / "report.html").exists()


def test_what_breaks_a_run_does_not_take_what_was_learnt(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TableEngine.submit

    def submit(self: TableEngine, trial: Trial, *rest: Any) -> Any:
        if len(self.trials) == 3:
            raise RuntimeError("a bug")
        return original(self, trial, *rest)

    monkeypatch.setattr(TableEngine, "submit", submit)
    with pytest.raises(RuntimeError, match="a bug"):
        World().run(photos, tmp_path / "run")
    state = result_file.read(tmp_path / "run")
    assert state.status == "interrupted" and state.winner is not None
    assert (tmp_path / "run" / "model" / "model.json").read_text() == state.winner.candidate
    assert (tmp_path / "run" / "report.html").exists()


def test_an_observer_that_fails_at_the_end_does_not_take_the_run(photos: Path, tmp_path: Path) -> None:
    def observe(event: Event) -> None:
        if event.kind is Kind.RUN_ENDED:
            raise OSError("the tracker is away")

    class Observed(World):
        @property
        def tools(self) -> pipeline.Tools:
            return replace(super().tools, observers=[observe])

    with pytest.raises(OSError, match="the tracker is away"):
        Observed().run(photos, tmp_path / "run")
    assert result_file.read(tmp_path / "run").status == "finished"
    assert (tmp_path / "run" / "model" / "model.json").exists()


def test_a_final_fit_that_fails_ships_the_probe(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TableEngine.answer

    def train(self: TableEngine, trial: Trial, *rest: Any) -> Any:
        if trial.id == "final":
            raise EngineError("out of memory")
        return original(self, trial, *rest)

    monkeypatch.setattr(TableEngine, "answer", train)
    folder = World().run(photos, tmp_path / "run")
    state = result_file.read(folder)
    assert state.winner is not None and state.winner.score_test is not None
    assert state.winner.test_images == state.data.counts["test"]
    assert state.winner.model_is is ModelIs.PROBE
    assert (folder / "model" / "model.json").read_text() == state.winner.candidate
    failed = next(note for note in state.notes if note.kind == Kind.FINAL_FIT_FAILED)
    assert "out of memory" in failed.values["error"] and failed.values["probe"]


@pytest.mark.parametrize("answered", [25, 5])
def test_a_probe_is_tested_on_the_images_that_there_is_time_for(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    answer, predict = TableEngine.answer, TableEngine.predict

    def fails(self: TableEngine, trial: Trial, *rest: Any) -> Any:
        if trial.id == "final":
            raise EngineError("out of time")
        return answer(self, trial, *rest)

    def ends_early(self: TableEngine, model: str, files: Any, *rest: Any) -> Any:
        answers = predict(self, model, files, *rest)
        answers.probabilities[answered:] = np.nan
        late = ["not predicted: the time was over"] * (len(files) - answered)
        return replace(answers, errors=[None] * answered + late)

    monkeypatch.setattr(TableEngine, "answer", fails)
    monkeypatch.setattr(TableEngine, "predict", ends_early)
    folder = World().run(photos, tmp_path / "run")
    state = result_file.read(folder)
    assert state.winner is not None
    notes = {note.kind: note.values for note in state.notes}
    if answered < 20:
        assert state.winner.score_test is None and Kind.NO_TEST_SCORE in notes
        return
    assert state.winner.score_test is not None and state.winner.test_images == 25
    assert notes[Kind.TESTED_ON_PART] == {"images": 25, "of": state.data.counts["test"]}
    assert f"25 of the {state.data.counts['test']} test images" in recommendation(state)


def test_refit_says_that_its_figures_are_its_twins(photos: Path, tmp_path: Path) -> None:
    world = World()
    state = result_file.read(world.run(photos, tmp_path / "run", refit=True))
    assert world.engine is not None
    assert world.engine.trials[-1].fit_on == ("train", "select", "test")
    assert Kind.REFIT_ON_TEST in [note.kind for note in state.notes]


def test_events_are_written_and_observed(photos: Path, tmp_path: Path) -> None:
    world = World()
    folder = world.run(photos, tmp_path / "run")
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert len(lines) == len(world.events)
    assert all({"kind", "values", "message"} <= set(line) for line in lines)
    standing = [line for line in lines if "low" in line]
    assert standing and all(line["low"] <= line["best"] <= line["high"] for line in standing)
    stages = [line["stage"] for line in lines]
    assert stages.index("load") < stages.index("rank") < stages.index("final fit") < stages.index("report")


def test_a_hopeless_budget_is_refused_before_any_work(photos: Path, tmp_path: Path) -> None:
    world = World()
    with pytest.raises(BudgetError, match="is too small"):
        world.run(photos, tmp_path / "run", budget=1.0)
    assert world.engine is None
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match="not empty"):
        World().run(photos, tmp_path / "run")
    assert (tmp_path / "run" / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("options", "error"),
    [({"backbones": ("mine:smal",)}, UnknownNameError), ({"strategies": ("magic",)}, UnknownNameError)],
)
def test_unknown_names_leave_no_folder(
    photos: Path, tmp_path: Path, options: dict[str, Any], error: type[AutotlError]
) -> None:
    with pytest.raises(error):
        World().run(photos, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_an_empty_source_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError):
        World().run(tmp_path / "empty", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_test_part_on_request(photos: Path, tmp_path: Path) -> None:
    state = result_file.read(World().run(photos, tmp_path / "run", test_size=0.0))
    assert state.winner is not None and state.winner.score_test is None
    assert state.data.test_from is None


def test_few_images_are_judged_out_of_fold(tmp_path: Path) -> None:
    source = pictures(tmp_path / "few", each=9, classes=3)
    state = result_file.read(World().run(source, tmp_path / "run"))
    assert state.data.folds >= 2 and state.data.select_from == "out-of-fold"
    assert state.winner is not None


@pytest.mark.parametrize("slow", [0.2, 0.6])
def test_a_training_that_was_asked_for_and_fits_nowhere_gets_the_time_that_there_is(
    tmp_path: Path, slow: float
) -> None:
    """Few images, fine-tuning alone, a slow machine: the final fit of a model that is not there reserved the budget."""
    photos = pictures(tmp_path / "photos", each=6, classes=2)
    cells = {("mine:small", 64): Cell(seconds=slow, linear=0.6, tuned={"all": 0.9}, half_way=2.0)}
    world = World(cells | {key: Cell(fails="no such file") for key in TABLE if key not in cells})
    folder = world.run(photos, tmp_path / "run", budget=60.0, strategies=("fine_tune",))
    state = result_file.read(folder)
    assert state.winner is not None and state.winner.strategy == "fine_tune"
    assert world.engine is not None
    first = next(result for result in state.trials if result.score_val is not None)
    assert first.trial.forecast and first.trial.forecast > 60
    assert (
        first.cost.forward + first.cost.backward > 30
    )  # of 60 seconds, the start, the ranking and the report left out


@pytest.mark.parametrize("start", [3.0, 25.0, 40.0])
def test_what_was_asked_for_is_timed_and_trained_after_a_slow_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: float
) -> None:
    """Features from the cache show no seconds an image: without a timing of its own no backbone was ever trained."""
    embed = TableEngine.embed

    def cached(engine: TableEngine, *arguments: Any) -> Any:
        return replace(embed(engine, *arguments), seconds_per_image=None)

    def started(engine: TableEngine, allowance: Any) -> Machine:
        engine.clock.now += start
        return Machine(device="table", precision="fp32")

    monkeypatch.setattr(TableEngine, "embed", cached)
    monkeypatch.setattr(TableEngine, "started", started)
    photos = pictures(tmp_path / "photos", each=6, classes=2)
    folder = World().run(photos, tmp_path / "run", budget=60.0, strategies=("fine_tune", "lp_ft"))
    state = result_file.read(folder)
    assert state.winner is not None and state.winner.strategy in {"fine_tune", "lp_ft"}


def test_when_every_backbone_fails_it_says_why(photos: Path, tmp_path: Path) -> None:
    table = {key: Cell(fails="no weights here") for key in TABLE}
    with pytest.raises(AutotlError, match="no weights here"):
        World(table).run(photos, tmp_path / "run")


def test_the_best_is_held_against_no_pretraining_no_network_and_shuffled_labels(
    photos: Path, tmp_path: Path
) -> None:
    folder = World().run(photos, tmp_path / "run", budget=400.0)
    state = result_file.read(folder)
    held = {row.control: row for row in state.leaderboard if row.control}
    assert set(held) == {"scratch", "scratch_half", "pixels", "pixels_ridge", "gradients", "shuffled"}
    assert (
        held["pixels"].score_val is not None and held["pixels"].score_val > 0.9
    )  # the classes differ in colour
    chance = held["shuffled"]
    assert chance.score_val is not None and chance.ci_high is not None
    assert chance.score_val == pytest.approx(1 / len(state.data.classes), abs=0.08) and chance.ci_high < 0.7
    assert state.winner is not None and state.winner.candidate not in {row.candidate for row in held.values()}
    # A forest on colours is as good as the winner: pretraining gains nothing, whatever a network from scratch reaches.
    assert state.transfer is not None and state.transfer.low <= 0
    assert state.decision is not None and state.decision.transfer == state.transfer
    kinds = {reason.kind: reason.values for reason in state.decision.reasons}
    assert kinds[Kind.PRETRAINING_GAIN]["control"] in ("pixels", "pixels_ridge", "gradients")
    assert kinds[Kind.HEAD_START]["gap"]["low"] > 0
    assert kinds[Kind.SHUFFLED_LABELS]["p"] < 0.01
    assert state.seconds["controls"] <= 0.1 * 400.0


def test_the_shipped_models_probabilities_are_judged_on_the_test_images(photos: Path, tmp_path: Path) -> None:
    state = result_file.read(World().run(photos, tmp_path / "run"))
    assert state.calibration is not None and state.calibration.test is not None
    assert state.winner is not None and state.calibration.test.images == state.winner.test_images


def test_controls_give_way_when_time_is_short(photos: Path, tmp_path: Path) -> None:
    state = result_file.read(World().run(photos, tmp_path / "run", budget=15.0))
    assert state.transfer is None
    assert {Kind.CONTROLS_SKIPPED, Kind.SCRATCH_SKIPPED} & {note.kind for note in state.notes}


# --------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ({"max_latency": 0.002}, "ms an image"),
        ({"max_params": 500_000}, "parameters"),
        ({"max_memory": 2_000_000}, "MB"),
    ],
)
def test_limits_are_obeyed_and_said(photos: Path, tmp_path: Path, limit: dict[str, Any], word: str) -> None:
    folder = World().run(photos, tmp_path / "run", **limit)
    state = result_file.read(folder)
    assert state.winner is not None
    assert (state.winner.backbone, state.winner.input_size) != ("mine:good", 128)
    assert (folder / "model" / "model.json").read_text() == state.winner.candidate
    assert any(word in wording.joined(row.facts) for row in state.leaderboard if "mine:good" in row.candidate)


def test_a_better_candidate_beyond_a_limit_is_a_reason(photos: Path, tmp_path: Path) -> None:
    state = result_file.read(World().run(photos, tmp_path / "run", max_latency=0.003))
    assert state.winner is not None and state.winner.input_size == 64
    assert not any(r.trial.candidate.unfreeze for r in state.trials if r.trial.candidate.input_size == 128)


def test_when_nothing_keeps_the_limits_there_is_no_winner(photos: Path, tmp_path: Path) -> None:
    folder = World().run(photos, tmp_path / "run", max_latency=0.0001)
    state = result_file.read(folder)
    assert state.status == "finished" and state.winner is None
    assert "keeps the limits" in recommendation(state) and "ms an image" in recommendation(state)
    assert not (folder / "model").exists()


def test_features_out_of_the_cache_do_not_end_the_search(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TableEngine.embed

    def cached(self: TableEngine, *arguments: Any) -> Any:
        return replace(original(self, *arguments), seconds_per_image=0.0)

    monkeypatch.setattr(TableEngine, "embed", cached)
    state = result_file.read(World().run(photos, tmp_path / "run"))
    assert any(done.trial.epochs and not done.trial.control for done in state.trials)


def test_more_images_than_the_budget_holds_are_sampled_and_said(tmp_path: Path) -> None:
    source = pictures(tmp_path / "photos", each=200)
    table = {key: replace(cell, seconds=0.1) for key, cell in TABLE.items()}
    world = World(table)
    folder = world.run(source, tmp_path / "run", budget=120.0)
    assert world.clock.now <= 120 * 1.05 + 10
    state = result_file.read(folder)
    found = next(finding for finding in state.data.findings if finding.kind == "no_time")
    assert found.values["seconds_per_image"] == pytest.approx(0.1) and found.values["images"] == 800
    used = sum(state.data.counts[part] for part in ("train", "select", "test"))
    assert used + state.data.counts["left out"] == 800 and 240 <= used <= 370, (
        "24 s of images, and what a part needs"
    )
    assert state.winner is not None and state.winner.score_test is not None
    table_of = manifest.read(folder / "manifest.csv")
    labels = table_of.labels(state.data.classes)
    for code in range(3):
        counts = np.bincount(labels[table_of.part == code], minlength=4)
        assert counts.max() - counts.min() <= 3
    cheap = World()
    assert not result_file.read(cheap.run(source, tmp_path / "other", budget=120.0)).data.findings


def test_wrong_answers_are_explained_where_time_is_left_and_else_not(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    late = False

    def explain(self: TableEngine, model: str, rows: np.ndarray, answers: np.ndarray, _: Any) -> Explained:
        asked.append((rows, answers))
        return Explained(
            maps=np.zeros((2, 8, 8), np.float32),
            shares=np.ones((2, 2), np.float32),
            seen=np.zeros((2, 128, 128, 3), np.uint8),
        )

    def fit_ood(self: TableEngine, *_: Any) -> bool:
        if late:
            self.clock.now = 119.0
        return False

    monkeypatch.setattr(TableEngine, "explain", explain)
    monkeypatch.setattr(TableEngine, "fit_ood", fit_ood)
    world = World()
    folder = world.run(photos, tmp_path / "run")
    [(rows, answers)] = asked
    assert world.engine is not None
    wrong = (answers != world.engine.labels[rows]).tolist()
    assert len(rows) == 6 and wrong[0] and wrong == sorted(wrong, reverse=True)  # wrong ones first
    assert (folder / "explained.npz").is_file()
    assert "Zeiler and Fergus" in (folder / "report.html").read_text(encoding="utf-8")
    late = True
    World().run(photos, tmp_path / "late")
    assert len(asked) == 1


def test_a_memory_gets_a_line_a_run_and_the_next_run_reads_it(photos: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.jsonl"
    World().run(photos, tmp_path / "one", history=str(memory))
    (record,) = history.read(memory)
    assert record.scores.keys() == {"mine:small", "mine:good"}
    World().run(photos, tmp_path / "two", history=str(memory))
    assert len(history.read(memory)) == 2
    memory.write_text("something else\n")
    with pytest.raises(RunError, match="line 1 of the history"):
        World().run(photos, tmp_path / "three", history=str(memory))
    assert memory.read_text() == "something else\n" and not (tmp_path / "three").exists()


def test_the_whole_run_is_forecast_before_its_search_and_compared_with_what_came(
    photos: Path, tmp_path: Path
) -> None:
    world = World()
    folder = world.run(photos, tmp_path / "run", budget=60.0)
    state = result_file.read(folder)
    said = [number for number, event in enumerate(world.events) if event.stage == "forecast"]
    tuned = [n for n, event in enumerate(world.events) if event.candidate and "fine_tune" in event.candidate]
    assert len(said) == 1 and tuned and said[0] < tuned[0]
    whole = state.forecast
    assert whole is not None and whole.seconds_low <= whole.seconds <= whole.seconds_high
    assert whole.seconds_low <= state.seconds["total"] <= whole.seconds_high
    assert "Forecast before training" in (folder / "report.md").read_text()
    assert "Forecast before training" in (folder / "report.html").read_text()


def test_every_recipe_is_timed_before_it_is_first_trained(photos: Path, tmp_path: Path) -> None:
    state = result_file.read(World().run(photos, tmp_path / "run", budget=180.0))
    timed = {found.candidate.split("@")[0] for found in state.measurements}
    tuned = [t.trial for t in state.trials if t.trial.epochs and not t.trial.control]
    assert tuned and {trial.candidate.backbone for trial in tuned} <= timed
    depths = {(t.candidate.backbone, t.candidate.input_size, t.candidate.unfreeze) for t in tuned}
    assert len(state.measurements) >= len(depths)
    assert len({found.candidate for found in state.measurements}) == len(state.measurements)


def test_seconds_that_controls_have_no_use_for_go_to_the_search(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the budget waited for a network from scratch that needs more than that for its fewest epochs."""

    def kept(seconds: float) -> float:
        """Return what the search leaves to the stages after it, with so many seconds an image."""
        world, found = World({("mine:small", 64): replace(TABLE["mine:small", 64], seconds=seconds)}), []

        def noted(planner: DefaultPlanner, left: float) -> Trial | None:
            found.append(120.0 - world.clock.now - left)
            return ask(planner, left)

        monkeypatch.setattr(DefaultPlanner, "ask", noted)
        world.run(photos, tmp_path / f"{seconds:g}", backbones=("mine:small",))
        return found[-1]

    ask = DefaultPlanner.ask
    assert kept(0.001) - kept(0.05) == pytest.approx(0.06 * 120.0)
