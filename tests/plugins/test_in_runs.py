"""What a broken guest does to a whole run: it is named, and the run goes on. On a table engine, in no time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_images import pictures
from simulated_run import SPECS, TABLE, World

from autotl import load, pipeline
from autotl.cli import terminal
from autotl.errors import EngineError
from autotl.hookspecs import hookimpl
from autotl.plugins import sandbox
from autotl.plugins.manager import load_plugins
from autotl.records import BackboneSpec, Candidate, Kind, Ranking, Score, Strategy, Trial, TrialResult
from autotl.records.result import Recommendation
from autotl.run_folder import result_file
from autotl.testing.simulated_engine import Cell, TableEngine


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


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt hook": ({"register_backbone": lambda profile, settings: []}, "there is no hook"),
    "backbones raise": ({"register_backbones": lambda profile, settings: 1 / 0}, "ZeroDivisionError"),
    "backbones hang": ({"register_backbones": lambda profile, settings: hangs()}, "took over"),
    "backbones leave": ({"register_backbones": lambda profile, settings: leaves()}, "enough"),
    "backbones are texts": ({"register_backbones": lambda profile, settings: ["resnet18"]}, "resnet18"),
    "a backbone is nonsense": (
        {"register_backbones": lambda profile, settings: [BackboneSpec(name=None, build=3)]},  # type: ignore[arg-type]
        "wrong kind",
    ),
    "strategies raise": ({"register_strategies": lambda profile: 1 / 0}, "ZeroDivisionError"),
    "scores are no list": ({"register_scores": lambda: 7}, "TypeError"),
    "a score raises": ({"register_scores": score("breaks")}, "boom"),
    "a score hangs": ({"register_scores": score("hangs")}, "took over"),
    "a score is missing": ({"register_scores": score("nothing_of_the_kind")}, "AttributeError"),
    "a reader raises": ({"load_dataset": lambda source, options: 1 / 0}, "ZeroDivisionError"),
    "a reader answers a text": ({"load_dataset": lambda source, options: source}, "expected a Dataset"),
    "an observer raises": ({"on_event": lambda event: 1 / 0}, "ZeroDivisionError"),
    "an observer hangs": ({"on_event": hangs}, "took over"),
    "a planner is none": ({"make_planner": lambda profile, ranking, seconds: 3}, "without ask()"),
}


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
    with_guests(monkeypatch, **{what: hooks for what, (hooks, _) in BROKEN.items()})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert state.status == "finished"
    assert state.winner is not None and state.winner.backbone.startswith("mine:")
    report = (tmp_path / "run" / "report.md").read_text()
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    said = [event["message"] for event in events if event["stage"] == "plugins"]
    assert len(problems_of(state)) == len(BROKEN)
    for what, (_, word) in BROKEN.items():
        assert any(f"'{what}'" in problem and word in problem for problem in state.problems), what
        assert any(f"'{what}'" in message for message in said), what
        assert what in report


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


def test_a_score_that_is_no_number_is_a_note(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch, odd={"register_scores": score("nonsense")})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None
    assert any(
        note.kind == Kind.SCORE_NOT_FINITE and note.values["value"] == "nan" for note in state.ranking.facts
    )


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


def test_the_early_model_is_another_ones_when_the_cheapest_backbone_breaks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch)
    world = World({**TABLE, ("mine:small", 64): Cell(fails="it hung")})
    state = result_file.read(world.run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None and state.winner.backbone == "mine:good"
    assert world.engine is not None
    assert [t.candidate.backbone for t in world.engine.trials if t.id == "t000"] == ["mine:good"]
