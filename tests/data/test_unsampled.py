"""The list of images outside the sample: order, groups that test, labels and places, as a file and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotl.data import unsampled
from autotl.data.unsampled import NOT_DECODED
from autotl.records import Columns, Unsampled

PARTS = [0, 0, 1, 2, -1, -1, -1, -1]


def columns(**more: Any) -> Columns:
    count = len(PARTS)
    values: dict[str, Any] = {"group": None, "labels": np.arange(count) % 2} | more
    return Columns(
        part=np.array(PARTS, np.int8),
        fold=np.full(count, -1, np.int8),
        order=np.arange(count),
        classes=("a", "b"),
        **values,
    )


def outside(count: int, **more: Any) -> Unsampled:
    files = np.array([f"/data/ä{number}\udcff.png" for number in range(count)], object)
    return Unsampled(files=files, labels=np.arange(count) % 2, **more)


def test_what_is_decoded_comes_first_and_any_beginning_is_stratified() -> None:
    images = unsampled.listed(columns(), np.array([4, 5, 6]), outside(400), seed=1)
    assert set(images.row[:3]) == {4, 5, 6} and (images.row[3:] == NOT_DECODED).all() and len(images) == 403
    for end in (50, 200):
        assert abs(images.labels[3 : 3 + end].mean() - 0.5) < 0.05
    again = unsampled.listed(columns(), np.array([4, 5, 6]), outside(400), seed=1)
    other = unsampled.listed(columns(), np.array([4, 5, 6]), outside(400), seed=2)
    assert [again.path(place) for place in range(3, 9)] == [images.path(place) for place in range(3, 9)]
    assert [other.path(place) for place in range(3, 9)] != [images.path(place) for place in range(3, 9)]


def test_nothing_of_a_group_that_tests_is_learned_from() -> None:
    group = np.array([0, 1, 2, 3, 3, 4, 5, 6])
    same_group = np.array([3, 0, -1, 4])  # of row 4's group is row 3, which tests
    images = unsampled.listed(
        columns(group=group), np.array([4, 5]), outside(4, same_group=same_group), seed=0
    )
    assert images.row.tolist() == [5, NOT_DECODED, NOT_DECODED]
    assert {images.path(place) for place in (1, 2)} == {"/data/ä1\udcff.png", "/data/ä2\udcff.png"}


def test_a_list_is_the_same_after_it_was_written(tmp_path: Path) -> None:
    place = {"offset": np.array([0, 512, 9]), "size": np.array([7, 8, 9])}
    shards = Unsampled(
        files=np.array(["/a.tar", "/b.tar", "/a.tar"], object),
        labels=np.array([1, 0, 1]),
        weight=np.array([1.0, 2.0, 3.0]),
        **place,
    )
    images = unsampled.listed(columns(), np.array([7]), shards, seed=0)
    unsampled.write(images, 3, tmp_path)
    again = unsampled.read(tmp_path)
    assert len(again) == 3 and len(images) == 4 and len(images.ends) == 2
    for number in range(1, 3):
        assert again.path(number) == images.path(number)
        known = {(p, o) for p, o in zip(shards.files.tolist(), [0, 512, 9], strict=True)}
        assert (again.path(number), int(again.offset[number])) in known
        assert again.size[number] - again.weight[number] == 6
    with pytest.raises(FileNotFoundError):
        unsampled.read(tmp_path / "elsewhere")


def test_numbers_and_sets_of_labels_are_listed_too() -> None:
    numbers = Unsampled(files=np.array(["/a", "/b"], object), labels=np.array([0.5, 1.5]))
    assert set(unsampled.listed(columns(labels=np.arange(8.0)), np.array([4]), numbers, seed=0).labels) == {
        0.5,
        1.5,
        4.0,
    }
    sets = Unsampled(files=np.array(["/a"], object), labels=np.array([[1, 0]], np.int8))
    images = unsampled.listed(
        columns(labels=np.eye(2, dtype=np.int8)[np.arange(8) % 2]), np.zeros(0, int), sets, seed=0
    )
    assert images.labels.tolist() == [[1, 0]]
