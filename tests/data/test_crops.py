from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from autotl.data.crops import Pictures, correlation, families

COUNT = 40


def _scene(seed: int) -> Image.Image:
    """Return a picture with edges of all sizes, as photos have them."""
    generator = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(generator.integers(0, 255, (side, side), np.uint8)).resize((160, 160)), np.float32
        )
        for side in (5, 12, 30, 80)
    ]
    return Image.fromarray(np.mean(layers, axis=0).astype(np.uint8))


def _gray(made: Image.Image) -> np.ndarray:
    return np.asarray(made.resize((64, 64), Image.Resampling.BOX))


def _padded(made: Image.Image) -> Image.Image:
    around = Image.new("L", (180, 180), 255)
    around.paste(made, (10, 10))
    return around


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cropped by a tenth": lambda made: made.crop((3, 12, 147, 156)),
    "cropped by a fifth": lambda made: made.crop((20, 5, 148, 133)),
    "padded": _padded,
    "half the size": lambda made: made.resize((80, 80)),
}
IMAGES = np.stack([_gray(_scene(number)) for number in range(COUNT)])


def _features(of: list[int]) -> np.ndarray:
    """Return features by which images of one picture are nearest neighbours, and all are candidates."""
    seen = np.random.default_rng(0).normal(size=(COUNT, 30))[of] + 4.0
    seen += 0.05 * np.random.default_rng(1).normal(size=seen.shape)
    return np.asarray(seen / np.linalg.norm(seen, axis=1, keepdims=True))


def _pictures(images: np.ndarray, first: int = 0, tints: int = 0, lighter: int = 0) -> Pictures:
    """Return gray images whose rows begin with `first`; the first `tints` are redder, the first `lighter` lighter."""
    small = np.stack(
        [np.asarray(Image.fromarray(each).resize((16, 16), Image.Resampling.BOX)) for each in images]
    )
    colours = np.concatenate([np.zeros((first, 16, 16), np.uint8), small])[..., None].repeat(3, 3) // 2 + 20
    colours[first : first + tints, ..., 0] += 60
    colours[first : first + lighter] += 60
    return Pictures(gray=lambda wanted: images[wanted - first], thumbnails=colours)


@pytest.mark.parametrize("change", CHANGES)
def test_a_part_of_a_picture_is_found_and_joins_nothing_else(change: str) -> None:
    copies = [_gray(CHANGES[change](_scene(number))) for number in range(3)]
    images = np.concatenate([IMAGES, copies])
    rows = np.arange(len(images)) + 100
    found = families(rows, _features([*range(COUNT), 0, 1, 2]), _pictures(images, first=100))
    assert sorted(map(tuple, map(sorted, (family.tolist() for family in found)))) == [
        (100 + number, 100 + COUNT + number) for number in range(3)
    ]


def test_the_same_shape_in_another_colour_is_no_copy() -> None:
    """Two packings of one design."""
    images = np.concatenate([IMAGES, IMAGES[:1]])
    features = _features([*range(COUNT), 0])
    assert len(families(np.arange(COUNT + 1), features, _pictures(images))) == 1
    assert not families(np.arange(COUNT + 1), features, _pictures(images, tints=1))
    assert not families(np.arange(COUNT + 1), features, _pictures(images, lighter=1))


def test_a_framed_copy_is_found_though_its_features_are_others() -> None:
    """A frame changes features more than another picture does."""
    images = np.concatenate([IMAGES, np.stack([_gray(_padded(_scene(number))) for number in range(3)])])
    features = _features([*range(COUNT), 20, 21, 22])
    found = families(np.arange(COUNT + 3), features, _pictures(images))
    assert sorted(sorted(family.tolist()) for family in found) == [[n, COUNT + n] for n in range(3)]


def test_exposures_of_one_object_do_not_hide_the_copies_among_them() -> None:
    """Farther neighbours that show the same object again are no measure of chance."""
    generator = np.random.default_rng(0)
    shown = [number // 5 for number in range(100)]  # each object in five exposures, a fifth part of all
    images = np.stack(
        [(0.5 * IMAGES[each % COUNT] + generator.normal(0, 14, (64, 64)) + 60).clip(0, 255) for each in shown]
    ).astype(np.uint8)
    part = _gray(Image.fromarray(images[7]).crop((3, 3, 61, 61)))
    images = np.concatenate([images, part[None]])
    group = np.array([*shown, 99])  # the exposures are known to belong together, the part is not
    found = families(np.arange(101), _features([*shown, shown[7]]), _pictures(images), group=group)
    assert [100 in family for family in found] == [True]


def test_other_pictures_are_no_copies_though_their_features_are_near() -> None:
    assert not families(np.arange(COUNT), _features(list(range(COUNT))), _pictures(IMAGES))


def test_flat_images_and_a_handful_conclude_nothing() -> None:
    flat = np.full((COUNT, 64, 64), 128, np.uint8)
    assert not families(np.arange(COUNT), _features([0] * COUNT), _pictures(flat))
    assert not families(np.arange(5), _features([0] * 5), _pictures(IMAGES))


def test_the_correlation_does_not_depend_on_the_order_of_a_pair() -> None:
    part = _gray(_scene(0).crop((10, 10, 150, 150)))
    images = np.stack([IMAGES[0], part]).astype(np.float32)
    one, other = np.array([0]), np.array([1])
    there, back = correlation(images, one, other), correlation(images, other, one)
    assert there == pytest.approx(back, abs=1e-5) and there[0] > 0.5


def test_images_that_are_together_already_are_not_compared() -> None:
    change = CHANGES["cropped by a tenth"]
    images = np.concatenate([IMAGES, np.stack([_gray(change(_scene(number))) for number in range(4)])])
    rows, features = np.arange(len(images)), _features([*range(COUNT), *range(4)])
    group = rows.copy()
    group[COUNT : COUNT + 2] = [0, 1]
    found = families(rows, features, _pictures(images), group=group)
    assert sorted(sorted(family.tolist()) for family in found) == [[2, COUNT + 2], [3, COUNT + 3]]
