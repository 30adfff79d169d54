"""Runs with several slots, on the simulated engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_run import Again, World

from autotl.protocols import Planner, PlannerCall
from autotl.records import Kind, Trial, TrialResult
from autotl.run_folder import result_file
from autotl.search.planner import DefaultPlanner
from autotl.testing.simulated_engine import Cell, TableEngine, TableSlot

pytestmark = [pytest.mark.usefixtures("guest"), pytest.mark.slow]

# Every training takes long enough for the search to be most of the run.
TABLE = {
    ("mine:small", 64): Cell(seconds=0.01, linear=0.6, tuned={"all": 0.75, 2: 0.7, 1: 0.65}),
    ("mine:good", 128): Cell(seconds=0.02, linear=0.7, tuned={"all": 0.85, 2: 0.8, 1: 0.76}),
    ("mine:good", 64): Cell(seconds=0.01, linear=0.65, tuned={"all": 0.8, 2: 0.76, 1: 0.7}),
    ("mine:broken", 64): Cell(fails="no such file: mine.safetensors"),
}


class Slots(World):
    """A run on several slots: what ran on which, and when."""

    def __init__(self, *factors: float) -> None:
        super().__init__(TABLE)
        self.factors = factors

    def connect(self, *, folder: Path, **_: Any) -> TableEngine:
        self.engine = TableEngine(folder, self.table, self.clock, slots=self.factors)
        return self.engine

    def run(self, source: Path, out: Path, **options: Any) -> Path:
        return super().run(source, out, **{"strategies": ("linear_probe", "lp_ft")} | options)


class Continued(Slots, Again):
    """The second stretch of a run."""


@pytest.fixture(scope="module")
def done(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Slots, Path]]:
    runs = {}
    with pytest.MonkeyPatch.context() as patch:
        _offer(patch)
        for number in (1, 2):
            world, out = Slots(*[1.0] * number), tmp_path_factory.mktemp("runs") / str(number)
            runs[number] = world, world.run(photos, out, budget=1200.0 / (1.0 if number == 1 else 1.6))
    return runs


def _offer(patch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    import simulated_run

    from autotl import pipeline
    from autotl.hookspecs import hookimpl
    from autotl.plugins import manager

    offering = SimpleNamespace(
        __name__="simulated_run", register_backbones=hookimpl(lambda profile, settings: simulated_run.SPECS)
    )
    original = manager.load_plugins
    patch.setattr(pipeline, "load_plugins", lambda: original([offering]))


def test_two_slots_reach_the_decision_of_one_in_less_time(done: dict[int, tuple[Slots, Path]]) -> None:
    """In 1.6 times less time they make as many probes and have the same winner."""
    one, two = (result_file.read(done[number][1]) for number in (1, 2))
    assert one.winner is not None and two.winner is not None
    assert two.winner.candidate == one.winner.candidate
    probes = [
        sum(r.trial.id.startswith("t") and bool(r.epochs_done) for r in run.trials) for run in (one, two)
    ]
    assert probes[1] >= probes[0] >= 4


def test_what_two_slots_began_is_finished_on_one(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a run on two slots while both train; it is continued on one."""
    original, tuned = TableSlot.submit, list[str]()

    def submit(self: TableSlot, trial: Trial, *rest: Any) -> Any:
        tuned.extend([trial.id] if trial.epochs else [])
        if len(tuned) == 4:
            raise KeyboardInterrupt
        return original(self, trial, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TableSlot, "submit", submit)
        with pytest.raises(KeyboardInterrupt):
            Slots(1.0, 1.0).run(photos, tmp_path / "run", budget=250.0)
    before = result_file.read(tmp_path / "run")
    world = Continued(1.0)
    world.extend(tmp_path / "run", monkeypatch)
    after = result_file.read(tmp_path / "run")
    assert after.status == "finished" and after.winner is not None
    assert {result.trial.id for result in before.trials} <= {result.trial.id for result in after.trials}
    probes = [
        (result.trial.candidate, result.trial.epochs) for result in after.trials if result.trial.id[0] == "t"
    ]
    assert len(set(probes)) == len(probes)
    assert world.engine is not None and len(world.engine.slots) == 1


def test_no_recipe_is_trained_twice_at_once(done: dict[int, tuple[Slots, Path]]) -> None:
    world, out = done[2]
    running: set[str] = set()
    for event in world.events:
        if event.stage == "probe" and event.kind is Kind.TRIAL_STARTED:
            assert event.candidate not in running
            running.add(str(event.candidate))
        elif event.stage == "probe" and event.kind is Kind.TRIAL_ENDED:
            running.remove(str(event.candidate))
    ids = [result.trial.id for result in result_file.read(out).trials]
    assert len(ids) == len(set(ids))


