"""Heads for several label columns: trained together with one backbone, or fitted on the features of a finished one."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_trial
import torch
import toy
from model_folder import model_folder, picture

from autotl import predict
from autotl.budget import Allowance
from autotl.builtin.strategies import MULTI_TASK, STRATEGIES
from autotl.decision.evidence import stored_predictions
from autotl.engine import client, export, messages, model, others, trial
from autotl.engine.inference import Predictor
from autotl.engine.model import FILE
from autotl.engine.objective import Batch, Mixture, Objective
from autotl.engine.session import Data, Session
from autotl.engine.worker import Worker
from autotl.errors import Declined, EngineError
from autotl.modality.image_store import decode
from autotl.records import Answers, Candidate, Columns, Strategy, Target, Trial, TrialResult
from autotl.stats import ood
from autotl.tensors import load

FINE_TUNE = next(strategy for strategy in STRATEGIES if strategy.name == "fine_tune")
LINEAR = next(strategy for strategy in STRATEGIES if strategy.name == "linear_probe")
OWN, JUDGED = 60, 90  # images


def target(values: np.ndarray, name: str = "place", classes: str = "xyz") -> Target:
    return Target(name=name, kind="multiclass", classes=tuple(classes), values=values)


def session(folder: Path, *others: Target, wrong: float = 0.0, signal: int = 120, seed: int = 1) -> Session:
    """Images whose class is where they are brighter; of those that train a share has a `wrong` one."""
    generator, count = np.random.default_rng(seed), OWN + JUDGED
    right = np.arange(count) % 3
    images = generator.integers(60, 120, (count, toy.SIDE, toy.SIDE, 3))
    for image, label in zip(images, right, strict=True):
        image[label * toy.SIDE // 3 : (label + 1) * toy.SIDE // 3, :, label] += signal
    labels = right.copy()
    slips = np.flatnonzero(generator.random(OWN) < wrong)
    labels[slips] = (labels[slips] + generator.integers(1, 3, len(slips))) % 3
    columns = Columns(
        labels=labels,
        part=np.repeat([0, 1], (OWN, JUDGED)).astype(np.int8),
        fold=np.full(count, -1, np.int8),
        group=np.arange(count),
        order=np.arange(count),
        classes=("a", "b", "c"),
        others=others,
    )
    made = test_trial.started(folder)
    squares = toy.squares(images.clip(0, 255).astype(np.uint8))
    made.open(Data(columns=columns, digests=np.arange(count).astype(str), metric="accuracy", squares=squares))
    return made


def run(
    made: Session, strategy: Strategy, epochs: float = 0.0, column: str = "", **hyper: Any
) -> TrialResult:
    depth: Any = "all" if strategy.phases else 0
    candidate = Candidate(
        backbone="toy",
        input_size=toy.SIDE,
        strategy=strategy.name,
        unfreeze=depth,
        hyper=tuple(sorted({"flip": 0, **hyper}.items())),
    )
    asked = Trial(id="t0", candidate=candidate, epochs=epochs, keep_model=True, target=column)
    allowance = Allowance(deadline=time.monotonic() + 60)
    return trial.run(made, asked, toy.spec(), strategy, allowance)


def weights(folder: Path, done: TrialResult) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load(folder / str(done.model) / FILE, "torch")
    return loaded


# --------------------------------------------------------------------------- trained together


def test_a_clean_column_repairs_what_wrong_labels_of_the_main_one_spoil(tmp_path: Path) -> None:
    """Positive control: with 40% wrong labels, a column that determines the class gains 20 points or more."""
    right = np.arange(OWN + JUDGED) % 3
    accuracy = []
    for strategy in (FINE_TUNE, MULTI_TASK):
        folder = tmp_path / strategy.name
        done = run(session(folder, target(right), wrong=0.4, signal=18, seed=2), strategy, 20.0, lr=2e-2)
        table = stored_predictions(folder / str(done.predictions))
        accuracy.append(float((table["proba"].argmax(1) == right[table["rows"]]).mean()))
    assert accuracy[1] >= accuracy[0] + 0.2, accuracy


def test_an_image_without_a_label_in_a_column_does_not_count_for_it(tmp_path: Path) -> None:
    nothing, right = np.full(OWN + JUDGED, -1), np.arange(OWN + JUDGED) % 3
    alone = weights(tmp_path / "a", run(session(tmp_path / "a"), FINE_TUNE, 1.0))
    none = weights(tmp_path / "b", run(session(tmp_path / "b", target(nothing)), MULTI_TASK, 1.0))
    some = weights(tmp_path / "c", run(session(tmp_path / "c", target(right)), MULTI_TASK, 1.0))
    assert set(none) - set(alone) == {"others.0.weight", "others.0.bias"}
    assert all(torch.equal(value, none[name]) for name, value in alone.items())
    assert not all(torch.equal(value, some[name]) for name, value in alone.items())


def test_the_loss_is_the_mean_over_columns_and_follows_the_mixture(tmp_path: Path) -> None:
    network = model.Model(toy.backbone(), torch.nn.Linear(16, 3))
    network.others.append(torch.nn.Linear(16, 2))
    objective = Objective(
        model=network, loss=torch.nn.functional.cross_entropy, name=None, counts=np.zeros(0), starts={}
    )
    features, column = torch.randn(4, 16), torch.tensor([0, -1, 1, -1])
    partner, main = torch.tensor([2, 1, 0, 3]), torch.tensor(2.0)
    logits = network.others[0](features)

    def batch(mixture: Mixture | None = None) -> Batch:
        targets = torch.zeros(4, dtype=torch.int64)
        return Batch(images=torch.zeros(4), targets=targets, mixture=mixture, others=(column,))

    def loss(labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits[labels >= 0], labels[labels >= 0])

    plain = objective.with_others(main, [features], batch())
    torch.testing.assert_close(plain, (main + loss(column)) / 2)
    mixture = Mixture(images=torch.zeros(4), partner=partner, share=0.7)
    mixed = objective.with_others(main, [features], batch(mixture))
    torch.testing.assert_close(mixed, (main + 0.7 * loss(column) + 0.3 * loss(column[partner])) / 2)


def test_one_column_trains_in_place_of_the_main_one(tmp_path: Path) -> None:
    values = np.where(np.arange(OWN + JUDGED) % 4 == 0, -1, np.arange(OWN + JUDGED) % 3 // 2)
    made = session(tmp_path, target(values, classes="xy"))
    done = run(made, LINEAR, column="place")
    table = stored_predictions(tmp_path / str(done.predictions))
    assert table["proba"].shape == ((values[OWN:] >= 0).sum(), 2)
    assert (table["proba"].argmax(1) == values[table["rows"]]).mean() > 0.9
    assert model.describe(tmp_path / str(done.model)).classes == ("x", "y")
    with pytest.raises(EngineError, match=r"no further label column 'shape'; expected one of: 'place'"):
        run(made, LINEAR, column="shape")
    with pytest.raises(Declined, match=r"several label columns.*--label"):
        run(session(tmp_path / "one"), MULTI_TASK, 1.0)


# --------------------------------------------------------------------------- fitted on finished features


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run whose model got a head for a further column; a file of another column's images, and the images."""
    folder = tmp_path_factory.mktemp("columns")
    names = [str(folder / f"{number}.png") for number in range(24)]
    for number, name in enumerate(names):
        picture(number % 6, (40, 40), noise=8, seed=number).save(name)
    allowance = Allowance(deadline=time.monotonic() + 60)
    decode(names, folder / ".pixels", side=64, allowance=allowance)
    run = folder / "run"
    model_folder(run / "model")
    (run / "model" / ood.FILE).write_bytes(b"")
    rows = np.arange(24)
    values = np.where(rows < 2, -1, rows % 2)
    np.savez(
        folder / "table.npz", labels=rows % 3, part=rows * 0, fold=rows * 0 - 1, order=rows, other0=values
    )
    np.savez(folder / "rows.npz", fitted=rows[:18], judged=rows[18:])
    worker = Worker()
    start = messages.Start(
        folder=str(run), cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
    )
    opened = messages.Open(
        pixels=str(folder / ".pixels"),
        table=str(folder / "table.npz"),
        classes=("a", "b", "c"),
        folds=0,
        metric="accuracy",
        target="multiclass",
        modality="image",
        others=(("shape", ("disc", "ring")),),
    )
    worker.handle(start, allowance)
    worker.handle(opened, allowance)
    before = load(run / "model" / FILE, "torch")
    (run / "model" / ood.FILE).unlink()
    path = worker.handle(messages.FitOthers(model="model", rows=str(folder / "rows.npz")), allowance)
    with np.load(path) as stored:
        table = stored["probabilities"]
    assert table.shape == (6, 2)
    after = load(run / "model" / FILE, "torch")
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    np.testing.assert_allclose(table.sum(1), 1, rtol=1e-5)
    return run / "model", names


