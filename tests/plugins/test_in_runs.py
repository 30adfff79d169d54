"""What a broken guest does to a whole run: it is named, and the run goes on. On a table engine, in no time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_images import pictures
from simulated_run import SPECS, TABLE, World

from autotl import pipeline
from autotl.hookspecs import hookimpl
from autotl.plugins import sandbox
from autotl.plugins.manager import load_plugins
from autotl.records import BackboneSpec, Candidate, Ranking, Score, Trial, TrialResult
from autotl.run_folder import result_file
from autotl.testing.simulated_engine import Cell


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
    assert len(state.problems) == len(BROKEN)
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
    assert [word in problem and "'planner'" in problem for problem in state.problems] == [True] * bool(broken)


def test_a_score_that_is_no_number_is_a_note(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch, odd={"register_scores": score("nonsense")})
    state = result_file.read(World().run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None
    assert any("guests" in note and "nan" in note for note in state.ranking.notes)


def test_the_early_model_is_another_ones_when_the_cheapest_backbone_breaks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests(monkeypatch)
    world = World({**TABLE, ("mine:small", 64): Cell(fails="it hung")})
    state = result_file.read(world.run(photos, tmp_path / "run", budget=40.0))
    assert state.winner is not None and state.winner.backbone == "mine:good"
    assert world.engine is not None
    assert [t.candidate.backbone for t in world.engine.trials if t.id == "t000"] == ["mine:good"]
