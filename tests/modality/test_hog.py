from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from autotl.modality import hog


def stripes(angle: float, phase: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:48, :48] / 48.0
    wave = np.sin(40 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    return np.repeat((127 + 120 * wave).astype(np.uint8)[..., None], 3, axis=-1)


def test_stripes_are_told_by_their_direction_and_not_by_their_place_or_contrast() -> None:
    images = np.stack([stripes(0.0), stripes(0.0, 1.0), 96 + stripes(0.0) // 4, stripes(np.pi / 2)])
    first, moved, pale, turned = hog.histograms(images)
    assert first.shape == (5 * 5 * 36,) and first.dtype == np.float32
    near = max(np.linalg.norm(first - moved), np.linalg.norm(first - pale))
    assert near < 0.3 * np.linalg.norm(first - turned)


def test_a_flat_image_has_no_gradients() -> None:
    assert not hog.histograms(np.full((1, 48, 48, 3), 77, np.uint8)).any()


def test_many_images_take_the_memory_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 255, (200, 48, 48, 3), np.uint8)
    peaks, found = [], []
    for at_once in (200, 16):
        monkeypatch.setattr(hog, "AT_ONCE", at_once)
        tracemalloc.start()
        found.append(hog.histograms(images))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert np.array_equal(*found) and peaks[1] < peaks[0] / 3
