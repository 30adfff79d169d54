"""The engine over a table behaves as the worker does where a stage can see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autotl.budget import Allowance
from autotl.protocols import Engine
from autotl.records import BackboneSpec, Candidate, Columns, Phase, Progress, Strategy, Trial
from autotl.testing.simulated_engine import Cell, TableClock, TableEngine

TUNE = Strategy(name="fine_tune", summary="", phases=(Phase(),), depths=True)
SPEC = BackboneSpec(name="b", build="m:b")


@pytest.fixture
def engine(tmp_path: Path) -> TableEngine:
    made = TableEngine(tmp_path, {("b", 64): Cell()}, TableClock())
    rows = np.arange(90)
    columns = Columns(
        labels=rows % 3,
        part=(rows >= 60).astype(np.int8),
        fold=np.full(90, -1, np.int8),
        group=None,
        order=rows,
        classes=("a", "b", "c"),
    )
    made.open(tmp_path, columns, metric="accuracy", digests=None)
    return made


def trial(epochs: float) -> Trial:
    return Trial(
        id="t1",
        candidate=Candidate(backbone="b", input_size=64, strategy="fine_tune", unfreeze=1),
        epochs=epochs,
    )


def test_it_is_an_engine_of_one_slot(engine: TableEngine) -> None:
    as_protocol: Engine = engine
    assert len(as_protocol.slots) == 1


def test_progress_ends_where_the_trial_does(engine: TableEngine) -> None:
    reports: list[Progress] = []
    clock = engine.clock
    allowance = Allowance(deadline=clock() + 1e6, clock=clock)
    result = engine.submit(trial(4.0), SPEC, TUNE, allowance, reports.append).result()
    assert [report.epoch for report in reports] == [2.0, 4.0]
    assert all(report.trial == "t1" and report.epochs == 4.0 for report in reports)
    assert reports[-1].seconds == pytest.approx(result.cost.seconds)
    assert clock.now == pytest.approx(result.cost.seconds)


def test_heads_in_closed_form_have_no_progress(engine: TableEngine) -> None:
    reports: list[Progress] = []
    allowance = Allowance(deadline=engine.clock() + 1e6, clock=engine.clock)
    engine.submit(trial(0.0), SPEC, TUNE, allowance, reports.append).result()
    assert reports == []
