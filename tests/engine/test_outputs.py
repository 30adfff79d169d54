"""Numbers and several labels an image in the worker: heads, fine-tuning, and the model folder that they leave."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import test_trial
import torch
import toy

from autotl.budget import Allowance
from autotl.engine import export, model, train, trial
from autotl.engine.outputs import ClassOutputs, LabelOutputs, NumberOutputs, scaling_of
from autotl.engine.session import Data, Session
from autotl.records import Candidate, Columns, Metric, Scaling, Strategy, TargetName, Trial
from autotl.stats import metrics, values

PICTURES, CLASSES = toy.images(90)
NUMBERS = 100.0 + 20.0 * CLASSES + np.random.default_rng(0).normal(0, 1, 90)
SETS = np.stack([CLASSES == 0, CLASSES != 1, CLASSES == 2], axis=1).astype(np.int8)
KNN = Strategy(name="knn", summary="", head="autotl.builtin.heads:knn")
METRICS: dict[TargetName, Metric] = {"regression": "r2", "multilabel": "mean_average_precision"}


@pytest.fixture(autouse=True)
def _any_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)  # of the toy backbone


def session(folder: Path, target: TargetName) -> Session:
    made, rows = test_trial.started(folder), np.arange(90)
    numbers = target == "regression"
    columns = Columns(
        labels=NUMBERS if numbers else SETS,
        part=np.where(rows < 60, 0, 1).astype(np.int8),
        fold=np.full(90, -1, np.int8),
        group=None,
        order=rows,
        classes=("size",) if numbers else ("a", "b", "c"),
        target=target,
    )
    made.open(
        Data(
            columns=columns,
            digests=rows.astype(str),
            metric=METRICS[target],
            squares=toy.squares(PICTURES),
        )
    )
    return made


def attempt(
    folder: Path, target: TargetName, strategy: Strategy
) -> tuple[Session, np.ndarray, np.ndarray, str]:
    """Return the session, labels and predictions of the selection rows, and the model."""
    own = session(folder, target)
    candidate = Candidate(
        backbone="toy", input_size=toy.SIDE, strategy=strategy.name,
        unfreeze="all" if strategy.phases else 0, hyper=(("flip", 0),),
    )  # fmt: skip
    asked = Trial(id="t1", candidate=candidate, epochs=12.0 if strategy.phases else 0.0, keep_model=True)
    allowance = Allowance(deadline=time.monotonic() + 60)
    result = trial.run(own, asked, toy.spec(), strategy, allowance)
    assert result.status == "finished" and result.model is not None
    with np.load(folder / str(result.predictions)) as stored:
        return own, own.data.columns.labels[stored["rows"]], stored["proba"], result.model


@pytest.mark.parametrize("target", METRICS)
@pytest.mark.parametrize(
    "strategy", [test_trial.PROBE, KNN, test_trial.TUNE, test_trial.LP_FT], ids=lambda s: s.name
)
def test_every_strategy_learns(tmp_path: Path, target: TargetName, strategy: Strategy) -> None:
    own, labels, table, folder = attempt(tmp_path, target, strategy)
    answers = values.of(labels).answers(table)
    constant = metrics.of_constant(METRICS[target], labels, 3)
    assert metrics.score(METRICS[target], labels, answers, 3) > constant + 0.3
    assert table.shape == (30, 1 if target == "regression" else 3)
    described = model.describe(tmp_path / folder)
    assert described.target == target and described.classes == own.data.columns.classes
    if target == "regression":
        assert described.scaling.offset == pytest.approx(NUMBERS[:60].mean())
        assert 90 < table.mean() < 150  # in the unit of the labels
    squares = own.data.squares.get(np.arange(60, 90), toy.SIDE, toy.spec().preprocess)
    again, _ = own.predictor(folder).predict_squares(squares)
    assert np.abs(again - table).max() < 0.02 * (20 if target == "regression" else 1)


@pytest.mark.parametrize("target", METRICS)
def test_a_training_can_be_continued(tmp_path: Path, target: TargetName) -> None:
    own, labels, _, folder = attempt(tmp_path, target, test_trial.TUNE)
    candidate = Candidate(
        backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze="all", hyper=(("flip", 0),)
    )
    longer = Trial(id="t2", candidate=candidate, epochs=16.0, resume_from=folder, resumed_epochs=12.0)
    allowance = Allowance(deadline=time.monotonic() + 60)
    result = trial.run(own, longer, toy.spec(), test_trial.TUNE, allowance)
    with np.load(tmp_path / str(result.predictions)) as stored:
        answers = values.of(labels).answers(stored["proba"])
    assert (
        metrics.score(METRICS[target], labels, answers, 3)
        > metrics.of_constant(METRICS[target], labels, 3) + 0.3
    )
    assert {point.score is None for point in result.curve} <= {True, False} and result.epochs_done == 16.0


def test_flips_are_measured_by_r2_too(tmp_path: Path) -> None:
    used, found = session(tmp_path, "regression").flips(toy.spec(), toy.SIDE)
    assert found is not None and isinstance(used, bool) and found.values.get("metric", "r2") == "r2"


def test_outputs_have_the_unit_of_the_labels() -> None:
    raw = torch.tensor([[-1.0], [0.0], [2.0]])
    scaling = Scaling(offset=10.0, scale=3.0)
    assert NumberOutputs(scaling)(raw)[:, 0].tolist() == [7.0, 10.0, 16.0]
    assert NumberOutputs(scaling).aims(np.array([7.0, 16.0]))[:, 0].tolist() == [-1.0, 2.0]
    assert LabelOutputs(scaling)(torch.zeros(1, 3)).tolist() == [[0.5, 0.5, 0.5]]
    assert ClassOutputs(scaling)(torch.zeros(1, 4)).tolist() == [[0.25] * 4]


def test_numbers_are_scaled_by_the_train_part_alone(tmp_path: Path) -> None:
    columns = session(tmp_path, "regression").data.columns
    assert scaling_of(columns).scale == pytest.approx(NUMBERS[:60].std())
    assert scaling_of(session(tmp_path, "multilabel").data.columns) == Scaling()


@pytest.mark.parametrize(
    "outputs", [NumberOutputs(Scaling()), LabelOutputs(Scaling())], ids=["numbers", "sets"]
)
def test_a_constant_answer_is_recognised(outputs: NumberOutputs | LabelOutputs) -> None:
    labels = NUMBERS if isinstance(outputs, NumberOutputs) else SETS
    assert outputs.constant_loss(labels) > 0
    assert outputs.even_loss(labels) > 0 and train.RUNAWAY > 1


@pytest.mark.parametrize("target", METRICS)
def test_an_export_says_what_its_output_is(tmp_path: Path, target: TargetName) -> None:
    _, _, _, folder = attempt(tmp_path, target, test_trial.PROBE)
    plain = model.plain(tmp_path / folder)
    described = model.describe(tmp_path / folder)
    batch = torch.randn(2, 3, toy.SIDE, toy.SIDE)
    with torch.inference_mode():
        answers = export.Predictions(plain)(batch)
        assert torch.equal(answers, plain.outputs(plain(batch)))
    config = export.config_of(plain, described, "onnx")
    if target == "regression":
        assert config["scale"] == described.scaling.scale and "number" in config["output"]
    else:
        assert config["thresholds"] == [0.5] * 3
    text = export.example("safetensors", "crop", target)
    compile(text, "example.py", "exec")
    assert ("sigmoid" if target == "multilabel" else 'config["scale"]') in text
