"""Random crops, turns and light: what they may do to an image and what not."""

from __future__ import annotations

import pytest
import torch

from autotl.engine.augment import augment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lopsided(count: int = 64, side: int = 24) -> torch.Tensor:
    """Images (m, S, S, 3) dark on the left and bright on the right."""
    images = torch.full((count, side, side, 3), 60, dtype=torch.uint8)
    images[:, :, side // 2 :] = 180
    return images


def mirrored(images: torch.Tensor) -> torch.Tensor:
    half = images.shape[-1] // 2
    return images[..., :half].mean((1, 2, 3)) > images[..., half:].mean((1, 2, 3))


@pytest.mark.parametrize("strength", ["none", "light", "strong"])
@pytest.mark.parametrize("flip", [False, True])
def test_shape_range_and_seed(strength: str, flip: bool) -> None:
    found = augment(lopsided(), 16, strength, flip, seeded())
    assert found.shape == (64, 3, 16, 16) and found.dtype == torch.float32
    assert found.min() >= 0 and found.max() <= 255
    assert torch.equal(found, augment(lopsided(), 16, strength, flip, seeded()))


def test_none_is_the_central_crop() -> None:
    images = torch.randint(0, 255, (3, 10, 10, 3), dtype=torch.uint8)
    found = augment(images, 6, "none", False, seeded())
    assert torch.equal(found, images[:, 2:8, 2:8].permute(0, 3, 1, 2).float())


@pytest.mark.parametrize("strength", ["none", "light", "strong"])
def test_left_and_right_change_places_only_where_that_is_allowed(strength: str) -> None:
    assert not mirrored(augment(lopsided(), 24, strength, False, seeded())).any()
    share = mirrored(augment(lopsided(400), 24, strength, True, seeded())).float().mean()
    assert 0.4 < share < 0.6


def test_images_of_a_batch_differ_from_one_another() -> None:
    found = augment(lopsided(8), 16, "light", False, seeded())
    assert len({image.numpy().tobytes() for image in found}) == 8


def test_strong_changes_more_than_light() -> None:
    plain = augment(lopsided(), 24, "none", False, seeded())
    light, strong = (
        (augment(lopsided(), 24, strength, False, seeded()) - plain).abs().mean()
        for strength in ("light", "strong")
    )
    assert 0 < light < strong


def test_nothing_is_shown_that_was_not_there() -> None:
    """No black borders: the edge is mirrored where a turn looks beyond it."""
    bright = torch.full((64, 24, 24, 3), 128, dtype=torch.uint8)
    for image in augment(bright, 16, "strong", True, seeded()):
        assert image.max() - image.min() < 1e-2


def test_an_unknown_strength_is_an_error() -> None:
    with pytest.raises(KeyError):
        augment(lopsided(1), 16, "wild", False, seeded())
