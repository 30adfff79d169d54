"""A head of any kind: arrays and a named function, from the fit to the model folder, its predictions and its export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gaussian_head
import numpy as np
import pytest
import torch
import toy
from model_folder import picture
from test_trial import attempt, session

from autotl import testing
from autotl.budget import Allowance
from autotl.builtin.strategies import FROZEN
from autotl.engine import export, model
from autotl.engine.inference import Predictor
from autotl.errors import EngineError
from autotl.records import Strategy
from autotl.records.head import Head

CPU = torch.device("cpu")
GAUSSIAN = gaussian_head.register_strategies()[0]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTL_PLUGINS", "gaussian_head")
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)  # of the toy backbone


def test_a_guests_head_of_its_own_kind_keeps_the_contract() -> None:
    for check in testing.checks_of(GAUSSIAN):
        if check.name != "depths":
            check()


def test_a_head_that_keeps_more_than_its_arrays_breaks_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not among the arrays is lost when the model is saved, and a row must not depend on its neighbours."""

    def among_others(features: Any, arrays: dict[str, Any], classes: int) -> Any:
        return logits(features - features.mean(0), arrays, classes)

    logits = gaussian_head.logits
    monkeypatch.setattr(gaussian_head, "logits", among_others)
    with pytest.raises(testing.ContractError, match="each row by itself"):
        testing.saved_and_read(GAUSSIAN)
    calls: list[int] = []

    def counting(features: Any, arrays: dict[str, Any], classes: int) -> Any:
        calls.append(1)
        return logits(features, arrays, classes) + len(calls)

    monkeypatch.setattr(gaussian_head, "logits", counting)
    with pytest.raises(testing.ContractError, match="after it was saved"):
        testing.saved_and_read(GAUSSIAN)


def test_the_guests_function_predicts_in_the_trial_and_from_its_folder(
    installed: None, tmp_path: Path
) -> None:
    result = attempt(tmp_path, GAUSSIAN)
    assert result.status == "finished", result.error
    network, description = model.load(tmp_path / str(result.model))
    assert (description.head, description.predict) == ("arrays", "gaussian_head:logits")
    with np.load(tmp_path / str(result.predictions)) as stored:
        rows, proba = stored["rows"], stored["proba"]
    data = session(tmp_path / "again").data
    squares = data.squares.get(rows, description.input_size, description.backbone.preprocess)
    again = Predictor(tmp_path / str(result.model), CPU).predict_squares(squares)[0]
    np.testing.assert_allclose(again, proba, atol=1e-2)  # features are stored in half precision
    arrays = {name: value.numpy() for name, value in network.head.arrays.named_buffers()}
    features = torch.randn(5, network.backbone.feature_dim)
    by_hand = gaussian_head.logits(features.numpy(), arrays | {"power": 2}, 3)
    np.testing.assert_allclose(network.head(features).numpy(), by_hand, rtol=1e-3)


