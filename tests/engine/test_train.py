"""The training loop: what moves and what does not, rates, time, and what goes wrong."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
import toy
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from autotl.budget import Allowance
from autotl.engine import batch_norm, sampling, train
from autotl.engine.model import Model
from autotl.engine.selection import select
from autotl.records import Depth, Phase
from autotl.stats import metrics

ALL = (Phase(trains="all", lr=5e-3, augment="none"),)
PICTURES, LABELS = toy.images(96)
ROWS = np.arange(96)


def seconds(number: float = 60.0) -> Allowance:
    return Allowance(deadline=time.monotonic() + number)


def fit(
    model: Model,
    phases: tuple[Phase, ...] = ALL,
    depth: Depth = "all",
    epochs: float = 2,
    allowance: Allowance | None = None,
    seed: int = 0,
) -> train.Course:
    setting = toy.setting(PICTURES, LABELS, seed=seed)
    return train.fit(model, phases, depth, ROWS, epochs, setting, allowance or seconds(), {})


def changed(before: dict[str, torch.Tensor], model: Model) -> set[str]:
    """Stages, or `head`, in which anything at all is another."""
    names = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    return {name.split(".")[3] if "stages" in name else "head" for name in names}


# --------------------------------------------------------------------------- learning


def test_the_loss_falls_and_the_answers_are_right() -> None:
    model = toy.model()
    spent = fit(model, epochs=8)
    assert spent.curve[-1].loss < 0.6 * spent.curve[0].loss
    assert (spent.steps, spent.epochs) == (48, 8)
    assert [point.epoch for point in spent.curve] == [1, 2, 3, 4, 5, 6, 7, 8]
    table, each = train.predict(model, ROWS, toy.setting(PICTURES, LABELS))
    assert table.shape == (96, 3) and np.allclose(table.sum(1), 1, atol=1e-5) and each > 0
    assert (table.argmax(1) == LABELS).mean() > 0.95
    assert not model.training


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    states = []
    for seed in (0, 0, 1):
        model = toy.model()
        fit(model, (Phase(trains="all", augment="strong"),), seed=seed)
        states.append(model.state_dict())
    one, again, other = states
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_begins_again_from_its_snapshot() -> None:
    model = toy.model()
    first = train.snapshot(model)
    fit(model)
    assert changed(first, model)
    model.load_state_dict(first)
    assert not changed(first, model)


# --------------------------------------------------------------------------- freezing


@pytest.mark.parametrize(
    ("depth", "moves"),
    [(0, {"head"}), (1, {"head", "2"}), (2, {"head", "1", "2"}), ("all", {"head", "0", "1", "2"})],
)
def test_what_is_frozen_stays_bit_for_bit(depth: Depth, moves: set[str]) -> None:
    model = toy.model()
    before = train.snapshot(model)
    fit(model, (Phase(trains="k"),), depth)
    assert changed(before, model) == moves


def test_frozen_statistics_stay_while_weights_move() -> None:
    model = toy.model()
    before = train.snapshot(model)
    fit(model, (Phase(trains="all", norm="frozen"),))
    after = model.state_dict()
    assert all(torch.equal(after[n], before[n]) for n in after if "running" in n)
    assert not any(torch.equal(after[n], before[n]) for n in after if n.endswith("stages.0.1.weight"))


def test_phases_follow_one_another_and_share_the_steps() -> None:
    model = toy.model()
    before = train.snapshot(model)
    fit(model, (Phase(trains="head", share=0.5),))
    assert changed(before, model) == {"head"}
    spent = fit(toy.model(), (Phase(trains="head", share=0.25), Phase(trains="all", share=0.75)), epochs=4)
    assert spent.steps == 24


def test_the_head_learns_fastest_and_each_group_below_more_slowly() -> None:
    model = toy.model()
    phase = Phase(trains="all", lr=1e-2, layer_decay=0.5, weight_decay=0.1)
    select(model, phase, "all")
    optimiser = train.phase_optimiser(model, phase, {})
    assert optimiser is not None
    rates: dict[int, float] = {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert rates[id(model.head.weight)] == 1e-2
    for distance, group in enumerate(reversed(model.backbone.group_parameters()), start=1):
        assert [rates[id(p)] for p in group] == pytest.approx([1e-2 * 0.5**distance] * len(group))
    assert decays[id(model.head.weight)] == 0.1 and decays[id(model.head.bias)] == 0
    assert len(rates) == len(list(model.parameters()))


def test_the_candidate_replaces_the_rates_of_the_phase() -> None:
    optimiser = train.phase_optimiser(toy.model(), Phase(trains="head", lr=1e-2), {"lr": 7.0})
    assert optimiser is not None
    assert {group["lr"] for group in optimiser.param_groups} == {7.0}


# --------------------------------------------------------------------------- time and trouble


def test_time_that_runs_out_ends_it_annealed() -> None:
    begun = time.monotonic()
    spent = fit(toy.model(), epochs=10**6, allowance=seconds(0.3))
    assert time.monotonic() - begun < 10
    assert spent.steps >= 1 and spent.epochs < 10**6
    assert spent.epochs == pytest.approx(spent.steps / 6)


def test_the_rate_follows_the_clock_where_that_is_further_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(train.time, "monotonic", lambda: now[0])
    rates: list[float] = []

    def before_a_step(optimiser: torch.optim.Optimizer, *_: object) -> None:
        rates.append(max(group["lr"] for group in optimiser.param_groups))
        now[0] += 1.0

    allowance = Allowance(deadline=20.0, clock=lambda: now[0])
    hook = register_optimizer_step_pre_hook(before_a_step)
    try:
        spent = fit(toy.model(), (Phase(trains="all", lr=1.0),), epochs=1000, allowance=allowance)
    finally:
        hook.remove()
    assert len(rates) == 20 and spent.steps == 20
    assert rates.index(max(rates)) == 2, "warm-up is a tenth of the time"
    assert rates[-1] < 0.03, "and the end is gentle"


def test_an_allowance_that_is_taken_back_ends_it_at_once() -> None:
    allowance = seconds()
    allowance.cancelled.set()
    assert fit(toy.model(), allowance=allowance).steps == 0


def test_a_loss_that_is_no_number_is_seen() -> None:
    model = toy.model()
    assert isinstance(model.head, nn.Linear)
    with torch.no_grad():
        model.head.weight[0, 0] = torch.inf
    with pytest.raises(train.Diverged):
        fit(model)


# --------------------------------------------------------------------------- batches


def test_a_pass_sees_every_image_once() -> None:
    stream = sampling.shuffled(ROWS, 16, None, torch.Generator().manual_seed(0))
    one = np.concatenate(list(itertools.islice(stream, 6)))
    other = np.concatenate(list(itertools.islice(stream, 6)))
    assert sorted(one.tolist()) == sorted(other.tolist()) == ROWS.tolist()
    assert one.tolist() != other.tolist()


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    stream = sampling.shuffled(ROWS[:5], 16, None, torch.Generator().manual_seed(0))
    assert sorted(next(stream).tolist()) == [0, 1, 2, 3, 4]


def test_where_classes_count_alike_they_are_drawn_alike() -> None:
    labels = np.repeat([0, 1], [90, 10])
    weights = metrics.fitting_weights("balanced_accuracy", labels)
    stream = sampling.shuffled(np.arange(100), 16, weights, torch.Generator().manual_seed(0))
    drawn = labels[np.concatenate(list(itertools.islice(stream, 60)))]
    assert 0.43 < drawn.mean() < 0.57


def test_images_are_drawn_by_their_weights_in_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    few = max(1, len(ROWS) // 5)
    weight = np.where(np.arange(len(LABELS)) < few, (len(ROWS) - few) / few, 1.0)
    setting = toy.setting(PICTURES, LABELS, weight=weight)
    drawn: list[int] = []
    get = setting.squares.get
    monkeypatch.setattr(
        setting.squares, "get", lambda rows, *rest: drawn.extend(rows.tolist()) or get(rows, *rest)
    )
    train.fit(toy.model(), (Phase(trains="head"),), 0, ROWS, 8, setting, seconds(), {})
    assert 0.35 < np.mean([row < few for row in drawn]) < 0.65


# --------------------------------------------------------------------------- folded batch norm


def folded() -> Model:
    """The same function with batch norm folded away, as converted networks have it."""
    model = toy.model()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.mul_(10)  # so that there is something to normalise
    fit(model, epochs=6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            slope = module.weight / torch.sqrt(module.running_var + module.eps)
            with torch.no_grad():
                module.bias.copy_(module.bias - module.running_mean * slope)
                module.weight.copy_(slope * (1 + module.eps) ** 0.5)
                module.running_mean.zero_()
                module.running_var.fill_(1.0)
    return model.eval()


def answers(model: Model) -> np.ndarray:
    return train.predict(model, ROWS, toy.setting(PICTURES, LABELS))[0]


def with_batch_statistics(model: Model) -> np.ndarray:
    twin = toy.model()
    twin.load_state_dict(model.state_dict())
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    return answers(twin)


def test_measuring_the_statistics_again_changes_no_answer_and_saves_the_others() -> None:
    model = folded()
    before = answers(model)
    assert (before.argmax(1) == LABELS).mean() > 0.9
    assert (with_batch_statistics(model).argmax(1) == before.argmax(1)).mean() < 0.7, "ruins"
    model.backbone.freeze("all")
    batch_norm.recalibrate(model, ROWS, toy.setting(PICTURES, LABELS))
    assert np.abs(answers(model) - before).max() < 1e-3
    assert (with_batch_statistics(model).argmax(1) == before.argmax(1)).mean() > 0.95


@pytest.mark.parametrize(("depth", "move"), [(0, set()), (1, {"2"}), ("all", {"0", "1", "2"})])
def test_statistics_are_measured_where_training_moves_them(depth: Depth, move: set[str]) -> None:
    model = toy.model()
    before, answered = train.snapshot(model), answers(model)
    model.backbone.freeze(depth)
    batch_norm.recalibrate(model, ROWS, toy.setting(PICTURES, LABELS))
    assert changed(before, model) == move
    assert np.abs(answers(model) - answered).max() < 1e-3
    assert not model.backbone.body.training


def test_statistics_are_the_same_however_many_images_are_measured_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for number in (7, 1000):
        monkeypatch.setattr(batch_norm, "MEASURED_AT_ONCE", number)
        model = folded()
        model.backbone.freeze("all")
        batch_norm.recalibrate(model, ROWS, toy.setting(PICTURES, LABELS))
        found.append(model.state_dict())
    for name, value in found[0].items():
        assert torch.allclose(value.float(), found[1][name].float(), atol=1e-4), name


def test_a_folded_network_survives_fine_tuning() -> None:
    model = folded()
    model.backbone.freeze("all")
    batch_norm.recalibrate(model, ROWS, toy.setting(PICTURES, LABELS))
    fit(model, (Phase(trains="all", lr=1e-5, augment="none"),), epochs=1)
    assert (answers(model).argmax(1) == LABELS).mean() > 0.9
