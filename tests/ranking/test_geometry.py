"""The choice of how long images become squares, from what linear probes recognise in each way."""

from __future__ import annotations

import numpy as np

from autotl.ranking.geometry import choose, recognised


def right(share: float, images: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(images) < share


def test_another_geometry_has_to_be_better_than_the_crop_beyond_chance() -> None:
    crop = right(0.7)
    assert choose({"crop": crop, "squash": right(0.9, seed=1), "pad": right(0.8, seed=2)}) == "squash"
    assert choose({"crop": crop, "squash": crop.copy(), "pad": right(0.3, seed=2)}) == "crop"
    barely = crop.copy()  # one more in two hundred, with five that differ
    barely[np.flatnonzero(~crop)[:3]] = True
    barely[np.flatnonzero(crop)[:2]] = False
    assert choose({"crop": crop, "squash": barely, "pad": barely}) == "crop"


def test_a_linear_probe_recognises_images_of_other_folds() -> None:
    generator = np.random.default_rng(0)
    labels, folds = np.repeat([3, 5, 9], 20), np.tile(np.arange(5), 12)
    features = np.eye(3, 8)[np.repeat(np.arange(3), 20)] + 0.2 * generator.normal(size=(60, 8))
    assert recognised(features, labels, folds).mean() > 0.9
    assert recognised(generator.normal(size=(60, 8)), labels, folds).mean() < 0.6
