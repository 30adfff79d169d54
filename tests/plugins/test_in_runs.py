"""What a broken guest does to a whole run: it is named, and the run goes on. On a table engine, in no time."""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zoo
from click.testing import CliRunner
from made_images import pictures
from simulated_run import SPECS, TABLE, World

from autotl import load, pipeline
from autotl.builtin.sources import load_dataset
from autotl.cli import main, terminal
from autotl.errors import EngineError, RunError
from autotl.hookspecs import hookimpl
from autotl.plugins import provenance, sandbox
from autotl.plugins.manager import load_plugins
from autotl.protocols import PlannerCall
from autotl.records import Candidate, Event, Kind, Phase, Ranking, Score, Strategy, Trial, TrialResult, events
from autotl.records.result import Recommendation
from autotl.report import wording
from autotl.run_folder import lock, replay, result_file, resume
from autotl.testing.simulated_engine import Cell, TableEngine

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "photos", each=20)


def hangs(*_: Any) -> None:
    time.sleep(3)


def nonsense(*_: Any) -> float:
    return float("nan")


def breaks(*_: Any) -> float:
    raise RuntimeError("boom")


def leaves(*_: Any) -> None:
    sys.exit("enough")


def score(name: str) -> Callable[[], list[Score]]:
    return lambda: [Score(name=f"guests_{name}", summary="a guest's", compute=f"{__name__}:{name}")]


