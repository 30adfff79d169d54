"""What features know at each depth, and what that promises to whoever trains the last groups again."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.ranking import depth_profile
from autotl.records import DepthPoint, DepthProfile
from autotl.records.encoding import rounded
from autotl.stats.folds import folds_for


def made(*linear: float, rows: int = 400) -> DepthProfile:
    points = (
        DepthPoint(depth=depth, linear=value, knn=value, width=8) for depth, value in enumerate(linear, 1)
    )
    return DepthProfile(backbone="a", size=96, points=tuple(points), rows=rows)


def test_a_profile_sees_at_which_depth_the_labels_can_be_told() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    noise = generator.normal(size=(120, 6)).astype(np.float32)
    telling = np.eye(3, dtype=np.float32)[labels] * 4 + noise[:, :3]
    found = depth_profile.profile("a", 96, [noise, telling], labels, folds_for(labels, None))
    shallow, deep = found.points
    assert (shallow.depth, deep.depth, found.rows) == (1, 2, 120)
    assert (shallow.width, deep.width) == (6, 3)
    assert max(shallow.linear, shallow.knn) < 0.5
    assert min(deep.linear, deep.knn) > 0.9


@pytest.mark.parametrize(
    ("linear", "groups", "share"),
    [
        ((0.5, 0.7, 0.8), 0, 0.0),
        ((0.5, 0.9, 0.6), 1, 0.75),
        ((0.9, 0.7, 0.6), 2, 0.75),
        ((0.7, 0.71, 0.7), 0, 0.0),
    ],
)
def test_what_the_last_groups_lose(linear: tuple[float, ...], groups: int, share: float) -> None:
    assert depth_profile.recoverable(made(*linear)) == (groups, pytest.approx(share))


def test_what_is_decided_by_is_what_is_written_down() -> None:
    """A replay reads six decimals; the run must have decided by the same ones."""
    generator = np.random.default_rng(0)
    labels = np.arange(256) % 3
    features = generator.normal(size=(256, 4)) + labels[:, None]
    found = depth_profile.profile("a", 96, [features], labels, folds_for(labels, None))
    values = [value for point in found.points for value in (point.linear, point.knn)]
    assert rounded(values) == values


def test_each_accuracy_has_an_interval_that_is_wider_where_rows_are_not_independent() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(200) % 2, 3)  # each image three times
    features = np.repeat(generator.normal(size=(200, 4)) + (np.arange(200) % 2)[:, None], 3, axis=0)
    image = np.repeat(np.arange(200), 3)
    alone, together = (
        depth_profile.profile("a", 96, [features], labels, image % 5, cluster=cluster).points[0]
        for cluster in (None, image)
    )
    assert alone.linear == together.linear and alone.low is not None and together.low is not None
    assert together.low < alone.low < alone.linear < alone.high < together.high  # type: ignore[operator]
