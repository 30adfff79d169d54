"""The seam behind which a kind of item lies."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from autotl import modality
from autotl.budget import Allowance
from autotl.errors import UnknownNameError
from autotl.modality.image_store import STATISTICS
from autotl.records import Dataset, Kind, fact

IMAGE = modality.get("image")
FOREVER = Allowance(deadline=float("inf"))


def pictures(folder: Path) -> list[str]:
    files = []
    for number, size in enumerate([(300, 400), (40, 30), (8, 90)]):
        path = folder / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
        files.append(str(path))
    return files


def test_every_modality_of_a_data_set_is_there_and_another_is_an_error() -> None:
    for name in get_args(get_type_hints(Dataset)["modality"]):
        assert modality.get(name).SUFFIXES
    with pytest.raises(UnknownNameError, match="sound"):
        modality.get("sound")


@pytest.mark.torch
def test_what_the_engine_calls_can_be_imported() -> None:
    for name in (IMAGE.AUGMENT, IMAGE.BATCH):
        module, _, attribute = name.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_a_file_is_checked_by_its_header() -> None:
    good = io.BytesIO()
    Image.new("RGB", (3, 2)).save(good, "PNG")
    assert IMAGE.check(io.BytesIO(good.getvalue())) is None
    assert IMAGE.check(io.BytesIO(b"no image")) == fact(
        Kind.UNREADABLE, error="not an image of a known format"
    )


def test_items_are_decoded_described_and_shown(tmp_path: Path) -> None:
    files = pictures(tmp_path)
    decoded = IMAGE.decode(files, tmp_path / "store", allowance=FOREVER)
    assert IMAGE.describe(decoded.statistics)["sides"] == (10, 273)
    assert [(kind, rows.tolist()) for kind, rows in IMAGE.quality(decoded.statistics)] == [
        (Kind.TINY, [2]),
        (Kind.LONG, [2]),
    ]
    store = IMAGE.open(tmp_path / "store")
    assert store.image(0).shape == (256, 341, 3)
    by_hand = IMAGE.by_hand(store, np.array([0, 1]))
    assert {name: array.shape for name, array in by_hand.items()} == {
        "pixels": (2, 16 * 16 * 3 + 24),
        "gradients": (2, 5 * 5 * 36),
    }
    for folder in (tmp_path / "store", tmp_path / "gone"):
        shown = Image.open(io.BytesIO(IMAGE.thumbnail(folder, 0, Path(files[0]))))
        assert max(shown.size) <= 256 and shown.format == "JPEG"


def test_sizes_come_from_headers(tmp_path: Path) -> None:
    assert IMAGE.glance(pictures(tmp_path))[1] == 30
    assert IMAGE.glance([str(tmp_path / "none.png")]) == (224, 224, 224)


@pytest.mark.parametrize(("of_colour", "kind", "rows"), [(9, Kind.GRAY, [9]), (1, Kind.COLOURED, [0])])
def test_a_few_gray_images_among_coloured_ones_and_the_reverse_are_named(
    of_colour: int, kind: Kind, rows: list[int]
) -> None:
    statistics = np.full((10, len(STATISTICS)), 100.0, np.float32)
    statistics[:, STATISTICS.index("colour")] = np.where(np.arange(10) < of_colour, 30.0, 0.2)
    assert (kind, rows) in [(found, at.tolist()) for found, at in IMAGE.quality(statistics)]
