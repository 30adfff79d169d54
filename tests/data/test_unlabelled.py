"""Items without a label: copies of labelled images, and other kinds of images."""

from __future__ import annotations

import numpy as np

from autotl.data.unlabelled import copies_of_labelled, of_shift
from autotl.records import Dataset, Target, Unlabelled


def example(count: int, items: int, given: int = -1) -> tuple[Dataset, Unlabelled]:
    names = np.array([f"{n}.png" for n in range(count)], object)
    target = Target(name="label", kind="multiclass", classes=("a", "b"), values=np.arange(count) % 2)
    others = np.array([f"more/{n}.png" for n in range(items)], object)
    without = Unlabelled(source="more", files=others, names=others)
    data = Dataset(
        source="s",
        modality="image",
        files=names,
        names=names,
        targets=(target,),
        given=np.full(count, given, np.int8),
        unlabelled=without,
    )
    return data, without


def test_a_copy_is_found_also_mirrored_and_names_the_image_of_the_test_part() -> None:
    generator = np.random.default_rng(0)
    thumbnails = generator.integers(0, 255, (40, 16, 16, 3)).astype(np.uint8)
    data, items = example(30, 10)
    thumbnails[1] = thumbnails[0]
    data.given[1] = 2
    thumbnails[30], thumbnails[33] = thumbnails[0], thumbnails[7][:, ::-1]
    assert copies_of_labelled(data, items, thumbnails, np.ones(40, bool)) == {0: 1, 3: 7}


def test_other_images_differ_and_the_same_kind_does_not() -> None:
    generator = np.random.default_rng(0)
    data, items = example(80, 60)
    features = generator.normal(size=(80, 16)).astype(np.float32)
    same, other = generator.normal(size=(2, 60, 16)).astype(np.float32)
    arguments = (data, items, np.arange(80), features, np.arange(60))
    assert of_shift(*arguments, same) == []
    (found,) = of_shift(*arguments, other + 1.5)
    assert found.values["area"] > 0.9 and found.pairs[0][1].startswith("more/")
