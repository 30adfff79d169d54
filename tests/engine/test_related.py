"""Labelled images of another source train by weights, beside those of the data; no score is measured on them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_trial
import toy

from autotl.budget import Allowance
from autotl.builtin.instances import importance
from autotl.builtin.strategies import INSTANCES, STRATEGIES
from autotl.engine import trial
from autotl.engine.session import Data, Session
from autotl.errors import Declined, EngineError
from autotl.plugin import RelatedCall
from autotl.records import Candidate, Columns, Strategy, Trial, TrialResult

BY_NAME = {strategy.name: strategy for strategy in (*STRATEGIES, *INSTANCES)}
OWN, JUDGED, HALF = 9, 90, 60  # images


def session(folder: Path, *, weight: np.ndarray | None = None) -> Session:
    """Few images that train, many that judge, and a source whose second half is paler and has misleading labels."""
    own, labels = toy.images(OWN + JUDGED, seed=1)
    more, theirs = toy.images(2 * HALF, seed=2)
    more[HALF:] = 0.6 * more[HALF:] + 100
    theirs = np.where(np.arange(2 * HALF) < HALF, theirs, (theirs + 1) % 3)
    count = OWN + JUDGED
    columns = Columns(
        labels=labels,
        part=np.repeat([0, 1], (OWN, JUDGED)).astype(np.int8),
        fold=np.full(count, -1, np.int8),
        group=np.arange(count),
        order=np.arange(count),
        classes=("a", "b", "c"),
        related=count + np.arange(2 * HALF),
        related_labels=theirs,
        weight=weight,
    )
    made = test_trial.started(folder)
    digests = np.arange(count + 2 * HALF).astype(str)
    squares = toy.squares(np.concatenate([own, more]))
    made.open(Data(columns=columns, digests=digests, metric="accuracy", squares=squares))
    return made


def run(made: Session, strategy: Strategy, epochs: float = 0.0) -> TrialResult:
    depth: Any = "all" if strategy.phases else 0
    candidate = Candidate(
        backbone="toy", input_size=toy.SIDE, strategy=strategy.name, unfreeze=depth, hyper=(("flip", 0),)
    )
    asked = Trial(id="t0", candidate=candidate, epochs=epochs, keep_model=True)
    allowance = Allowance(deadline=time.monotonic() + 60)
    return trial.run(made, asked, toy.spec(), strategy, allowance)


def accuracy(folder: Path, made: Session, done: TrialResult) -> float:
    with np.load(folder / str(done.predictions)) as stored:
        rows, table = stored["rows"], stored["proba"]
    assert sorted(rows.tolist()) == list(range(OWN, OWN + JUDGED)), "the judged images are the data's own"
    return float((table.argmax(1) == made.data.columns.labels[rows]).mean())


def test_importance_weights_find_the_related_half_of_a_mixed_source() -> None:
    generator = np.random.default_rng(0)
    own, alike = (generator.normal(0, 1, (60, 64)) for _ in range(2))
    unlike = generator.normal(0, 1, (60, 64)) + 2.5 * (np.arange(64) < 8)
    call = RelatedCall(
        features=own.astype(np.float32),
        labels=np.zeros(60, np.int64),
        related=np.concatenate([alike, unlike]).astype(np.float32),
        related_labels=np.zeros(120, np.int64),
        seed=0,
    )
    weights = importance(call)
    assert weights.min() >= 0 and weights.max() <= 1
    assert weights[:60].mean() > 5 * weights[60:].mean() and weights[:60].mean() > 0.6
    assert np.array_equal(weights, importance(call))


def test_weighting_beats_pooling_and_ignoring_where_half_of_the_source_misleads(tmp_path: Path) -> None:
    made = session(tmp_path)
    reached = {
        name: accuracy(tmp_path, made, run(made, BY_NAME[name]))
        for name in ("linear_probe", "linear_pooled", "linear_weighted")
    }
    assert reached["linear_weighted"] > reached["linear_pooled"] + 0.03
    assert reached["linear_weighted"] > reached["linear_probe"] + 0.03


first: list[RelatedCall] = []


def first_ten(call: RelatedCall) -> np.ndarray:
    first.append(call)
    return np.where(np.arange(len(call.related)) < 10, 0.5, 0.0)


def too_few(call: RelatedCall) -> np.ndarray:
    return np.ones(3)


def test_phases_draw_by_the_weights_and_an_epoch_has_as_many_steps(tmp_path: Path) -> None:
    made = session(tmp_path)
    seen: list[np.ndarray] = []
    get = made.data.squares.get

    def watched(rows: np.ndarray, *more: Any) -> np.ndarray:
        seen.append(rows)
        return get(rows, *more)

    plain = run(made, BY_NAME["fine_tune"], 12.0)
    strategy = replace(BY_NAME["fine_tune_weighted"], related=f"{__name__}:first_ten")
    first.clear()
    made.data.squares.get = watched  # type: ignore[method-assign]
    done = run(made, strategy, 12.0)
    assert done.steps_done == plain.steps_done and done.epochs_done == 12
    (call,) = first
    assert call.features.shape == (OWN, 16) and len(call.related) == 2 * HALF
    steps = [rows for rows in seen if len(rows) == OWN or len(rows) == 16]
    drawn = np.concatenate(steps)
    assert len(np.unique(drawn[drawn >= OWN + JUDGED])) == 10
    share = (drawn >= OWN + JUDGED).mean()
    assert 0.2 < share < 0.5  # 10 images of weight one half beside nine


def test_it_declines_without_another_source_and_refuses_weights_of_another_number(tmp_path: Path) -> None:
    with pytest.raises(Declined, match="--source"):
        run(test_trial.session(tmp_path), BY_NAME["linear_pooled"])
    strategy = replace(BY_NAME["linear_pooled"], related=f"{__name__}:too_few")
    with pytest.raises(EngineError, match="expected a number of 0 or more for each"):
        run(session(tmp_path), strategy)


def test_weights_of_the_data_stay_beside_those_of_the_source(tmp_path: Path) -> None:
    done = run(session(tmp_path, weight=np.linspace(1, 2, OWN + JUDGED)), BY_NAME["linear_weighted"])
    assert done.status == "finished"
