"""Copies of images: what they mean for scores, and which take part on which side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autotl.data import copies
from autotl.data import split as data_split
from autotl.modality.image_store import THUMBNAIL, Decoded
from autotl.records import Dataset, Finding, Kind, Target
from autotl.report.wording import sentence


def decoded_as(
    thumbnails: np.ndarray, present: np.ndarray | None = None, inner: np.ndarray | None = None
) -> Decoded:
    """Return images with these thumbnails, and nothing else known of them."""
    count = len(thumbnails)
    return Decoded(
        present=np.ones(count, bool) if present is None else present,
        errors={},
        statistics=np.zeros((count, 1), np.float32),
        metadata={},
        thumbnails=thumbnails,
        inner=thumbnails if inner is None else inner,
        digests=np.full(count, "", object),
    )


def dataset(
    labels: list[int],
    *,
    given: list[int] | None = None,
    digests: list[str] | None = None,
    group: list[int] | None = None,
) -> Dataset:
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
        group=None if group is None else np.array(group),
        digests=np.array(digests or [str(row) for row in range(count)], object),
    )


def find(
    data: Dataset, same: tuple[tuple[int, int], ...] = (), decoded: np.ndarray | None = None
) -> copies.Copies:
    """The copies among unlike images, but for the pairs in `same`."""
    generator = np.random.default_rng(0)
    count = len(data.files)
    thumbnails = generator.integers(0, 255, (count, THUMBNAIL, THUMBNAIL, 3), dtype=np.uint8)
    for one, other in same:
        thumbnails[other] = thumbnails[one].clip(0, 250) + 1
    return copies.copies(data, decoded_as(thumbnails, decoded))


def look(data: Dataset, same: tuple[tuple[int, int], ...] = ()) -> list[Finding]:
    return copies.findings(data, find(data, same))


def of_kind(found: list[Finding], kind: str) -> list[Finding]:
    return [finding for finding in found if finding.kind == kind]


def test_byte_equal_images_are_reported_once_and_not_again_as_nearly_equal() -> None:
    digests = [str(row) for row in range(40)]
    digests[7] = digests[3]
    found = look(dataset([0, 1] * 20, digests=digests), same=((3, 7),))
    (duplicate,) = of_kind(found, "duplicate")
    assert duplicate.count == 2 and duplicate.where == ("1/3.png", "1/7.png")
    assert not of_kind(found, "near_duplicate") and not of_kind(found, "leak")


def test_nearly_equal_images_stand_side_by_side() -> None:
    found = look(dataset([0] * 40 + [1] * 40), same=((2, 31), (5, 9)))
    (near,) = of_kind(found, "near_duplicate")
    assert near.count == 4 and near.certainty < 1
    assert sorted([near.where[:2], near.where[2:]]) == [("0/2.png", "0/31.png"), ("0/5.png", "0/9.png")]


@pytest.mark.parametrize("train", [0, -1], ids=["train folder", "test folder alone"])
@pytest.mark.parametrize("exact", [True, False])
def test_copies_across_given_parts_are_a_leak_and_across_labels_a_conflict(exact: bool, train: int) -> None:
    digests = [str(row) for row in range(40)]
    if exact:
        digests[25], digests[6] = digests[2], digests[1]
    given = [train] * 20 + [2] * 20
    found = look(dataset([0, 1] * 20, given=given, digests=digests), same=((2, 25), (1, 6)))
    (leak,), (conflict,) = of_kind(found, "leak"), of_kind(found, "conflict")
    assert leak.count == 1 and set(leak.where) == {"0/2.png", "1/25.png"}
    assert leak.values == {"exact": exact, "images": 2, "parts": {"test": [1, 20]}}
    assert not of_kind(found, "duplicate") and not of_kind(found, "near_duplicate")  # none is on one side
    assert conflict.count == 2 and len(conflict.where) == 4


def test_images_of_each_part_with_a_copy_in_a_part_before_it_are_counted() -> None:
    given = [0] * 20 + [1] * 10 + [2] * 10
    found = look(dataset([0] * 40, given=given), same=((2, 22), (3, 23), (24, 34), (0, 1), (30, 31)))
    (leak,), (near,) = of_kind(found, "leak"), of_kind(found, "near_duplicate")
    assert leak.count == 3 and leak.values["parts"] == {"select": [2, 10], "test": [1, 10]}
    assert near.values["sets"] == 2 and near.action == "held_together"


def test_a_copy_that_takes_no_part_is_no_leak() -> None:
    data = dataset([0] * 40 + [1] * 40, given=[-1] * 60 + [2] * 20)
    found = look(data, same=((3, 70), (4, 50)))
    assert not of_kind(found, "leak")
    (conflict,) = of_kind(found, "conflict")
    assert sorted(conflict.where) == ["0/3.png", "0/4.png", "1/50.png"] and conflict.action == "left_out"
    assert sentence(conflict) == (
        "2 sets of nearly equal images with different labels, 4 images in all: 3 take no part, 1 stays (1/70.png: a"
        " given test image)"
    )


def test_what_stays_of_contradictions_is_named_with_its_reason() -> None:
    data = dataset([0] * 60 + [1] * 4 + [2] * 40, given=[-1] * 84 + [2] * 20)
    (conflict,) = of_kind(look(data, same=((3, 61), (5, 90), (6, 91))), "conflict")
    assert conflict.where == ("0/3.png", "0/5.png", "0/6.png") and conflict.action == "left_out"
    assert sentence(conflict) == (
        "3 sets of nearly equal images with different labels, 6 images in all: 3 take no part, 3 stay (1/61.png,"
        " 2/90.png, 2/91.png: given test images, and images of classes that would lose too many)"
    )


def test_copies_within_one_part_are_no_leak() -> None:
    found = look(dataset([0] * 40 + [1] * 4, given=[0] * 40 + [2] * 4), same=((2, 31),))
    assert of_kind(found, "near_duplicate") and not of_kind(found, "leak")


def test_what_contradicts_or_leaks_is_shown_in_pairs_that_differ() -> None:
    digests = [str(row) for row in range(40)]
    digests[4] = digests[2] = digests[25] = digests[0]
    (conflict,) = of_kind(look(dataset([0] * 20 + [1] * 20, digests=digests)), "conflict")
    assert conflict.pairs == (("0/0.png", "1/25.png"),)
    assert conflict.action == "left_out"


def test_images_that_were_not_decoded_are_no_near_copies() -> None:
    decoded = np.ones(40, bool)
    decoded[5] = False
    assert not find(dataset([0, 1] * 20), ((1, 5),), decoded).near


def test_contradictions_take_no_part_but_test_images_that_were_given_do() -> None:
    data = dataset([0] * 40 + [1] * 40, given=[0] * 79 + [2])
    found = find(data, ((3, 50), (7, 79), (10, 11)))
    left_out = copies.contradictions(data, found)
    assert sorted(left_out) == [3, 7, 50]
    assert {why.kind for why in left_out.values()} == {Kind.CONTRADICTED}


def test_classes_that_are_largely_the_same_images_are_not_emptied() -> None:
    data = dataset([0] * 40 + [1] * 40)
    found = find(data, tuple((row, row + 40) for row in range(20)))
    assert not copies.contradictions(data, found)
    (conflict,) = of_kind(copies.findings(data, found), "conflict")
    assert conflict.count == 20 and conflict.action == "kept"
    assert conflict.values["best"] == pytest.approx(1 - 20 / len(data.labels))


def test_what_contradictions_leave_at_best_counts_the_commonest_label_as_right() -> None:
    data = dataset([0, 0, 1, 0, 1, 1, 0, 1], digests=list("xxxyzzwv"))
    (conflict,) = of_kind(look(data), "conflict")
    assert conflict.values["best"] == pytest.approx(7 / 8)
    assert "no model is right on more than 87.5% of all" in sentence(conflict)


def test_nearly_equal_images_are_on_one_side_of_any_split() -> None:
    pairs = tuple((row, row + 1) for row in range(0, 200, 4))
    data = dataset([row // 4 % 2 for row in range(400)])
    held = copies.held_together(data, find(data, pairs))
    assert held.group is not None and held.group_from == "copies"
    for seed in range(5):
        split = data_split.split(held, seed=seed)
        assert not data_split.cuts(held.group, held.given, split)
        assert not split.grouped and Kind.COPIES_WHOLE in [how.kind for how in split.facts]
    assert data_split.cuts(held.group, held.given, data_split.split(data))


@pytest.mark.parametrize("train", [0, -1], ids=["train folder", "test folder alone"])
def test_copies_that_a_split_has_cut_are_seen_in_a_train_folder_too(train: int) -> None:
    pairs = tuple((row, row + 1) for row in range(0, 200, 4))
    data = dataset([row // 4 % 2 for row in range(400)], given=[train] * 300 + [2] * 100)
    held = copies.held_together(data, find(data, (*pairs, (210, 390))))
    assert held.group is not None
    assert data_split.cuts(held.group, held.given, data_split.split(data))
    assert not data_split.cuts(held.group, held.given, data_split.split(held))  # (210, 390) were given apart


def test_copies_join_the_groups_that_hold_them() -> None:
    data = dataset([0] * 40, group=[row // 4 for row in range(40)])
    held = copies.held_together(data, find(data, ((0, 5), (6, 9))))
    assert held.group is not None and held.group_from == "declared"
    assert len(set(held.group[:12].tolist())) == 1
    assert len(set(held.group.tolist())) == 8


def test_groups_of_the_names_keep_copies_together() -> None:
    data = dataset([0] * 40)
    held = copies.held_together(data, find(data, ((0, 39),)))
    named = copies.with_found(held, np.arange(40) // 4)
    assert named.group is not None and named.group_from == "names"
    assert named.group[0] == named.group[39] == named.group[3] != named.group[4]


def test_without_near_copies_the_data_stay_as_they_were() -> None:
    data = dataset([0, 1] * 20)
    assert copies.held_together(data, find(data)) is data


def test_mirrored_and_turned_copies_are_held_together_and_contradict_nothing() -> None:
    generator = np.random.default_rng(0)
    thumbnails = generator.integers(0, 255, (80, THUMBNAIL, THUMBNAIL, 3), dtype=np.uint8)
    ways = {
        1: thumbnails[0][:, ::-1],
        3: thumbnails[2][::-1],
        5: np.rot90(thumbnails[4]),
        7: np.rot90(thumbnails[6], 2),
        9: np.rot90(thumbnails[8], 3),
        11: thumbnails[10].transpose(1, 0, 2),
    }
    for row, turned in ways.items():
        thumbnails[row] = turned
    data = dataset([0, 1] * 40)
    found = copies.copies(data, decoded_as(thumbnails))
    assert sorted(sorted(family.tolist()) for family in found.turned) == [[row - 1, row] for row in ways]
    assert not found.near and not copies.contradictions(data, found)
    (near,) = copies.findings(data, found)
    assert near.kind is Kind.NEAR_DUPLICATE and near.values == {"exact": False, "turned": True, "sets": 6}
    held = copies.held_together(data, found)
    assert held.group is not None and len(set(held.group.tolist())) == 74


def test_parts_of_one_picture_join_the_groups_and_keep_their_labels() -> None:
    data = dataset([0, 1, 0, 1], given=[0, 2, -1, -1], group=[0, 1, 2, 2])
    families = copies.outside(data.group, [np.array([0, 1]), np.array([2, 3])])
    assert [family.tolist() for family in families] == [[0, 1]]
    held = copies.with_parts(data, families)
    assert held.group is not None and held.group[0] == held.group[1] != held.group[2] == held.group[3]
    kinds = {finding.kind: finding.action for finding in copies.of_parts(data, families)}
    assert kinds == {Kind.LEAK: "kept", Kind.CONFLICT: "kept"}


def test_equal_files_are_not_found_again_as_parts_of_one_picture() -> None:
    data = replace(dataset([0, 1, 0, 1]), digests=np.array(["a", "a", "b", "c"]))
    families = copies.unequal(data, [np.array([0, 1]), np.array([2, 3])])
    assert [family.tolist() for family in families] == [[2, 3]]


def test_a_copy_with_a_frame_is_one_and_a_common_frame_makes_none() -> None:
    generator = np.random.default_rng(0)
    inner = generator.integers(0, 255, (40, 16, 16, 3)).astype(np.uint8)
    inner[7] = inner[3]
    thumbnails = inner.copy()
    thumbnails[7:20] = inner[7:20] // 64  # nearly the same in all: the frame outweighs what lies inside
    thumbnails[7:20, [0, -1]] = 255
    data = dataset([n % 2 for n in range(40)])
    found = copies.copies(data, decoded_as(thumbnails, inner=inner))
    assert [sorted(family.tolist()) for family in found.families] == [[3, 7]]
