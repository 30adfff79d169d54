"""Strategies have the effects that they are known for, on generated images where the effect must show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import toy

from autotl.budget import Allowance
from autotl.builtin import heads
from autotl.builtin.adaptation import ADAPTATION
from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.engine import train
from autotl.engine.model import Model
from autotl.protocols import HeadCall
from autotl.records import Phase

BY_NAME = {strategy.name: strategy for strategy in (*FINE_TUNING, *ADAPTATION)}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The network is too small to be shared out, least of all among busy cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fit(
    model: Model, phase: Phase, pictures: np.ndarray, labels: np.ndarray, epochs: float, seed: int = 0
) -> Model:
    setting = toy.setting(pictures, labels, seed=seed, batch=32 if len(labels) > 400 else 16)
    rows, allowance = np.arange(len(labels)), Allowance(deadline=time.monotonic() + 60)
    train.fit(model, (phase,), "all", rows, epochs, setting, allowance, {})
    return model


def loss_and_accuracy(model: Model, pictures: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    table, _ = train.predict(model, np.arange(len(labels)), toy.setting(pictures, labels))
    right = table[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, 1e-9)).mean()), float((table.argmax(1) == labels).mean())


def copied(model: Model) -> Model:
    twin = toy.model(model.head.out_features)  # type: ignore[arg-type]
    twin.load_state_dict(model.state_dict())
    return twin


def test_l2_sp_ends_nearer_its_start_at_equal_training_loss() -> None:
    pictures, labels = toy.images(96)
    start = toy.model()

    def ended(phase: Phase, epochs: float) -> tuple[float, float]:
        model = fit(copied(start), phase, pictures, labels, epochs)
        moved = [
            (after - before).detach().square().sum()
            for before, after in zip(start.backbone.parameters(), model.backbone.parameters(), strict=True)
        ]
        return loss_and_accuracy(model, pictures, labels)[0], float(torch.stack(moved).sum().sqrt())

    held_loss, held = ended(BY_NAME["l2_sp"].phases[0], 12)
    plain = [ended(Phase(trains="k", weight_decay=0.0), epochs) for epochs in (8, 10, 12)]
    _, free = min(plain, key=lambda pair: abs(pair[0] - held_loss))
    assert held < 0.92 * free


def brightness(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of two classes that differ in brightness by two deviations of it."""
    generator = np.random.default_rng(seed)
    labels = (generator.permutation(count) < share * count).astype(np.int64)
    level = 100 + 40 * labels + generator.normal(0, 20, count)
    pictures = level[:, None, None, None] + generator.normal(0, 15, (count, toy.SIDE, toy.SIDE, 3))
    return pictures.clip(0, 255).astype(np.uint8), labels


def test_logit_adjustment_equalises_recall_at_thirty_to_one() -> None:
    seen, labels = brightness(620, 1 / 31, 1)
    unseen, truth = brightness(400, 0.5, 2)

    def recalls(phase: Phase) -> np.ndarray:
        model = fit(toy.model(2), replace(phase, augment="none", lr=5e-3), seen, labels, 16)
        table, _ = train.predict(model, np.arange(len(truth)), toy.setting(unseen, truth))
        return np.array([(table.argmax(1)[truth == label] == label).mean() for label in (0, 1)])

    plain, adjusted = recalls(Phase(trains="k")), recalls(BY_NAME["logit_adjustment"].phases[0])
    assert plain[0] - plain[1] > 0.4
    assert abs(adjusted[0] - adjusted[1]) < 0.15 and adjusted.min() > 0.7


