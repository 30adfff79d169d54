"""From stored images to the network's input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from PIL import Image

from autotl.budget import Allowance
from autotl.engine import images
from autotl.engine.client import write_table
from autotl.engine.images import Squares, normalised, side_before_crop, to_input
from autotl.engine.session import read_data
from autotl.modality import image_store
from autotl.modality.image_store import square
from autotl.records import Columns, Preprocess

PICTURES, _ = toy.images(20)
CPU = torch.device("cpu")
PLAIN = Preprocess(crop=1.0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of every call that makes squares."""
    calls: list[list[int]] = []

    def counted(pixels: object, rows: np.ndarray, *rest: object) -> np.ndarray:
        calls.append(rows.tolist())
        return square(pixels, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "square", counted)
    return calls


def test_squares_are_made_once_and_come_in_the_order_asked(made: list[list[int]]) -> None:
    kept = toy.squares(PICTURES)
    one = kept.get(np.array([3, 1]), 12, PLAIN)
    both = kept.get(np.array([1, 7, 3]), 12, PLAIN)
    assert made == [[3, 1], [7]]
    assert np.array_equal(both[[2, 0]], one)
    assert np.array_equal(both, square(kept.pixels, np.array([1, 7, 3]), 12))


def test_of_several_sizes_the_latest_used_are_kept(made: list[list[int]]) -> None:
    kept, row = toy.squares(PICTURES), np.array([0])
    for side in (8, 10, 12):
        kept.get(row, side, PLAIN)
    kept.get(row, 8, PLAIN)
    kept.get(row, 14, PLAIN)
    assert sorted(side for side, *_ in kept.kept) == [8, 12, 14]
    assert len(kept.kept) == images.KEPT
    kept.get(row, 8, replace(PLAIN, interpolation="bicubic"))
    kept.get(row, 8, replace(PLAIN, geometry="pad"))
    assert list(kept.kept)[1:] == [(8, "bicubic", "crop"), (8, "bilinear", "pad")]


def test_what_does_not_fit_is_made_again_each_time(
    made: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.devices, "free_memory", lambda device: 1000)
    kept = toy.squares(PICTURES)
    for _ in range(2):
        assert kept.get(np.array([2]), 12, PLAIN).shape == (1, 12, 12, 3)
    assert made == [[2], [2]] and not kept.kept


def test_many_small_images_are_not_kept_enlarged(
    made: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "ENLARGED", len(PICTURES) * 20 * 20 * 3)
    kept = toy.squares(PICTURES)
    for side in (toy.SIDE, 20, 24):
        for _ in range(2):
            assert kept.get(np.array([2]), side, PLAIN).shape == (1, side, side, 3)
    assert made == [[2], [2], [2], [2]] and sorted(side for side, *_ in kept.kept) == [toy.SIDE, 20]


def test_what_is_kept_stays_when_memory_gets_short(
    made: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Squares(toy.store(PICTURES))
    kept.get(np.arange(20), 12, PLAIN)
    monkeypatch.setattr(images.devices, "free_memory", lambda device: 0)
    kept.get(np.arange(20), 12, PLAIN)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("size", "crop", "side"), [(224, 0.875, 256), (96, 0.95, 101), (64, 1.0, 64), (64, 1.2, 64)]
)
def test_the_side_before_the_crop(size: int, crop: float, side: int) -> None:
    assert side_before_crop(size, Preprocess(crop=crop)) == side
    assert (
        side_before_crop(size, Preprocess(crop=crop, geometry="pad")) == size
    )  # whole images: nothing is cut off


def test_the_input_is_the_central_crop_normalised() -> None:
    squares = np.zeros((2, 10, 10, 3), np.uint8)
    squares[:, 2:8, 2:8] = (255, 0, 51)
    found = to_input(squares, 6, Preprocess(mean=(0.5, 0.5, 0.2), std=(0.5, 0.25, 1.0)), CPU)
    assert found.shape == (2, 3, 6, 6)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for channel, value in enumerate((1.0, -2.0, 0.0)):
        assert torch.allclose(found[:, channel], torch.tensor(value), atol=1e-6)


def test_normalising_is_what_torchvision_does() -> None:
    from torchvision.transforms.functional import normalize

    batch = torch.rand(2, 3, 4, 4) * 255
    preprocess = Preprocess()
    expected = normalize(batch / 255, list(preprocess.mean), list(preprocess.std))
    assert torch.allclose(normalised(batch, preprocess), expected, atol=1e-5)


def test_images_without_a_label_lie_behind_the_others_and_have_features(tmp_path: Path) -> None:
    labelled = 12
    columns = Columns(
        labels=np.arange(labelled) % 2,
        part=np.zeros(labelled, np.int8),
        fold=np.full(labelled, -1, np.int8),
        group=None,
        order=np.arange(labelled),
        classes=("a", "b"),
        unlabelled=np.arange(labelled, len(PICTURES)),
    )
    files = []
    for number, picture in enumerate(PICTURES):
        files.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(picture).save(files[-1])
    image_store.decode(files, tmp_path, side=32, allowance=Allowance(deadline=float("inf")))
    data = read_data(write_table(tmp_path, tmp_path, columns, metric="accuracy", digests=None))
    assert data.columns.unlabelled is not None
    assert len(data.digests) == len(PICTURES) and len(set(data.digests.tolist())) == len(PICTURES)
    shown = data.squares.get(data.columns.unlabelled, 12, PLAIN)
    assert np.array_equal(shown[-1], data.squares.get(np.array([len(PICTURES) - 1]), 12, PLAIN)[0])
