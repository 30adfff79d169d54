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
from autotl.engine.setting import Setting
from autotl.errors import EngineError
from autotl.plugin import LayerGroup, ObjectiveCall, View
from autotl.records import Phase

HERE = __name__
PICTURES, LABELS = toy.images(48)
ROWS = np.arange(48)
calls: list[ObjectiveCall] = []


def fit(model: Model, *phases: Phase, setting: Setting | None = None, epochs: float = 2) -> train.Course:
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


# --------------------------------------------------------------------------- images without a label

WITHOUT = np.arange(48, 78)
EVERY = np.concatenate([PICTURES, 255 - toy.images(30)[0]])


def two_views(call: ObjectiveCall) -> Tensor:
    calls.append(call)
    one, other = call.unlabelled
    return call.logits.square().sum() + (one.logits - other.logits).square().mean()


def through_auxiliary(call: ObjectiveCall) -> Tensor:
    calls.append(call)
    assert call.auxiliary is not None
    told: Tensor = call.auxiliary(call.features[-1])
    return told.square().mean()


def linear(width: int, classes: int) -> nn.Module:
    torch.manual_seed(3)
    return nn.Linear(width, classes)


def read_by(*phases: Phase) -> tuple[Model, train.Course, list[np.ndarray]]:
    """Return a trained model, its course, and the rows of one batch after another."""
    calls.clear()
    model, setting = toy.model(), toy.setting(EVERY, LABELS, unlabelled=WITHOUT)
    read: list[np.ndarray] = []
    get = setting.squares.get
    setting.squares.get = lambda rows, *more: (read.append(rows), get(rows, *more))[1]  # type: ignore[method-assign]
    return model, fit(model, *phases, setting=setting), read


def test_an_objective_gets_each_view_of_the_images_without_a_label() -> None:
    _, _, read = read_by(Phase(trains=1, objective=f"{HERE}:two_views", unlabelled=("none", "strong")))
    assert len(calls) == 6 and len(read) == 18
    for labelled, one, other in zip(read[::3], read[1::3], read[2::3], strict=True):
        assert labelled.max() < 48 <= one.min() and np.array_equal(one, other)
    assert calls[0].logits.shape == (16, 3) and len(calls[0].unlabelled) == 2
    assert all(isinstance(view, View) and view.logits.shape == (16, 3) for view in calls[0].unlabelled)
    assert [group.shape for group in calls[0].unlabelled[1].features] == [(16, 8), (16, 12), (16, 16)]
    assert not torch.equal(calls[0].unlabelled[0].logits, calls[0].unlabelled[1].logits)


def test_a_phase_of_images_without_a_label_reads_no_other() -> None:
    phase = Phase(trains=1, objective=f"{HERE}:two_views", data="unlabelled", unlabelled=("light", "light"))
    model, course, read = read_by(phase)
    assert np.concatenate(read).min() >= 48 and course.curve
    assert calls[0].logits.shape == (0, 3) and calls[0].targets.shape == (0,)
    assert changed(toy.model().state_dict(), model)


def test_statistics_that_move_alone_become_the_mean_over_the_batches() -> None:
    model = toy.model()
    means: list[Tensor] = []
    layer = next(m for m in model.backbone.body.modules() if isinstance(m, nn.BatchNorm2d))
    layer.register_forward_pre_hook(lambda _, inputs: means.append(inputs[0].mean((0, 2, 3))))
    phase = Phase(trains="none", norm="adapt", data="unlabelled", augment="none")
    course = fit(model, phase, setting=toy.setting(EVERY, LABELS, unlabelled=WITHOUT))
    assert layer.running_mean is not None and layer.momentum == 0.1
    assert len(means) == 6 and torch.allclose(layer.running_mean, torch.stack(means).mean(0), atol=1e-5)
    assert course.steps == 6 and not course.curve  # without targets there is no loss


def test_an_auxiliary_network_trains_with_the_objective_and_is_not_kept() -> None:
    model, _, _ = read_by(Phase(trains=1, objective=f"{HERE}:through_auxiliary", auxiliary=f"{HERE}:linear"))
    trained = calls[-1].auxiliary
    assert isinstance(trained, nn.Linear) and trained.out_features == 3
    assert not torch.equal(trained.weight, linear(16, 3).weight)  # type: ignore[arg-type]
    assert set(model.state_dict()) == set(toy.model().state_dict())


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
