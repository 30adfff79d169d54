"""Which images are copies of one another: saved again, resized, brightened; and which only look alike."""

from __future__ import annotations

import functools
import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from autotl.data import duplicates
from autotl.modality.image_store import THUMBNAIL


def thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def fields(count: int, seed: int, cells: int, colours: int, low: int, high: int) -> list[Image.Image]:
    """Smooth random fields with some grain."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = generator.integers(low, high, (cells, cells, colours), dtype=np.uint8).repeat(
            4 - colours, 2
        )[..., :3]
        smooth = np.asarray(Image.fromarray(coarse).resize((160, 160), Image.Resampling.BICUBIC), np.int16)
        grain = generator.integers(-8, 9, (160, 160, 1), dtype=np.int16)
        made.append(Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)))
    return made


@functools.cache
def scenes(count: int) -> list[Image.Image]:
    """Photo-like: coarse and full of colour."""
    return fields(count, count, 7, 3, 0, 255)


@functools.cache
def steel(count: int) -> list[Image.Image]:
    """Gray textures of little contrast."""
    return fields(count, count, 12, 1, 90, 170)


def saved(image: Image.Image, quality: int = 75) -> Image.Image:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=quality)
    return Image.open(stream)


COPIES = {
    "JPEG 75": saved,
    "JPEG 50": lambda image: saved(image, 50),
    "smaller": lambda image: saved(image.resize((100, 100), Image.Resampling.BICUBIC)),
    "larger": lambda image: image.resize((240, 240), Image.Resampling.LANCZOS),
    "brighter": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.08)),
    "darker": lambda image: saved(ImageEnhance.Brightness(image).enhance(0.85)),
    "more contrast": lambda image: saved(ImageEnhance.Contrast(image).enhance(1.1)),
}


def found(images: list[Image.Image]) -> list[list[int]]:
    table = np.stack([thumbnail(image) for image in images])
    return sorted(sorted(family.tolist()) for family in duplicates.families(table, np.arange(len(table))))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", [scenes, steel])
def test_copies_are_found(kind: object, how: str) -> None:
    images = kind(40)  # type: ignore[operator]
    again = [COPIES[how](image) for image in images[:5]]
    assert found(images + again) == [[number, 40 + number] for number in range(5)]


@pytest.mark.parametrize("kind", [scenes, steel])
def test_different_images_are_not(kind: object) -> None:
    assert found(kind(150)) == []  # type: ignore[operator]


def test_handwritten_digits_are_all_different_and_a_saved_one_is_found() -> None:
    digits = [
        Image.fromarray((255 - image * (255 / 16)).astype(np.uint8)).resize(
            (32, 32), Image.Resampling.BICUBIC
        )
        for image in load_digits().images
    ]
    assert found(digits) == []
    assert found([*digits, saved(digits[7])]) == [[7, len(digits)]]


def test_flat_images_say_nothing() -> None:
    generator = np.random.default_rng(0)
    nearly_flat = 200 + generator.integers(0, 3, (50, THUMBNAIL, THUMBNAIL, 3))
    assert duplicates.families(nearly_flat.astype(np.uint8), np.arange(50)) == []


def test_colour_tells_images_apart() -> None:
    (image,) = scenes(1)
    red, green, blue = image.split()
    assert found([*scenes(30), image, Image.merge("RGB", (green, blue, red))]) == []


def test_a_film_of_one_scene_is_one_family() -> None:
    table = np.stack([thumbnail(image) for image in scenes(3)])
    families = duplicates.families(np.repeat(table, 700, axis=0), np.arange(2100))
    assert sorted(map(len, families)) == [700, 700, 700]


def test_rows_left_out_are_not_looked_at() -> None:
    table = np.stack([thumbnail(image) for image in scenes(20) * 2])
    (family,) = duplicates.families(table, np.array([*range(20), 23]))
    assert sorted(family.tolist()) == [3, 23]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_images_need_no_special_care(count: int) -> None:
    assert count == 0 or found(scenes(count)) == []
    empty = np.zeros((0, THUMBNAIL, THUMBNAIL, 3), np.uint8)
    assert duplicates.families(empty, np.zeros(0, np.int64)) == []


def test_it_agrees_with_comparing_every_pair() -> None:
    images = [*scenes(60), *[saved(image, 40) for image in scenes(60)]]
    table = np.stack([thumbnail(image) for image in images])
    unit = duplicates.unit_rows(table)
    gap = 1 - unit @ unit.T
    pairs = {(a, b) for a, b in itertools.combinations(range(len(table)), 2) if gap[a, b] <= duplicates.CLOSE}
    assert pairs == {(number, 60 + number) for number in range(60)}
    assert found(images) == [list(pair) for pair in sorted(pairs)]


SMALL = {
    "strongly compressed": lambda image: saved(image, 20),
    "half the size": lambda image: saved(image.resize((16, 16), Image.Resampling.BICUBIC)),
}


@pytest.mark.parametrize("change", SMALL)
def test_copies_of_small_images_are_found_by_being_nearest_by_far(change: str) -> None:
    small = [image.resize((32, 32), Image.Resampling.BOX) for image in scenes(80)]
    images = [*small, *(SMALL[change](image) for image in small[:20])]
    found = duplicates.families(np.stack([thumbnail(image) for image in images]), np.arange(len(images)))
    assert sorted(tuple(sorted(family.tolist())) for family in found) == [(n, 80 + n) for n in range(20)]


def test_frames_of_a_film_are_each_as_near_to_two_others_and_no_copies() -> None:
    start, end = (np.asarray(image, np.float32) for image in scenes(80)[:2])
    film = [Image.fromarray((start + (end - start) * step / 9).astype(np.uint8)) for step in range(10)]
    images = [*film, *scenes(80)[2:40]]
    assert duplicates.families(np.stack([thumbnail(image) for image in images]), np.arange(len(images))) == []


def test_a_copy_went_the_way_of_its_original_and_a_mirrored_one_another() -> None:
    table = np.stack([thumbnail(image) for image in scenes(20)])
    placed, way = duplicates.upright(np.concatenate([table, table, table[:, :, ::-1]]))
    assert (placed[:20] == placed[20:40]).all() and (placed[:20] == placed[40:]).all()
    assert (way[:20] == way[20:40]).all() and (way[:20] != way[40:]).all()