class InThisProcess:
    """An engine that predicts without a worker."""

    def predict(self, model: str, files: list[str], allowance: Allowance, features: bool) -> Answers:
        return Predictor(Path(model), torch.device("cpu")).predict_files(files, allowance)

    def close(self) -> None: ...


def test_a_model_answers_every_column(
    finished: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = finished
    monkeypatch.setattr(client, "connect", lambda **_: InThisProcess())
    described = model.describe(folder)
    assert [(column.name, column.classes) for column in described.others] == [("shape", ("disc", "ring"))]
    assert described.temperature == 1.5, "the rest of the description stays"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    answers = Predictor(folder, torch.device("cpu")).predict_files([*names[18:], str(broken)], allowance())
    assert answers.others is not None and answers.others.shape == (7, 2) and np.isnan(answers.others[6]).all()
    assert (answers.others[:6].argmax(1) == np.arange(18, 24) % 2).mean() > 0.8
    rows = list(predict.predictions(folder, [names[18], str(broken)]))
    assert rows[0].others[0][0] in ("disc", "ring") and rows[1].others == ()
    for style, ends in (("csv", '"'), ("jsonl", "}")):
        out = tmp_path / f"out.{style}"
        with predict.writer(style, out, 1, "multiclass", ["shape"]) as write:  # type: ignore[arg-type]
            for row in rows:
                write(row)
        first = out.read_text().splitlines()
        assert "label:shape" in first[0] and (style == "csv" or first[0].endswith(ends))
    table = predict.frame(rows, 1, "multiclass", ["shape"])
    assert table["label:shape"][0] == rows[0].others[0][0] and table["probability:shape"].dtype == "float64"


def test_an_export_holds_all_heads(finished: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, names = finished
    with pytest.raises(EngineError, match=r"a head for each of several label columns.*torch-export"):
        export.export(folder, tmp_path / "a", "safetensors", names[:2])
    config = export.export(folder, tmp_path / "b", "torch-export", names[:2])
    assert config["label_columns"] == [{"name": "shape", "first": 3, "classes": ["disc", "ring"]}]
    assert config["parity"]["same_label"] == 1.0 and config["parity"]["largest_difference"] < 1e-4
    assert 'config["label_columns"]' in (tmp_path / "b" / "example.py").read_text()
    program = torch.export.load(tmp_path / "b" / "model.pt2").module()
    assert program(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_a_column_of_which_one_class_trains_is_refused(tmp_path: Path) -> None:
    data = session(tmp_path, target(np.zeros(OWN + JUDGED, np.int64))).data
    with pytest.raises(EngineError, match="fewer than two classes of the column 'place'"):
        others.fitted(data, np.zeros((4, 2), np.float32), np.arange(4), 0)


def test_heads_of_other_columns_are_fitted_again(finished: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished[0], tmp_path / "model"))
    before = model.describe(folder)
    predictor = Predictor(folder, torch.device("cpu"))
    data = session(tmp_path / "s", target(np.arange(OWN + JUDGED) % 2, "age", "no")).data
    features = np.random.default_rng(0).normal(size=(8, predictor.network.backbone.feature_dim))
    made = others.fitted(data, features.astype(np.float32), np.arange(8), 0)
    others.attach(predictor, made, data.columns, folder)
    assert [column.name for column in before.others] == ["shape"]
    assert [column.name for column in model.load(folder)[1].others] == ["age"]


def allowance() -> Allowance:
    return Allowance(deadline=time.monotonic() + 60)
