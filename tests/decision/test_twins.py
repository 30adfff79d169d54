"""Strategies that learn from more than the main label column are compared with the same ones that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autotl.builtin.strategies import INSTANCES, MULTI_TASK, STRATEGIES
from autotl.decision import label_columns, twins
from autotl.records import Candidate, Columns, Goal, Kind, Target, Trial, TrialResult

ROWS = 60
LABELS = np.arange(ROWS) % 3
SHAPE = Target(name="shape", kind="multiclass", classes=("x", "y"), values=np.where(LABELS == 2, -1, LABELS))
COLUMNS = Columns(
    labels=LABELS,
    part=np.repeat([0, 1, 2], 20).astype(np.int8),
    fold=np.full(ROWS, -1, np.int8),
    group=None,
    order=np.arange(ROWS),
    classes=("a", "b", "c"),
    others=(SHAPE,),
)


def result(folder: Path, strategy: str, part: int, right: int, epochs: float = 3.0) -> TrialResult:
    """A trial that predicts the first `right` rows of a part rightly."""
    rows = np.flatnonzero(COLUMNS.part == part)
    shown = np.where(np.arange(20) < right, LABELS[rows], (LABELS[rows] + 1) % 3)
    path = f"{strategy}-{epochs:g}.npz"
    np.savez(folder / path, rows=rows, proba=np.eye(3, dtype=np.float32)[shown], fold=np.full(20, -1))
    candidate = Candidate(backbone="net", input_size=64, strategy=strategy, unfreeze="all")
    trial = Trial(id=strategy, candidate=candidate, epochs=epochs, evaluate_on=("select",))
    return TrialResult(
        trial=trial, status="finished", score_val=right / 20, predictions=path, epochs_done=epochs
    )


def test_a_pair_of_equal_length_says_what_all_columns_gain(tmp_path: Path) -> None:
    probes = [
        result(tmp_path, "fine_tune", 1, 19, epochs=9.0),
        result(tmp_path, "fine_tune", 1, 12),
        result(tmp_path, "multi_task", 1, 16),
    ]
    strategies = (*STRATEGIES, *INSTANCES, MULTI_TASK)
    (made,) = twins.compared(probes, strategies, tmp_path, COLUMNS, Goal())
    assert made.kind is Kind.COLUMNS_COMPARED and made.values["base"] == "fine_tune"
    assert made.values["difference"] == pytest.approx(0.2) and made.values["images"] == 20
    assert twins.compared(probes[:1] + probes[2:], strategies, tmp_path, COLUMNS, Goal()) == []


def test_twins_are_the_same_but_for_what_they_learn_from_besides() -> None:
    names = {
        each.name: twins.twin(each, (*INSTANCES, MULTI_TASK, *STRATEGIES))
        for each in (*INSTANCES, MULTI_TASK)
    }
    assert names == {
        "linear_pooled": "linear_probe",
        "linear_weighted": "linear_probe",
        "fine_tune_pooled": "fine_tune",
        "fine_tune_weighted": "fine_tune",
        "multi_task": "fine_tune",
    }
    assert twins.twin(replace(MULTI_TASK, depths=False), STRATEGIES) == ""


def test_a_column_is_scored_where_it_has_labels(tmp_path: Path) -> None:
    rows = np.flatnonzero(COLUMNS.part == 2)
    answers = label_columns.Answers(rows=rows, predicted=np.zeros(20, np.int64))
    known = rows[SHAPE.values[rows] >= 0]
    twin = replace(result(tmp_path, "fine_tune", 2, 0), predictions="shape.npz")
    shares = np.eye(2, dtype=np.float32)[SHAPE.values[known]]
    np.savez(tmp_path / "shape.npz", rows=known, proba=shares, fold=np.full(len(known), -1))
    column = label_columns.described(SHAPE, together=False)
    made = label_columns.compared(
        column, SHAPE, answers, twin, folder=tmp_path, columns=COLUMNS, metric="accuracy"
    )
    assert made.labelled == 40 and made.images == len(known) == 13
    assert (
        made.score_test == pytest.approx((SHAPE.values[known] == 0).mean(), abs=1e-5)
        and made.alone_score == 1.0
    )
    assert made.difference is not None and made.difference.value == pytest.approx(
        made.score_test - 1.0, abs=1e-5
    )
    without = label_columns.compared(
        column, SHAPE, answers, None, folder=tmp_path, columns=COLUMNS, metric="accuracy"
    )
    assert without.score_test == made.score_test and without.alone == "" and without.difference is None