def noisy(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Images under a fine pattern, of a strength of its own in each image and colour: early filters can ignore it."""
    strength = np.random.default_rng(seed).normal(0, 120, (len(pictures), 1, 1, 3))
    pattern = np.indices((toy.SIDE, toy.SIDE)).sum(0) % 2 * 2 - 1
    return (0.6 * pictures + 50 + strength * pattern[None, :, :, None]).clip(0, 255).astype(np.uint8)


def test_an_early_layer_group_tuned_alone_beats_a_late_one_under_input_noise() -> None:
    pictures, labels = toy.images(192, seed=1)
    source = fit(toy.model(), Phase(trains="all", lr=5e-3), pictures, labels, 10)
    few, few_labels = toy.images(48, seed=2)
    many, truth = toy.images(240, seed=3)
    seen, unseen = noisy(few, 4), noisy(many, 5)

    def reached(phase: Phase) -> float:
        tuned = fit(copied(source), replace(phase, augment="none"), seen, few_labels, 25)
        return loss_and_accuracy(tuned, unseen, truth)[1]

    early = reached(BY_NAME["surgical_first"].phases[0])
    late = reached(Phase(trains=1, layer_decay=1.0))
    assert early > late + 0.02 > loss_and_accuracy(source, unseen, truth)[1] + 0.1


def coloured(pictures: np.ndarray) -> np.ndarray:
    """The same images of less contrast under coloured light."""
    return (0.5 * pictures.astype(float) + np.array([90.0, 20.0, 60.0])).clip(0, 255).astype(np.uint8)


@cache
def adapted(*phases: Phase, epochs: float = 10) -> tuple[Model, np.ndarray, np.ndarray]:
    """Return a model that was trained on images with a label and coloured ones without, and other images."""
    pictures, labels = toy.images(192, seed=1)
    without, _ = toy.images(192, seed=2)
    more = {"unlabelled": np.arange(192, 384)}
    setting = toy.setting(np.concatenate([pictures, coloured(without)]), labels, **more)
    model, allowance = toy.model(), Allowance(deadline=time.monotonic() + 600)
    every = tuple(replace(phase, trains="all") if phase.trains == "k" else phase for phase in phases)
    train.fit(model, every, "all", np.arange(192), epochs, setting, allowance, {})
    return model, *toy.images(192, seed=3)


def test_adabn_recovers_half_the_loss_under_a_colour_shift() -> None:
    plain, pictures, labels = adapted(Phase(trains="all"))
    before, moved = (loss_and_accuracy(plain, some, labels)[0] for some in (pictures, coloured(pictures)))
    model, *_ = adapted(*BY_NAME["adabn"].phases)
    assert moved - loss_and_accuracy(model, coloured(pictures), labels)[0] >= 0.5 * (moved - before) > 0.1


@pytest.mark.parametrize("name", ["coral", "dann", "mcc"])
def test_domains_that_differ_in_colour_are_aligned(name: str) -> None:
    plain, pictures, labels = adapted(Phase(trains="all"))
    model, *_ = adapted(*BY_NAME[name].phases)
    before, after = (loss_and_accuracy(some, coloured(pictures), labels)[1] for some in (plain, model))
    assert before < 0.5 and after >= before + 0.2
    assert loss_and_accuracy(model, pictures, labels)[1] > 0.9


def test_a_student_learns_a_class_that_it_never_saw_from_its_teachers_soft_targets() -> None:
    # The experiment of Hinton et al. (2015) with a digit left out: the teacher's doubts about images of other classes
    # say where the missing one lies.
    generator = np.random.default_rng(1)
    labels = np.arange(360) % 3
    level = 60 + 55 * labels + generator.normal(0, 20, len(labels))
    noise = generator.normal(0, 15, (len(labels), toy.SIDE, toy.SIDE, 3))
    pictures = (level[:, None, None, None] + noise).clip(0, 255).astype(np.uint8)
    usual = Phase(trains="all", lr=5e-3, augment="none")
    teacher = fit(toy.model(), usual, pictures, labels, 12)
    probabilities, _ = train.predict(teacher, np.arange(len(labels)), toy.setting(pictures, labels))
    seen = np.flatnonzero(labels < 2)

    def recalled(phase: Phase) -> float:
        student = toy.model()
        setting = toy.setting(pictures, labels, teacher=np.log(np.maximum(probabilities, 1e-8)))
        allowance = Allowance(deadline=time.monotonic() + 600)
        train.fit(student, (phase,), "all", seen, 18, setting, allowance, {})
        table, _ = train.predict(student, np.flatnonzero(labels == 2), setting)
        return float((table.argmax(1) == 2).mean())

    taught = replace(usual, objective=BY_NAME["distilled"].phases[0].objective)
    assert recalled(usual) == 0.0
    assert recalled(taught) > 0.5


def test_predicting_turns_teaches_the_features_to_tell_them_and_reads_no_label() -> None:
    pictures, labels = toy.images(144, seed=1)
    phase = replace(BY_NAME["rotation"].phases[0], trains="all")
    trained = []
    for of in (labels, labels[::-1].copy()):
        model = fit(toy.model(), replace(phase, lr=1e-2, layer_decay=1.0), pictures, of, 8)
        trained.append(model.backbone.state_dict())
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())

    def told(model: Model) -> float:
        """Return how well a linear head on the features tells the turns of other images."""
        others, _ = toy.images(144, seed=3)
        turns = np.arange(144) // 3 % 4
        shown = np.stack([np.rot90(image, turn) for image, turn in zip(others, turns, strict=True)])
        features = train.features(model.backbone, np.arange(144), toy.setting(shown, turns))
        head = heads.logistic(
            HeadCall(features=features[:72], labels=turns[:72], classes=4, folds=np.arange(72) % 4, seed=0)
        )
        logits = features[72:] @ head.arrays["weight"].T + head.arrays["bias"]
        return float((logits.argmax(1) == turns[72:]).mean())

    assert told(model) > told(toy.model()) + 0.1