def offering(name: str, hooks: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(__name__=name, **{hook: hookimpl(function) for hook, function in hooks.items()})


def with_guests(monkeypatch: pytest.MonkeyPatch, **guests: dict[str, Any]) -> None:
    good = {"register_backbones": lambda profile, settings: SPECS}
    objects = [offering(name, hooks) for name, hooks in {"good": good, **guests}.items()]
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(pipeline, "load_plugins", lambda: load_plugins(objects))


def problems_of(state: Recommendation) -> list[str]:
    """Return the problems, without that of the backbone which is broken in every table."""
    return [problem for problem in state.problems if "backbone mine:broken" not in problem]


def test_a_run_goes_on_without_its_broken_guests_and_names_each(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = offering("good", {"register_backbones": lambda profile, settings: SPECS})
    guests = {"good": good, **{name: animal.plugin(name) for name, animal in zoo.ANIMALS.items()}}
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(pipeline, "load_plugins", lambda: load_plugins(guests))
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert state.status == "finished"
    assert state.winner is not None and state.winner.backbone.startswith("mine:")
    assert len(zoo.ANIMALS) >= 30 and len(problems_of(state)) == len(zoo.ANIMALS)
    report = (tmp_path / "run" / "report.md").read_text()
    for name, animal in zoo.ANIMALS.items():
        (problem,) = [one for one in state.problems if one.startswith(f"plugin {name!r}")]
        assert (animal.run or animal.check) in problem, name
        assert name in report


class Planner:
    """Asks for the linear probe of the best arm, twice, unless told to break."""

    def __init__(self, ranking: Ranking, ask: Any = None, tell: Any = None) -> None:
        self.arm, self.broken_ask, self.broken_tell = ranking.ranked[0], ask, tell
        self.left = 2

    def ask(self, seconds: float) -> Trial | None:
        if self.broken_ask:
            return self.broken_ask(seconds)  # type: ignore[no-any-return]
        self.left -= 1
        candidate = Candidate(
            backbone=self.arm.backbone, input_size=self.arm.input_size, strategy="linear_probe"
        )
        return Trial(id=f"g{self.left}", candidate=candidate, keep_model=True) if self.left >= 0 else None

    def tell(self, result: TrialResult) -> None:
        if self.broken_tell:
            self.broken_tell(result_file)


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({}, ""),
        ({"ask": breaks}, "boom"),
        ({"ask": hangs}, "took over"),
        ({"ask": nonsense}, "expected a Trial"),
        ({"tell": breaks}, "boom"),
    ],
)
def test_the_default_planner_takes_over_from_a_broken_one(
    broken: dict[str, Any], word: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = {"make_planner": lambda profile, ranking, seconds: Planner(ranking, **broken)}
    with_guests(monkeypatch, planner=make)
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None
    more = any(row.strategy == "knn" for row in state.leaderboard)
    assert more == bool(broken)  # the guest would try linear probes alone
    assert [word in problem and "'planner'" in problem for problem in problems_of(state)] == [True] * bool(
        broken
    )


def test_a_guests_trials_are_priced_judged_by_the_one_belief_and_its_planning_recorded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []
    made: list[PlannerCall] = []

    class Tuner(Planner):
        def ask(self, seconds: float) -> Trial | None:
            call, candidate = made[0], Candidate(
                backbone=self.arm.backbone, input_size=self.arm.input_size, strategy="fine_tune", unfreeze=1
            )  # fmt: skip
            seen.append((call.reserve(), float(call.belief.means([(candidate, 4.0)])[0])))
            self.left -= 1
            return Trial(id=f"g{self.left}", candidate=candidate, epochs=4.0) if self.left > 0 else None

    def make(call: PlannerCall) -> Planner:
        made.append(call)
        return Tuner(call.ranking)

    with_guests(monkeypatch, planner={"make_planner": make})
    world = World()
    measured: list[str] = []

    class Engine(TableEngine):
        def measure(self, candidate: Candidate, *rest: Any) -> Any:
            measured.append(candidate.id)
            return super().measure(candidate, *rest)

    monkeypatch.setattr("simulated_run.TableEngine", Engine)
    run = load(world.run(photos, tmp_path / "run", budget=60.0))
    state = run.result
    (result,) = [result for result in state.trials if result.trial.id == "g1"]
    assert result.trial.candidate.id in measured  # timed before it was trained
    assert result.trial.forecast == pytest.approx(result.cost.seconds, rel=0.6)
    assert result.model is not None
    assert seen[0][0] > 0 and seen[1] != seen[0]  # the result changed what is expected, and what is reserved
    assert any(note.kind is Kind.GUEST_PLANS and note.values["plugin"] == "planner" for note in state.notes)
    assert [one.contributed for one in state.plugins if one.plugin == "planner"] == [("planner",)]
    assert "The planner of plugin 'planner' chose the trials" in (tmp_path / "run" / "report.md").read_text()


def test_training_the_head_alone_is_frozen_wherever_it_is_reported(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Strategy(name="mine_head", summary="the head alone", phases=(Phase(trains="head"),))
    with_guests(monkeypatch, guest={"register_strategies": lambda profile: [mine]})
    world = World()
    folder = world.run(photos, tmp_path / "run", budget=60.0, strategies=("mine_head",))
    state = result_file.read(folder)
    assert state.winner is not None and state.winner.unfreeze == 0
    assert {row.unfreeze for row in state.leaderboard if not row.control} == {0}
    assert state.winner.candidate.endswith("/mine_head")
    trained = [result for result in state.trials if result.trial.candidate.strategy == "mine_head"]
    assert trained and all(result.epochs_done > 0 for result in trained)
    for measured in state.measurements:  # timed as what trains: the head
        assert measured.candidate.endswith("/mine_head")
    for page in ("report.md", "report.html", "model/README.md"):
        text = (folder / page).read_text().replace("\\", "")
        assert "frozen, with a new head (mine_head)" in text
        assert "all layers" not in text and "all of it fine-tuned" not in text
    assert "head alone" in (folder / "report.html").read_text()
    assert not replay.replay(folder)


def test_a_score_that_is_no_number_is_a_note(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch, odd={"register_scores": score("nonsense")})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None
    assert any(
        note.kind == Kind.SCORE_NOT_FINITE and note.values["value"] == "nan" for note in state.ranking.facts
    )


def counts(*_: Any) -> float:
    calls.append(1)
    return float(len(calls))


def once(*_: Any) -> float:
    """Raise on the first backbone, and rank the others."""
    calls.append(1)
    if len(calls) == 1:
        raise ValueError("not these")
    return float(len(calls))


calls: list[int] = []


def test_a_score_that_raises_is_out_for_that_backbone_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.clear()
    with_guests(monkeypatch, odd={"register_scores": score("once")})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    (note,) = [note for note in state.ranking.facts if note.kind == Kind.SCORE_FAILED]
    assert note.values["backbone"].startswith("mine:") and "not these" in note.values["error"]
    assert any("guests_once" in dict(entry.scores) for entry in state.ranking.ranked)
    (problem,) = problems_of(state)
    assert "score guests_once: raised ValueError: not these on backbone mine:" in problem


def test_a_built_in_score_that_raises_is_out_for_that_backbone_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.clear()
    with_guests(monkeypatch)
    monkeypatch.setattr("autotl.builtin.scores.logme", once)
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert not problems_of(state)
    for entry in state.ranking.ranked:
        assert {"linear", "knn"} <= {name for name, _ in entry.scores}
    assert any("logme" in dict(entry.scores) for entry in state.ranking.ranked)


@pytest.mark.parametrize("cause", ["gives NaN or infinity", "no such file"])
def test_a_guests_backbone_that_cannot_be_used_is_named(
    cause: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch)
    world = World({**TABLE, ("mine:broken", 64): Cell(fails=cause)})
    state = result_file.read(world.run(photos, tmp_path / "run", budget=40.0))
    assert [problem for problem in state.problems if f"backbone mine:broken: {cause}" in problem]
    assert all(entry.backbone != "mine:broken" for entry in state.ranking.ranked)


def test_a_width_that_is_declared_wrongly_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [replace(spec, feature_dim=7) for spec in SPECS]
    with_guests(monkeypatch, good={"register_backbones": lambda profile, settings: wrong})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert (
        sum("feature_dim is declared as 7, and the features are" in problem for problem in state.problems)
        == 2
    )


def test_a_guests_strategy_that_fails_is_named_where_the_user_looks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Strategy(name="mine_head", summary="a guest's", head="my:head")
    with_guests(monkeypatch, guest={"register_strategies": lambda profile: [mine]})

    class Engine(TableEngine):
        def answer(self, trial: Trial, *rest: Any) -> TrialResult:
            if trial.candidate.strategy == "mine_head":
                raise EngineError("the head 'my:head' returned weight of the shape (2, 3)")
            return super().answer(trial, *rest)

    monkeypatch.setattr("simulated_run.TableEngine", Engine)
    run = load(World().run(photos, tmp_path / "run", budget=40.0))
    (problem,) = [problem for problem in run.result.problems if "strategy mine_head" in problem]
    assert "returned weight of the shape" in problem
    terminal.show_outcome(run, as_json=False)
    end = capsys.readouterr().out.partition("Problems of plugins:")[2]
    assert "strategy mine_head" in end and "Report:" not in end


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "finished"), (KeyboardInterrupt, "interrupted"), (ZeroDivisionError, "failed")],
)
def test_an_observer_hears_the_end_whatever_it_is(
    error: type[BaseException] | None,
    status: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[Event] = []
    with_guests(
        monkeypatch,
        tracker={"on_event": lambda event: heard.append(event)},  # noqa: PLW0108 (a built-in takes no mark)
    )

    class Engine(TableEngine):
        def answer(self, trial: Trial, *rest: Any) -> TrialResult:
            if error is not None and trial.id != "t000":
                raise error("on the way")
            return super().answer(trial, *rest)

    monkeypatch.setattr("simulated_run.TableEngine", Engine)
    with pytest.raises(error) if error else nullcontext():
        World().run(photos, tmp_path / "run", budget=40.0)
    assert [event.stage for event in heard].count("end") == 1
    assert heard[-1].kind is Kind.RUN_ENDED and heard[-1].values["status"] == status
    assert heard[-1].values["error"] == ("ZeroDivisionError: on the way" if status == "failed" else "")
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["stage"] == "end" and len(lines) == len(heard)


def test_events_come_in_the_documented_order_with_the_documented_values(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Event] = []
    with_guests(monkeypatch, tracker={"on_event": lambda event: heard.append(event) and None})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=120.0))
    stages = [event.stage for event in heard if event.stage not in events.AT_ANY_TIME]
    searched = stages.index("forecast")
    stages = [stage for stage in stages[:searched] if stage != "probe"] + stages[searched:]
    assert stages == sorted(stages, key=events.STAGES.index)
    assert {"load", "rank", "probe", "control", "final fit", "report", "end"} <= set(stages)
    for event in heard:
        documented = events.EVENTS.get(event.stage, {}).get(event.kind)
        if documented is None:
            assert event.stage in events.FINDINGS
        else:
            assert set(event.values) == set(documented), event
    scores = {result.score_val for result in state.trials}
    scored = [event for event in heard if event.score is not None]
    assert {event.kind for event in scored} == {Kind.TRIAL_ENDED}
    assert {event.stage for event in scored} == {"probe", "control"}
    assert {event.score for event in scored} <= scores
    assert any("linear" in event.values["ranking_scores"] for event in heard if event.kind is Kind.SCORED)


