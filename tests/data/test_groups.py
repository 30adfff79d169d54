"""Undeclared groups are found where images of one key belong together, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autotl.data import doctor, groups
from autotl.data.capture_keys import capture_keys
from autotl.data.doctor import together
from autotl.records import Dataset, Kind, Target
from autotl.report.wording import sentence


def planted(
    seed: int, *, strength: float, persons: int = 8, classes: int = 4, each: int = 6, spread: float = 1.0
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, labels and features: classes that are told apart, and persons that lend their images a likeness."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, 64))
    own = generator.normal(size=(persons, classes, 64))
    names, labels, features = [], [], []
    for label in range(classes):
        for person in range(persons):
            for shot in range(each):
                names.append(f"class{label}/p{person:02}_{shot:03}.png")
                labels.append(label)
                features.append(
                    0.4 * centres[label] + strength * own[person, label] + spread * generator.normal(size=64)
                )
    return names, np.array(labels), together([np.array(features, np.float32)])


def found(names: list[str], labels: np.ndarray, features: np.ndarray) -> groups.Suspected | None:
    return groups.suspected(names, labels, np.arange(len(names)), features)


def test_planted_groups_are_found_with_the_expression_that_declares_them() -> None:
    outcomes = [found(*planted(seed, strength=0.8)) for seed in range(10)]
    declared = [of for of in outcomes if of is not None and "p" in of.key.expression]
    assert len(declared) >= 9
    of = declared[0]
    assert of.safe and of.images == 192
    assert of.nearest > 3 * of.chance
    assert of.whole < of.random
    assert all(one // 6 == other // 6 for one, other in of.pairs)


def test_keys_without_meaning_are_no_groups() -> None:
    assert not [seed for seed in range(30) if found(*planted(seed, strength=0.0)) is not None]


def test_a_part_of_each_class_that_looks_alike_is_no_group_by_another_key() -> None:
    _names, labels, features = planted(0, strength=0.8)
    generator = np.random.default_rng(1)
    renamed = [f"class{label}/q{generator.integers(8)}_{row}.png" for row, label in enumerate(labels)]
    assert found(renamed, labels, features) is None


def test_few_groups_a_class_are_reported_and_not_safe_to_split_by() -> None:
    of = found(*planted(0, strength=0.8, persons=3, each=16))
    assert of is not None and not of.safe


def test_numbers_that_begin_again_in_each_class_are_counted_within_it() -> None:
    of = found(*planted(0, strength=0.8))
    assert of is not None
    assert of.groups == 32


def test_a_person_in_all_classes_is_one_group() -> None:
    generator = np.random.default_rng(0)
    names, labels, _ = planted(0, strength=0.0)
    person = np.array([int(name.split("/p")[1][:2]) for name in names])
    of_person, centres = generator.normal(size=(8, 64)), generator.normal(size=(4, 64))
    features = 0.4 * centres[labels] + 0.8 * of_person[person] + generator.normal(size=(len(names), 64))
    of = found(names, labels, together([features.astype(np.float32)]))
    assert of is not None
    assert of.groups == 8


def test_what_most_keys_are_is_judged_by_all_names_and_not_by_the_sample() -> None:
    """Persons have numbers; a few images begin with a word, and many of these are in the sample."""
    names, labels, features = planted(0, strength=0.8, persons=16)
    names = [name.replace("/p", "/00") for name in names]
    odd = [f"class{label}/scan_{number}.png" for label in range(4) for number in range(12)]
    of = np.concatenate([labels, np.repeat(np.arange(4), 12)])
    noise = np.random.default_rng(1).normal(size=(48, features.shape[1]))
    seen = together(
        [np.concatenate([features, noise / np.linalg.norm(noise, axis=1, keepdims=True)]).astype(np.float32)]
    )
    rows = np.concatenate([np.flatnonzero(np.arange(len(names)) % 96 < 40), np.arange(len(names), len(of))])
    found = groups.suspected([*names, *odd], of, rows, seen[rows])
    assert found is not None
    sizes = np.bincount(found.key.group)[found.key.group]
    assert (sizes[len(names) :] == 1).all() and (sizes[: len(names)] > 1).all()


def test_too_few_images_say_nothing() -> None:
    assert found(*planted(0, strength=0.8, persons=4, classes=2)) is None


@pytest.mark.parametrize("rows", [100, 5000])
def test_a_sample_holds_neighbours_and_any_beginning_of_it_many_classes(rows: int) -> None:
    names = np.array([f"{row // (rows // 5)}/{row // 5:05}_{row}.png" for row in range(rows)], object)
    chosen = groups.sample(names, np.arange(rows), np.random.default_rng(0))
    assert len(chosen) == min(rows, groups.MOST_IMAGES) == len(set(chosen.tolist()))
    beginning = chosen[: len(chosen) // 2]
    assert len({names[row][0] for row in beginning}) >= 3
    films = np.bincount(beginning // 5)
    assert (films[films > 0] > 1).mean() > 0.9


def _film(length: int = 120, together: float = 3.0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names, labels and features of two films; what is seen drifts slowly."""
    generator = np.random.default_rng(0)
    steps = generator.normal(size=(2, length, 24)).cumsum(1) * together
    features = (steps + generator.normal(size=steps.shape)).reshape(-1, 24)
    features -= features.mean(0)
    names = [f"{label}/frame{number:04}.jpg" for label in "ab" for number in range(length)]
    return names, np.repeat([0, 1], length), features / np.linalg.norm(features, axis=1, keepdims=True)


