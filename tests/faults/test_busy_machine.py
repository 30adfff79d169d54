"""A machine that other programs use: while time is left a model is made, and the budget holds to 5 % and 10 s.

The engine is simulated: the worker is ready late, whatever it does takes several times its usual seconds, and that
changes while the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cheap import make_cheap
from simulated_run import TABLE, World

from autotl.budget import Allowance
from autotl.errors import BudgetError
from autotl.records import Columns, Embedding, Kind, Machine, Measurement, Strategy, Trial, TrialResult
from autotl.run_folder import result_file
from autotl.testing.simulated_engine import Cell, TableClock, TableEngine

pytestmark = pytest.mark.usefixtures("guest", "cheap")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_cheap(monkeypatch)


@dataclass(frozen=True, kw_only=True)
class Busy:
    start: float  # seconds until the worker is ready
    read: float = 0.0  # seconds of reading the images, before that
    pace: Callable[[float], float] = lambda now: 1.0  # how many times slower the machine is, by the clock


class BusyTable(dict[tuple[str, int], Cell]):
    def __init__(self, clock: TableClock, busy: Busy) -> None:
        super().__init__({key: cell for key, cell in TABLE.items() if not cell.fails})
        self.clock, self.busy = clock, busy

    def get(self, key: Any, default: Any = None) -> Any:
        cell = super().get(key, default)
        return cell and replace(cell, seconds=cell.seconds * self.busy.pace(self.clock.now))


HEAD = 3.0  # seconds of a free machine for a head that is chosen by cross-validation
GRACE = 5.0  # after its time, when a worker is ended


PREPARED = 4.0  # seconds of a free machine before the first step of a training


class BusyEngine(TableEngine):
    """An engine that needs half a second of a free machine to build a network, one to time it, and some for a head."""

    busy: Busy
    submitted: tuple[tuple[Trial, Strategy], ...] = ()

    def open(self, pixels: str | Path, columns: Columns, **about: Any) -> None:
        self.clock.now = max(self.clock.now, self.busy.read)
        super().open(pixels, columns, **about)

    def started(self, allowance: Allowance) -> Machine:
        self.clock.now = max(self.clock.now, self.busy.start)
        return Machine(device="table", precision="fp32")

    def embed(self, *given: Any) -> Embedding:
        self.clock.now += 0.5 * self.busy.pace(self.clock.now)
        return super().embed(*given)

    def measure(self, *given: Any) -> Measurement:
        self.clock.now += 1.0 * self.busy.pace(self.clock.now)
        return super().measure(*given)

    def submit(self, trial: Trial, backbone: Any, strategy: Strategy, *given: Any) -> Future[TrialResult]:
        self.submitted += ((trial, strategy),)
        usual = (
            PREPARED if strategy.phases else HEAD if strategy.head == "autotl.builtin.heads:linear" else 0.3
        )
        seconds = usual * self.busy.pace(self.clock.now)
        ended = given[0].left + given[0].patience + GRACE
        self.clock.now += min(seconds, ended)
        if seconds <= ended:
            return super().submit(trial, backbone, strategy, *given)
        late: Future[TrialResult] = Future()
        late.set_result(TrialResult(trial=trial, status="stopped", error="the worker was ended"))
        return late


class BusyWorld(World):
    def __init__(self, busy: Busy) -> None:
        super().__init__()
        self.busy = busy

    def connect(self, *, folder: Path, **_: Any) -> TableEngine:
        self.engine = BusyEngine(folder, BusyTable(self.clock, self.busy), self.clock)
        self.engine.busy = self.busy
        return self.engine


def steady(times: float) -> Callable[[float], float]:
    return lambda now: times


def changing(before: float, at: float, after: float) -> Callable[[float], float]:
    return lambda now: before if now < at else after


MACHINES = {
    "two others": (30.0, Busy(start=12.0, pace=steady(2))),
    "four others": (30.0, Busy(start=18.0, read=6.0, pace=steady(3))),
    "a late start": (30.0, Busy(start=24.0, pace=steady(4))),
    "slow images": (30.0, Busy(start=6.0, read=17.0, pace=steady(2))),
    "busy from then on": (30.0, Busy(start=8.0, pace=changing(1, 9.0, 6))),
    "busy until then": (30.0, Busy(start=22.0, pace=changing(5, 24.0, 1))),
    "busy in the search": (60.0, Busy(start=8.0, pace=changing(1, 25.0, 5))),
    "a minute": (60.0, Busy(start=40.0, pace=steady(5))),
    "three minutes": (180.0, Busy(start=60.0, read=20.0, pace=steady(8))),
    "three minutes, late": (180.0, Busy(start=150.0, pace=steady(15))),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_model_is_made_in_time(name: str, photos: Path, tmp_path: Path) -> None:
    budget, busy = MACHINES[name]
    world = BusyWorld(busy)
    folder = world.run(photos, tmp_path / "run", budget=budget)
    result = result_file.read(folder)
    assert result.status == "finished" and result.winner is not None
    assert (folder / "model" / "model.json").is_file()
    assert world.clock.now <= 1.05 * budget + 10


def test_a_training_that_is_late_is_not_ended_while_there_is_no_model(photos: Path, tmp_path: Path) -> None:
    """Its own time ends before those of a final fit and the controls, which nothing would be left to make of."""
    world = BusyWorld(Busy(start=40.0, pace=steady(14)))
    folder = world.run(photos, tmp_path / "run", budget=180.0, strategies=("fine_tune",))
    first, _ = world.engine.submitted[0]  # type: ignore[union-attr]
    assert first.epochs
    assert result_file.read(folder).winner is not None and (folder / "model" / "model.json").is_file()
    assert world.clock.now <= 1.05 * 180 + 10


def test_a_late_run_makes_its_first_model_at_once(photos: Path, tmp_path: Path) -> None:
    """Nothing comes before it, and its head is fitted in a moment; the run says what it left out."""
    world = BusyWorld(Busy(start=20.0, pace=steady(3)))
    folder = world.run(photos, tmp_path / "run", budget=30.0)
    first, strategy = world.engine.submitted[0]  # type: ignore[union-attr]
    assert (first.candidate.backbone, first.epochs) == ("mine:small", 0.0)
    assert strategy.head == "autotl.builtin.heads:ridge"
    stages = [event.stage for event in world.events]
    assert "similarity" not in stages[: stages.index("probe")]
    result = result_file.read(folder)
    assert [note.values["budget"] for note in result.notes if note.kind is Kind.HURRIED] == [30.0]
    assert result.similarity == ()


def test_a_run_with_time_is_not_hurried(photos: Path, tmp_path: Path) -> None:
    world = BusyWorld(Busy(start=20.0, pace=steady(3)))
    folder = world.run(photos, tmp_path / "run", budget=120.0)
    assert all(strategy.head != "autotl.builtin.heads:ridge" for _, strategy in world.engine.submitted)  # type: ignore[union-attr]
    assert not any(note.kind is Kind.HURRIED for note in result_file.read(folder).notes)


def test_a_worker_that_is_ready_after_the_budget_ends_the_run_at_once(photos: Path, tmp_path: Path) -> None:
    world = BusyWorld(Busy(start=31.0, pace=steady(6)))
    with pytest.raises(
        BudgetError, match=r"ready after 31 of 30 s.* end other programs, or use a larger --budget"
    ):
        world.run(photos, tmp_path / "run", budget=30.0)
    assert world.clock.now == 31.0 and not world.engine.trials  # type: ignore[union-attr]
    assert not (tmp_path / "run").exists()
