"""Objects of Python as sources."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from source_files import PLUGINS, twelve

from autotl.builtin.sources.in_memory import as_source
from autotl.data import load
from autotl.errors import DatasetError
from autotl.options import reading_options
from autotl.records import Dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTL_CACHE", str(tmp_path / "cache"))


def read(source: Any, **options: Any) -> Dataset:
    place, given = as_source(source, options)
    return load.load(place, reading_options(given), PLUGINS)


def arrays(count: int = 12) -> list[np.ndarray]:
    return [np.full((8, 8, 3), number * 20, np.uint8) for number in range(count)]


def paths(tmp_path: Path) -> list[Path]:
    return [twelve(tmp_path) / "img" / f"{number}.png" for number in range(12)]


AB = ["ab"[number % 2] for number in range(12)]


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    assert as_source(tmp_path, {"label": "x"}) == (str(tmp_path), {"label": "x"})


@pytest.mark.parametrize("kind", ["absolute", "relative", "text"])
def test_a_data_frame_of_paths(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed: list[Any] = paths(tmp_path)
    if kind == "relative":
        listed = [path.relative_to(tmp_path) for path in listed]
    if kind == "text":
        listed = list(map(str, listed))
    frame = pd.DataFrame({"file": listed, "class": AB, "patient": np.arange(12) // 3}, index=range(50, 62))
    data = read(frame, group="patient")
    assert data.classes == ("a", "b") and data.group is not None and len(set(data.group.tolist())) == 4
    assert data.names.tolist() == [f"{number}.png" for number in range(12)]
    assert data.files.tolist() == list(map(str, paths(tmp_path)))


def test_columns_with_other_names(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": paths(tmp_path), "b": AB, "c": 1})
    with pytest.raises(DatasetError, match="path="):
        read(frame)
    assert read(frame, path="a", label="b").classes == ("a", "b")


def test_a_data_frame_of_images() -> None:
    frame = pd.DataFrame({"image": [Image.fromarray(a) for a in arrays()], "label": AB})
    frame.loc[3, "label"] = None
    assert len(read(frame).names) == 11


@pytest.mark.parametrize("make", [list, np.array, lambda images: [Image.fromarray(a) for a in images]])
def test_pairs_of_images_and_labels(make: Any) -> None:
    data = read((make(arrays()), np.array([number % 2 for number in range(12)])))
    assert data.classes == ("0", "1") and len(data.names) == 12
    assert np.array(Image.open(data.files[3])).tolist() == arrays()[3].tolist()


def test_paths_and_labels_and_the_same_twice(tmp_path: Path) -> None:
    first, second = (as_source((paths(tmp_path), AB), {}) for _ in range(2))
    assert first == second
    assert read((paths(tmp_path), AB)).root == str(tmp_path / "img")


def test_parts_by_name() -> None:
    data = read({"train": (arrays(), AB), "val": (arrays(4), AB[:4])}, test=(arrays(2), AB[:2]))
    assert sorted(data.given.tolist()) == [0] * 12 + [1] * 4 + [2] * 2


class Torchvision:
    """A dataset as torchvision's: (image, number of the class), and names of the classes."""

    classes = ("cat", "dog")

    def __len__(self) -> int:
        return 12

    def __getitem__(self, number: int) -> tuple[Any, int]:
        return Image.fromarray(arrays()[number]), number % 2


def test_a_dataset_of_torchvision() -> None:
    data = read(Torchvision())
    assert data.classes == ("cat", "dog") and len(data.names) == 12


def test_a_folder_of_torchvision_is_not_decoded(tmp_path: Path) -> None:
    class Folder(Torchvision):
        samples = tuple((str(path), number % 2) for number, path in enumerate(paths(tmp_path)))

        def __getitem__(self, number: int) -> tuple[Any, int]:
            raise AssertionError

    assert read(Folder()).files.tolist() == list(map(str, paths(tmp_path)))


class Tensor:
    """A tensor as torch's, as far as it is asked."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return self.array


def test_tensors_have_their_channels_first() -> None:
    images = [Tensor(np.moveaxis(array, -1, 0) / np.float32(255)) for array in arrays()]
    data = read((images, AB))
    assert np.array(Image.open(data.files[3])).tolist() == arrays()[3].tolist()


class Feature:
    names = ("cat", "dog")


class HuggingFace:
    """A dataset as Hugging Face's: features by column, rows as dicts."""

    features = MappingProxyType({"image": None, "label": Feature()})
    column_names = ("image", "label")

    def __iter__(self) -> Any:
        return iter(
            {"image": Image.fromarray(a), "label": n % 2 if n else -1} for n, a in enumerate(arrays())
        )


def test_a_dataset_of_hugging_face() -> None:
    data = read({"train": HuggingFace(), "validation": HuggingFace()})
    assert data.classes == ("cat", "dog") and sorted(data.given.tolist()) == [0] * 11 + [1] * 11


@pytest.mark.parametrize("source", [3, (1, 2, 3), object(), [1, 2], [("a", "b", "c")]])
def test_what_is_no_data_set_is_refused(source: Any) -> None:
    with pytest.raises(DatasetError, match="not a data set; expected a path, a DataFrame"):
        read(source)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(DatasetError, match="12 images and 2 labels"):
        read((arrays(), ["a", "b"]))
    with pytest.raises(DatasetError, match="not an image"):
        read((["text"] * 2 + [np.zeros((2, 3, 4, 5))], ["a", "b", "a"]))