def test_a_slow_slot_does_not_price_a_fast_one(photos: Path, tmp_path: Path) -> None:
    """Trials on a slot that takes three times as long are forecast as such, and the others are not."""
    world = Slots(1.0, 3.0)
    out = world.run(photos, tmp_path / "run", budget=500.0)
    tuned = [
        result
        for result in result_file.read(out).trials
        if result.trial.epochs and result.trial.id.startswith("t") and result.status == "finished"
    ]
    ratios = [result.cost.seconds / (result.trial.forecast or 1.0) for result in tuned]
    assert len(tuned) >= 4
    # What costs are measured on one kind alone is right from its second trial on.
    assert all(0.6 < ratio < 1.6 for ratio in ratios), ratios


def test_preparing_an_image_counts_on_a_second_kind_of_slots_as_on_the_first(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, known, second = 0.1, list[float](), list[float]()
    measure, add = TableEngine.measure_now, DefaultPlanner.add_kind

    def slowly_prepared(self: TableEngine, *rest: Any) -> Any:
        return replace(measure(self, *rest), prepare=prepared)

    def noted(self: DefaultPlanner, kind: str, paces: Any) -> None:
        known.extend(self.facts.predicted.values())
        second.extend(latency for _, latency in paces.values())
        add(self, kind, paces)

    monkeypatch.setattr(TableEngine, "measure_now", slowly_prepared)
    monkeypatch.setattr(DefaultPlanner, "add_kind", noted)
    Slots(1.0, 3.0).run(photos, tmp_path / "run", budget=300.0)
    assert known and second and min([*known, *second]) > prepared


def test_a_lost_slot_gives_its_trial_back(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lost = Slots(1.0, 1.0), list[str]()
    original = TableSlot.submit

    def submit(self: TableSlot, trial: Trial, *rest: Any) -> Any:
        future = original(self, trial, *rest)
        if trial.epochs and not lost:
            lost.append(trial.id)
            self.lose()
        return future

    monkeypatch.setattr(TableSlot, "submit", submit)
    out = world.run(photos, tmp_path / "run", budget=500.0)
    trials = {result.trial.id: result for result in result_file.read(out).trials}
    assert trials[lost[0]].status == "finished"
    assert world.engine is not None and [t.id for t in world.engine.trials].count(lost[0]) == 2
    assert [event.kind for event in world.events].count(Kind.TRIAL_GIVEN_BACK) == 1


def test_a_trial_that_loses_two_slots_has_failed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, deadly = Slots(1.0, 1.0, 1.0), list[str]()
    original = TableSlot.submit

    def submit(self: TableSlot, trial: Trial, *rest: Any) -> Any:
        future = original(self, trial, *rest)
        if trial.epochs and deadly in ([], [trial.id]):
            deadly[:] = [trial.id]
            self.lose()
        return future

    monkeypatch.setattr(TableSlot, "submit", submit)
    state = result_file.read(world.run(photos, tmp_path / "run", budget=500.0))
    trials = {result.trial.id: result for result in state.trials}
    assert trials[deadly[0]].status == "failed" and "gone" in str(trials[deadly[0]].error)
    assert state.winner is not None


class Repeating:
    """A planner that asks for the same two recipes again and again, without waiting for results."""

    def __init__(self, call: PlannerCall) -> None:
        self.call, self.number, self.told = call, 0, list[str]()
        best = call.ranking.ranked[0]
        tuned = next(strategy for strategy in call.strategies if strategy.phases and strategy.depths)
        from autotl.records import Candidate

        self.candidates = [
            Candidate(backbone=best.backbone, input_size=best.input_size, strategy=tuned.name, unfreeze=depth)
            for depth in (1, 2)
        ]

    def ask(self, seconds: float) -> Trial | None:
        self.number += 1
        if self.number > 4:
            return None
        candidate = self.candidates[self.number // 3]  # twice the first, twice the second
        return Trial(id=f"mine{self.number}", candidate=candidate, epochs=4.0)

    def tell(self, result: TrialResult) -> None:
        self.told.append(result.trial.id)


def test_a_plugins_planner_is_asked_for_all_slots_and_told_every_result(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Repeating] = []

    def make(self: Any, call: PlannerCall) -> Any:
        from autotl.plugins.checked_planner import CheckedPlanner, for_guest
        from autotl.plugins.sandbox import Sandbox

        own, default = for_guest(call, lambda: False)
        made.append(Repeating(own))
        planner: Planner = made[-1]
        return CheckedPlanner(
            sandbox=Sandbox(trusted=["mine"]), plugin="mine", planner=planner, call=own, default=default
        )

    monkeypatch.setattr("autotl.plugins.manager.Plugins.make_planner", make)
    world = Slots(1.0, 1.0)
    world.run(photos, tmp_path / "run", budget=500.0)
    assert made[0].told[0] == "t000" and sorted(made[0].told[1:]) == ["mine1", "mine2", "mine3", "mine4"]
    running: set[str] = set()
    for event in world.events:
        if event.stage == "probe" and event.kind is Kind.TRIAL_STARTED:
            assert event.candidate not in running
            running.add(str(event.candidate))
        elif event.stage == "probe" and event.kind is Kind.TRIAL_ENDED:
            running.remove(str(event.candidate))