def test_frames_of_a_film_are_recognised_by_their_numbers() -> None:
    names, labels, features = _film()
    found = groups.frames(names, labels, np.arange(len(names)), features)
    assert found is not None and found.nearest > 0.5 > 10 * found.chance
    for one, other in found.pairs:
        assert abs(int(names[one][-8:-4]) - int(names[other][-8:-4])) <= 2
        assert names[one][0] == names[other][0]


def test_numbers_that_follow_in_no_order_are_no_film() -> None:
    names, labels, features = _film()
    drawn = np.random.default_rng(1).permutation(len(names))
    assert groups.frames(names, labels, np.arange(len(names)), features[drawn]) is None
    assert groups.frames([f"{letter}.jpg" for letter in "ab" * 120], labels, np.arange(240), features) is None


def sittings(seed: int, strength: float) -> tuple[list[str], np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return images whose names say nothing, in sittings of one person each."""
    names, labels, features = planted(seed, strength=strength)
    person = np.array([int(name.split("/p")[1][:2]) for name in names])
    order = np.random.default_rng(seed).permutation(len(names))
    said = [f"class{label}/{place:05}.jpg" for label, place in zip(labels, order, strict=True)]
    start = np.unique(np.stack([labels, person]), axis=1, return_inverse=True)[1].ravel()
    noon = np.datetime64("2024-05-01T12:00:00")
    taken = [noon + np.timedelta64(7200 * int(one) + 40 * row, "s") for row, one in enumerate(start)]
    metadata = {
        "camera": np.full(len(names), "Nikon D50"),
        "serial": np.full(len(names), ""),
        "taken": np.array([str(each).replace("-", ":").replace("T", " ") for each in taken]),
    }
    return said, labels, features, metadata


def test_sittings_are_groups_where_features_agree_and_only_there() -> None:
    found: list[Any] = []
    for seed in range(4):
        names, labels, features, about = sittings(seed, 0.8)
        found.append(
            groups.suspected(names, labels, np.arange(len(names)), features, others=capture_keys(about))
        )
        names, labels, features, about = sittings(seed, 0.0)
        assert not groups.suspected(
            names, labels, np.arange(len(names)), features, others=capture_keys(about)
        )
    assert all(of is not None and of.key.by == "session" and of.groups == 32 and of.safe for of in found)


@pytest.mark.parametrize("auto_group", [True, False])
def test_the_finding_says_what_shows_the_groups_and_how_to_declare_them(auto_group: bool) -> None:
    names, labels, features, about = sittings(0, 0.8)
    data = Dataset(
        source="somewhere",
        modality="image",
        files=np.array(names, object),
        names=np.array(names, object),
        targets=(Target(name="label", kind="multiclass", classes=("a", "b", "c", "d"), values=labels),),
        given=np.full(len(names), -1, np.int8),
    )
    rows = np.random.default_rng(0).permutation(len(names))[:150]  # the groups are those of all images
    found = doctor.diagnose(data, rows, features[rows], metadata=about, auto_group=auto_group)
    (finding,) = [finding for finding in found.findings if finding.kind is Kind.GROUPS]
    assert finding.values["by"] == "session" and finding.count == 32
    text = sentence(finding)
    assert "the times in EXIF show" in text and "--group COLUMN" in text and "''" not in text
    if auto_group:
        assert (
            found.group_from == "capture" and found.group is not None and len(set(found.group.tolist())) == 32
        )
        assert doctor.expression_held(found.findings) is None
    else:
        assert found.group is None and finding.action == "kept"


@pytest.mark.parametrize("train", [0, -1], ids=["train folder", "test folder alone"])
def test_groups_that_train_and_test_are_counted_in_images(train: int) -> None:
    names, labels, features, about = sittings(0, 0.8)
    given = np.full(len(names), train, np.int8)
    given[::10] = 2
    data = Dataset(
        source="somewhere",
        modality="image",
        files=np.array(names, object),
        names=np.array(names, object),
        targets=(Target(name="label", kind="multiclass", classes=("a", "b", "c", "d"), values=labels),),
        given=given,
    )
    rows = np.arange(len(names))
    found = doctor.diagnose(data, rows, features, backbone="mine:seen", metadata=about)
    (finding,) = [finding for finding in found.findings if finding.kind is Kind.GROUPS]
    tested = int((given == 2).sum())
    assert finding.values["shared"] > 0 and finding.values["parts"] == {"test": [tested, tested]}
    assert finding.values["judged"] == len(names) - tested
    assert f"{tested} of the {tested} test images (100.0%) show groups that are trained on" in sentence(
        finding
    )