def test_the_values_of_every_event_are_those_of_its_sentence() -> None:
    for stage, kinds in events.EVENTS.items():
        assert stage in {*events.STAGES, *events.AT_ANY_TIME}
        for kind, values in kinds.items():
            parameters = set(inspect.signature(wording.SENTENCES[kind]).parameters)
            assert set(values) == parameters - {"count"}, kind


def test_a_run_names_the_guests_that_contributed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(
        monkeypatch, scorer={"register_scores": score("counts")}, idle={"load_dataset": lambda source: None}
    )
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert {one.plugin: one.contributed for one in state.plugins} == {
        "good": ("backbone mine:small", "backbone mine:good", "backbone mine:broken"),
        "scorer": ("score guests_counts",),
    }
    assert "good, without a version (backbone mine:small" in (tmp_path / "run" / "report.md").read_text()
    assert "Plugins of the run: good" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_what_follows_a_run_says_which_plugin_is_missing_or_differs(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch)
    folder = World().run(photos, tmp_path / "run", budget=40.0)
    options = pipeline.Options(source=str(photos), out=str(folder), budget=30.0, backbones=("mine:*",))

    def go_on() -> Recommendation:
        world = World()
        world.clock.now = 100.0
        with lock.hold(folder):
            pipeline.recommend(options, tools=world.tools, started=100.0, earlier=resume.read(folder))
        return result_file.read(folder)

    missing = "plugin 'good' of this run is not installed"
    assert missing in CliRunner().invoke(main, ["replay", str(folder)]).stdout
    here = pipeline.load_plugins
    monkeypatch.setattr(pipeline, "load_plugins", lambda: load_plugins(installed=False))
    with pytest.raises(RunError, match=r"backbone mine:.* of plugin 'good', which is not installed"):
        go_on()
    monkeypatch.setattr(pipeline, "load_plugins", here)
    monkeypatch.setattr(provenance, "version", lambda package: "2.0")
    differs = "installed is good 2.0"
    assert differs in CliRunner().invoke(main, ["replay", str(folder)]).stdout
    assert any(note.kind is Kind.PLUGIN_DIFFERS for note in go_on().notes)
    assert differs in (folder / "report.md").read_text()


def test_a_run_is_not_continued_or_fitted_without_the_plugin_that_read_its_data(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch, reader={"load_dataset": lambda call: load_dataset(str(photos), {})})
    run = load(World().run(tmp_path / "photos.rows", tmp_path / "run", budget=40.0))
    assert {one.plugin: one.contributed for one in run.result.plugins}["reader"] == ("data",)
    before = (run.path / "result.json").read_bytes()
    missing = "plugin 'reader' read the data of the run and is not installed; expected reader; install it"
    for again in (partial(run.extend, "30s"), partial(run.fit, out=tmp_path / "fit")):
        with pytest.raises(RunError, match=missing):
            again()
    assert (run.path / "result.json").read_bytes() == before and not (tmp_path / "fit").exists()


def test_the_early_model_is_another_ones_when_the_cheapest_backbone_breaks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch)
    world = World({**TABLE, ("mine:small", 64): Cell(fails="it hung")})
    state = result_file.read(world.run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None and state.winner.backbone == "mine:good"
    assert world.engine is not None
    assert [t.candidate.backbone for t in world.engine.trials if t.id == "t000"] == ["mine:good"]
