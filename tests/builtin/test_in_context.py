"""The in-context head: by a stand-in for TabICL, and by TabICL itself with random weights where it is installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from autotl.builtin import in_context
from autotl.errors import Declined, EngineError
from autotl.protocols import HeadCall
from autotl.records.head import Head


class StandIn:
    """Answers by the nearest row of its context."""

    made: ClassVar[list[StandIn]] = []

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        StandIn.made.append(self)

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        self.rows, self.labels = rows, labels
        self.classes_ = np.unique(labels)

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        nearest = ((rows[:, None] - self.rows) ** 2).sum(2).argmin(1)
        return 0.9 * (self.labels[nearest][:, None] == self.classes_) + 0.1 / len(self.classes_)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = ModuleType("tabicl")
    monkeypatch.setattr(in_context, "find_spec", lambda name: object())
    package.TabICLClassifier = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tabicl", package)
    StandIn.made.clear()
    file = tmp_path / "weights.ckpt"
    file.write_bytes(b"weights")
    monkeypatch.setenv(in_context.VARIABLE, str(file))
    return file


def rows() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    means = 3 * generator.normal(size=(3, 100))
    return (means[labels] + generator.normal(size=(90, 100))).astype(np.float32), labels


def fitted(count: int = 60) -> Head:
    features, labels = rows()
    return in_context.fit(
        HeadCall(
            features=features[:count], labels=labels[:count], classes=5, folds=np.arange(count) % 5, seed=0
        )
    )


def tensors(head: Head) -> dict[str, Any]:
    arrays = {name: torch.from_numpy(np.array(value)) for name, value in head.arrays.items()}
    return {name: value if value.ndim else value.item() for name, value in arrays.items()}


def test_it_predicts_by_the_rows_that_it_keeps_on_principal_axes(weights: Path) -> None:
    features, labels = rows()
    head = fitted()
    assert head.arrays["rows"].shape == (60, 60)  # as many axes as rows at most
    arrays = tensors(head)
    answer = in_context.logits(torch.from_numpy(features[60:]), arrays, 5)
    assert answer.shape == (30, 5)
    assert (answer.argmax(1).numpy() == labels[60:]).mean() > 0.9
    assert answer[:, 3:].max() < answer[:, :3].min()  # classes without a row
    in_context.logits(torch.from_numpy(features[:2]), arrays, 5)
    assert len(StandIn.made) == 1  # the context is read once
    assert StandIn.made[0].settings["model_path"] == weights
    assert StandIn.made[0].settings["allow_auto_download"] is False


def test_rows_that_weigh_more_are_drawn_more_often(weights: Path) -> None:
    features, labels = rows()
    weight = np.where(labels == 2, 10.0, 1.0)
    head = in_context.fit(
        HeadCall(features=features, labels=labels, classes=3, folds=np.arange(90) % 5, seed=0, weights=weight)
    )
    assert (head.arrays["labels"] == 2).mean() > 0.6
    assert set(head.arrays["labels"]) == {0, 1, 2}


def test_without_package_or_weights_it_declines_and_says_what_to_do(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(in_context.VARIABLE, str(weights) + " elsewhere")
    with pytest.raises(Declined, match="not downloaded; set it"):
        fitted()
    monkeypatch.delenv(in_context.VARIABLE)
    with pytest.raises(Declined, match="AUTOTL_TABICL is None"):
        fitted()
    monkeypatch.setattr(in_context, "find_spec", lambda name: None)
    with pytest.raises(Declined, match=r"autotl\[tabular\]"):
        fitted()


def test_a_prediction_with_other_weights_is_refused(weights: Path) -> None:
    arrays = tensors(fitted())
    weights.write_bytes(b"other weights")
    with pytest.raises(EngineError, match="whose SHA-256 begins with"):
        in_context.logits(torch.zeros(2, 100), arrays, 5)


def test_tabicl_itself_reads_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are not to be had here: random ones show that the call is right, not that the answer is."""
    pytest.importorskip("tabicl", reason="needs the extra autotl[tabular]")
    config = {
        "max_classes": 4, "embed_dim": 16, "col_num_blocks": 1, "col_nhead": 2, "col_num_inds": 4, "row_num_blocks": 1,
        "row_nhead": 2, "row_num_cls": 2, "icl_num_blocks": 1, "icl_nhead": 2,
    }  # fmt: skip
    torch.manual_seed(0)
    file = tmp_path / "random.ckpt"
    network = importlib.import_module("tabicl._model.tabicl").TabICL(**config)
    torch.save({"config": config, "state_dict": network.state_dict()}, file)
    monkeypatch.setenv(in_context.VARIABLE, str(file))
    features, _ = rows()
    arrays = tensors(fitted())
    answer = in_context.logits(torch.from_numpy(features[60:]), arrays, 5)
    assert torch.isfinite(answer).all()
    torch.testing.assert_close(torch.exp(answer[:, :3]).sum(1), torch.ones(30), atol=1e-3, rtol=0)
