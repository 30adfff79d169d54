"""A network that a strategy prepares: it trains, and is built again where its model is loaded or continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import test_trial
import torch
import toy
from safetensors.torch import load_file
from torch import Tensor, nn

from autotl.engine import model, resolve
from autotl.engine.backbone import build
from autotl.engine.export import export
from autotl.engine.images import to_input
from autotl.errors import Declined, EngineError, RunError
from autotl.plugin import LayerGroup
from autotl.records import Phase, Strategy

HERE = __name__
attempt = test_trial.attempt


class Adapter(nn.Module):
    """A bottleneck beside a stage, which adds nothing at first."""

    def __init__(self, stage: nn.Module, width: int) -> None:
        super().__init__()
        self.stage = stage
        self.narrow, self.wide = nn.Conv2d(width, 4, 1), nn.Conv2d(4, width, 1)
        nn.init.zeros_(self.wide.weight)
        nn.init.zeros_(self.wide.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage(x)
        return x + self.wide(torch.relu(self.narrow(x)))


def adapted(network: toy.Net) -> nn.Module:
    network.stages[2] = Adapter(network.stages[2], 16)
    return network


def adapters(name: str, module: nn.Module, group: LayerGroup) -> bool:
    return "narrow" in name or "wide" in name


def declines(network: nn.Module) -> nn.Module:
    raise Declined("there are no images without labels")


def breaks(network: nn.Module) -> nn.Module:
    raise KeyError("attn")


ADAPTER = Strategy(
    name="adapter",
    summary="an adapter after the last stage",
    prepare=f"{HERE}:adapted",
    phases=(Phase(trains=f"{HERE}:adapters", lr=2e-2, augment="none", norm="frozen"),),
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a plugin that is installed had the strategy."""
    offered = SimpleNamespace(
        strategies=lambda profile: {ADAPTER.name: ADAPTER}, backbones=lambda *_: {"toy": toy.spec()}
    )
    monkeypatch.setattr(resolve, "load_plugins", lambda: offered)


def test_adapters_alone_train(tmp_path: Path) -> None:
    done = attempt(tmp_path, ADAPTER)
    assert done.status == "finished"
    after = load_file(tmp_path / str(done.model) / model.FILE)
    before = build(toy.spec(), toy.SIDE, prepare=ADAPTER.prepare).body.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[f"backbone.body.{name}"])}
    assert {name.split(".")[2] for name in moved} == {"narrow", "wide"}


@pytest.mark.usefixtures("installed")
def test_a_model_with_adapters_is_loaded_exported_and_continued(tmp_path: Path) -> None:
    done = attempt(tmp_path, ADAPTER)
    folder = tmp_path / str(done.model)
    network, description = model.load(folder)
    assert description.prepare == ADAPTER.prepare
    with np.load(tmp_path / str(done.predictions)) as stored:
        batch = to_input(
            test_trial.PICTURES[stored["rows"]], toy.SIDE, toy.spec().preprocess, torch.device("cpu")
        )
        with torch.inference_mode():
            again = torch.softmax(network(batch), 1).numpy()
        assert np.allclose(again, stored["proba"], atol=1e-5)
    assert export(folder, tmp_path / "out", "torch-export", [])["parity"]["same_label"] == 1.0
    more = attempt(tmp_path, ADAPTER, epochs=8.0, resume_from=done.model, resumed_epochs=6.0)
    assert more.status == "finished" and more.epochs_done == 8


def test_a_file_may_not_choose_what_prepares_a_network(tmp_path: Path) -> None:
    done = attempt(tmp_path, ADAPTER)
    with pytest.raises(EngineError, match="which no strategy of an installed plugin names"):
        resolve.require_preparation(str(model.describe(tmp_path / str(done.model)).prepare))


def test_a_head_in_closed_form_is_fitted_on_the_prepared_network(tmp_path: Path) -> None:
    closed = Strategy(name="p", summary="", head="autotl.builtin.heads:linear", prepare=f"{HERE}:adapted")
    done = attempt(tmp_path, closed)
    names = load_file(tmp_path / str(done.model) / model.FILE)
    assert any("narrow" in name for name in names) and done.parameters


def test_a_strategy_that_declines_is_a_row_with_the_reason(tmp_path: Path) -> None:
    strategy = replace(ADAPTER, prepare=f"{HERE}:declines")
    asked = test_trial.trial.attempt
    done = asked(
        test_trial.session(tmp_path),
        test_trial.Trial(
            id="t1",
            candidate=test_trial.Candidate(
                backbone="toy", input_size=toy.SIDE, strategy="adapter", unfreeze="all"
            ),
            epochs=1.0,
        ),
        toy.spec(),
        strategy,
        test_trial.Allowance(deadline=test_trial.time.monotonic() + 60),
    )
    assert (done.status, done.error) == ("skipped", "there are no images without labels")


def test_what_breaks_while_it_prepares_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot prepare 'toy': it raised KeyError: 'attn'"):
        attempt(tmp_path, replace(ADAPTER, prepare=f"{HERE}:breaks"))


@pytest.mark.usefixtures("installed")
def test_a_model_that_cannot_be_prepared_here_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = attempt(tmp_path, ADAPTER)
    monkeypatch.setattr(f"{HERE}.adapted", declines)
    with pytest.raises(RunError, match="cannot be prepared here: there are no images"):
        model.load(tmp_path / str(done.model))
