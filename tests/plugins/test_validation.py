"""What a head's function returns is checked before it becomes a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autotl.plugins.validation import flaw, head_flaw
from autotl.records import Dataset, Target
from autotl.records.head import Head

LINEAR = {"weight": np.zeros((3, 8), np.float32), "bias": np.zeros(3, np.float32)}
KNN = {
    "features": np.zeros((5, 8), np.float32),
    "labels": np.zeros(5, np.int64),
    "centre": np.zeros(8, np.float32),
    "count": np.int64(3),
}


@pytest.mark.parametrize("head", [Head(kind="linear", arrays=LINEAR), Head(kind="knn", arrays=KNN)])
def test_a_sound_head_has_no_flaw(head: Head) -> None:
    assert head_flaw(head, 3, 8) is None


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (LINEAR, "returned a dict; expected autotl.plugin.Head"),
        (Head(kind="tree", arrays=LINEAR), "kind 'tree'; expected linear, knn or arrays"),  # type: ignore[arg-type]
        (Head(kind="linear", arrays={"weight": LINEAR["weight"]}), "arrays weight; expected weight, bias"),
        (
            Head(kind="linear", arrays=LINEAR | {"weight": LINEAR["weight"].T}),
            r"weight of the shape \(8, 3\)",
        ),
        (Head(kind="linear", arrays=LINEAR | {"bias": np.full(3, np.nan)}), "bias with NaN"),
        (Head(kind="arrays", arrays=LINEAR), "its strategy names no function `predict`"),
        (Head(kind="knn", arrays=KNN | {"labels": np.zeros(4)}), r"features of the shape \(5, 8\)"),
    ],
)
def test_a_head_with_a_flaw_is_refused_with_the_reason(head: object, word: str) -> None:
    import re

    assert re.search(word, head_flaw(head, 3, 8) or "")


def test_a_head_that_phases_train_further_is_linear() -> None:
    assert head_flaw(Head(kind="linear", arrays=LINEAR), 3, 8, trained=True) is None
    assert "cannot train" in (head_flaw(Head(kind="knn", arrays=KNN), 3, 8, trained=True) or "")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            [0, 1],
            "labels is a list; expected a numpy array of 2 entries, one a file; give numpy.array(labels)",
        ),
        (np.array([0, 1, 0]), "there are 2 files, but labels has the shape (3,); expected one entry a file"),
    ],
)
def test_a_column_that_is_no_array_is_told_from_one_of_another_length(values: Any, text: str) -> None:
    files = np.array(["/a", "/b"], object)
    data = Dataset(
        source="x", modality="image", files=files, names=files, given=np.array([-1, -1], np.int8),
        targets=(Target(name="label", kind="multiclass", classes=("a", "b"), values=values),),
    )  # fmt: skip
    assert flaw(data) == text