@pytest.mark.parametrize("name", ["gaussian_head:logits", "os:system"])
def test_a_folder_names_no_function_that_no_strategy_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data choose no code: without the plugin, and for a function that it does not register, the folder is refused."""
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)
    folder = _folder(tmp_path / "model", name, {"means": np.zeros((3, 4))})
    with pytest.raises(EngineError, match=f"'{name}', which no installed strategy names"):
        model.load(folder)


def test_a_head_of_tensor_operations_is_exported_and_another_is_refused_by_name(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "means": generator.normal(size=(3, 16)),
        "variances": np.ones(16),
        "log_priors": np.zeros(3),
        "power": np.array(2),
    }
    folder = _folder(tmp_path / "model", "gaussian_head:logits", arrays)
    monkeypatch.setattr(export, "TIMM", "toy:Net")  # as if timm could build it
    with pytest.raises(EngineError, match="a head of its own kind"):
        export.export(folder, tmp_path / "a", "safetensors", [])
    config = export.export(folder, tmp_path / "b", "torch-export", [])
    assert config["parity"]["same_label"] == 1.0


def outside_torch(features: torch.Tensor, arrays: dict[str, Any], classes: int) -> torch.Tensor:
    return torch.from_numpy(features.numpy()[:, :classes] * float(arrays["scale"]))


def test_a_function_that_leaves_torch_is_named_where_it_cannot_be_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{__name__}:outside_torch"
    monkeypatch.setattr("autotl.engine.model.require_predict", lambda *_: outside_torch)
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)
    folder = _folder(tmp_path / "model", name, {"scale": np.array(2.0)})
    picture(0, (64, 64)).save(tmp_path / "0.png")
    allowance = Allowance(deadline=float("inf"))
    answers = Predictor(folder, CPU).predict_files([str(tmp_path / "0.png")], allowance)
    assert answers.errors == [None]
    with pytest.raises(EngineError, match=r"head's function .*outside_torch"):
        export.export(folder, tmp_path / "out", "torch-export", [])


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"forward": np.zeros(3)}, "torch takes for something else"),
        ({"rows": np.array(["a"])}, "expected numbers"),
        ({"rows": np.array([np.nan])}, "NaN"),
        ({"no name": np.zeros(2)}, "letters, digits"),
    ],
)
def test_arrays_that_cannot_be_kept_are_refused(
    arrays: dict[str, np.ndarray], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaussian_head, "fit", lambda *_: Head(kind="arrays", arrays=arrays))
    with pytest.raises(EngineError, match=word):
        attempt(tmp_path, GAUSSIAN)


def test_logits_of_another_shape_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_head, "logits", lambda features, arrays, classes: features[:, :2])
    with pytest.raises(EngineError, match=r"expected a tensor \(30, 3\) of logits"):
        attempt(tmp_path, GAUSSIAN)


def test_a_head_on_all_layers_predicts_from_its_folder(installed: None, tmp_path: Path) -> None:
    """The head gets the features of every layer group, in the trial and in the model folder."""
    several = next(strategy for strategy in FROZEN if strategy.name == "head2toe")
    result = attempt(tmp_path, several)
    assert result.status == "finished", result.error
    network, description = model.load(tmp_path / str(result.model))
    assert description.layers == "all"
    assert network.head.weight.shape[1] == sum(network.backbone.layers.dims) > network.backbone.feature_dim
    with np.load(tmp_path / str(result.predictions)) as stored:
        rows, proba = stored["rows"], stored["proba"]
    squares = session(tmp_path / "again").data.squares.get(
        rows, description.input_size, description.backbone.preprocess
    )
    predictor = Predictor(tmp_path / str(result.model), CPU)
    probabilities, pooled = predictor.predict_squares(squares)
    np.testing.assert_allclose(probabilities, proba, atol=1e-2)
    assert pooled.shape[1] == network.backbone.feature_dim  # what tells how familiar an image is
    config = export.export(tmp_path / str(result.model), tmp_path / "out", "torch-export", [])
    assert config["parity"]["same_label"] == 1.0


@pytest.mark.parametrize(
    "field", [{"predict": "gaussian_head:logits"}, {"layers": "all"}], ids=["predict", "layers"]
)
def test_what_a_head_alone_has_is_refused_with_phases(field: dict[str, Any]) -> None:
    from autotl.plugins.validation import flaw
    from autotl.records import Phase

    strategy = Strategy(name="x", summary="x", head="gaussian_head:fit", phases=(Phase(),), **field)
    assert "expected a head alone" in str(flaw(strategy))


def _folder(folder: Path, predict: str, arrays: dict[str, np.ndarray]) -> Path:
    """Return a model folder whose head is of arrays, as somebody else may have written it."""
    single = {name: torch.from_numpy(np.array(value)).float() for name, value in arrays.items()}
    head = model.ArraysHead(outside_torch, 3, single)
    description = model.Description(
        backbone=toy.spec(), input_size=toy.SIDE, head="arrays", predict=predict, classes=("a", "b", "c")
    )
    model.save(model.Model(toy.backbone(), head), description, folder)
    return folder
