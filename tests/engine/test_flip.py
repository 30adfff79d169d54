"""Whether training may flip images: not where that costs accuracy, nor where it confuses one pair of classes."""

from __future__ import annotations

import numpy as np

from autotl.engine import flip
from autotl.records import Fact
from autotl.report.wording import sentence


def compared(classes: int, each: int, swapped: tuple[int, ...] = (), noise: float = 0.1) -> tuple[bool, Fact]:
    """Classes on the axes; the flipped images of the classes `swapped` look like those of the next one."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    seen = labels.copy()
    for one, other in zip(swapped[::2], swapped[1::2], strict=True):
        seen[labels == one], seen[labels == other] = other, one

    def features(of: np.ndarray) -> np.ndarray:
        return (np.eye(classes)[of] + noise * generator.normal(size=(len(of), classes))).astype(np.float32)

    folds = np.arange(len(labels)) % flip.FOLDS
    return flip.compare(features(labels), features(seen), labels, folds, [f"c{n}" for n in range(classes)])


def test_flips_that_change_nothing_are_used() -> None:
    used, fact = compared(10, 8)
    assert used
    assert fact.values["pair"] == ()


def test_one_pair_of_mirror_images_among_many_classes_forbids_flips() -> None:
    used, fact = compared(120, 8, swapped=(3, 7))
    assert fact.values["plain"] - fact.values["flipped"] < flip.TOLERATED
    assert not used
    assert fact.values["pair"] == ("c3", "c7")
    assert "confuses flipped images of c3 and c7" in sentence(fact)


def test_a_few_that_move_by_chance_forbid_nothing() -> None:
    for classes in (2, 10, 40):
        used, fact = compared(classes, 8, noise=0.45)
        assert fact.values["pair"] == ()
        assert used == (fact.values["plain"] - fact.values["flipped"] <= flip.TOLERATED)


def test_with_a_class_in_one_fold_only_nothing_is_known() -> None:
    labels = np.array([0, 0, 1, 1])
    used, _ = flip.compare(np.eye(4), np.eye(4), labels, labels.copy(), ["a", "b"])
    assert not used
