"""What a phase declares is what the training does: parameters, rows, losses, mixed images, averages."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from torch import Tensor, nn

from autotl.budget import Allowance
from autotl.engine import train
from autotl.engine.model import Model
from autotl.errors import EngineError
from autotl.plugin import LayerGroup, ObjectiveCall
from autotl.records import Phase

HERE = __name__
PICTURES, LABELS = toy.images(48)
ROWS = np.arange(48)
calls: list[ObjectiveCall] = []


def fit(
    model: Model, *phases: Phase, setting: train.Setting | None = None, epochs: float = 2
) -> train.Course:
    allowance = Allowance(deadline=time.monotonic() + 60)
    setting = setting or toy.setting(PICTURES, LABELS)
    return train.fit(model, phases, "all", ROWS, epochs, setting, allowance, {})


def changed(before: dict[str, Tensor], model: Model) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


# --------------------------------------------------------------------------- which parameters


def first_scale(name: str, module: nn.Module, group: LayerGroup) -> bool:
    return (
        isinstance(module, nn.BatchNorm2d)
        and name.endswith("weight")
        and (group.index, group.count) == (0, 3)
    )


def nothing(name: str, module: nn.Module, group: LayerGroup) -> bool:
    return False


def test_a_selector_trains_what_it_chooses_and_the_rest_stays_bit_for_bit() -> None:
    model = toy.model()
    before = train.snapshot(model)
    fit(model, Phase(trains=f"{HERE}:first_scale", norm="frozen"))
    assert changed(before, model) == {"backbone.body.stages.0.1.weight", "head.weight", "head.bias"}


def test_a_selector_that_chooses_nothing_is_named() -> None:
    with pytest.raises(EngineError, match="chose no parameter of 'toy'"):
        fit(toy.model(), Phase(trains=f"{HERE}:nothing"))


def test_a_number_of_groups_trains_whatever_the_depth_of_the_candidate() -> None:
    model = toy.model()
    before = train.snapshot(model)
    fit(model, Phase(trains=1))
    assert {name.split(".")[3] for name in changed(before, model) if "stages" in name} == {"2"}


def test_without_a_parameter_that_trains_the_statistics_alone_move() -> None:
    model = toy.model()
    before = train.snapshot(model)
    course = fit(model, Phase(trains="none", norm="adapt"))
    moved = changed(before, model)
    assert moved and all("running" in name or "num_batches" in name for name in moved)
    assert course.steps == 6


def test_phases_make_every_step_that_was_asked_for() -> None:
    phases = (Phase(trains="head", share=0.2), Phase(trains=1, share=0.2), Phase(trains="all", share=0.6))
    assert fit(toy.model(), *phases, epochs=3).steps == 9


# --------------------------------------------------------------------------- which rows


def backwards(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    assert classes == 3
    return np.arange(len(labels))[::-1]


def beyond(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    return np.array([len(labels)])


def test_batches_hold_the_rows_in_the_order_of_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = toy.setting(PICTURES, LABELS)
    read: list[int] = []
    get = setting.squares.get
    monkeypatch.setattr(
        setting.squares, "get", lambda rows, *more: (read.extend(rows.tolist()), get(rows, *more))[1]
    )
    fit(toy.model(), Phase(trains="head", sampler=f"{HERE}:backwards"), setting=setting)
    assert read == [*range(47, -1, -1)] * 2


def test_an_order_that_is_none_is_named() -> None:
    with pytest.raises(EngineError, match=r"places from 48 to 48; expected .* 0 to 47"):
        fit(toy.model(), Phase(trains="head", sampler=f"{HERE}:beyond"))


# --------------------------------------------------------------------------- which loss


def noted(call: ObjectiveCall) -> Tensor:
    calls.append(call)
    return call.loss(call.logits, call.targets)


def without_gradient(call: ObjectiveCall) -> Tensor:
    return call.loss(call.logits, call.targets).detach()


def test_an_objective_sees_the_batch_the_groups_the_counts_and_the_start() -> None:
    calls.clear()
    model = toy.model()
    begun = train.snapshot(model)
    fit(model, Phase(trains=1, objective=f"{HERE}:noted"))
    assert len(calls) == 6
    last = calls[-1]
    assert last.logits.shape == (16, 3) and last.targets.shape == (16,)
    assert [feature.shape for feature in last.features] == [(16, 8), (16, 12), (16, 16)]
    assert last.counts.tolist() == [16, 16, 16]
    assert set(last.trained) == set(last.starts) and all("stages.2" in name for name in last.trained)
    assert all(torch.equal(start, begun[f"backbone.body.{name}"]) for name, start in last.starts.items())
    assert not all(torch.equal(last.starts[name], parameter) for name, parameter in last.trained.items())
    assert 0 <= calls[0].progress < last.progress < 1


def test_an_objective_that_repeats_the_usual_loss_gives_the_usual_weights() -> None:
    one, other = toy.model(), toy.model()
    fit(one, Phase(trains="all"))
    fit(other, Phase(trains="all", objective=f"{HERE}:noted"))
    assert not changed(one.state_dict(), other)


def test_an_objective_without_a_gradient_is_named() -> None:
    with pytest.raises(EngineError, match="returned a tensor without a gradient"):
        fit(toy.model(), Phase(trains="all", objective=f"{HERE}:without_gradient"))


# --------------------------------------------------------------------------- which images


def swapped(images: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
    """Every image is its neighbour, and so is its target: the same training."""
    partner = torch.arange(len(images)).roll(1)
    return images[partner], partner, 0.0


def as_they_are(images: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
    return images, torch.arange(len(images)), 1.0


def cropped(images: Tensor, seed: int) -> Tensor:
    return images[:, :, 1:]


def test_a_mixed_image_counts_for_its_partner_by_the_share() -> None:
    one, other = toy.model(), toy.model()
    phase = Phase(trains="head", augment="none")
    fit(one, replace(phase, mix=f"{HERE}:as_they_are"))
    fit(other, replace(phase, mix=f"{HERE}:swapped"))
    for name, value in one.state_dict().items():
        assert torch.allclose(value, other.state_dict()[name], atol=1e-4), name


def test_an_augmentation_of_another_shape_is_named() -> None:
    with pytest.raises(EngineError, match="something else than images"):
        fit(toy.model(), Phase(trains="head", augment=f"{HERE}:cropped"))


# --------------------------------------------------------------------------- which weights at the end


def test_a_phase_ends_with_the_average_of_its_weights() -> None:
    start, plain, averaged = (toy.model() for _ in range(3))
    fit(plain, Phase(trains="all", average=0.0))
    fit(averaged, Phase(trains="all", average=0.99))
    distances = [
        (model.head.weight - start.head.weight).norm().item()
        for model in (plain, averaged)  # type: ignore[operator]
    ]
    assert 0 < distances[1] < distances[0]
