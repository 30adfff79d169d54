"""The p-value of equal scores on two samples: even where nothing differs, small where something does."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.stats.two_sample import Answered, p_value


def answered(
    accuracy: float, rows: int, generator: np.random.Generator, group: np.ndarray | None = None
) -> Answered:
    labels = np.arange(rows) % 4
    if group is None:
        right = generator.random(rows) < accuracy
    else:  # all rows of a group are right, or all are wrong
        right = (generator.random(group.max() + 1) < accuracy)[group]
    return Answered(labels=labels, predicted=np.where(right, labels, (labels + 1) % 4), group=group)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.98])
def test_equal_samples_rarely_differ(metric: str, accuracy: float) -> None:
    generator = np.random.default_rng(0)
    small = sum(
        p_value(metric, answered(accuracy, 200, generator), answered(accuracy, 400, generator), 4) < 0.01  # type: ignore[arg-type]
        for _ in range(1000)
    )
    assert small <= 20


def test_groups_count_as_one_observation_each() -> None:
    generator = np.random.default_rng(0)
    groups = np.arange(200) // 20
    pairs = [
        (answered(0.7, 200, generator, groups), answered(0.7, 200, generator, groups)) for _ in range(300)
    ]
    whole = sum(p_value("accuracy", one, other, 4) < 0.01 for one, other in pairs)
    alone = sum(
        p_value(
            "accuracy",
            Answered(labels=one.labels, predicted=one.predicted),
            Answered(labels=other.labels, predicted=other.predicted),
            4,
        )
        < 0.01
        for one, other in pairs
    )
    assert whole <= 9
    assert alone > 60


def test_a_fall_of_twenty_points_is_found_and_its_size_does_not_matter_alone() -> None:
    generator = np.random.default_rng(0)
    assert p_value("accuracy", answered(0.95, 300, generator), answered(0.73, 300, generator), 4) < 1e-6
    assert p_value("accuracy", answered(0.95, 15, generator), answered(0.73, 15, generator), 4) > 0.01


def test_nothing_is_concluded_from_one_group_or_from_no_errors() -> None:
    generator = np.random.default_rng(0)
    one = answered(1.0, 20, generator)
    assert p_value("accuracy", one, answered(1.0, 10, generator), 4) > 0.5
    single = Answered(labels=one.labels, predicted=one.predicted, group=np.zeros(20, np.int64))
    assert p_value("accuracy", single, answered(0.2, 100, generator), 4) == 1.0
