"""What is said of data before any training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autotl.data.profile import imbalance, profile
from autotl.modality.image_store import STATISTICS
from autotl.records import Dataset, Finding, Profile, Target

USUAL = {
    "width": 200, "height": 150, "brightness": 120, "contrast": 40, "sharpness": 20, "colour": 15, "alpha": 0,
    "bytes": 1000,
}  # fmt: skip


def dataset(labels: list[int], *, given: list[int] | None = None) -> Dataset:
    count = len(labels)
    names = np.array([f"{label}/{row}.png" for row, label in enumerate(labels)], object)
    classes = tuple("abcdefgh"[: max(labels) + 1])
    return Dataset(
        source="somewhere",
        modality="image",
        files=names,
        names=names,
        targets=(Target(name="label", kind="multiclass", classes=classes, values=np.array(labels)),),
        given=np.array(given or [-1] * count, np.int8),
    )


def look(data: Dataset, **columns: Any) -> Profile:
    """The profile of usual images, but for the columns given."""
    table = np.tile([float(USUAL[name]) for name in STATISTICS], (len(data.files), 1)).astype(np.float32)
    for name, values in columns.items():
        table[:, STATISTICS.index(name)] = values
    return profile(data, table)


def of_kind(found: Profile, kind: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.kind == kind]


def test_counts_sizes_and_imbalance() -> None:
    found = look(dataset([0] * 60 + [1] * 3), width=[100.0] * 60 + [40.0] * 3, height=80.0)
    assert found.images == 63 and found.counts == (60, 3)
    assert found.imbalance == 20.0
    assert found.side == 80 and found.sides == (80, 80)
    assert found.bytes == 63_000
    (imbalance,), (few,) = of_kind(found, "imbalance"), of_kind(found, "few")
    assert imbalance.values == {"ratio": 20.0} and imbalance.where == ("b",)
    assert few.where == ("b",)


def test_the_imbalance_is_that_of_what_trains() -> None:
    found = look(dataset([0] * 40 + [1] * 40 + [1] * 400, given=[0] * 80 + [2] * 400))
    assert found.imbalance == 1.0


def test_gray_and_alpha_are_shares() -> None:
    found = look(dataset([0, 1] * 20), colour=[0.0] * 10 + [20.0] * 30, alpha=[1.0] * 4 + [0.0] * 36)
    assert (found.gray, found.alpha) == (0.25, 0.1)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("brightness", 5.0, "dark"),
        ("brightness", 252.0, "bright"),
        ("contrast", 0.5, "flat"),
        ("sharpness", 0.4, "blurred"),
        ("width", 9.0, "tiny"),
        ("width", 900.0, "long"),
    ],
)
def test_odd_images_are_named(column: str, value: float, kind: str) -> None:
    values = np.full(40, float(USUAL[column]))
    values[11] = value
    (finding,) = of_kind(look(dataset([0, 1] * 20), **{column: values}), kind)
    assert finding.count == 1 and finding.where == ("1/11.png",)


@pytest.mark.parametrize(("rows", "label"), [(range(1, 24, 4), "b"), (range(6), None)])
def test_gray_images_among_coloured_ones_are_shown_and_give_a_class_away_only_where_they_are_of_it(
    rows: range, label: str | None
) -> None:
    colour = np.full(120, float(USUAL["colour"]))
    colour[list(rows)] = 0.0
    (finding,) = of_kind(look(dataset([0, 1, 2, 3] * 30), colour=colour), "gray")
    assert finding.count == 6 and len(finding.pairs) == 6 and all(len(shown) == 1 for shown in finding.pairs)
    assert finding.values == ({} if label is None else {"label": label, "of_label": 6})


def test_nothing_is_said_of_usual_images() -> None:
    assert look(dataset([0, 1] * 40)).findings == ()


def test_images_that_were_not_decoded_do_not_count() -> None:
    width = np.full(40, 200.0)
    width[:30] = np.nan
    found = look(dataset([0, 1] * 20), width=width, height=np.where(np.isnan(width), np.nan, 64.0))
    assert found.images == 40 and found.side == 64


def test_no_image_decoded_at_all_is_no_crash() -> None:
    nothing = dict.fromkeys(STATISTICS, np.nan)
    found = look(dataset([0, 1] * 20), **nothing)
    assert found.side == 0 and found.gray == 0.0 and found.bytes == 0


def test_at_most_twenty_are_named() -> None:
    found = look(dataset([0, 1] * 30), contrast=0.1)
    (flat,) = of_kind(found, "flat")
    assert flat.count == 60 and len(flat.where) == 20


def test_a_class_of_hardly_any_images_does_not_choose_the_metric() -> None:
    assert imbalance(np.array([500, 3])) == 1.0
    assert imbalance(np.array([450, 15])) == 30.0
    assert imbalance(np.array([500, 40, 3])) == 12.5
    assert imbalance(np.array([4, 3])) == 1.0


@pytest.mark.parametrize(
    ("classes", "alike"),
    [
        (("Cat", "cat", "dog"), ("Cat", "cat")),
        (("café", "cafe", "tea"), ("café", "cafe")),
        (("left hand", "left_hand", "LeftHand"), ("left hand", "left_hand", "LeftHand")),
        (("a", "b", "c"), ()),
        (("1", "11", "2"), ()),
        (("+", "-", "猫", "犬"), ()),
    ],
)
def test_classes_whose_names_hardly_differ_are_named(
    classes: tuple[str, ...], alike: tuple[str, ...]
) -> None:
    data = dataset([number % len(classes) for number in range(40 * len(classes))])
    data = replace(data, targets=(replace(data.targets[0], classes=classes),))
    found = of_kind(look(data), "classes_alike")
    assert [finding.where for finding in found] == ([alike] if alike else [])
